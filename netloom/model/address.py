"""Ethernet and IP addresses in their one canonical text form, and as the integers that flows hold.

Everywhere inside, a MAC is lower case with colons, an address and a prefix are what the standard library's
`ipaddress` prints; v4 and v6 are one code path, told apart by `version`. Parsing raises ValueError.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NewType

Mac = NewType("Mac", str)
Ip = NewType("Ip", str)
Cidr = NewType("Cidr", str)

_MAC = re.compile(r"^[0-9a-f]{2}([:-]?)[0-9a-f]{2}(?:\1[0-9a-f]{2}){4}$")


def parse_mac(text: str) -> Mac:
    """The canonical form of 'aa:bb:..', 'AA-BB-..' or 'aabb..'."""
    low = text.strip().lower()
    if not _MAC.match(low):
        raise ValueError(f"'{text}' is not a valid MAC address")
    digits = low.replace(":", "").replace("-", "")
    return Mac(":".join(digits[i : i + 2] for i in range(0, 12, 2)))


@lru_cache(maxsize=65536)
def parse_ip(text: str) -> IPv4Address | IPv6Address:
    return ip_address(text)


@lru_cache(maxsize=65536)
def parse_net(text: str) -> IPv4Network | IPv6Network:
    """The network of `text`; host bits are dropped, as the Networking API does for a subnet's cidr."""
    return ip_network(text, strict=False)


def mac_int(mac: str) -> int:
    return int(mac.replace(":", ""), 16)


def mac_text(number: int) -> Mac:
    digits = f"{number:012x}"
    return Mac(":".join(digits[i : i + 2] for i in range(0, 12, 2)))


def ip_int(ip: str) -> int:
    return int(parse_ip(ip))


def ip_text(number: int, version: int) -> Ip:
    return Ip(str(IPv4Address(number) if version == 4 else IPv6Address(number)))


def ip_version(ip: str) -> int:
    return 6 if ":" in ip else 4


def ip_width(version: int) -> int:
    return 32 if version == 4 else 128


def eui64(prefix: str, mac: str) -> Ip:
    """The SLAAC address of `mac` in a /64 `prefix` (RFC 4291, appendix A)."""
    net = parse_net(prefix)
    m = mac_int(mac)
    iid = (((m >> 24) ^ 0x020000) << 40) | (0xFFFE << 24) | (m & 0xFFFFFF)
    return Ip(str(IPv6Address(int(net.network_address) | iid)))


def link_local(mac: str) -> Ip:
    """The address every v6 interface with this MAC gives itself (RFC 4862, 5.3)."""
    return eui64("fe80::/64", mac)
