"""Tap as a service: what may be tapped, what goes with what, and what hosts are told."""

from __future__ import annotations

from typing import Any

import pytest

from netloom.intent.l2.port_status import acknowledge
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Change
from netloom.model.delta import apply_delta
from netloom.model.slices import MirrorRow, SinkRow, Slice
from netloom.resolve.mirror_rows import make_key
from netloom.resolve.rows import resolve_row
from netloom.resolve.slices import SliceBook, resolve_slice
from tests.unit.intent.intent_kit import World, refused


@pytest.fixture
def world() -> World:
    made = World()
    made.host("h1")
    made.host("h2", tunneling_ip="192.0.2.2")
    return made


def make_ports(world: World, *hosts: str) -> list[Doc]:
    network = world.network()
    return [world.port(network, binding__host_id=host) for host in hosts]


def make_flow(world: World, source: Doc, target: Doc, direction: str = "BOTH", **more: Any) -> tuple[Doc, Doc]:
    service = world.create("tap_service", {"port_id": target["id"]})[0]
    body = {"tap_service_id": service["id"], "source_port": source["id"], "direction": direction, **more}
    return service, world.create("tap_flow", body)[0]


def wire(world: World, *ports: Doc) -> None:
    for port in ports:
        world.take(acknowledge(world.snapshot, world.context(), port["binding:host_id"], [port["id"]], {}))


def test_a_tap_is_active_when_both_ports_are(world: World) -> None:
    """Law 8, for what depends on two hosts."""
    source, target = make_ports(world, "h1", "h2")
    service, flow = make_flow(world, source, target)
    assert (service["status"], flow["status"]) == ("DOWN", "DOWN")
    wire(world, target)
    assert world.get("tap_service", service)["status"] == "ACTIVE"
    assert world.get("tap_flow", flow)["status"] == "DOWN"
    wire(world, source)
    assert world.get("tap_flow", flow)["status"] == "ACTIVE"


def test_taps_go_with_their_ports_and_services(world: World) -> None:
    """And nothing else does."""
    source, target, other = make_ports(world, "h1", "h1", "h2")
    service, flow = make_flow(world, source, target)
    mirror = {"port_id": source["id"], "directions": {"IN": 1}, "remote_ip": "192.0.2.9", "mirror_type": "gre"}
    world.create("tap_mirror", mirror)
    world.delete("port", source)
    assert world.snapshot.get("tap_flow", flow["id"]) is None
    assert not world.snapshot.records("tap_mirror")
    _, again = make_flow(world, other, make_ports(world, "h1")[0])
    world.delete("tap_service", service)
    assert list(world.snapshot.records("tap_flow")) == [again["id"]]
    world.delete("tap_service", {"id": again["tap_service_id"]})
    assert not world.snapshot.records("tap_flow")


def test_what_cannot_be_tapped(world: World) -> None:
    """A port to itself, two services of one port, a tunnel id that is used or too large."""
    source, target = make_ports(world, "h1", "h1")
    service, _ = make_flow(world, source, target)
    with refused(409, "TapServiceInUse", "another tap service"):
        world.create("tap_service", {"port_id": target["id"]})
    with refused(409, "InvalidSourcePort", "to itself"):
        world.create("tap_flow", {"tap_service_id": service["id"], "source_port": target["id"], "direction": "IN"})
    mirror = {"port_id": source["id"], "directions": {"IN": 7, "OUT": 8}, "remote_ip": "192.0.2.9",
              "mirror_type": "erspanv1"}  # fmt: skip
    world.create("tap_mirror", mirror)
    with refused(409, "TapMirrorTunnelConflict", "Tunnel id 8"):
        world.create("tap_mirror", {**mirror, "directions": {"OUT": 8}})
    with refused(400, "InvalidInput", "above 1023"):
        world.create("tap_mirror", {**mirror, "directions": {"OUT": 1024}})
    for bad in ({}, {"UP": 1}, {"IN": 1, "OUT": 1}, {"IN": -1}, [1]):
        with refused(400, "HTTPBadRequest", "directions"):
            world.create("tap_mirror", {**mirror, "directions": bad})


