"""One meaning of a rule: the same packets through Open vSwitch, nft and iptables, each in its simulator.

A port with rules speaks with one of another host, which may say all: first packets, answers, more of the same, errors,
packets in pieces, neighbour discovery, from and to addresses of pairs, and forgeries, while rules and members change.
Whatever passes in one passes in all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from netloom.model.address import ip_int, link_local, mac_int
from netloom.model.facts import HostFacts, Interface
from netloom.model.flow import ICMPV6, IPV4, IPV6, Nat, SetField
from netloom.model.slices import (
    Address,
    AddressPair,
    LogMark,
    NetworkRow,
    PortRow,
    Row,
    RuleRow,
    Segment,
    SubnetRow,
)
from netloom.reconcile.desired import merge_groups
from netloom.render.bridges.host import render_bridge_host
from netloom.render.bridges.scene import bridge_name, tap_name
from netloom.render.filters.hybrid import device
from netloom.render.host import render_host
from netloom.testing import iptables_simulator as iptables
from netloom.testing import nft_simulator as nft
from netloom.testing.connections import Connections
from netloom.testing.simulator import Packet, SimHost, make_host, render_sim_host, send
from netloom.testing.story_packets import make_packet
from netloom.testing.story_traffic import make_answer, make_error, make_more
from netloom.testing.story_world import World, make_facts, make_slices
from tests.examples import count_examples
from tests.property.security_rows import make_group, make_members, make_prefixes

ID = "2e8bbfcd-9a9e-4a4b-9c2e-0000000000aa"
PEER = "77777777-9a9e-4a4b-9c2e-0000000000bb"
MAC, PEER_MAC = "fa:16:3e:00:00:0a", "fa:16:3e:00:00:0b"
GROUPS = ("g0", "g1")
SETS = ("members/g0", "members/g1", "addresses/a0")


@dataclass(frozen=True)
class Rules:
    """The rules of two groups, whether they track connections, the port's groups, and what an address group holds."""

    rules: tuple[tuple[RuleRow, ...], ...]
    stateful: bool = True
    groups: tuple[str, ...] = GROUPS
    prefix: str = "10.0.0.8/29"
    friend: bool = True  # whether the peer is in g1
    logged: str = ""  # what is written down of the port, which changes nothing


class Rendered:
    """What a world is to each of the three, made once for all its packets."""

    def __init__(self, world: World) -> None:
        slices, facts = make_slices(world, "h1"), make_facts(world, "h1")
        own = replace(facts.interfaces[ID], name=device("qvo", ID), mac=MAC)
        hybrid = replace(facts, hybrid=True, interfaces={ID: own})
        things = merge_groups(render_host(slices, hybrid))[0].values()
        self.chains = iptables.make_chains(things)
        self.hybrid = make_host(hybrid, things)
        self.native = make_host(facts, merge_groups(render_host(slices, facts))[0].values())
        self.far = render_sim_host(make_slices(world, "h2"), make_facts(world, "h2"))
        bridged = HostFacts("h1", "192.0.2.1", ("vxlan",), interfaces={ID: Interface(tap_name(ID), 7, MAC)})
        self.filter = nft.make_filter(merge_groups(render_bridge_host(slices, bridged))[0].values())


class Trio:
    """The three renderings of a world, each with the connections that it knows; those outlive the world."""

    def __init__(self, world: World) -> None:
        self.connections: dict[str, Connections] = {}
        self.show(world)

    def show(self, world: World) -> None:
        self.world, self.rendered = world, Rendered(world)

    def of(self, name: str) -> Connections:
        return self.connections.setdefault(name, Connections())


