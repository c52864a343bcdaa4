"""What an option's text means, beyond its type: lists of ranges, of mappings, of addresses.

Law: a value that is not allowed raises OptionError, with the option's name, the value, and what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address, ip_network
from itertools import pairwise
from pathlib import Path

from netloom.intent.l2.segments import TYPES
from netloom.intent.l3.protocols import NAMES as PROTOCOLS
from netloom.main.options.table import MAX_MTU, MIN_MTU
from netloom.model.address import parse_mac

Range = tuple[int, int]
BRIDGE_NAME_MAX = 15
"""Longest name of a device in Linux (IFNAMSIZ - 1)."""


class OptionError(Exception):
    """An option that stops the start. `option` is "name" or "[section] name"."""

    def __init__(self, option: str, value: object, reason: str, source: str = "") -> None:
        self.option, self.value, self.reason = option, value, reason
        super().__init__(f"{option} = {value}: {reason}" + (f" ({source})" if source else ""))


@dataclass(frozen=True, slots=True)
class Given:
    """An option's name and where it was given, to complain with."""

    option: str
    source: str = ""

    def refuse(self, value: object, reason: str) -> OptionError:
        return OptionError(self.option, value, reason, self.source)


def parse_names(given: Given, values: Iterable[str], allowed: Collection[str]) -> tuple[str, ...]:
    """The names, each one of `allowed` and there once."""
    names = tuple(values)
    for name in names:
        if name not in allowed:
            raise given.refuse(name, f"allowed: {', '.join(allowed)}")
    if len(set(names)) < len(names):
        raise given.refuse(", ".join(names), "each may be given once")
    return names


def parse_ranges(given: Given, values: Iterable[str], network_type: str) -> tuple[Range, ...]:
    """Of min:max, ordered; they may not overlap."""
    kind = TYPES[network_type]
    form = f"min:max with {kind.first} ≤ min ≤ max ≤ {kind.last}"
    return refuse_overlap(given, [parse_range(given, value, value, form, kind.first, kind.last) for value in values])


def parse_range(given: Given, value: str, text: str, form: str, first: int, last: int) -> Range:
    match = re.fullmatch(r"(\d+):(\d+)", text.strip())
    low, high = (int(match[1]), int(match[2])) if match else (0, 0)
    if not match or not first <= low <= high <= last:
        raise given.refuse(value, f"allowed: {form}")
    return low, high


def refuse_overlap(given: Given, ranges: Iterable[Range]) -> tuple[Range, ...]:
    ordered = tuple(sorted(ranges))
    for (low, high), (next_low, next_high) in pairwise(ordered):
        if next_low <= high:
            raise given.refuse(f"{low}:{high}, {next_low}:{next_high}", "ranges may not overlap")
    return ordered


def parse_vlan_ranges(given: Given, values: Iterable[str]) -> dict[str, tuple[Range, ...]]:
    """Ranges by physical network; one given without a range has none."""
    kind = TYPES["vlan"]
    form = f"physical_network or physical_network:min:max, with {kind.first} ≤ min ≤ max ≤ {kind.last}"
    found: dict[str, list[Range]] = {}
    for value in values:
        name, colon, rest = value.strip().partition(":")
        if not name.strip():
            raise given.refuse(value, f"allowed: {form}")
        ranges = found.setdefault(name.strip(), [])
        if colon:
            ranges.append(parse_range(given, value, rest, form, kind.first, kind.last))
    return {name: refuse_overlap(given, ranges) for name, ranges in found.items()}


def parse_pairs(given: Given, values: Iterable[str], form: str) -> dict[str, str]:
    """Of left:right, each left once."""
    found: dict[str, str] = {}
    for value in values:
        left, colon, right = (part.strip() for part in value.partition(":"))
        if not (left and colon and right):
            raise given.refuse(value, f"allowed: {form}")
        if left in found:
            raise given.refuse(value, f"{left} is given twice")
        found[left] = right
    return found


def parse_mtus(given: Given, values: Iterable[str]) -> dict[str, int]:
    form = f"physical_network:bytes with {MIN_MTU} ≤ bytes ≤ {MAX_MTU}"
    found: dict[str, int] = {}
    for name, text in parse_pairs(given, values, form).items():
        if not text.isdecimal() or not MIN_MTU <= int(text) <= MAX_MTU:
            raise given.refuse(f"{name}:{text}", f"allowed: {form}")
        found[name] = int(text)
    return found


FIRST_ETHERTYPE, LAST_ETHERTYPE = 0x0600, 0xFFFF
"""IEEE 802.3, 3.2.6: what is less is a length."""
GUARDED = (0x0800, 0x0806, 0x86DD, 0x8100, 0x88A8)
"""What security groups and the guard look into themselves: IPv4, ARP, IPv6, and tags."""


def parse_ethertypes(given: Given, values: Iterable[str]) -> tuple[int, ...]:
    """Of hexadecimal numbers such as 0x8847, sorted."""
    found = set()
    for value in values:
        number = int(value, 16) if re.fullmatch(r"0[xX][0-9a-fA-F]{1,4}", value) else 0
        if not FIRST_ETHERTYPE <= number <= LAST_ETHERTYPE:
            raise given.refuse(value, f"allowed: 0x{FIRST_ETHERTYPE:04x} to 0x{LAST_ETHERTYPE:04x}, in hexadecimal")
        if number in GUARDED:
            raise given.refuse(value, "security groups decide on IPv4, IPv6, ARP and tagged frames")
        found.add(number)
    return tuple(sorted(found))


