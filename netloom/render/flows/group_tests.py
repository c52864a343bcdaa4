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
LATER = (2, 2)
"""A fragment that is not the first one."""


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
    """The same of the connection that a tracked packet is of: so each fragment is known by what its first one says.

    Types of ICMP are of packets alone, and Open vSwitch's own conntrack knows no ports of SCTP; of these the later
    fragments pass where any of their protocol might.
    """
    if "ip_proto" not in tests:
        yield tests
        return
    port = next((tests[name] for name in PORTS.values() if name in tests), None)
    known: Tests = {"eth_type": tests["eth_type"], "ct_state": VALID, "ct_nw_proto": tests["ip_proto"]}
    if tests.keys() & OF_PACKETS:
        yield tests
        yield {**known, "ip_frag": LATER}
    else:
        yield known if port is None else {**known, "ct_tp_dst": port}


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
