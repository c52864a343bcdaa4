"""What security groups become: how many flows, under which numbers, with which reasons."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netloom.model.delta import SliceDelta, apply_delta
from netloom.model.facts import HostFacts, Interface
from netloom.model.flow import Conjunction, Goto, SetField
from netloom.model.plan import Thing
from netloom.model.slices import (
    Address,
    GroupRow,
    MemberRow,
    NetworkRow,
    PortRow,
    PrefixRow,
    Row,
    RuleRow,
    Segment,
    Slice,
    find_changed,
)
from netloom.render import registers as reg
from netloom.render.flows.group_tests import cover_range, find_tests, find_untestable
from netloom.render.flows.groups import find_ids, number_names
from netloom.render.host import Renderer, render_host
from netloom.render.pipeline import EGRESS_RULES, INGRESS_FREE, INGRESS_RULES
from tests.property.security_rows import make_group

Slices = dict[str, Slice]
NEAR = RuleRow("r1", "ingress", 4, 6, 80, 80, remote="members/web", revision=7)


def make_slices(rules: list[RuleRow], ports: int = 2, members: int = 3, groups: tuple[str, ...] = ("web",)) -> Slices:
    """Ports on h1, all in the same groups; the rules are of `web`, whose members are others."""
    own: dict[str, Row] = {
        f"port/p{n}": PortRow(
            f"p{n}", "n", f"fa:16:3e:00:00:{n:02x}", addresses=(Address(f"10.0.0.{n}"),), groups=groups
        )
        for n in range(ports)
    }
    crowd: dict[str, Row] = {
        f"member/m{n}": MemberRow(f"m{n}", (f"10.1.0.{n}", f"2001:db8::{n:x}")) for n in range(members)
    }
    found: dict[str, dict[str, Row]] = {
        "host/h1": own, "group/web": make_group("web", rules), "members/web": crowd, "group/ssh": make_group("ssh"),
        "network/n": {"network/n": NetworkRow("n", 1, segments=(Segment("local"),))},
        "addresses/a": {"prefix/10.1.0.0/32": PrefixRow("10.1.0.0/32")},
    }  # fmt: skip
    return {name: Slice(name, 1, rows) for name, rows in found.items()}


def make_facts(ports: int = 2) -> HostFacts:
    return HostFacts("h1", interfaces={f"p{n}": Interface(f"t{n}", n + 1) for n in range(ports)})


def find_flows(slices: Slices, table: int, priority: int | None = None, ports: int = 2) -> list[Thing]:
    things = (thing for held in render_host(slices, make_facts(ports)).values() for thing in held)
    return [
        thing for thing in things if thing.key[:3] == ("flow", "br-int", table) and priority in (None, thing.key[3])
    ]


def count_of_groups(slices: Slices, ports: int = 2) -> int:
    groups = render_host(slices, make_facts(ports))
    return sum(len(things) for name, things in groups.items() if name.startswith(("groups/", "members/", "sets/")))


@given(st.integers(1, 65535), st.integers(1, 65535))
def test_a_range_is_covered_just_so(one: int, other: int) -> None:
    """Every port of a range is in one prefix, and no other port is in any."""
    first, last = sorted((one, other))
    covered = [range(value, value + (~mask & 0xFFFF) + 1) for value, mask in cover_range(first, last)]
    assert sum(map(len, covered)) == last - first + 1
    assert covered[0][0] == first and covered[-1][-1] == last
    assert all(before[-1] + 1 == after[0] for before, after in pairwise(covered))
    assert len(covered) <= 30


@pytest.mark.parametrize(
    ("rule", "tests"),
    [
        (RuleRow("", "ingress", 4), [{"eth_type": 0x800}]),
        (RuleRow("", "ingress", 6, 47), [{"eth_type": 0x86DD, "ip_proto": 47}]),
        (RuleRow("", "ingress", 4, 1, 8), [{"eth_type": 0x800, "ip_proto": 1, "icmp_type": 8}]),
        (
            RuleRow("", "ingress", 6, 58, 1, 4),
            [{"eth_type": 0x86DD, "ip_proto": 58, "icmpv6_type": 1, "icmpv6_code": 4}],
        ),
        (
            RuleRow("", "ingress", 4, 132, 4, 6),
            [{"eth_type": 0x800, "ip_proto": 132, "sctp_dst": pair} for pair in ((4, 0xFFFE), (6, 0xFFFF))],
        ),
        (RuleRow("", "ingress", 4, 33, 4, 6), []),
    ],
)
def test_what_a_rule_tests(rule: RuleRow, tests: list[object]) -> None:
    """Protocols, ICMP types and ports; ports of a protocol that OpenFlow does not know are no test at all."""
    assert list(find_tests(rule)) == tests
    assert bool(find_untestable(rule)) == (tests == [])


def test_rules_and_members_add_up() -> None:
    """Ports × rules × members is what it would be; it is rules + members, however many ports there are."""
    rules = [replace(NEAR, id=f"r{n}", first=n, last=n) for n in range(1, 21)]
    few, many = (count_of_groups(make_slices(rules, ports, 50), ports) for ports in (2, 40))
    assert few == many == 20 + 1 + 50 + 1  # and one for fragments


def test_ports_in_the_same_groups_share_a_number() -> None:
    """In whatever order they are named; in other groups it is another number."""
    ports = [PortRow("p", "n", "fa:16:3e:00:00:01", groups=groups) for groups in (("a", "b"), ("b", "a"), ("a",))]
    ids = [find_ids(port) for port in ports]
    assert ids[0] == ids[1] != ids[2]


def test_numbers_that_would_be_the_same_move_on() -> None:
    """Two names never have one number, it is never 0, and who has which does not depend on who came first."""
    for digest in (lambda name: 0, lambda name: (1 << 31) - 1):
        numbers = number_names(["c", "a", "b"], digest)
        assert numbers == number_names(["b", "c", "a", "a"], digest)
        assert sorted(set(numbers.values())) == sorted(numbers.values()) and 0 not in numbers.values()


def test_one_address_in_two_sets_is_one_flow() -> None:
    """It is half of two conjunctions; which has the address last is the last to take it away."""
    rules = [NEAR, replace(NEAR, id="r2", remote="addresses/a")]
    (flow,) = [
        f
        for f in find_flows(make_slices(rules, members=1), INGRESS_RULES, 70)
        if ("ip_src", 0x0A010000, None) in f.key[4]
    ]
    assert [type(action) for action in flow.value.actions] == [Conjunction, Conjunction]
    assert flow.why.ids == ("port/m0", "address_group/a", "group/web")
    assert len(find_flows(make_slices(rules, members=0), INGRESS_RULES, 70)) == 2 + 1 + 2


def test_what_no_rule_needs_is_not_there() -> None:
    """A set is rendered for the direction and the version of IP in which rules name it."""
    slices = make_slices([NEAR])
    assert not find_flows(slices, EGRESS_RULES, 70)
    assert not [f for f in find_flows(slices, INGRESS_RULES, 70) if ("eth_type", 0x86DD, None) in f.key[4]]


def test_a_rule_says_why() -> None:
    """A flow names all the rules that ask for it, and their groups; one that cannot be kept says so."""
    same, odd = replace(NEAR, id="r0", revision=9), replace(NEAR, id="r3", protocol=33, remote="")
    slices = make_slices([NEAR, same, odd])
    (half,) = [f for f in find_flows(slices, INGRESS_RULES, 70) if any(name == "ct_tp_dst" for name, _, _ in f.key[4])]
    assert (half.why.ids, half.why.revision) == (("rule/r0", "rule/r1", "group/web"), 9)
    (drop,) = find_flows(slices, INGRESS_RULES, 1)
    assert drop.value.actions == () and "ports of protocol 33" in drop.why.by


def test_stateless_groups_have_tables_of_their_own() -> None:
    """Their number says so, and no packet of theirs is tracked."""
    slices = make_slices([replace(NEAR, remote="")])
    web = slices["group/web"]
    slices["group/web"] = replace(web, rows={**web.rows, "group/web": GroupRow("web", stateful=False)})
    (rule,) = find_flows(slices, INGRESS_FREE, 71)
    assert next(value for name, value, _ in rule.key[4] if name == "reg4") & reg.STATELESS
    assert not find_flows(slices, INGRESS_RULES, 71)
    assert isinstance(rule.value.actions[0], Goto)


def test_a_group_that_is_not_here_yet_has_no_rules() -> None:
    """The others hold; the port's number is what it will be."""
    whole = make_slices([replace(NEAR, remote="")], groups=("ssh", "web"))
    partial = {name: found for name, found in whole.items() if name != "group/web"}
    assert len(find_flows(whole, INGRESS_RULES, 71)) == 2
    assert not find_flows(partial, INGRESS_RULES, 71)
    assert {find_number(partial)} == {find_number(whole)}


