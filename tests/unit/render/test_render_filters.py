"""Rules of security groups as the lines that nft and iptables are given."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netloom.model.facts import HostFacts, Interface
from netloom.model.plan import Thing
from netloom.model.slices import (
    Address,
    AddressPair,
    GroupRow,
    LogMark,
    MemberRow,
    NetworkRow,
    PortRow,
    PrefixRow,
    Row,
    RuleRow,
    Segment,
    Slice,
    Slices,
    SubnetRow,
)
from netloom.reconcile.desired import merge_groups
from netloom.render.filters import iptables_rules, nft_rules
from netloom.render.filters.nft_guard import render_guard
from netloom.render.filters.nft_sets import SetBook
from netloom.render.host import Renderer, render_host

ID = "2e8bbfcd-9a9e-4a4b-9c2e-0000000000aa"
MAC = "fa:16:3e:00:00:0a"
PORT = PortRow(ID, "n0", MAC, addresses=(Address("10.0.0.5"), Address("2001:db8::5")), groups=("g0",))
TCP = RuleRow("r", "ingress", 4, 6, 80, 90)

RULES: tuple[tuple[RuleRow, str | None, str | None], ...] = (
    (RuleRow("r", "ingress", 4), "meta nfproto ipv4", ""),
    (TCP, "meta nfproto ipv4 meta l4proto 6 tcp dport 80-90", "-p 6 -m tcp --dport 80:90 "),
    (replace(TCP, first=80, last=80, prefix="10.1.0.0/16"), "ip saddr 10.1.0.0/16 meta l4proto 6 tcp dport 80",
     "-s 10.1.0.0/16 -p 6 -m tcp --dport 80 "),
    (replace(TCP, direction="egress", ip_version=6, prefix="2001:db8::/64", first=0, last=65535),
     "ip6 daddr 2001:db8::/64 meta l4proto 6 tcp dport 0-65535", "-d 2001:db8::/64 -p 6 "),
    (RuleRow("r", "ingress", 4, 1, 8, 0), "meta nfproto ipv4 meta l4proto 1 icmp type 8 icmp code 0",
     "-p 1 -m icmp --icmp-type 8/0 "),
    (RuleRow("r", "ingress", 6, 58, 128), "meta nfproto ipv6 meta l4proto 58 icmpv6 type 128",
     "-p 58 -m icmp6 --icmpv6-type 128 "),
    (RuleRow("r", "egress", 4, 47), "meta nfproto ipv4 meta l4proto 47", "-p 47 "),
    (RuleRow("r", "ingress", 4, prefix="0.0.0.0/0"), "ip saddr 0.0.0.0/0", ""),
    (RuleRow("r", "ingress", 4, 33, 5, 5), None, None),
    (RuleRow("r", "ingress", 4, 1, 255), "meta nfproto ipv4 meta l4proto 1 icmp type 255", None),
)  # fmt: skip


@pytest.mark.parametrize(("rule", "nft", "iptables"), RULES)
def test_a_rule_in_words_of_each(rule: RuleRow, nft: str | None, iptables: str | None) -> None:
    """What a rule tests; nothing where the firewall cannot tell such packets apart."""
    assert list(nft_rules.find_matches(rule)) == ([] if nft is None else [nft])
    assert list(iptables_rules.find_matches(rule)) == ([] if iptables is None else [iptables])


def test_a_set_is_named_in_both() -> None:
    """nft has a set of addresses and one of prefixes, iptables one set under the group's id."""
    rule = replace(TCP, remote="members/6b1ef1d4-0000-4000-8000-000000000000")
    single, wide = nft_rules.set_names(rule.remote, 4)
    assert [match.split()[2] for match in nft_rules.find_matches(rule)] == [f"@{single}", f"@{wide}"]
    (match,) = iptables_rules.find_matches(rule)
    assert "-m set --match-set NIPv46b1ef1d4-0000-4000-800 src " in match


def test_prefixes_of_a_set_never_overlap() -> None:
    """A set of intervals cannot hold a prefix and a part of it."""
    assert nft_rules.collapse_prefixes(["10.0.0.0/24", "10.0.0.0/25", "10.0.1.0/24", "10.9.0.0/16"]) == (
        "10.0.0.0/23", "10.9.0.0/16",
    )  # fmt: skip


