"""DHCP options by name: the names that operators know from dnsmasq, their codes, and how a value becomes bytes.

A value is text as the API holds it, several parts split by comma or semicolon. What cannot be encoded raises
ValueError and is left out by the caller; an empty value takes the option away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address

from netloom.model.slices import DhcpOption, Route

SERVER_IP_ADDRESS = 255
"""Not an option on the wire (255 ends the list): the name server-ip-address sets siaddr."""

Encode = Callable[[str], bytes]


def split_values(text: str) -> tuple[str, ...]:
    parts = (part.strip() for part in text.replace(";", ",").split(","))
    return tuple(part for part in parts if part)


def encode_ips4(text: str) -> bytes:
    return b"".join(IPv4Address(ip).packed for ip in split_values(text))


def encode_ips6(text: str) -> bytes:
    return b"".join(IPv6Address(ip.strip("[]")).packed for ip in split_values(text))


def encode_number(size: int) -> Encode:
    def encode(text: str) -> bytes:
        number = int(text.strip(), 0)
        if not -(1 << (8 * size - 1)) <= number < 1 << (8 * size):
            raise ValueError(f"{text} does not fit {size} bytes")
        return (number % (1 << (8 * size))).to_bytes(size, "big")

    return encode


def encode_flag(text: str) -> bytes:
    return b"\1" if text.strip().lower() in ("1", "true", "yes", "on") else b"\0"


def encode_text(text: str) -> bytes:
    """As it is: a comma in a URL or a path is no separator."""
    text = text.strip()
    return (text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text).encode()


def encode_name(name: str) -> bytes:
    """A domain name on the wire (RFC 1035, 3.1), never compressed (RFC 8415, 10)."""
    labels = [label.encode("idna") if not label.isascii() else label.encode() for label in name.strip(" .").split(".")]
    if not all(0 < len(label) < 64 for label in labels):
        raise ValueError(f"'{name}' is not a domain name")
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def encode_names(text: str) -> bytes:
    return b"".join(encode_name(name) for name in split_values(text))


def encode_sip4(text: str) -> bytes:
    """SIP servers (RFC 3361): a leading 1 for addresses, 0 for names."""
    try:
        return b"\1" + encode_ips4(text)
    except ValueError:
        return b"\0" + encode_names(text)


def encode_routes(routes: Iterable[Route]) -> bytes:
    """Classless static routes (RFC 3442): the prefix length, its significant bytes, the router."""
    out = b""
    for route in routes:
        net = IPv4Network(route.destination, strict=False)
        out += bytes((net.prefixlen,)) + net.network_address.packed[: (net.prefixlen + 7) // 8]
        out += IPv4Address(route.nexthop).packed
    return out


def encode_route_text(text: str) -> bytes:
    """As dnsmasq has it: prefix,router,prefix,router …"""
    parts = split_values(text)
    if len(parts) % 2:
        raise ValueError("a route is a prefix and a router")
    return encode_routes(Route(*pair) for pair in zip(parts[::2], parts[1::2], strict=True))


def encode_ntp6(text: str) -> bytes:
    """NTP servers (RFC 5908): a suboption for each, 1 for an address, 3 for a name."""
    out = b""
    for part in split_values(text):
        try:
            code, body = 1, IPv6Address(part.strip("[]")).packed
        except ValueError:
            code, body = 3, encode_name(part)
        out += code.to_bytes(2, "big") + len(body).to_bytes(2, "big") + body
    return out


def encode_params6(text: str) -> bytes:
    """Boot file parameters (RFC 5970, 3.2): each with its length."""
    parts = [part.encode() for part in split_values(text)]
    return b"".join(len(part).to_bytes(2, "big") + part for part in parts)


def encode_hex(text: str) -> bytes:
    return bytes(int(part, 16) for part in text.strip().split(":"))


def is_hex(text: str) -> bool:
    parts = text.strip().split(":")
    return len(parts) > 1 and all(
        len(part) in (1, 2) and set(part.lower()) <= set("0123456789abcdef") for part in parts
    )


def encode_guess(text: str) -> bytes:
    """A value whose option has no known form, read as dnsmasq does: addresses, a number, hex with colons, else text."""
    text = text.strip()
    attempts: tuple[Encode, ...] = (encode_ips4, encode_small_number)
    if is_hex(text):
        return encode_hex(text)
    for attempt in attempts:
        try:
            return attempt(text)
        except ValueError:
            continue
    return encode_text(text)


def encode_small_number(text: str) -> bytes:
    """The fewest of 1, 2 or 4 bytes that hold it."""
    number = int(text)
    for size in (1, 2, 4):
        if 0 <= number < 1 << (8 * size):
            return number.to_bytes(size, "big")
    raise ValueError(f"{text} does not fit four bytes")


@dataclass(frozen=True, slots=True)
class Known:
    """An option with a name."""

    code: int
    encode: Encode


def make_table(rows: Iterable[tuple[int, Encode, str]]) -> dict[str, Known]:
    return {name: Known(code, encode) for code, encode, names in rows for name in names.split()}


NAMES4 = make_table((
    (1, encode_ips4, "netmask"), (2, encode_number(4), "time-offset"), (3, encode_ips4, "router"),
    (4, encode_ips4, "time-server"), (6, encode_ips4, "dns-server"), (7, encode_ips4, "log-server"),
    (9, encode_ips4, "lpr-server"), (12, encode_text, "hostname"), (13, encode_number(2), "boot-file-size"),
    (15, encode_text, "domain-name"), (16, encode_ips4, "swap-server"), (17, encode_text, "root-path"),
    (18, encode_text, "extension-path"), (19, encode_flag, "ip-forward-enable"),
    (20, encode_flag, "non-local-source-routing"), (21, encode_ips4, "policy-filter"),
    (22, encode_number(2), "max-datagram-reassembly"), (23, encode_number(1), "default-ttl"),
    (26, encode_number(2), "mtu"), (27, encode_flag, "all-subnets-local"), (28, encode_ips4, "broadcast"),
    (31, encode_flag, "router-discovery"), (32, encode_ips4, "router-solicitation"), (33, encode_ips4, "static-route"),
    (34, encode_flag, "trailer-encapsulation"), (35, encode_number(4), "arp-timeout"),
    (36, encode_flag, "ethernet-encap"), (37, encode_number(1), "tcp-ttl"), (38, encode_number(4), "tcp-keepalive"),
    (40, encode_text, "nis-domain"), (41, encode_ips4, "nis-server"), (42, encode_ips4, "ntp-server"),
    (43, encode_guess, "vendor-encap"), (44, encode_ips4, "netbios-ns"), (45, encode_ips4, "netbios-dd"),
    (46, encode_number(1), "netbios-nodetype"), (47, encode_text, "netbios-scope"),
    (48, encode_ips4, "x-windows-fs"), (49, encode_ips4, "x-windows-dm"), (51, encode_number(4), "lease-time"),
    (58, encode_number(4), "T1"), (59, encode_number(4), "T2"), (60, encode_text, "vendor-class"),
    (64, encode_text, "nis+-domain"), (65, encode_ips4, "nis+-server"), (66, encode_text, "tftp-server"),
    (67, encode_text, "bootfile-name"), (68, encode_ips4, "mobile-ip-home"), (69, encode_ips4, "smtp-server"),
    (70, encode_ips4, "pop3-server"), (71, encode_ips4, "nntp-server"), (74, encode_ips4, "irc-server"),
    (77, encode_text, "user-class"), (93, encode_number(2), "client-arch"),
    (94, encode_hex, "client-interface-id"), (97, encode_hex, "client-machine-id"),
    (100, encode_text, "posix-timezone"), (101, encode_text, "tzdb-timezone"), (108, encode_number(4), "ipv6-only"),
    (114, encode_text, "captive-portal"), (119, encode_names, "domain-search"), (120, encode_sip4, "sip-server"),
    (121, encode_route_text, "classless-static-route"), (125, encode_hex, "vendor-id-encap"),
    (150, encode_ips4, "tftp-server-address"), (209, encode_text, "config-file config-file-name"),
    (210, encode_text, "path-prefix"), (211, encode_number(4), "reboot-time"),
    (249, encode_route_text, "ms-classless-static-route"), (252, encode_text, "wpad wpad-url"),
    (SERVER_IP_ADDRESS, encode_ips4, "server-ip-address"),
))  # fmt: skip

NAMES6 = make_table((
    (15, encode_params6, "user-class"), (16, encode_hex, "vendor-class"), (21, encode_names, "sip-server-domain"),
    (22, encode_ips6, "sip-server"), (23, encode_ips6, "dns-server"), (24, encode_names, "domain-search"),
    (27, encode_ips6, "nis-server"), (28, encode_ips6, "nis+-server"), (29, encode_names, "nis-domain"),
    (30, encode_names, "nis+-domain"), (31, encode_ips6, "sntp-server"),
    (32, encode_number(4), "information-refresh-time"), (41, encode_text, "posix-timezone"),
    (42, encode_text, "tzdb-timezone"), (56, encode_ntp6, "ntp-server"), (59, encode_text, "bootfile-url"),
    (60, encode_params6, "bootfile-param"),
))  # fmt: skip

NAMES: Mapping[int, Mapping[str, Known]] = {4: NAMES4, 6: NAMES6}
BY_CODE = {version: {known.code: known for known in names.values()} for version, names in NAMES.items()}
LIMIT = {4: 254, 6: 65535}
"""The highest code that may be given by number."""


def find_option(name: str, version: int) -> Known | None:
    """The option that a name or number means, tag: and option: prefixes apart; None for one nobody knows."""
    words = [word.strip() for word in name.split(",") if not word.strip().startswith(("tag:", "set:", "encap:"))]
    word = words[-1] if words else ""
    word = word.removeprefix("option6:").removeprefix("option:").strip()
    if word.isascii() and word.isdigit():
        return find_code(int(word), version)
    return NAMES[version].get(word)


def find_code(code: int, version: int) -> Known | None:
    if not 0 < code <= LIMIT[version]:
        return None
    return BY_CODE[version].get(code, Known(code, encode_guess))


def render_extras(options: Iterable[DhcpOption], version: int) -> dict[int, bytes | None]:
    """A port's extra options of one IP version by code. None: the operator wants that option not sent."""
    out: dict[int, bytes | None] = {}
    for option in options:
        known = find_option(option.name, version) if option.ip_version == version else None
        if known is None:
            continue
        try:
            out[known.code] = known.encode(option.value) if option.value.strip() else None
        except (ValueError, OverflowError):
            continue
    return out