def find_number(slices: Slices) -> int:
    flow = find_flows(slices, 0, 100)[0]
    return next(a.value for a in flow.value.actions if isinstance(a, SetField) and a.field == reg.COMBINATION)


def test_one_member_more_changes_one_flow() -> None:
    """In a crowd, the groups of things that are the same objects as before are all but one."""
    slices, renderer = make_slices([NEAR], members=200), Renderer()
    before = renderer.render(slices, make_facts())
    delta = SliceDelta("members/web", 1, 2, {"member/new": MemberRow("new", ("10.9.9.9",))})
    after = apply_delta(slices["members/web"], delta)
    assert after is not None
    slices["members/web"] = after
    now = renderer.render(slices, make_facts())
    other = [name for name in now if now[name] is not before.get(name)]
    assert len(other) == 1 and len(now[other[0]]) == len(before.get(other[0], ())) + 1


def test_what_changed_in_a_slice_is_found_without_looking_at_the_rest() -> None:
    """After a few deltas their keys; after too many, or a slice sent whole, each row is compared."""
    first = Slice("members/g", 1, {f"member/{n}": MemberRow(str(n)) for n in range(9)})
    held: Slice = first
    for n in range(3):
        found = apply_delta(
            held, SliceDelta("members/g", n + 1, n + 2, {f"member/{n}": MemberRow(str(n), ("10.0.0.1",))})
        )
        assert found is not None
        held = found
    assert set(find_changed(first, held)) == {"member/0", "member/1", "member/2"}
    assert set(find_changed(first, replace(held, recent=()))) == {"member/0", "member/1", "member/2"}
    assert set(find_changed(None, held)) == set(held.rows) == set(find_changed(held, None))
    assert not find_changed(held, replace(held, revision=9))