def make_world(state: Rules) -> World:
    world = World()
    world.networks["n0"] = NetworkRow("n0", 1, segments=(Segment("vxlan", "", 101),))
    world.subnets["n0"] = [SubnetRow("s4", "n0", "10.0.0.0/24", 4), SubnetRow("s6", "n0", "2001:db8::/64", 6)]
    pairs = (AddressPair("10.0.0.64/30", MAC), AddressPair("2001:db8::40", "fa:16:3e:00:00:0c"))
    addresses = (Address("10.0.0.5"), Address("2001:db8::5"))
    world.ports[ID] = PortRow(ID, "n0", MAC, addresses=addresses, pairs=pairs, groups=state.groups,
                              logs=(LogMark("l0", state.logged),) if state.logged else ())  # fmt: skip
    addresses, mine = (Address("10.0.0.9"), Address("2001:db8::9")), (AddressPair("10.0.0.128/30", PEER_MAC),)
    groups = ("g1",) if state.friend else ()
    world.ports[PEER] = PortRow(PEER, "n0", PEER_MAC, addresses=addresses, pairs=mine, groups=groups,
                                port_security=False)  # fmt: skip
    world.hosts = {ID: "h1", PEER: "h2"}
    world.groups = make_groups(state, world)
    return world


def make_groups(state: Rules, world: World) -> dict[str, dict[str, Row]]:
    found = {"addresses/a0": make_prefixes(state.prefix, "2001:db8::8/125")}
    for name, rules in zip(GROUPS, state.rules, strict=True):
        named = (replace(rule, id=f"{name}{n}") for n, rule in enumerate(rules))
        found[f"group/{name}"] = make_group(name, named, state.stateful)
        found[f"members/{name}"] = make_members(name, world.ports.values())
    return found


# -- the same packet in each -------------------------------------------------------------------------------------------


def find_verdicts(trio: Trio, packet: Packet, out: bool) -> dict[str, bool]:
    return {
        "openvswitch": try_switch(trio, "openvswitch", trio.rendered.native, packet, out),
        "iptables": try_iptables(trio, packet, out),
        "nft": try_nft(trio, packet, out),
    }


def try_switch(trio: Trio, name: str, near: SimHost, packet: Packet, out: bool) -> bool:
    """Through Open vSwitch on both hosts."""
    sender, target = (ID, PEER) if out else (PEER, ID)
    hosts = {
        "h1": replace(near, connections=trio.of(name)),
        "h2": replace(trio.rendered.far, connections=trio.of(f"{name} far")),
    }
    at = "h1" if out else "h2"
    walk = send(hosts, at, hosts[at].facts.interfaces[sender].name, packet)
    into = hosts["h2" if out else "h1"].facts.interfaces[target].name
    return into in walk.devices


def try_iptables(trio: Trio, packet: Packet, out: bool) -> bool:
    """Through the port's own bridge, then or before that Open vSwitch."""
    chains = replace(trio.rendered.chains, connections=trio.of("iptables"))
    ways = (device("tap", ID), device("qvb", ID))

    def own() -> bool:
        return iptables.passes(chains, *(ways if out else ways[::-1]), packet)

    def switch() -> bool:
        return try_switch(trio, "hybrid", trio.rendered.hybrid, packet, out)

    return own() and switch() if out else switch() and own()


def try_nft(trio: Trio, packet: Packet, out: bool) -> bool:
    """Between the port's tap and the tunnel device of its bridge."""
    held = replace(trio.rendered.filter, connections=trio.of("nft"))
    ways = (tap_name(ID), "vxlan-101")
    return nft.passes(held, bridge_name("n0"), *(ways if out else ways[::-1]), packet)


# -- what happens ------------------------------------------------------------------------------------------------------

whats = st.sampled_from(
    ((-1, -1, -1), (6, -1, -1), (6, 80, 80), (6, 70, 1031), (6, 1, 65535), (6, 0, 65535), (17, 53, 100), (17, -1, -1),
     (1, -1, -1), (1, 8, -1), (1, 8, 0), (1, 13, -1), (1, 3, 1), (1, 0, -1), (132, 80, 81), (47, -1, -1), (33, 5, 5))
)  # fmt: skip
V6_PREFIXES = {"10.0.0.8/29": "2001:db8::8/125", "10.0.0.9/32": "2001:db8::9/128", "10.9.0.0/16": "2001:db8:9::/64",
               "0.0.0.0/0": "::/0"}  # fmt: skip


