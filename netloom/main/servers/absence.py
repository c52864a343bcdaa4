"""Hosts that are gone for so long that their routers are given to others: told the time, and told who is here.

Law: a host that comes back in time keeps its routers, however often it goes; one that is gone for good is tried again
each time as much time has passed, for perhaps nobody could take them yet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain

from netloom.intent.agents.dhcp_schedule import DHCP_AGENT
from netloom.intent.l3.router_schedule import L3_AGENT
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Snapshot


class Absence:
    """Since when hosts with routers are not here, in seconds of any clock that only goes forward."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._since: dict[str, float] = {}

    def come(self, host: str) -> None:
        """It is here, be it for less time than lies between two looks."""
        self._since.pop(host, None)

    def find_due(self, snapshot: Snapshot, here: Collection[str], elsewhere: bool, now_s: float) -> list[Doc]:
        """L3 agents whose routers are to move now. `elsewhere`: other servers have hosts, and write who is alive."""
        gone = {doc["host"]: doc for doc in find_missing(snapshot, here, elsewhere)}
        self._since = {host: self._since.get(host, now_s) for host in gone}
        due = [host for host, since in self._since.items() if now_s - since >= self._after_s]
        self._since |= dict.fromkeys(due, now_s)
        return [gone[host] for host in due]


def find_missing(snapshot: Snapshot, here: Collection[str], elsewhere: bool) -> Iterator[Doc]:
    """L3 agents that are not here and have routers, or whose hosts have networks to serve by DHCP."""
    for doc in snapshot.find("agent", "agent_type", L3_AGENT):
        away = doc["host"] not in here and not (elsewhere and doc["alive"])
        if away and has_work(snapshot, doc):
            yield doc


def has_work(snapshot: Snapshot, agent: Doc) -> bool:
    dhcp = snapshot.lookup("agent", "host_type", (agent["host"], DHCP_AGENT))
    networks = snapshot.find_ids("network", "dhcp_agents", dhcp["id"]) if dhcp else ()
    return any(True for _ in chain(snapshot.find_ids("router", "l3_agents", agent["id"]), networks))
