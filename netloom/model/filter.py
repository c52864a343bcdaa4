"""What a packet filter of the host holds, as values: tables, chains, sets, and the entries of sets and maps.

Each is the value of a Thing; the key's shape is given with each class. Families are nft's: "bridge", "inet".
What is only text for a device is outside equality: a digest of it, which the device keeps, is compared.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b

Lines = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FilterTable:
    """A table with the chains, maps and sets that every host has. Key: ("filter_table", family)."""

    digest: str
    text: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class FilterChain:
    """The rules of one port, or of one combination of groups. Key: ("filter_chain", family, name)."""

    digest: str
    count: int
    rules: Lines = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class FilterSet:
    """A set of addresses that rules name. `interval`: of prefixes. Key: ("filter_set", family, name)."""

    type: str
    interval: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """An element of such a set. Key: ("filter_member", family, set, element)."""


@dataclass(frozen=True, slots=True)
class Way:
    """An entry of a map or set of the table's own: where a device's packets go. Key: ("filter_way", family, map, key).

    `to`: "jump chain", "accept", a number, or nothing in a set.
    """

    to: str = ""


@dataclass(frozen=True, slots=True)
class IptablesChain:
    """A chain, its rules as `iptables-save` writes them after `-A name`. Key: ("iptables", version, table, chain)."""

    rules: Lines


@dataclass(frozen=True, slots=True)
class IpSet:
    """A set of prefixes (hash:net). Key: ("ipset", name)."""

    version: int


def make_digest(lines: Lines) -> str:
    return blake2b("\n".join(lines).encode(), digest_size=8).hexdigest()


def make_chain(rules: Lines) -> FilterChain:
    return FilterChain(make_digest(rules), len(rules), rules)