def make_rule(direction: str, version: int, what: tuple[int, int, int], far: str) -> RuleRow:
    protocol, first, last = what
    if protocol == 1 and version == 6:
        protocol, first = 58, 128 if first == 8 else first
    remote = far if far in SETS else ""
    prefix = "" if remote or not far else far if version == 4 else V6_PREFIXES[far]
    return RuleRow("", direction, version, protocol, first, last, prefix, remote)


rules = st.builds(
    make_rule, st.sampled_from(("ingress", "egress")), st.sampled_from((4, 4, 6)), whats,
    st.sampled_from(("", *V6_PREFIXES, *SETS)),
)  # fmt: skip
BROAD = tuple(make_rule(way, version, (-1, -1, -1), "") for way in ("ingress", "egress") for version in (4, 6))
"""Rules that let all pass; without some of them hardly anything of what is made by chance does."""
some = st.tuples(st.lists(rules, max_size=3), st.sets(st.sampled_from(BROAD), max_size=4))
states = st.builds(
    Rules,
    st.tuples(*(some.map(lambda made: (*made[0], *sorted(made[1], key=repr))) for _ in GROUPS)),
    st.sampled_from((True, True, False)),
    st.sampled_from((("g0",), GROUPS, ("g1",), ())),
    st.sampled_from(("10.0.0.8/29", "10.9.0.0/16", "0.0.0.0/0")),
    st.booleans(),
    st.sampled_from(("", "", "ACCEPT", "DROP", "ALL")),
)
WORDS = ("tcp 80", "tcp 443", "udp 53", "udp 68 from 67", "udp 67 from 68", "sctp 80", "ping", "icmp 13", "icmp 3 1",
         "icmp 0 0", "icmp 11 0", "protocol 47", "protocol 33")  # fmt: skip
SIX = {"icmp 13": "icmp 131 0", "icmp 3 1": "icmp 1 0", "icmp 0 0": "icmp 129 0", "icmp 11 0": "icmp 134 0"}
"""What is said over IPv6 instead: a report of multicast, errors, an answer to nothing, a router's advertisement."""
said = st.tuples(st.sampled_from(WORDS), st.booleans(), st.booleans())
events = st.one_of(
    st.tuples(st.just("say"), said),
    st.tuples(st.just("say by pair"), said),
    st.tuples(st.sampled_from(("answer", "more", "refuse", "pieces", "pieces")), st.none()),
    st.tuples(st.just("change"), states),
    st.tuples(st.just("forge"), st.deferred(lambda: st.sampled_from(tuple(FORGED)))),
    st.tuples(st.just("arp"), st.sampled_from(("10.0.0.5", "10.0.0.65", "10.0.0.77", "0.0.0.0"))),
    st.tuples(st.just("nd"), st.tuples(st.sampled_from(("own", "pair", "link", "foreign", "none")), st.sampled_from(
        ("asks", "asks for its own", "tells of its own", "tells of another")), st.booleans())),
)  # fmt: skip


def make_said(world: World, words: str, out: bool, v6: bool) -> Packet:
    if v6:
        words = SIX.get(words, words)
    sender, target = (ID, PEER) if out else (PEER, ID)
    tail = [target, *(["over", "ipv6"] if v6 else [])]
    return make_packet(world, world.ports[sender], [*words.split(), "to", *tail])


FORGED: dict[str, dict[str, int]] = {
    "eth_src": {"eth_src": 0x020000000099},
    "ip_src": {"ip_src": 0x0A00004D},
    "pair": {"ip_src": 0x0A000041},
    "other mac of a pair": {"eth_src": 0xFA163E00000C},
    "ipv6_src": {"ipv6_src": ip_int("2001:db8::4d")},
    "ipv6 pair by another mac": {"ipv6_src": ip_int("2001:db8::40")},
    "ipv6 pair": {"ipv6_src": ip_int("2001:db8::40"), "eth_src": 0xFA163E00000C},
    "link-local": {"ipv6_src": ip_int(link_local(MAC))},
    "another's link-local": {"ipv6_src": ip_int(link_local(PEER_MAC))},
}
PAIRS = {(True, False): "10.0.0.65", (True, True): "2001:db8::40", (False, False): "10.0.0.129"}
"""Addresses of pairs: (whether the port's or the peer's, whether of IPv6)."""


