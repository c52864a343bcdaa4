"""Rows of taps: what a host copies of its ports, and what it takes in for the port that copies go to.

Law: a tap stands with the host of the port that is tapped, and, where the copies go to a port of another host, with
that host too; each knows the other's tunnel address, and the copies have a number that comes of the tap's id.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

from netloom.intent.l2.binding import HOST, OVS_AGENT, is_bound
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Snapshot
from netloom.model.slices import MirrorRow, Row, SinkRow

RowKey = tuple[str, str]
BOTH = ("IN", "OUT")
FIRST_KEY = 0x4E000000
"""GRE keys of copies between hosts: FIRST_KEY and 24 bits of the tap's id."""


def make_key(id: str) -> int:
    return FIRST_KEY | int.from_bytes(blake2b(id.encode(), digest_size=3).digest(), "big")


def find_place(snapshot: Snapshot, port_id: str) -> str:
    """The host of a port; empty: none."""
    port = snapshot.get("port", port_id)
    return port[HOST] if port is not None and is_bound(port) else ""


def find_target(snapshot: Snapshot, flow: Doc) -> str:
    service = snapshot.get("tap_service", flow["tap_service_id"])
    return service["port_id"] if service else ""


def find_address(snapshot: Snapshot, host: str) -> str:
    """The tunnel address of a host; empty: it has none."""
    agent = snapshot.lookup("agent", "host_type", (host, OVS_AGENT)) if host else None
    return (agent["configurations"].get("tunneling_ip") or "") if agent else ""


# -- which rows an object touches --------------------------------------------------------------------------------------


def touch_flow(snapshot: Snapshot, flow: Doc) -> Iterator[RowKey]:
    source, target = find_place(snapshot, flow["source_port"]), find_place(snapshot, find_target(snapshot, flow))
    if source:
        yield f"host/{source}", f"mirror/{flow['id']}"
    if target:
        yield f"host/{target}", f"sink/{flow['id']}"


def touch_service(snapshot: Snapshot, service: Doc) -> Iterator[RowKey]:
    for flow in snapshot.find("tap_flow", "tap_service_id", service["id"]):
        yield from touch_flow(snapshot, flow)


def touch_mirror(snapshot: Snapshot, mirror: Doc) -> Iterator[RowKey]:
    if host := find_place(snapshot, mirror["port_id"]):
        yield f"host/{host}", f"mirror/{mirror['id']}"


def touch_port(snapshot: Snapshot, port: Doc) -> Iterator[RowKey]:
    for flow in find_flows(snapshot, port["id"]):
        yield from touch_flow(snapshot, flow)
    for mirror in snapshot.find("tap_mirror", "port_id", port["id"]):
        yield from touch_mirror(snapshot, mirror)


def touch_agent(snapshot: Snapshot, agent: Doc) -> Iterator[RowKey]:
    """A host's tunnel address stands with those that it exchanges copies with."""
    for flow in (record.doc for record in snapshot.records("tap_flow").values()):
        rows = list(touch_flow(snapshot, flow))
        if any(name == f"host/{agent['host']}" for name, _ in rows):
            yield from rows


def find_flows(snapshot: Snapshot, port_id: str) -> Iterator[Doc]:
    """The flows from a port, and those to it."""
    yield from snapshot.find("tap_flow", "source_port", port_id)
    for service in snapshot.find_ids("tap_service", "port_id", port_id):
        yield from snapshot.find("tap_flow", "tap_service_id", service)


def find_keys(snapshot: Snapshot, port: Doc) -> Iterator[str]:
    """What a host's slice has of the taps of a port that it carries."""
    for flow in find_flows(snapshot, port["id"]):
        yield f"mirror/{flow['id']}"
        yield f"sink/{flow['id']}"
    yield from (f"mirror/{id}" for id in snapshot.find_ids("tap_mirror", "port_id", port["id"]))


# -- what a row holds --------------------------------------------------------------------------------------------------


def resolve_mirror(snapshot: Snapshot, host: str, id: str) -> Row | None:
    flow = snapshot.record("tap_flow", id)
    if flow is not None:
        return resolve_flow(snapshot, host, flow.doc, flow.revision)
    found = snapshot.record("tap_mirror", id)
    if found is None or find_place(snapshot, found.doc["port_id"]) != host:
        return None
    return MirrorRow(
        id=id,
        port_id=found.doc["port_id"],
        directions=tuple(sorted(found.doc["directions"].items())),
        kind=found.doc["mirror_type"],
        remote_ip=found.doc["remote_ip"],
        revision=found.revision,
    )


def resolve_flow(snapshot: Snapshot, host: str, flow: Doc, revision: int) -> Row | None:
    target = find_target(snapshot, flow)
    place = find_place(snapshot, target)
    if find_place(snapshot, flow["source_port"]) != host or not place:
        return None
    wanted = BOTH if flow["direction"] == "BOTH" else (flow["direction"],)
    here = place == host
    return MirrorRow(
        id=flow["id"],
        port_id=flow["source_port"],
        directions=tuple((name, 0 if here else make_key(flow["id"])) for name in wanted),
        kind="port" if here else "gre",
        target_id=target if here else "",
        remote_ip="" if here else find_address(snapshot, place),
        vlans=flow["vlan_filter"] or "",
        revision=revision,
    )


def resolve_sink(snapshot: Snapshot, host: str, id: str) -> Row | None:
    found = snapshot.record("tap_flow", id)
    if found is None:
        return None
    target, source = find_target(snapshot, found.doc), find_place(snapshot, found.doc["source_port"])
    if find_place(snapshot, target) != host or source in ("", host):
        return None
    return SinkRow(id, target, find_address(snapshot, source), make_key(id), found.revision)
