"""Ports of routers that have copies: each host with a copy has all of them, whichever is the active one.

Law: a port of an HA router is on every host that has a copy, but for the port that joins the copies; so who takes over
has all that it needs before it does.
"""

from __future__ import annotations

from collections.abc import Iterator

from netloom.intent.l2.binding import HOST, is_bound
from netloom.intent.l3.router_find import GATEWAY, HA_INTERFACE
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Snapshot

RowKey = tuple[str, str]
L3_AGENT = "L3 agent"
COPIED = (HA_INTERFACE, GATEWAY)


def find_copies(snapshot: Snapshot, port: Doc) -> tuple[str, ...]:
    """The hosts, beside the one that it is bound to, that have the port too; sorted."""
    if port["device_owner"] not in COPIED or not is_bound(port):
        return ()
    router = snapshot.get("router", port["device_id"])
    if router is None or not router["ha"] or router["distributed"]:
        return ()
    return tuple(sorted(set(find_hosts(snapshot, router)) - {port[HOST]}))


def find_hosts(snapshot: Snapshot, router: Doc) -> Iterator[str]:
    for one in router["l3_agents"]:
        agent = snapshot.get("agent", one["agent_id"])
        if agent is not None:
            yield agent["host"]


def find_copied(snapshot: Snapshot, host: str) -> Iterator[Doc]:
    """Ports that the host has by copies of routers, and that are bound elsewhere."""
    agent = snapshot.lookup("agent", "host_type", (host, L3_AGENT))
    for id in snapshot.find_ids("router", "l3_agents", agent["id"]) if agent is not None else ():
        router = snapshot.get("router", id)
        if router is not None and router["ha"] and not router["distributed"]:
            for port in snapshot.find("port", "device_id", id):
                if host in find_copies(snapshot, port):
                    yield port


def touch_router(snapshot: Snapshot, router: Doc) -> Iterator[RowKey]:
    """Where copies are says where its ports are."""
    if router["ha"]:
        for port in snapshot.find("port", "device_id", router["id"]):
            if port["device_owner"] in COPIED:
                yield f"network/{port['network_id']}", f"place/{port['id']}"
                for host in find_copies(snapshot, port):
                    yield f"network/{port['network_id']}", f"host/{host}"
                    yield f"host/{host}", f"port/{port['id']}"
                    yield f"host/{host}", f"follow/network/{port['network_id']}"
