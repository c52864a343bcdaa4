"""Taps on a host with Linux bridges: which copies there are, and what a port says whose tap cannot be."""

from __future__ import annotations

from dataclasses import replace

from netloom.model.facts import HostFacts, Interface
from netloom.model.slices import MirrorRow, NetworkRow, PortRow, Row, Segment, SinkRow, Slice, Slices
from netloom.render.bridges.host import BridgeRenderer, render_bridge_host
from netloom.render.bridges.status import find_pending

A, B = "a0000000-0000-0000-0000-000000000000", "b0000000-0000-0000-0000-000000000000"
FACTS = HostFacts("h1", interfaces={A: Interface("tapa", 7), B: Interface("tapb", 8)})
BOTH = (("IN", 0), ("OUT", 0))
TAP = MirrorRow("t", A, BOTH, target_id=B)


def make_slices(*taps: MirrorRow | SinkRow) -> Slices:
    ports: dict[str, Row] = {
        f"port/{id}": PortRow(id, "n", f"fa:16:3e:00:00:0{number}", port_security=False)
        for number, id in enumerate((A, B))
    }
    own = {**ports, **{f"{type(tap).__name__}/{tap.id}": tap for tap in taps}}
    network: dict[str, Row] = {"network/n": NetworkRow("n", 1, segments=(Segment("local"),))}
    return {"host/h1": Slice("host/h1", 1, own), "network/n": Slice("network/n", 1, network)}


def find_copies(slices: Slices, facts: HostFacts = FACTS) -> set[tuple[object, ...]]:
    things = render_bridge_host(slices, facts)["mirrors"]
    return {thing.key for thing in things}


def test_a_tap_is_a_copy_for_each_direction() -> None:
    """As the port sees them: what it sends comes in by its device. Nothing while one of the devices is not there."""
    sent, received = ("copy", "tapa", "sent", "tapb"), ("copy", "tapa", "received", "tapb")
    assert find_copies(make_slices(TAP)) == {sent, received}
    assert find_copies(make_slices(replace(TAP, directions=(("OUT", 0),)))) == {sent}
    assert find_copies(make_slices()) == set()
    for gone in (A, B):
        there = {id: held for id, held in FACTS.interfaces.items() if id != gone}
        assert find_copies(make_slices(TAP), replace(FACTS, interfaces=there)) == set()


def test_what_cannot_be_copied_is_said_by_the_port() -> None:
    """A tap to a port that moved elsewhere, or from there, or of some VLANs: the port says which tap, and why."""
    for tap, port, words in (
        (replace(TAP, kind="gre", target_id="", remote_ip="192.0.2.2"), A, "its copies would go to another host"),
        (SinkRow("t", B, "192.0.2.2", 7), B, "copies would come from another host"),
        (replace(TAP, vlans="1-3"), A, "it is to copy some VLANs alone"),
    ):
        assert find_copies(make_slices(tap)) == set()
        pending = find_pending(make_slices(tap), FACTS)
        assert pending == {port: f"tap t of the port is not made: {words}, which Linux bridges here do not do"}
    assert find_pending(make_slices(TAP), FACTS) == {}


def test_law_1_copies_depend_on_the_last_state_alone() -> None:
    """A tap comes, changes its direction and goes: who saw it all holds what a newcomer holds."""
    renderer = BridgeRenderer()
    for taps in ((), (TAP,), (replace(TAP, directions=(("IN", 0),)),), ()):
        slices = make_slices(*taps)
        assert renderer.render(slices, FACTS) == render_bridge_host(slices, FACTS)