def parse_bridge_mappings(given: Given, values: Iterable[str]) -> dict[str, str]:
    """Bridge by physical network; one bridge carries one physical network."""
    found = parse_pairs(given, values, "physical_network:bridge")
    for bridge in found.values():
        parse_device(given, bridge)
    if len(set(found.values())) < len(found):
        raise given.refuse(", ".join(values), "a bridge may carry one physical network")
    return found


def parse_device(given: Given, name: str) -> str:
    if not re.fullmatch(rf"[A-Za-z0-9_.-]{{1,{BRIDGE_NAME_MAX}}}", name):
        raise given.refuse(name, f"allowed: a device's name, 1 to {BRIDGE_NAME_MAX} of letters, digits, '_', '.', '-'")
    return name


def parse_base_mac(given: Given, value: str) -> str:
    allowed = "allowed: a unicast MAC such as fa:16:3e:00:00:00"
    try:
        mac = parse_mac(value)
    except ValueError:
        raise given.refuse(value, allowed) from None
    if int(mac[:2], 16) & 1:
        raise given.refuse(value, f"this is a multicast MAC; {allowed}")
    return mac


def parse_ha_cidr(given: Given, value: str) -> str:
    """An IPv4 prefix as text, written without host bits."""
    try:
        net = ip_network(value)
    except ValueError:
        net = None
    if net is None or "/" not in value or net.version != 4:
        raise given.refuse(value, "allowed: an IPv4 prefix such as 169.254.192.0/18")
    return str(net)


def parse_helpers(given: Given, entries: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """ftp:tcp, sip:udp, sip:tcp: what a router may follow, and over what."""
    found = []
    for entry in entries:
        name, _, protocol = entry.partition(":")
        if not name.strip() or protocol.strip() not in PROTOCOLS:
            raise given.refuse(entry, f"allowed: name:protocol, of the protocols {', '.join(PROTOCOLS)}")
        found.append((name.strip(), protocol.strip()))
    return tuple(found)


def parse_max_limit(given: Given, value: str) -> int:
    """-1: no limit. Neutron takes the word infinite and anything below 1 for that too; we take just those two."""
    if value.strip().lower() in ("-1", "infinite"):
        return -1
    if not value.isdecimal() or int(value) < 1:
        raise given.refuse(value, "allowed: 1 or more; -1 or infinite for no limit")
    return int(value)


def parse_mtu_floor(given: Given, value: int) -> int:
    if 0 < value < MIN_MTU:
        raise given.refuse(value, f"allowed: 0, or {MIN_MTU} and more")
    return value


def parse_multicast(given: Given, value: str) -> str:
    """An IPv4 multicast address in canonical form."""
    try:
        address = IPv4Address(value)
    except ValueError:
        raise given.refuse(value, "allowed: an IPv4 multicast address") from None
    if not address.is_multicast:
        raise given.refuse(value, "allowed: an IPv4 multicast address")
    return str(address)


def parse_address(given: Given, value: str) -> str:
    """An IP address in canonical form, or nothing."""
    if not value:
        return ""
    try:
        address = ip_address(value)
    except ValueError:
        raise given.refuse(value, "allowed: an IPv4 or IPv6 address") from None
    if address.is_multicast or address.is_unspecified:
        raise given.refuse(value, "allowed: an address that one host can have")
    return str(address)


def parse_endpoint(given: Given, value: str) -> str:
    """host:port, [v6]:port or unix:/path, as given."""
    value = value.strip()
    if value.startswith("unix:"):
        if not value.startswith("unix:/"):
            raise given.refuse(value, "allowed after unix: a path from the root, as in unix:/run/netloom/feed.sock")
        return value
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^\s:\[\]]+):(\d{1,5})", value)
    if not match or int(match[2]) > 65535:
        raise given.refuse(value, "allowed: host:port, [v6 address]:port or unix:/path")
    return value


def find_endpoint(given: Given, value: str) -> str:
    """As `parse_endpoint`, or nothing."""
    return parse_endpoint(given, value) if value else ""


def parse_url(given: Given, value: str) -> str:
    """http:// or https:// with a host, or nothing; without a slash at the end."""
    if value and not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", value):
        raise given.refuse(value, "allowed: http://… or https://…")
    return value.rstrip("/")


def parse_file(given: Given, value: str) -> Path:
    """A file that can be read."""
    path = Path(value)
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise given.refuse(value, f"allowed: a file that can be read; {error.strerror}") from None


def parse_text_file(given: Given, value: str) -> Path:
    """A file that can be read, and is text."""
    path = parse_file(given, value)
    try:
        path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise given.refuse(value, f"allowed: a text file in UTF-8; byte {error.start} is none of it") from None
    return path


def check_subset(given: Given, values: Sequence[str], of: Sequence[str], other: str) -> None:
    for value in values:
        if value not in of:
            raise given.refuse(value, f"it must be in {other} too; that has {', '.join(of)}")


def check_known_physical(given: Given, names: Mapping[str, object], known: Collection[str], other: str) -> None:
    for name in names:
        if "*" not in known and name not in known:
            raise given.refuse(name, f"no such physical network in {other}")
