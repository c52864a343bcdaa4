"""What one port may send, as rules of nft's bridge family: its own MACs and addresses, its own ARP and ND, no services.

The same as `flows.ports` says for Open vSwitch. A question to DHCP, or for routers, that the host answers goes no
further: the agent has it before the filter sees it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netloom.model.address import ip_int, ip_version, parse_net
from netloom.model.slices import PortRow, SubnetRow
from netloom.render.flows.ports import UNSPECIFIED_OK, find_sources, is_trusted

ND_TARGET, ND_OPTION, ND_OPTION_MAC = "@th,64,128", "@th,192,8", "@th,208,48"
"""Of a neighbour message: its target; its first option's type, and the MAC in that (RFC 4861, 4.3 to 4.6)."""
EVERYWHERE = (1 << 128) - 1


def render_guard(port: PortRow, subnets: Iterable[SubnetRow]) -> tuple[str, ...]:
    """The rules; the last of them drops."""
    if is_trusted(port):
        return (*render_served(subnets), "accept")
    by_mac: dict[str, list[str]] = {}
    for mac, ip in find_sources(port):
        by_mac.setdefault(mac, []).append(ip)
    rules = [*render_served(subnets), *FORBIDDEN]
    for mac, ips in by_mac.items():
        rules += render_neighbours(mac, [ip for ip in ips if ip_version(ip) == 6])
    rules += ["icmpv6 type { 135, 136 } drop"]
    for mac, ips in by_mac.items():
        rules += render_sources(mac, ips)
    for mac in dict.fromkeys((port.mac, *(pair.mac for pair in port.pairs))):
        rules.append(f"ether saddr {mac} ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept")
        kinds = ", ".join(map(str, sorted(UNSPECIFIED_OK)))
        rules.append(f"ether saddr {mac} ip6 saddr :: icmpv6 type {{ {kinds} }} accept")
    return (*rules, "drop")


FORBIDDEN = (
    "ether type ip udp sport 67 drop",
    "ether type ip6 udp sport 547 drop",
    "icmpv6 type { 134, 137 } drop",
    "icmpv6 type { 135, 136 } icmpv6 code != 0 drop",
)
"""What no instance may send, from whatever address."""


def render_served(subnets: Iterable[SubnetRow]) -> Iterator[str]:
    """What the host answers by itself."""
    found = tuple(subnets)
    v6 = [subnet for subnet in found if subnet.ip_version == 6 and subnet.enable_dhcp]
    if any(subnet.ip_version == 4 and subnet.enable_dhcp for subnet in found):
        yield "ether type ip udp sport 68 udp dport 67 drop"
    if v6:
        yield "ether type ip6 udp sport 546 udp dport 547 drop"
    if any(subnet.ipv6_ra_mode for subnet in v6):
        yield "icmpv6 type 133 drop"


def render_sources(mac: str, ips: Iterable[str]) -> Iterator[str]:
    v4 = [ip for ip in ips if ip_version(ip) == 4]
    v6 = [ip for ip in ips if ip_version(ip) == 6]
    for ip in v4:
        yield f"ether saddr {mac} arp saddr ether {mac} arp saddr ip {ip} accept"
    if v4:
        # A probe (RFC 5227): nobody's address asks whether this one is taken.
        yield f"ether saddr {mac} arp operation 1 arp saddr ether {mac} arp saddr ip 0.0.0.0 accept"
    for ip in v4:
        yield f"ether saddr {mac} ip saddr {ip} accept"
    for ip in v6:
        yield f"ether saddr {mac} ip6 saddr {ip} accept"


def render_neighbours(mac: str, ips: list[str]) -> Iterator[str]:
    """Neighbour discovery that is the port's own: from and for its addresses, with its MAC or none in the option."""
    if not ips:
        return
    ask, tell = f"ether saddr {mac} icmpv6 type 135", f"ether saddr {mac} icmpv6 type 136"
    number = f"0x{mac.replace(':', '')}"
    yield f"{ask} ip6 saddr != :: {ND_OPTION} != 1 drop"
    yield f"{ask} ip6 saddr != :: {ND_OPTION_MAC} != {number} drop"
    yield f"{tell} {ND_OPTION} != 2 drop"
    yield f"{tell} {ND_OPTION_MAC} != {number} drop"
    for ip in ips:
        yield f"{ask} ip6 saddr {ip} accept"
        # Duplicate address detection (RFC 4862, 5.4.2): from no address, about one's own.
        yield f"{ask} ip6 saddr :: {match_target(ip)} accept"
        yield f"{tell} ip6 saddr {ip} {match_target(ip)} accept"


def match_target(ip: str) -> str:
    if "/" not in ip:
        return f"{ND_TARGET} 0x{ip_int(ip):032x}"
    net = parse_net(ip)
    if net.prefixlen == 0:
        return ""
    return f"{ND_TARGET} & 0x{int(net.netmask):032x} == 0x{int(net.network_address):032x}"