def test_a_guard_lets_out_what_is_the_ports_own() -> None:
    """Its MAC with its addresses and pairs, in IP, ARP and ND; never DHCP answers nor router advertisements."""
    port = replace(PORT, pairs=(AddressPair("10.0.0.64/30", MAC),))
    rules = render_guard(port, [SubnetRow("s", "n0", "10.0.0.0/24", 4)])
    assert rules[0] == "ether type ip udp sport 68 udp dport 67 drop"  # the host answers it
    assert "icmpv6 type { 134, 137 } drop" in rules and rules[-1] == "drop"
    assert f"ether saddr {MAC} ip saddr 10.0.0.64/30 accept" in rules
    assert f"ether saddr {MAC} arp saddr ether {MAC} arp saddr ip 10.0.0.5 accept" in rules
    assert render_guard(replace(PORT, port_security=False), []) == ("accept",)


# -- sets, and the hybrid firewall, kept by what changed ---------------------------------------------------------------


def make_set(*rows: tuple[str, Row]) -> Slice:
    return Slice("members/g1", 1, dict(rows))


def test_law_1_sets_depend_on_the_last_state_alone() -> None:
    """Members come, share an address, leave, come back as a prefix: a book that saw it holds what a new one does."""
    history = [
        make_set(),
        make_set(("member/a", MemberRow("a", ("10.0.0.5", "10.0.0.64/30")))),
        make_set(
            ("member/a", MemberRow("a", ("10.0.0.5",))), ("member/b", MemberRow("b", ("10.0.0.5", "2001:db8::5")))
        ),
        make_set(("member/b", MemberRow("b", ("10.0.0.5",)))),
        make_set(("prefix/10.0.0.0/24", PrefixRow("10.0.0.0/24")), ("member/b", MemberRow("b", ("10.0.0.64/30",)))),
        make_set(),
    ]
    book = SetBook()
    for found in history:
        book.update({found.name: found}, [found.name])
        fresh = SetBook()
        fresh.update({found.name: found}, [found.name])
        assert book.groups == fresh.groups
    book.update({}, [])
    assert book.groups == {}


def make_slices(port: PortRow, rules: tuple[RuleRow, ...], stateful: bool) -> Slices:
    network: dict[str, Row] = {"network/n0": NetworkRow("n0", 1, segments=(Segment("local"),))}
    group: dict[str, Row] = {"group/g0": GroupRow("g0", stateful), **{f"rule/{rule.id}": rule for rule in rules}}
    return {
        "host/h1": Slice("host/h1", 1, {f"port/{port.id}": port}),
        "network/n0": Slice("network/n0", 1, network),
        "group/g0": Slice("group/g0", 1, group),
        "members/g1": make_set(("member/a", MemberRow("a", ("10.0.0.9", "0.0.0.0/0")))),
    }


def find_hybrid(slices: Slices, device: str, renderer: Renderer | None = None) -> dict[str, Thing]:
    facts = HostFacts("h1", hybrid=True, interfaces={ID: Interface(device, 7, MAC)})
    groups = renderer.render(slices, facts) if renderer else render_host(slices, facts)
    return {str(key): thing for key, thing in merge_groups(groups)[0].items()}


def test_law_1_chains_depend_on_the_last_state_alone() -> None:
    """A rule comes, names a set, goes, and the group loses its connections: the same as if it had always been so."""
    renderer = Renderer()
    named = replace(TCP, remote="members/g1")
    for port, rules, stateful in (
        (PORT, (), True), (PORT, (TCP,), True), (PORT, (named,), True), (PORT, (named,), False),
        (replace(PORT, port_security=False, groups=()), (), False), (PORT, (), True),
    ):  # fmt: skip
        slices = make_slices(port, rules, stateful)
        assert find_hybrid(slices, f"qvo{ID[:11]}", renderer) == find_hybrid(slices, f"qvo{ID[:11]}")


