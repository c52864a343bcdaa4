"""What a rule of a security group tests of a packet, other than who is at the other end: protocol, ports, ICMP types.

A range of ports becomes the fewest prefixes of bits that cover it. What OpenFlow has no field for is no test: the ports
of DCCP and UDP-Lite let nothing through, and `find_untestable` says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from netloom.model.flow import CT_INV, CT_TRK, ICMP, ICMPV6, IPV4, IPV6, SCTP, TCP, UDP
from netloom.model.slices import RuleRow

PORTS = {TCP: "tcp_dst", UDP: "udp_dst", SCTP: "sctp_dst"}
ICMPS = {ICMP: ("icmp_type", "icmp_code"), ICMPV6: ("icmpv6_type", "icmpv6_code")}
ETHERTYPES = {4: IPV4, 6: IPV6}
SOURCES = {4: "ip_src", 6: "ipv6_src"}
TARGETS = {4: "ip_dst", 6: "ipv6_dst"}
Tests = dict[str, int | str | tuple[int, int]]
OF_PACKETS = {"icmp_type", "icmpv6_type", "sctp_dst"}
VALID = (CT_TRK, CT_TRK | CT_INV)
FRAGMENT, LATER = (1, 1), (2, 2)
"""Any fragment, and any but the first. Open vSwitch hides ports and types of both."""


def find_tests(rule: RuleRow) -> Iterator[Tests]:
    """The tests of which one must hold; none where nothing can be told apart as the rule asks."""
    tests: Tests = {"eth_type": ETHERTYPES[rule.ip_version]}
    if rule.protocol < 0:
        yield tests
        return
    tests["ip_proto"] = rule.protocol
    if rule.first < 0:
        yield tests
    elif rule.protocol in ICMPS:
        of_type, of_code = ICMPS[rule.protocol]
        yield {**tests, of_type: rule.first, **({of_code: rule.last} if rule.last >= 0 else {})}
    elif rule.protocol in PORTS:
        for value, mask in cover_range(rule.first, rule.last):
            yield {**tests, PORTS[rule.protocol]: (value, mask)}


def track_tests(tests: Tests) -> Iterator[Tests]:
    """The same of a packet that is tracked: of its connection where it may be a fragment.

    A first fragment has its ports in the connection alone, a later one nowhere, and of ICMP and SCTP none has what a
    rule may name. What is not there is not asked for: a piece of a packet is of no use without the first one.
    """
    if "ip_proto" not in tests:
        yield tests
        return
    known: Tests = {"eth_type": tests["eth_type"], "ct_state": VALID, "ct_nw_proto": tests["ip_proto"]}
    port = next((tests[name] for name in ("tcp_dst", "udp_dst") if name in tests), None)
    if port is not None:
        yield {**known, "ct_tp_dst": port}
        yield {**known, "ip_frag": LATER}
    elif tests.keys() & OF_PACKETS:
        yield tests
        yield {**known, "ip_frag": FRAGMENT}
    else:
        yield known


def find_untestable(rule: RuleRow) -> str:
    """Why the rule lets nothing through; empty: it can be kept."""
    if rule.first < 0 or rule.protocol in ICMPS or rule.protocol in PORTS:
        return ""
    return f"Open vSwitch cannot tell ports of protocol {rule.protocol} apart"


@lru_cache(maxsize=4096)
def cover_range(first: int, last: int) -> tuple[tuple[int, int], ...]:
    """The fewest (value, mask) of 16 bits that match just the numbers first … last, as prefixes.

    >>> [f"{value}/{mask:#x}" for value, mask in cover_range(1000, 1003)]
    ['1000/0xfffc']
    >>> len(cover_range(1, 65534)), cover_range(9, 8)
    (30, ())
    """
    found = []
    while first <= last:
        size = first & -first or 0x10000
        while first + size - 1 > last:
            size >>= 1
        found.append((first, 0x10000 - size))
        first += size
    return tuple(found)