def test_what_linux_bridges_cannot_copy_is_refused(world: World) -> None:
    """Copies stay on such a host, and are of whole ports; on another kind of host all of it can be asked for."""
    world.host("b1", switch="linuxbridge", tunnel_types=["vxlan"], tunneling_ip="192.0.2.7")
    far, near, other = make_ports(world, "h1", "b1", "b1")
    make_flow(world, near, other)
    for source, target, more, words in (
        (near, far, {}, "exchange copies with other hosts"),
        (far, other, {}, "exchange copies with other hosts"),
        (near, other, {"vlan_filter": "1-3"}, "copy some VLANs of a port alone"),
    ):
        services = {service.doc["port_id"]: id for id, service in world.snapshot.records("tap_service").items()}
        service = services.get(target["id"]) or world.create("tap_service", {"port_id": target["id"]})[0]["id"]
        body = {"tap_service_id": service, "source_port": source["id"], "direction": "IN", **more}
        with refused(409, "TapNotPossible", f"is on host b1, whose Linux bridges do not {words}"):
            world.create("tap_flow", body)
    mirror = {"port_id": near["id"], "directions": {"IN": 7}, "remote_ip": "192.0.2.9", "mirror_type": "gre"}
    with refused(409, "TapNotPossible", "take copies to a collector"):
        world.create("tap_mirror", mirror)
    world.create("tap_mirror", {**mirror, "port_id": far["id"]})


def test_what_hosts_are_told(world: World) -> None:
    """Copies stay on a host, or go to the other by GRE under a number of the tap's."""
    source, near, far = make_ports(world, "h1", "h1", "h2")
    _, here = make_flow(world, source, near, "OUT", vlan_filter="5-6,9")
    _, there = make_flow(world, source, far)
    key = make_key(there["id"])
    assert resolve_row(world.snapshot, "host/h1", f"mirror/{here['id']}") == MirrorRow(
        here["id"], source["id"], (("OUT", 0),), "port", near["id"], vlans="5-6,9"
    )
    assert resolve_row(world.snapshot, "host/h1", f"mirror/{there['id']}") == MirrorRow(
        there["id"], source["id"], (("IN", key), ("OUT", key)), "gre", remote_ip="192.0.2.2"
    )
    assert resolve_row(world.snapshot, "host/h2", f"sink/{there['id']}") == SinkRow(
        there["id"], far["id"], "192.0.2.1", key
    )
    assert resolve_row(world.snapshot, "host/h1", f"sink/{here['id']}") is None


def test_law_6_for_taps(world: World) -> None:
    """Ports move, a host's tunnel address changes, services go: slices kept current are what they would be."""
    source, near, far = make_ports(world, "h1", "h1", "h2")
    make_flow(world, source, near)
    service, _ = make_flow(world, source, far)
    mirror = {"port_id": source["id"], "directions": {"IN": 7}, "remote_ip": "192.0.2.9", "mirror_type": "gre"}
    steps = (
        lambda: world.create("tap_mirror", mirror),
        lambda: world.update("port", far, binding__host_id="h1"),
        lambda: world.host("h1", tunneling_ip="192.0.2.11"),
        lambda: world.update("port", source, binding__host_id="h2"),
        lambda: world.host("h2", tunneling_ip="192.0.2.12"),
        lambda: world.delete("tap_service", service),
        lambda: world.delete("port", source),
    )
    for step in steps:
        before = world.snapshot
        book = SliceBook(before)
        held: dict[str, Slice | None] = {f"host/{name}": book.follow(f"host/{name}") for name in ("h1", "h2")}
        step()
        for name, delta in book.advance(find_changes(before, world), world.snapshot).items():
            held[name] = apply_delta(held[name], delta)
        for name, found in held.items():
            whole = resolve_slice(world.snapshot, name)
            assert found is not None and whole is not None and dict(found.rows) == dict(whole.rows)


def find_changes(before: Any, world: World) -> list[Any]:
    """What is not as it was, as the log would tell it."""
    out = []
    for kind in ("port", "agent", "tap_service", "tap_flow", "tap_mirror", "binding", "network"):
        old, new = before.records(kind), world.snapshot.records(kind)
        changed = (id for id in {*old, *new} if id not in old or id not in new or old[id].doc != new[id].doc)
        out += [Change(kind, id, new[id].doc if id in new else None) for id in changed]
    return out
