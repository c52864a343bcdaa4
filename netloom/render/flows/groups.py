"""Flows of security groups on br-int: the rules of each distinct combination of groups, and what holds for every port.

    guard ─▶ egress ─▶ ct ─▶ egress-rules ─▶ egress-accept ─▶ services …  switch ─▶ ingress ─▶ ingress-filter ─▶ ct ─▶ …
                └─ stateless ─▶ egress-free ─▶ services                                └─ stateless ─▶ ingress-free

Ports that are in the same groups share one set of flows, told by the combination's number. A rule that names a set of
addresses is one half of a conjunction, the addresses are the other (see `group_sets`): so rules and members add up and
are never multiplied. Rules speak of every packet in the direction in which its connection began, also when it is known:
one that rules let pass no longer is marked, and then neither direction of it passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import product

from netloom.model.flow import (
    ARP,
    CT_EST,
    CT_INV,
    CT_REL,
    CT_RPL,
    CT_TRK,
    ICMPV6,
    IPV4,
    IPV6,
    UDP,
    Action,
    Conjunction,
    Ct,
    Flow,
    Goto,
    Match,
    SetField,
    make_match,
)
from netloom.model.plan import Thing
from netloom.model.slices import GroupRow, PortRow, RuleRow, Slice, Slices
from netloom.model.why import Why
from netloom.render import registers as reg
from netloom.render.flows.group_tests import SOURCES, TARGETS, find_tests, find_untestable, track_tests
from netloom.render.make import make_cookie, make_flow, make_thing
from netloom.render.pipeline import (
    DELIVER,
    EGRESS,
    EGRESS_ACCEPT,
    EGRESS_FREE,
    EGRESS_RULES,
    INGRESS_ACCEPT,
    INGRESS_FILTER,
    INGRESS_FREE,
    INGRESS_RULES,
    SERVICES,
)

GroupIds = tuple[str, ...]
"""The ids of a port's groups, sorted: what ports have in common that share their rules."""
BITS = 31
PLAIN, JOINT = 71, 70
"""Priorities: rules that need no set, and conjunctions, which must all have one."""


@dataclass(frozen=True, slots=True)
class Side:
    """One direction: where rules are, who is at the other end, where a packet goes that may pass."""

    rules: int
    free: int
    accept: int
    on: int
    zone: str
    fields: Mapping[int, str]


EGRESS_SIDE = Side(EGRESS_RULES, EGRESS_FREE, EGRESS_ACCEPT, SERVICES, reg.SENDER, TARGETS)
INGRESS_SIDE = Side(INGRESS_RULES, INGRESS_FREE, INGRESS_ACCEPT, DELIVER, reg.OUT, SOURCES)
SIDES = {"egress": EGRESS_SIDE, "ingress": INGRESS_SIDE}
OTHER_END = {table: side.fields for side in SIDES.values() for table in (side.rules, side.free)}
"""By table of rules: the field that holds the other end's address, by IP version."""
ACCEPTED = {side.rules: side.accept for side in SIDES.values()} | {side.free: side.on for side in SIDES.values()}
"""By table of rules: where a packet goes that they let pass."""


