"""Tags of instances: within a network's own (qinq), and where a switch reads what is behind a first one."""

from __future__ import annotations

from netloom.model.facts import HostFacts, Interface
from netloom.model.flow import Goto, PopVlan, PushVlan, make_match
from netloom.model.plan import State
from netloom.model.slices import Address, FollowRow, NetworkRow, PlaceRow, PortRow, Row, Segment, Slice
from netloom.reconcile.desired import merge_groups
from netloom.render.host import render_host
from netloom.render.pipeline import CLASSIFY, GUARD

MAC, SUB = "fa:16:3e:00:00:05", "fa:16:3e:00:00:06"
PORT = PortRow("p", "n", MAC, addresses=(Address("10.0.0.5"),))
SUBPORT = PortRow("s", "n", SUB, addresses=(Address("10.0.0.6"),), parent_id="p", vlan=100)
OFPORTS = {("br-int", "patch-tun"): 1, ("br-tun", "patch-int"): 1, ("br-int", "int-br-ex"): 2}


def render(limit: int, qinq: bool = False, permitted: tuple[int, ...] = ()) -> State:
    facts = HostFacts(
        "h1", bridge_mappings={"physnet": "br-ex"}, interfaces={"p": Interface("tap", 7)}, ofports=OFPORTS,
        vlan_limit=limit, permitted_ethertypes=permitted,
    )  # fmt: skip
    network = NetworkRow("n", 5, segments=(Segment("vlan", "physnet", 101),), qinq=qinq)
    places = {f"place/{port.id}": PlaceRow(port.id, port.mac, "h1", port.addresses) for port in (PORT, SUBPORT)}
    rows: dict[str, Row] = {"port/p": PORT, "port/s": SUBPORT, "follow/network/n": FollowRow("network/n")}
    slices = (Slice("host/h1", 3, rows), Slice("network/n", 3, {"network/n": network, **places}))
    wanted, clashes = merge_groups(render_host({part.name: part for part in slices}, facts))
    assert not clashes
    return wanted


def find_pushes(state: State) -> set[int]:
    actions = (action for thing in state.values() if thing.kind == "flow" for action in thing.value.actions)
    return {action.ethertype for action in actions if isinstance(action, PushVlan)}


def test_the_networks_own_tag_is_an_outer_one() -> None:
    """0x88a8 with qinq, and 0x8100 for a subport's own; without qinq 0x8100 alone."""
    assert find_pushes(render(2, qinq=True)) == {0x8100, 0x88A8}
    assert find_pushes(render(2)) == find_pushes(render(1)) == {0x8100}


def test_what_is_behind_a_first_tag_goes_nowhere() -> None:
    """Where the switch reads two: a tag that names no VLAN comes off, and what has one then is dropped. A switch that
    reads one needs no flow for that, and a network that carries tags has none."""
    forbidden = ("flow", "br-int", GUARD, 220, make_match(reg5=7, vlan_vid=(0x1000, 0x1000)))
    plain = ("flow", "br-int", CLASSIFY, 100, make_match(in_port=7, vlan_vid=(0, 0xFFF)))
    bare, named = (("flow", "br-int", CLASSIFY, 100, make_match(in_port=7, vlan_vid=vid)) for vid in (0, 0x1000))
    one, two, carries = render(1), render(2), render(2, qinq=True)
    assert plain in one and not {bare, named}.intersection(one)
    assert {bare, named} <= two.keys() and plain not in two
    assert two[named].value.actions[0] == PopVlan() and PopVlan() not in two[bare].value.actions
    guards = [key for key in two if key[:4] == ("flow", "br-int", GUARD, 220)]
    assert len(guards) == 2 and forbidden in guards
    assert not any(two[key].value.actions for key in guards)
    assert not [key for key in (*one, *carries) if key[:4] == ("flow", "br-int", GUARD, 220)]


def test_permitted_types_are_bound_to_the_ports_mac() -> None:
    """One flow in the guard for each type and MAC, and one gate for all ports."""
    with_one, without = render(1, permitted=(0x8847,)), render(1)
    more = with_one.keys() - without.keys()
    own = ("flow", "br-int", GUARD, 100, make_match(reg5=7, eth_src=MAC, eth_type=0x8847))
    assert own in more and len(more) == 3
    assert isinstance(with_one[own].value.actions[0], Goto)