def make_by_pair(world: World, words: str, out: bool, v6: bool) -> Packet:
    """From the port's pair, or to it from the peer's."""
    packet = make_said(world, words, out, v6)
    mine, theirs = ("src", "dst") if out else ("dst", "src")
    family = "ipv6" if v6 else "ip"
    packet[f"{family}_{mine}"] = ip_int(PAIRS[True, v6])
    if not v6:
        packet[f"ip_{theirs}"] = ip_int(PAIRS[False, False])
    elif out:
        packet["eth_src"] = 0xFA163E00000C
    return packet


def make_neighbour(world: World, source: str, what: str, honest: bool) -> Packet:
    """Neighbour discovery that the port sends; `honest`: with its own MAC in the option."""
    sources = {"own": "2001:db8::5", "pair": "2001:db8::40", "link": link_local(MAC), "foreign": "2001:db8::4d",
               "none": "::"}  # fmt: skip
    option = mac_int(MAC) if honest else 0x020000000099
    target = {"asks": "2001:db8::c8", "tells of another": "2001:db8::c9"}.get(what, "2001:db8::5")
    packet = {
        "eth_src": mac_int(MAC), "eth_dst": 0x3333FF000000, "eth_type": IPV6, "ipv6_src": ip_int(sources[source]),
        "ipv6_dst": ip_int("ff02::1:ff00:c8"), "ip_proto": ICMPV6, "icmpv6_code": 0, "nd_target": ip_int(target),
    }  # fmt: skip
    if what.startswith("tells"):
        return {**packet, "eth_dst": mac_int(PEER_MAC), "ipv6_dst": ip_int("2001:db8::9"), "icmpv6_type": 136,
                "nd_tll": option, "nd_options_type": 2}  # fmt: skip
    told = {} if source == "none" else {"nd_sll": option, "nd_options_type": 1}
    return {**packet, "icmpv6_type": 135, **told}


# -- in pieces ---------------------------------------------------------------------------------------------------------

FIRST, LATER = 1, 3
"""Of ip_frag."""
HIDDEN = ("tcp_src", "tcp_dst", "udp_src", "udp_dst", "tcp_flags")


class Puzzle(Connections):
    """As conntrack of Open vSwitch, which puts pieces together before it speaks of them; the whole is known."""

    def __init__(self, known: Connections, whole: Packet) -> None:
        super().__init__(known.held, known.answers)
        self.whole = whole

    def track(self, zone: int, packet: Packet) -> Packet:
        if not packet.get("ip_frag"):
            return super().track(zone, packet)
        told = super().track(zone, self.whole)
        return told if packet["ip_frag"] == FIRST else {**told, "ct_tp_dst": 0}

    def commit(self, zone: int, packet: Packet, writes: Iterable[SetField], nat: Nat | None = None) -> None:
        super().commit(zone, self.whole if packet.get("ip_frag") else packet, writes, nat)


def find_pieces(packet: Packet) -> tuple[Packet, Packet]:
    """The first and a later one, as Open vSwitch sees them: with no ports."""
    bare = {name: value for name, value in packet.items() if name not in HIDDEN}
    return {**bare, "ip_frag": FIRST}, {**bare, "ip_frag": LATER}


def find_piecewise(trio: Trio, packet: Packet, out: bool) -> dict[str, bool]:
    """The kernel puts pieces together before any rule sees them; Open vSwitch judges each, and all must pass."""
    trio.connections["openvswitch"] = Puzzle(trio.of("openvswitch"), packet)
    native = trio.rendered.native
    switch = [try_switch(trio, "openvswitch", native, piece, out) for piece in find_pieces(packet)]
    return {
        "openvswitch": all(switch),
        "iptables": try_iptables(trio, packet, out),
        "nft": try_nft(trio, packet, out),
    }