@dataclass(frozen=True, slots=True)
class Combination:
    """Groups whose rules hold together. `groups`: those that are known here; `number`: with STATELESS where they are.

    Two are the same where their groups are the same objects.
    """

    ids: GroupIds
    number: int
    groups: tuple[Slice, ...]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A combination's flows, and the sets that they need: (table, IP version) by the set's slice."""

    things: tuple[Thing, ...]
    uses: Mapping[str, frozenset[tuple[int, int]]]


# -- which combinations there are --------------------------------------------------------------------------------------


def find_ids(port: PortRow) -> GroupIds:
    return tuple(sorted(set(port.groups)))


def digest31(ids: str) -> int:
    return int.from_bytes(blake2b(ids.encode(), digest_size=4).digest(), "big") & (1 << BITS) - 1


def number_names(names: Iterable[str], digest: Callable[[str], int] = digest31) -> dict[str, int]:
    """A number of 1 … 2^31-1 for each name, that depends on the names alone; where two would have one, the later moves.

    >>> number_names(["b", "a"], digest=lambda name: 7)
    {'a': 7, 'b': 8}
    """
    numbers: dict[str, int] = {}
    taken = {0}
    for name in sorted(set(names)):
        number = digest(name)
        while number in taken:
            number = number + 1 & (1 << BITS) - 1
        taken.add(number)
        numbers[name] = number
    return numbers


def make_combinations(wanted: Iterable[GroupIds], slices: Slices) -> dict[GroupIds, Combination]:
    """A group whose slice, or whose own row in it, is not here yet has no rules (law 4)."""
    by_name = {",".join(ids): ids for ids in wanted}
    numbers = number_names(by_name)
    return {ids: make_combination(ids, numbers[name], slices) for name, ids in by_name.items()}


def make_combination(ids: GroupIds, number: int, slices: Slices) -> Combination:
    found = (slices.get(f"group/{id}") for id in ids)
    groups = tuple(group for group in found if group is not None and is_known(group))
    free = any(not group.rows[group.name].stateful for group in groups)  # type: ignore[union-attr]
    return Combination(ids, number | (reg.STATELESS if free else 0), groups)


def is_known(group: Slice) -> bool:
    return isinstance(group.rows.get(group.name), GroupRow)


# -- the flows of a combination ----------------------------------------------------------------------------------------

Reason = tuple[RuleRow, str]  # a rule, and the slice of its group


def find_sets(combination: Combination) -> frozenset[str]:
    """The slices of the sets that its rules name."""
    rules = (row for group in combination.groups for row in group.rows.values() if isinstance(row, RuleRow))
    return frozenset(rule.remote for rule in rules if rule.remote)


def render_combination(combination: Combination, numbers: Mapping[str, int], integration: str) -> Compiled:
    """`numbers`: of the sets, by slice."""
    plain: dict[tuple[int, Match], list[Reason]] = {}
    joint: dict[tuple[int, Match], dict[str, list[Reason]]] = {}
    uses: dict[str, set[tuple[int, int]]] = {}
    flows = []
    for rule, group in find_rules(combination):
        table = find_table(combination, rule)
        if words := find_untestable(rule):
            flows.append(make_untestable(combination, table, (rule, group), words, integration))
        for match in find_matches(combination, rule):
            if rule.remote:
                joint.setdefault((table, match), {}).setdefault(rule.remote, []).append((rule, group))
                uses.setdefault(rule.remote, set()).add((table, rule.ip_version))
            else:
                plain.setdefault((table, match), []).append((rule, group))
    for (table, match), reasons in plain.items():
        flows.append(make_rule_flow(table, PLAIN, match, (Goto(ACCEPTED[table]),), reasons, integration))
    for (table, match), by_set in joint.items():
        halves = tuple(Conjunction(number, 1, 2) for number in sorted(numbers[name] for name in by_set))
        told = [reason for name in sorted(by_set) for reason in by_set[name]]
        flows.append(make_rule_flow(table, JOINT, match, halves, told, integration))
    used = {name: frozenset(places) for name, places in uses.items()}
    return Compiled(tuple(dict.fromkeys(map(make_thing, flows))), used)


def find_rules(combination: Combination) -> Iterator[Reason]:
    for group in combination.groups:
        rules = [row for row in group.rows.values() if isinstance(row, RuleRow)]
        for rule in sorted(rules, key=lambda row: row.id):
            yield rule, group.name


def find_table(combination: Combination, rule: RuleRow) -> int:
    side = SIDES[rule.direction]
    return side.free if combination.number & reg.STATELESS else side.rules


def find_matches(combination: Combination, rule: RuleRow) -> Iterator[Match]:
    far = {SIDES[rule.direction].fields[rule.ip_version]: rule.prefix} if rule.prefix else {}
    free = combination.number & reg.STATELESS
    for tests in (one for plain in find_tests(rule) for one in ((plain,) if free else track_tests(plain))):
        yield make_match(**{reg.COMBINATION: combination.number}, **tests, **far)


def make_rule_flow(
    table: int, priority: int, match: Match, actions: tuple[Action, ...], reasons: list[Reason], integration: str
) -> Flow:
    """Its reason is every rule that asks for it, then their groups."""
    rules = dict.fromkeys(f"rule/{rule.id}" for rule, _ in reasons)
    groups = dict.fromkeys(group for _, group in reasons)
    why = Why(max(rule.revision for rule, _ in reasons), (*rules, *groups), "groups.render_combination")
    return make_flow(integration, table, priority, match, actions, make_cookie(next(iter(groups))), why)


def make_untestable(combination: Combination, table: int, reason: Reason, words: str, integration: str) -> Flow:
    """A drop below everything, that says why a packet which the rule may mean does not pass."""
    rule, group = reason
    tests = {"eth_type": IPV4 if rule.ip_version == 4 else IPV6, "ip_proto": rule.protocol}
    match = make_match(**{reg.COMBINATION: combination.number}, **tests)
    why = Why(rule.revision, (f"rule/{rule.id}", group), f"groups.make_untestable: {words}")
    return make_flow(integration, table, 1, match, (), make_cookie(group), why)


# -- what holds for every port -----------------------------------------------------------------------------------------

DHCP_ASKS = ((IPV4, 68, 67), (IPV6, 546, 547))
DHCP_ANSWERS = ((IPV4, 67, 68), (IPV6, 547, 546))
LISTENERS = (130, 131, 132, 143)
"""ICMPv6 about multicast listeners: queries, reports and farewells (RFC 2710, RFC 3810)."""
SENT = (*LISTENERS, 133)
RECEIVED = (*LISTENERS, 134, 135, 136)
"""ICMPv6 that no rule speaks of: neither IPv6 nor its routers work without (RFC 4890, 4.4.1)."""


def render_gates(integration: str, permitted: tuple[int, ...] = ()) -> Iterator[Flow]:
    """The flows that are the same for every port with port security, whatever its groups.

    permitted: types of frames that groups say nothing of. Whether a port may send one, its guard says.
    """
    cookie, why = make_cookie("base"), Why(0, (), "groups.render_gates")
    gates = (
        *find_passing(EGRESS, SERVICES, DHCP_ASKS, SENT),
        *find_passing(INGRESS_FILTER, DELIVER, DHCP_ANSWERS, RECEIVED),
        *((INGRESS_FILTER, 100, make_match(eth_type=kind), (Goto(DELIVER),)) for kind in (ARP, *permitted)),
        *find_tracking(EGRESS, EGRESS_SIDE),
        *find_tracking(INGRESS_FILTER, INGRESS_SIDE),
        *find_connections(EGRESS_SIDE),
        *find_connections(INGRESS_SIDE),
    )
    for table, priority, match, actions in gates:
        yield make_flow(integration, table, priority, match, actions, cookie, why)


Gate = tuple[int, int, Match, tuple[Action, ...]]


def find_passing(table: int, on: int, dhcp: tuple[tuple[int, int, int], ...], kinds: tuple[int, ...]) -> Iterator[Gate]:
    for version, source, target in dhcp:
        match = make_match(eth_type=version, ip_proto=UDP, udp_src=source, udp_dst=target)
        yield table, 100, match, (Goto(on),)
    for kind in kinds:
        yield table, 100, make_match(eth_type=IPV6, ip_proto=ICMPV6, icmpv6_type=kind), (Goto(on),)


def find_tracking(table: int, side: Side) -> Iterator[Gate]:
    """Stateful groups look at the connection in the port's own zone; stateless ones at the packet alone."""
    for version, free in product((IPV4, IPV6), (False, True)):
        bit = reg.STATELESS if free else 0
        match = make_match(**{reg.COMBINATION: (bit, reg.STATELESS)}, eth_type=version)
        yield table, 50, match, (Goto(side.free) if free else Ct(zone=side.zone, table=side.rules),)


