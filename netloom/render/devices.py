"""What a host holds for its own sake: bridges, the patches between them, tunnel ports, and the flows that join tables.

And guards: the kernel of the host must not see frames on devices that the switch has opened, or it answers for itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from netloom.model.device import Bridge, Guard, SwitchPort, make_pairs
from netloom.model.facts import HostFacts
from netloom.model.flow import ICMPV6, IN_PORT, IPV6, Flow, Goto, Move, Output, make_match
from netloom.model.plan import Thing
from netloom.model.slices import Slices
from netloom.model.why import HOST, Why
from netloom.render import registers as reg
from netloom.render.flows.groups import render_gates
from netloom.render.make import make_cookie, make_flow, make_thing
from netloom.render.pipeline import ADVERTISE, ANSWER, SERVICES, SWITCH, TUN_CLASSIFY, TUN_OUT
from netloom.render.scene import TUNNELS, find_ports, patch_name, patch_peer, tunnel_port

PROTOCOLS = ("OpenFlow10", "OpenFlow13", "OpenFlow14", "OpenFlow15")
"""The agent speaks 1.4; the others are for people with ovs-ofctl."""


def render_base(slices: Slices, facts: HostFacts) -> tuple[Thing, ...]:
    """The host's own things; only the guards depend on what is bound here."""
    flows = (make_thing(flow) for flow in render_joints(facts))
    return (
        *render_bridges(facts),
        *render_patches(facts),
        *render_tunnels(facts),
        *render_uplink_settings(facts),
        *flows,
        *render_guards(slices, facts),
    )


def render_bridges(facts: HostFacts) -> Iterator[Thing]:
    for name in (facts.integration_bridge, facts.tunnel_bridge):
        yield Thing(("bridge", name), Bridge(facts.datapath_type, "secure", PROTOCOLS))


def render_patches(facts: HostFacts) -> Iterator[Thing]:
    inner, outer = facts.integration_bridge, facts.tunnel_bridge
    yield from make_patch(inner, "patch-tun", outer, "patch-int")
    for bridge in dict.fromkeys(facts.bridge_mappings.values()):
        yield from make_patch(inner, patch_name(bridge), bridge, patch_peer(bridge))


def make_patch(one: str, name: str, other: str, peer: str) -> Iterator[Thing]:
    yield Thing(("switch_port", one, name), SwitchPort("patch", make_pairs(peer=peer)))
    yield Thing(("switch_port", other, peer), SwitchPort("patch", make_pairs(peer=name)))


def render_tunnels(facts: HostFacts) -> Iterator[Thing]:
    """One port per type, whatever the number of hosts: where a packet goes is in its flow."""
    if not facts.tunnel_ip:
        return
    options = make_pairs(remote_ip="flow", key="flow", local_ip=facts.tunnel_ip)
    for kind in TUNNELS:
        if kind in facts.tunnel_types:
            yield Thing(("switch_port", facts.tunnel_bridge, tunnel_port(kind)), SwitchPort(kind, options))


def render_uplink_settings(facts: HostFacts) -> Iterator[Thing]:
    """What configuration says of the switch: several NICs as one, and whom it tells of its traffic."""
    for (bridge, name), bond in sorted(facts.bonds.items()):
        yield Thing(("bond", bridge, name), bond)
    for name, export in sorted(facts.exports.items()):
        yield Thing(("export", facts.integration_bridge, name), export)


def render_joints(facts: HostFacts) -> Iterator[Flow]:
    """The flows that lead on what no narrower one took; everywhere else a miss is a drop."""
    cookie = make_cookie("base")
    why = Why(0, (), "devices.render_joints")
    inner, outer = facts.integration_bridge, facts.tunnel_bridge
    yield make_flow(inner, SERVICES, 0, (), (Goto(SWITCH),), cookie, why)
    advert = make_match(eth_type=IPV6, ip_proto=ICMPV6, icmpv6_type=136, icmpv6_code=0)
    yield make_flow(inner, ADVERTISE, 100, advert, (Move("eth_src", "nd_tll", 48), Goto(ANSWER)), cookie, why)
    yield make_flow(inner, ANSWER, 0, (), (Output(IN_PORT),), cookie, why)
    yield from render_gates(inner, facts.permitted_ethertypes)
    patch = facts.ofports.get((outer, "patch-int"), 0)
    if patch > 0:
        carry = (Move("pkt_mark", reg.NETWORK, 32), reg.UNMARK, Goto(TUN_OUT))
        yield make_flow(outer, TUN_CLASSIFY, 100, make_match(in_port=patch), carry, cookie, why)


def render_guards(slices: Slices, facts: HostFacts) -> Iterator[Thing]:
    """A guard for every instance's device and every NIC under a switch. An internal port is the kernel's own."""
    for port in find_ports(slices, facts.host):
        held = facts.interfaces.get(port.id)
        if held is not None and held.ofport > 0 and held.type in ("", "system"):
            why = Why(port.revision, (f"port/{port.id}",), "devices.render_guards")
            yield Thing(("guard", held.name), Guard(), why)
    for device in facts.underlay_devices:
        yield Thing(("guard", device), Guard(), HOST)