def test_chains_are_named_as_operators_know_them() -> None:
    """By the id of the port, and led to by the name of its device; a prefix of everything is two halves."""
    held = find_hybrid(make_slices(PORT, (replace(TCP, remote="members/g1"),), True), f"qvo{ID[:11]}")
    forward = held["('iptables', 4, 'filter', 'neutron-openvswi-sg-chain')"].value.rules
    assert forward[0] == "-m physdev --physdev-out tap2e8bbfcd-9a --physdev-is-bridged -j neutron-openvswi-i2e8bbfcd-9"
    members = {key for key in held if key.startswith("('ipset_member'")}
    assert members == {f"('ipset_member', 'NIPv4g1', '{one}')" for one in ("10.0.0.9", "0.0.0.0/1", "128.0.0.0/1")}
    flows = [thing for key, thing in held.items() if key.startswith("('flow'")]
    assert not any("Ct(" in str(thing.value.actions) and "port/" in str(thing.why.ids) for thing in flows)


def test_a_port_that_was_plugged_straight_keeps_its_rules_in_the_switch() -> None:
    """Only a device that begins with qvo has a bridge of its own before it."""
    held = find_hybrid(make_slices(PORT, (TCP,), True), "tap-x")
    assert "('iptables', 4, 'filter', 'neutron-openvswi-i2e8bbfcd-9')" not in held


# -- what is written down ----------------------------------------------------------------------------------------------

CHAINS = {"ingress": "neutron-openvswi-i2e8bbfcd-9", "egress": "neutron-openvswi-o2e8bbfcd-9"}
OUT = RuleRow("o", "egress", 4, 17, 53, 53)


def find_chain(port: PortRow, direction: str, stateful: bool = True) -> tuple[str, ...]:
    held = find_hybrid(make_slices(port, (TCP, OUT), stateful), f"qvo{ID[:11]}")
    rules: tuple[str, ...] = held[f"('iptables', 4, 'filter', '{CHAINS[direction]}')"].value.rules
    return rules


def tell(event: str, direction: str) -> str:
    return f'-j NFLOG --nflog-prefix "{event} {direction} 7" --nflog-group 4711 --nflog-size 128'


@pytest.mark.parametrize("direction", ["ingress", "egress"])
@pytest.mark.parametrize("stateful", [True, False])
@pytest.mark.parametrize("event", ["ACCEPT", "DROP", "ALL"])
def test_a_port_with_logs_hands_heads_of_packets_over(event: str, stateful: bool, direction: str) -> None:
    """The first packet of a connection before it passes, each packet before it is dropped; all else is as without."""
    logged = find_chain(replace(PORT, logs=(LogMark("l", event),)), direction, stateful)
    told = [rule for rule in logged if "NFLOG" in rule]
    dropped = [tell("DROP", direction)] if event != "ACCEPT" else []
    match = "-p 6 -m tcp --dport 80:90 " if direction == "ingress" else "-p 17 -m udp --dport 53 "
    passed = [f"{match}-m conntrack --ctstate NEW {tell('ACCEPT', direction)}"] if event != "DROP" and stateful else []
    assert told == [*passed, *dropped]
    assert tuple(rule for rule in logged if "NFLOG" not in rule) == find_chain(PORT, direction, stateful)
    if passed:
        assert logged.index(passed[0]) < logged.index(f"{match}-j RETURN")
    if dropped:
        assert logged[-2:] == (dropped[0], "-j neutron-openvswi-sg-fallback")


def test_law_1_logs_follow_the_number_of_the_device() -> None:
    """A device that came back under another number is told of by that; a port without logs is as it was."""
    renderer, slices = Renderer(), make_slices(replace(PORT, logs=(LogMark("l", "ALL"),)), (TCP,), True)
    for number in (7, 8):
        facts = HostFacts("h1", hybrid=True, interfaces={ID: Interface(f"qvo{ID[:11]}", number, MAC)})
        held = merge_groups(renderer.render(slices, facts))[0]
        assert held == merge_groups(render_host(slices, facts))[0]
        (*_, told, _) = held["iptables", 4, "filter", CHAINS["ingress"]].value.rules
        assert f'"DROP ingress {number}"' in told
