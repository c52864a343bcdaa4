"""Security groups as rules of nft's inet family: a chain for each combination of groups and direction.

Rules that name a set of addresses name two of nft: addresses, and prefixes that do not overlap; a member is an element.
Rules speak of every packet in the direction in which its connection began, as on Open vSwitch: one that they let pass
no longer is marked, and then neither direction of it passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from ipaddress import collapse_addresses
from typing import Any

from netloom.model.address import parse_net
from netloom.model.flow import ICMP, ICMPV6, SCTP, TCP, UDP
from netloom.model.slices import RuleRow
from netloom.render import registers as reg
from netloom.render.bridges.logs import SILENT, Logging
from netloom.render.filters.nft_base import BACK, REFUSED
from netloom.render.flows.group_tests import find_untestable
from netloom.render.flows.groups import Combination, find_rules

PORTS = {TCP: "tcp", UDP: "udp", SCTP: "sctp"}
ICMPS = {(4, ICMP): "icmp", (6, ICMPV6): "icmpv6"}
FAMILIES = {4: "ip", 6: "ip6"}
FAR = {"egress": "daddr", "ingress": "saddr"}


def chain_name(direction: str, number: int) -> str:
    return f"{direction}_{number:08x}"


def render_rules(combination: Combination, direction: str, logging: Logging = SILENT) -> tuple[str, ...]:
    """The rules of a combination in one direction; the last of them drops. `logging`: of the port that they are for."""
    rules = [rule for rule, _ in find_rules(combination) if rule.direction == direction]
    matches = list(dict.fromkeys(match for rule in rules for match in find_matches(rule)))
    bit, back = REFUSED[direction], BACK[direction]
    if combination.number & reg.STATELESS:
        return (*(f"{match} accept" for match in matches), f"{logging.tell_dropped(direction)}drop")
    known = (
        "ct state invalid,untracked drop",
        f"ct state established ct direction reply ct mark & {back} == {back} drop",
        "ct state established ct direction reply accept",
        f"ct state related ct mark & {bit | back} == 0 accept",
    )
    # A connection that rules let pass again after they did not is good again.
    accepted: tuple[str, ...] = (f"ct mark & {bit} == {bit} ct mark set ct mark & {~bit & 0xFFFFFFFF:#x}",)
    tell = logging.tell_dropped(direction)
    refused = (f"ct state established ct mark set ct mark | {bit} {tell}drop", f"{tell}drop")
    if logging.accepted:
        accepted = (f"ct state new {logging.tell('ACCEPT', direction)}", *accepted)
    return (*known, *(line for match in matches for line in pass_on(match, accepted)), *refused)


def pass_on(match: str, accepted: tuple[str, ...]) -> Iterator[str]:
    for clear in accepted:
        yield f"{match} {clear}" + (" accept" if clear.startswith("ct mark") else "")
    yield f"{match} accept"


def find_matches(rule: RuleRow) -> Iterator[str]:
    """What a rule tests; nothing where nothing can be told apart as it asks."""
    if find_untestable(rule):
        return
    tests = match_protocol(rule)
    if tests is None:
        return
    family, far = FAMILIES[rule.ip_version], FAR[rule.direction]
    if rule.remote:
        for name in set_names(rule.remote, rule.ip_version):
            yield f"{family} {far} @{name}{tests}"
    elif rule.prefix:
        yield f"{family} {far} {rule.prefix}{tests}"
    else:
        yield f"meta nfproto ipv{rule.ip_version}{tests}"


def match_protocol(rule: RuleRow) -> str | None:
    """Protocol and ports; None: no packet can be so."""
    if rule.protocol < 0:
        return ""
    tests = f" meta l4proto {rule.protocol}"
    if rule.first < 0:
        return tests
    if rule.protocol in PORTS:
        if rule.last < rule.first:
            return None
        ports = str(rule.first) if rule.first == rule.last else f"{rule.first}-{rule.last}"
        return f"{tests} {PORTS[rule.protocol]} dport {ports}"
    name = ICMPS.get((rule.ip_version, rule.protocol))
    if name is None:
        return None
    return f"{tests} {name} type {rule.first}" + (f" {name} code {rule.last}" if rule.last >= 0 else "")


# -- sets --------------------------------------------------------------------------------------------------------------


def set_names(remote: str, version: int) -> tuple[str, str]:
    """The set of addresses and that of prefixes."""
    short = blake2b(remote.encode(), digest_size=6).hexdigest()
    return f"a{version}_{short}", f"p{version}_{short}"


def collapse_prefixes(texts: Iterable[str]) -> tuple[str, ...]:
    """The same addresses in prefixes that do not overlap, as a set of intervals must have them."""
    nets: list[Any] = [parse_net(text) for text in texts]
    return tuple(map(str, collapse_addresses(nets)))
