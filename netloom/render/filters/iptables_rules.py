"""Security groups as rules of iptables for one port, in the very form in which `iptables-save` writes them.

So what is there is compared with what should be rule by rule, whoever changed it. Rules come back to the chain that
called (RETURN) where a packet may pass. They speak of every packet in the direction in which its connection began, as
on Open vSwitch: one that they let pass no longer is marked, and then neither direction of it passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netloom.model.address import ip_version, ip_width, parse_net
from netloom.model.flow import ICMP, ICMPV6, IPV4, SCTP, TCP, UDP
from netloom.model.slices import PortRow, RuleRow
from netloom.render.bridges.logs import GROUP, HEAD, SILENT, Logging
from netloom.render.filters.nft_base import BACK, NEIGHBOURS, REFUSED
from netloom.render.flows.group_tests import find_untestable
from netloom.render.flows.groups import DHCP_ANSWERS, DHCP_ASKS, RECEIVED, SENT
from netloom.render.flows.ports import UNSPECIFIED_OK, find_sources

PREFIX = "neutron-openvswi-"
FALLBACK = f"{PREFIX}sg-fallback"
RETURN = "-j RETURN"
PORTS = {TCP: "tcp", UDP: "udp", SCTP: "sctp"}
ICMPS = {(4, ICMP): ("icmp", "icmp-type"), (6, ICMPV6): ("icmp6", "icmpv6-type")}
NO_TYPE = 255
"""To iptables this ICMP type means any, so a rule that asks for it lets nothing through."""
LAST_PORT = 65535
MOST_SET_NAME = 27


def chain_name(letter: str, port_id: str) -> str:
    """Of a port: i for what it receives, o for what it sends, s for whom it may send as.

    >>> chain_name("i", "2e8bbfcd-9a9e-4a4b-9c2e-000000000000")
    'neutron-openvswi-i2e8bbfcd-9'
    """
    return f"{PREFIX}{letter}{port_id[:10]}"


def set_name(remote: str, version: int) -> str:
    """Of a set of addresses, as operators know them: NIPv4 and the group's id, as far as it fits."""
    return f"NIPv{version}{remote.partition('/')[2]}"[:MOST_SET_NAME]


# -- a port's chains ---------------------------------------------------------------------------------------------------


def render_ingress(
    rules: Iterable[RuleRow], version: int, stateful: bool, logging: Logging = SILENT
) -> tuple[str, ...]:
    return (*pass_always(version, DHCP_ANSWERS, RECEIVED), *render_rules(rules, "ingress", version, stateful, logging))


def render_egress(
    rules: Iterable[RuleRow], port: PortRow, version: int, stateful: bool, logging: Logging = SILENT
) -> tuple[str, ...]:
    """What it sends: never as a server of DHCP nor a router; as itself; as rules have it."""
    forbidden = (
        ("-p 17 -m udp --sport 67 -j DROP",)
        if version == 4
        else (
            "-p 17 -m udp --sport 547 -j DROP",
            "-p 58 -m icmp6 --icmpv6-type 134 -j DROP",
            "-p 58 -m icmp6 --icmpv6-type 137 -j DROP",
        )
    )
    return (
        *forbidden,
        f"-j {chain_name('s', port.id)}",
        *pass_always(version, DHCP_ASKS, (*SENT, *NEIGHBOURS)),
        *render_rules(rules, "egress", version, stateful, logging),
    )


def render_sources(port: PortRow, version: int) -> tuple[str, ...]:
    """Its own MACs and addresses, and those of its pairs; who has no address yet may ask for one."""
    lines = []
    for mac, ip in find_sources(port):
        if ip_version(ip) == version:
            lines.append(f"{match_prefix('-s', ip)}-m mac --mac-source {mac} {RETURN}")
    for mac in dict.fromkeys((port.mac, *(pair.mac for pair in port.pairs))):
        if version == 4:
            lines.append(f"-s 0.0.0.0/32 -p 17 -m mac --mac-source {mac} -m udp --sport 68 --dport 67 {RETURN}")
            continue
        probe = f"-s ::/128 -p 58 -m mac --mac-source {mac} -m icmp6 --icmpv6-type"
        lines += [f"{probe} {kind} {RETURN}" for kind in (*sorted(UNSPECIFIED_OK), NEIGHBOURS[0])]
    return (*dict.fromkeys(lines), "-j DROP")


def pass_always(version: int, dhcp: Iterable[tuple[int, int, int]], kinds: Iterable[int]) -> Iterator[str]:
    """What no rule speaks of (see `flows.groups`)."""
    for ethertype, source, target in dhcp:
        if (ethertype == IPV4) == (version == 4):
            yield f"-p 17 -m udp --sport {source} --dport {target} {RETURN}"
    if version == 6:
        yield from (f"-p 58 -m icmp6 --icmpv6-type {kind} {RETURN}" for kind in kinds)


