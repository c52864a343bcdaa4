"""Ports that a host expects: those with an inactive binding to it, for an instance that is on its way (live migration).

Law: a host that expects a port holds all that it needs to carry it before the binding is activated, and the other hosts
of the network send there too; so activating changes where nothing else is sent, and nothing has to be learned then.
A trunk's subports are expected where their parent is.
"""

from __future__ import annotations

from collections.abc import Iterator

from netloom.intent.l2.binding import HOST, is_bound
from netloom.intent.l2.port_binding_part import expects
from netloom.intent.l2.trunk_port import DETAILS, TRUNK_ID
from netloom.intent.qos.qos_use import in_force_on_host
from netloom.intent.schema import Doc
from netloom.intent.security.security_group_port import group_keys
from netloom.intent.snapshot import Record, Snapshot
from netloom.resolve.copy_rows import find_copied, find_copies

RowKey = tuple[str, str]


def find_targets(snapshot: Snapshot, port: Doc) -> tuple[str, ...]:
    """The hosts that expect the port, by name."""
    carrier = find_carrier(snapshot, port)
    bindings = snapshot.find("binding", "port_id", carrier["id"]) if carrier else ()
    expecting = {binding["host"] for binding in bindings if expects(binding)}
    return tuple(sorted(expecting.union(find_copies(snapshot, port)) - {port[HOST]}))


def find_carrier(snapshot: Snapshot, port: Doc) -> Doc | None:
    """The port whose bindings count: of a subport its parent."""
    trunk = snapshot.get("trunk", port[TRUNK_ID]) if TRUNK_ID in port else None
    return snapshot.get("port", trunk["port_id"]) if trunk else port


def find_expected(snapshot: Snapshot, host: str) -> Iterator[Record]:
    """The ports that the host expects."""
    records = snapshot.records("port")
    for binding in snapshot.find("binding", "expecting", host):
        for id in find_carried(snapshot, binding["port_id"]):
            found = records.get(id)
            if found is not None and host in find_targets(snapshot, found.doc):
                yield found
    for port in find_copied(snapshot, host):
        yield records[port["id"]]


def find_carried(snapshot: Snapshot, port_id: str) -> Iterator[str]:
    """The port, and the subports of its trunk."""
    port = snapshot.get("port", port_id)
    if port is None:
        return
    yield port_id
    trunk = snapshot.get("trunk", port[DETAILS]["trunk_id"]) if DETAILS in port else None
    for one in trunk["sub_ports"] if trunk else ():
        yield one["port_id"]


def touch_binding(snapshot: Snapshot, binding: Doc) -> Iterator[RowKey]:
    for id in find_carried(snapshot, binding["port_id"]):
        port = snapshot.get("port", id)
        if port is not None:
            yield f"network/{port['network_id']}", f"place/{id}"
            yield from touch_host(port, binding["host"])


def touch_targets(snapshot: Snapshot, port: Doc) -> Iterator[RowKey]:
    """Of a port: what stands of it on the hosts that expect it, and where its subports are expected then."""
    for host in find_targets(snapshot, port):
        yield from touch_host(port, host)
    if DETAILS in port:
        for binding in snapshot.find("binding", "port_id", port["id"]):
            yield from touch_binding(snapshot, binding)


def touch_host(port: Doc, host: str) -> Iterator[RowKey]:
    network = f"network/{port['network_id']}"
    yield network, f"host/{host}"
    yield from ((f"host/{host}", key) for key in find_keys(port))


def find_keys(port: Doc) -> Iterator[str]:
    """What a host's slice has for a port that it carries or expects: the port, and what that leads to."""
    yield f"port/{port['id']}"
    yield f"follow/network/{port['network_id']}"
    yield from (f"follow/group/{group}" for group in group_keys(port))
    if policy := in_force_on_host(port):
        yield f"follow/policy/{policy}"


def is_carried(snapshot: Snapshot, host: str, port: Doc) -> tuple[bool, bool]:
    """(whether the host carries or expects the port, whether it only expects it)."""
    if is_bound(port) and port[HOST] == host:
        return True, False
    expected = host in find_targets(snapshot, port)
    return expected, expected and host not in find_copies(snapshot, port)