def find_connections(side: Side) -> Iterator[Gate]:
    """What is known of a connection, above and below the rules, and what is noted when they let a packet pass."""
    reply = (CT_EST | CT_RPL, CT_EST | CT_RPL)
    yield side.rules, 100, make_match(ct_state=(CT_INV | CT_TRK, CT_INV | CT_TRK)), ()
    yield side.rules, 95, make_match(ct_state=reply, ct_mark=reg.REFUSED), ()
    yield side.rules, 90, make_match(ct_state=reply, ct_mark=0), (Goto(side.on),)
    related = make_match(ct_state=(CT_REL, CT_REL | CT_INV), ct_mark=0)
    yield side.rules, 90, related, (Goto(side.on),)
    known = make_match(ct_state=(CT_EST, CT_EST), ct_mark=0)
    yield side.accept, 100, known, (Goto(side.on),)
    for version in (IPV4, IPV6):  # ct wants to know which
        # Rules let it pass no longer: from here on neither direction does.
        refused = make_match(eth_type=version, ct_state=(CT_EST, CT_EST))
        yield side.rules, 40, refused, (note(side, reg.REFUSED),)
        yield side.accept, 50, make_match(eth_type=version), (note(side, 0), Goto(side.on))


def note(side: Side, mark: int) -> Ct:
    return Ct(commit=True, zone=side.zone, actions=(SetField("ct_mark", mark),))
