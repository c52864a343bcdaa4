"""The status of ports, from what their hosts acknowledge.

Law 8: a port is ACTIVE when its host has acknowledged the revision that describes it, and for no other reason; while
it is not, `waits_for` says what it waits for. Where DHCP servers answer, one of them has to know it too, as its host
acknowledges (`agents.dhcp_wait`). Law 9: a host speaks for the ports that are bound to it, and no others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from netloom.intent.agents.dhcp_wait import UNKNOWN_SINCE, WORDS, find_unknown, is_served, is_server
from netloom.intent.draft import Draft
from netloom.intent.l2 import binding
from netloom.intent.l2.binding import HOST
from netloom.intent.l2.taas_port import follow_port as follow_taps
from netloom.intent.l2.trunk_port import follow_port
from netloom.intent.l3.floatingip_parts import mirror_port
from netloom.intent.l3.floatingip_parts import put_status as put_floating
from netloom.intent.operation import Context, Outcome
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Snapshot
from netloom.intent.stamp import make_updated

MAX_REASON = 255


Word = tuple[str, Collection[str], Mapping[str, str], int | None]
"""What a host says: its name, the ports that carry traffic, those that do not yet with the reason, and what it had
seen when it said so; None: all there is."""


def acknowledge(
    snapshot: Snapshot,
    context: Context,
    host: str,
    wired: Collection[str],
    pending: Mapping[str, str],
    revision: int | None = None,
) -> Outcome:
    """What follows from a host's word that `wired` ports carry traffic and `pending` ones (id → reason) do not yet.

    `revision` is what the host had seen when it said so; None: all there is. A port that was described anew since
    waits on. Ports of other hosts, and ports that are gone, are passed over. Nothing new gives an empty Outcome.
    """
    return acknowledge_all(snapshot, context, [(host, wired, pending, revision)])


def acknowledge_all(snapshot: Snapshot, context: Context, words: Iterable[Word]) -> Outcome:
    """As `acknowledge`, for the words of many hosts in one revision, in their order."""
    draft = Draft(snapshot, context)
    for host, wired, pending, revision in words:
        take_word(draft, host, wired, pending, revision)
    return draft.finish()


def take_word(
    draft: Draft, host: str, wired: Collection[str], pending: Mapping[str, str], revision: int | None
) -> None:
    for id in wired:
        acknowledge_floating(draft, host, id, True, "", revision)
        port = find_port(draft, host, id)
        if port is not None and (revision is None or port["described_at"] <= revision):
            put_carried(draft, port)
            know_ports(draft, port, revision)
    for id, reason in pending.items():
        acknowledge_floating(draft, host, id, False, reason[:MAX_REASON], revision)
        port = find_port(draft, host, id)
        if port is not None:
            put_status(draft, port, "DOWN", reason[:MAX_REASON])


def put_carried(draft: Draft, port: Doc) -> None:
    """The port's host carries it; whether a DHCP server has to know it first."""
    if port[UNKNOWN_SINCE] and port["status"] != "ACTIVE" and is_served(draft, port["network_id"]):
        put_status(draft, port, "DOWN", WORDS)
    else:
        put_status(draft, port, "ACTIVE", "")


def know_ports(draft: Draft, server: Doc, revision: int | None) -> None:
    """A DHCP server's host carries it, and so the server knows the ports that the host has seen."""
    for port in find_unknown(draft, server):
        if revision is None or port[UNKNOWN_SINCE] <= revision:
            release(draft, port)


def release(draft: Draft, port: Doc) -> None:
    """It need not wait for a DHCP server any more; it may wait for its own host."""
    known = draft.put("port", {**port, UNKNOWN_SINCE: 0})
    if port["waits_for"] == WORDS:
        put_status(draft, known, "ACTIVE", "")


def release_unserved(draft: Draft, network_id: str, but: str = "") -> None:
    """Where no DHCP server is left, hosts answer themselves: nobody waits for one. `but`: a server's port that goes."""
    if not is_served(draft, network_id, but):
        for port in list(draft.find("port", UNKNOWN_SINCE, network_id)):
            release(draft, port)


def is_news(snapshot: Snapshot, host: str, wired: Iterable[str], pending: Mapping[str, str]) -> bool:
    """Whether the word of a host may change anything: one that says what is shown already need not be written."""
    told = [(id, "ACTIVE", "") for id in wired]
    told += [(id, "DOWN", reason[:MAX_REASON]) for id, reason in pending.items()]
    ports, floating = snapshot.records("port"), snapshot.records("floatingip")
    for id, status, waits_for in told:
        if (port := ports.get(id)) is not None:
            if differs(port.doc, status, waits_for) and find_port(snapshot, host, id):
                return True
            if status == "ACTIVE" and is_server(port.doc) and find_unknown(snapshot, port.doc):
                return True
        elif (fip := floating.get(id)) is not None and differs(fip.doc, status, waits_for):
            return True
    return False


def differs(doc: Doc, status: str, waits_for: str) -> bool:
    return bool(doc["status"] != status or doc.get("waits_for", "") != waits_for)


def find_port(docs: Draft | Snapshot, host: str, id: str) -> Doc | None:
    """The port if it is bound to this host and switched on."""
    port = docs.get("port", id)
    if port is None or port[HOST] != host or not binding.is_bound(port) or not port["admin_state_up"]:
        return None
    return port


def acknowledge_floating(draft: Draft, host: str, id: str, carried: bool, reason: str, revision: int | None) -> None:
    """A floating IP is ACTIVE when a host that may translate it has acknowledged the revision that describes it."""
    fip = draft.get("floatingip", id)
    if fip is None or not fip["router_id"] or not may_translate(draft, fip, host):
        return
    outdated = carried and revision is not None and revision < (fip.get("described_at") or 0)
    if not outdated:
        put_floating(draft, fip, carried, reason)


def may_translate(draft: Draft, fip: Doc, host: str) -> bool:
    """Whether the floating IP's router is on the host, or distributed and its port is."""
    router = draft.get("router", fip["router_id"])
    if router is None:
        return False
    agents = (draft.get("agent", one["agent_id"]) for one in router["l3_agents"])
    if any(agent is not None and agent["host"] == host for agent in agents):
        return True
    port = draft.get("port", fip["port_id"]) if router["distributed"] and fip["port_id"] else None
    return port is not None and port[HOST] == host


def put_status(draft: Draft, port: Doc, status: str, waits_for: str) -> None:
    """Only a status that differs makes a new revision of the port; another reason to wait is noted without one."""
    if port["status"] != status:
        new = make_updated(port, {"status": status, "waits_for": waits_for}, draft.context)
        follow_port(draft, port, draft.put("port", new))
        follow_taps(draft, port, new)
        mirror_port(draft, new)
    elif port["waits_for"] != waits_for:
        draft.put("port", {**port, "waits_for": waits_for})
