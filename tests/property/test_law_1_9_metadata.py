"""Metadata is asked by ports, not by addresses: who a request is from cannot be chosen by whoever sends it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.model.address import ip_int, ip_text, mac_int
from netloom.model.facts import HostFacts
from netloom.model.flow import IPV4, IPV6, TCP
from netloom.model.slices import PortRow, Slices
from netloom.reconcile.desired import merge_groups
from netloom.render.host import Renderer, render_host
from netloom.render.metadata import FAMILIES, HOST_END, PROXY_MAC, find_callers, find_sources
from netloom.testing.simulator import Packet, SimHost, Walk, _Run, make_host, send
from netloom.testing.story_world import World, make_facts, make_slices
from netloom.testing.strategies import worlds

DOOR = 99
FIELDS = {4: (IPV4, "ip_src", "ip_dst"), 6: (IPV6, "ipv6_src", "ipv6_dst")}


def make_host_of(world: World, host: str) -> tuple[Slices, HostFacts, SimHost]:
    """The host with a proxy; its device is a machine at the end of a wire."""
    facts = make_facts(world, host)
    facts = replace(facts, metadata=True, ofports={**facts.ofports, ("br-int", HOST_END): DOOR})
    slices = make_slices(world, host)
    state = merge_groups(render_host(slices, facts))[0]
    return (
        slices,
        facts,
        make_host(facts, [t for key, t in state.items() if key != ("switch_port", "br-int", HOST_END)]),
    )


def ask(port: PortRow, version: int, source: str) -> Packet:
    kind, src, dst = FIELDS[version]
    return {
        "eth_src": mac_int(port.mac), "eth_dst": 0xFA163EFFFFFF, "eth_type": kind, "ip_proto": TCP, "tcp_src": 40000,
        "tcp_dst": 80, src: ip_int(source), dst: ip_int(FAMILIES[version].service),
    }  # fmt: skip


def reply(host: SimHost, packet: Packet, version: int) -> Walk:
    """What the proxy sends back, from the address that it was asked at."""
    kind, src, dst = FIELDS[version]
    back = {
        "eth_src": mac_int(PROXY_MAC), "eth_dst": packet["eth_src"], "eth_type": kind, "ip_proto": TCP, "tcp_src": 80,
        "tcp_dst": packet["tcp_src"], src: packet[dst], dst: packet[src], "in_port": DOOR,
    }  # fmt: skip
    walk = Walk()
    _Run({host.facts.host: host}, walk).enter(host, "br-int", back)
    return walk


def gather(world: World) -> World:
    """All ports on one host, where those of several networks have the same addresses."""
    return World(world.networks, world.subnets, world.ports, dict.fromkeys(world.ports, "h1"), world.unplugged)


def find_here(world: World, facts: HostFacts) -> Iterator[PortRow]:
    return (world.ports[name] for name in facts.interfaces)


@settings(max_examples=40, deadline=None)
@given(worlds)
def test_a_request_reaches_the_proxy_as_its_ports_and_the_answer_goes_back_there(world: World) -> None:
    """For each port that is up and each of its addresses; ports that share one are told apart."""
    world = gather(world)
    for name in sorted(set(world.hosts.values())):
        slices, facts, host = make_host_of(world, name)
        callers = find_callers(slices, facts)
        for port in find_here(world, facts):
            for version in FAMILIES:
                for source in find_sources(port, version):
                    if not port.admin_state_up or (version == 6 and port.port_security):
                        continue  # a port of IPv4 alone may not send IPv6
                    device = facts.interfaces[port.id].name
                    walk = send({name: host}, name, device, ask(port, version, source))
                    ((_, where, packet),) = walk.arrived
                    assert where == f"port {DOOR}", walk.describe()
                    told = callers[str(ip_text(packet[FIELDS[version][1]], version))]
                    assert (told.port_id, told.address) == (port.id, source)
                    back = reply(host, packet, version)
                    assert [found[1] for found in back.arrived] == [device], back.describe()
                    assert back.arrived[0][2][FIELDS[version][2]] == ip_int(source)


@settings(max_examples=40, deadline=None)
@given(worlds, st.integers(1, 250))
def test_no_source_address_makes_another_of_a_port(world: World, last: int) -> None:
    """Whatever address a port writes into a packet, the proxy sees the port's own, or nothing."""
    world = gather(world)
    for name in sorted(set(world.hosts.values())):
        slices, facts, host = make_host_of(world, name)
        callers = find_callers(slices, facts)
        for port in find_here(world, facts):
            for source in (f"10.0.0.{last}", *callers, "169.254.169.253"):
                if ":" in source:
                    continue
                walk = send({name: host}, name, facts.interfaces[port.id].name, ask(port, 4, source))
                for _, where, packet in walk.arrived:
                    if where == f"port {DOOR}":
                        assert callers[str(ip_text(packet["ip_src"], 4))].port_id == port.id


@settings(max_examples=30, deadline=None)
@given(st.lists(worlds, min_size=2, max_size=3))
def test_law_1_what_was_before_leaves_no_way_behind(history: list[World]) -> None:
    """A renderer that saw other worlds gives the same flows as one that saw the last alone."""
    renderer = Renderer()
    for world in history:
        name = min(world.hosts.values())
        slices, facts, _ = make_host_of(world, name)
        assert renderer.render(slices, facts) == render_host(slices, facts)