def may_be_in_pieces(packet: Packet) -> bool:
    """Ports of TCP and UDP are known of a packet in pieces; of others Open vSwitch lets pieces pass by protocol."""
    port = packet.get("tcp_dst", packet.get("udp_dst", 0))
    return packet.get("ip_proto") in (6, 17) and port not in (67, 68) and packet["eth_type"] in (IPV4, IPV6)


stories = st.tuples(st.tuples(st.just("say"), said), st.lists(events, max_size=7)).map(lambda made: [made[0], *made[1]])


@settings(max_examples=count_examples(120), deadline=None)
@example(
    Rules(((RuleRow("", "egress", 4, 6, 80, 80),), ())),
    [("say", ("tcp 80", True, False)), ("answer", None), ("more", None), ("change", Rules(((), ()))), ("more", None),
     ("answer", None)],
)  # fmt: skip
@example(
    Rules(((RuleRow("", "egress", 4), RuleRow("", "ingress", 4, 17, 53, 53, remote="members/g1")), ())),
    [("say", ("udp 53", True, False)), ("pieces", None), ("say", ("udp 53", False, False)), ("pieces", None),
     ("answer", None), ("pieces", None), ("say", ("tcp 80", False, False)), ("pieces", None),
     ("say by pair", ("udp 53", False, False)), ("say by pair", ("udp 53", True, False))],
)  # fmt: skip
@example(
    Rules(((RuleRow("", "egress", 6),), ())),
    [("nd", (source, what, honest)) for source in ("own", "pair", "link", "none", "foreign") for honest in (True, False)
     for what in ("asks", "asks for its own", "tells of its own", "tells of another")],
)  # fmt: skip
@example(Rules(((RuleRow("", "egress", 4), RuleRow("", "egress", 6)), ())), [("forge", name) for name in FORGED])
@given(states, stories)
def test_a_packet_passes_all_three_firewalls_or_none(state: Rules, happened: list[tuple[str, object]]) -> None:
    """Whoever keeps a rule, it means the same: for each packet the three agree."""
    trio = Trio(make_world(state))
    last: tuple[Packet, bool] | None = None
    for kind, what in happened:
        if kind == "change":
            assert isinstance(what, Rules)
            trio.show(make_world(replace(what, stateful=state.stateful)))
            continue
        made = make_event(trio.world, kind, what, last)
        if made is None:
            continue
        packet, out = made
        if not out and packet.get("udp_dst") == 67:
            continue  # a question to DHCP never leaves the host that it is asked on
        if kind == "pieces" and not (state.stateful and may_be_in_pieces(packet)):
            continue
        verdicts = (find_piecewise if kind == "pieces" else find_verdicts)(trio, packet, out)
        assert len(set(verdicts.values())) == 1, (kind, what, out, verdicts)
        if kind in ("say", "say by pair", "answer", "more"):
            last = made


def make_event(world: World, kind: str, what: object, last: tuple[Packet, bool] | None) -> tuple[Packet, bool] | None:
    """The packet, and whether it leaves the port; nothing where there is none to answer."""
    if kind == "say":
        assert isinstance(what, tuple)
        return make_said(world, *what), what[1]
    if kind == "say by pair":
        assert isinstance(what, tuple)
        return make_by_pair(world, *what), what[1]
    if kind == "nd":
        assert isinstance(what, tuple)
        return make_neighbour(world, *what), True
    if kind == "forge":
        forged = FORGED[str(what)]
        v6 = "ipv6_src" in forged
        return {**make_said(world, "udp 53", True, v6), **forged}, True
    if kind == "arp":
        packet = make_packet(world, world.ports[ID], ["arp", "10.0.0.200", "as", str(what)])
        return {**packet, "arp_op": 1}, True
    if last is None:
        return None
    packet, out = last
    if kind == "pieces":
        return packet, out
    if kind == "more":
        return make_more(packet), out
    if kind == "answer":
        return make_answer(packet), not out
    return (make_error(packet), not out) if packet.get("ip_proto") in (6, 17) else None