def skip_tracking(version: int, dhcp: Iterable[tuple[int, int, int]], device: str) -> Iterator[str]:
    """DHCP makes no connections: nothing is an answer to it, or an error about it."""
    for ethertype, source, target in dhcp:
        if (ethertype == IPV4) == (version == 4):
            yield f"-p 17 -m physdev --physdev-in {device} -m udp --sport {source} --dport {target} -j CT --notrack"


# -- rules -------------------------------------------------------------------------------------------------------------


def render_rules(
    rules: Iterable[RuleRow], direction: str, version: int, stateful: bool, logging: Logging = SILENT
) -> tuple[str, ...]:
    """Of one direction and IP version; the last of them drops. What is logged is as on Linux bridges."""
    mine = [rule for rule in rules if rule.direction == direction and rule.ip_version == version]
    matches = list(dict.fromkeys(match for rule in mine for match in find_matches(rule)))
    last = (*((tell("DROP", direction, logging),) if logging.dropped else ()), f"-j {FALLBACK}")
    if not stateful:
        return (*(f"{match}{RETURN}" for match in matches), *last)
    bit, back = REFUSED[direction], BACK[direction]
    refused, good = f"-m connmark --mark {bit:#x}/{bit:#x}", f"-m connmark --mark 0x0/{bit | back:#x}"
    known = (
        "-m conntrack --ctstate INVALID,UNTRACKED -j DROP",
        f"-m conntrack --ctstate ESTABLISHED --ctdir REPLY -m connmark --mark {back:#x}/{back:#x} -j DROP",
        f"-m conntrack --ctstate ESTABLISHED --ctdir REPLY {RETURN}",
        f"-m conntrack --ctstate RELATED {good} {RETURN}",
    )
    first = (f"-m conntrack --ctstate NEW {tell('ACCEPT', direction, logging)}",) if logging.accepted else ()
    accepted = (*first, f"{refused} -j CONNMARK --set-xmark 0x0/{bit:#x}", RETURN)
    passing = [f"{match}{what}" for match in matches for what in accepted]
    note = f"-m conntrack --ctstate ESTABLISHED -j CONNMARK --set-xmark {bit:#x}/{bit:#x}"
    return (*known, *passing, note, *last)


def tell(event: str, direction: str, logging: Logging) -> str:
    """Hands the packet's head to the agent, and lets it go on."""
    return f'-j NFLOG --nflog-prefix "{event} {direction} {logging.number}" --nflog-group {GROUP} --nflog-size {HEAD}'


def find_matches(rule: RuleRow) -> Iterator[str]:
    """What a rule tests, each with a space behind it; nothing where nothing can be told apart as it asks."""
    tests = match_protocol(rule)
    if find_untestable(rule) or tests is None:
        return
    ingress = rule.direction == "ingress"
    far = match_prefix("-s" if ingress else "-d", rule.prefix) if rule.prefix else ""
    named = ""
    if rule.remote:
        named = f"-m set --match-set {set_name(rule.remote, rule.ip_version)} {'src' if ingress else 'dst'} "
    protocol, tail = tests
    yield f"{far}{protocol}{named}{tail}"


def match_prefix(flag: str, prefix: str) -> str:
    """`-s 10.0.0.0/24 `; nothing, where the prefix is everything."""
    net = parse_net(prefix)
    return f"{flag} {net.network_address}/{net.prefixlen} " if net.prefixlen else ""


def match_protocol(rule: RuleRow) -> tuple[str, str] | None:
    """(protocol, its ports or types), each with a space behind it; None: no packet can be so."""
    if rule.protocol < 0:
        return "", ""
    protocol = f"-p {rule.protocol} "
    if rule.first < 0:
        return protocol, ""
    if rule.protocol in PORTS:
        return match_ports(protocol, PORTS[rule.protocol], rule.first, rule.last)
    found = ICMPS.get((rule.ip_version, rule.protocol))
    if found is None or rule.first == NO_TYPE:
        return None
    name, option = found
    kind = f"{rule.first}/{rule.last}" if rule.last >= 0 else str(rule.first)
    return protocol, f"-m {name} --{option} {kind} "


def match_ports(protocol: str, name: str, first: int, last: int) -> tuple[str, str] | None:
    if last < first:
        return None
    if (first, last) == (0, LAST_PORT):
        return protocol, ""
    return protocol, f"-m {name} --dport {first if first == last else f'{first}:{last}'} "


def find_prefixes(texts: Iterable[str], version: int) -> tuple[str, ...]:
    """Members of a set as `ipset save` writes them: an address alone without its length. A set cannot hold /0: two /1.

    >>> find_prefixes(["10.0.0.5/32", "0.0.0.0/0", "::1"], 4)
    ('0.0.0.0/1', '10.0.0.5', '128.0.0.0/1')
    """
    found = set()
    for text in texts:
        if ip_version(text) == version:
            net = parse_net(text)
            for part in net.subnets(new_prefix=1) if net.prefixlen == 0 else (net,):
                whole = part.prefixlen == ip_width(version)
                found.add(str(part.network_address) if whole else str(part))
    return tuple(sorted(found))
