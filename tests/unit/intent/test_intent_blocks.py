"""The tree of free prefixes, and sums and differences of prefixes, against sets of addresses."""

from __future__ import annotations

from ipaddress import ip_network
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netloom.intent.blocks import (
    compact,
    find_free,
    find_sizes,
    free_block,
    hold,
    is_free,
    make_block,
    overlap,
    show_block,
    subtract,
    take_block,
)

BITS = 6
"""A small address space, 198.51.100.0/26, in which every address can be looked at."""
BASE = "198.51.100.0/26"


@pytest.mark.parametrize("cidr", ["0.0.0.0/0", "10.0.0.0/8", "10.1.2.3/32", "::/0", "2001:db8::/32", "fd00::1/128"])
def test_numbers(cidr: str) -> None:
    """A prefix and its number stand for each other."""
    version = 6 if ":" in cidr else 4
    assert show_block(make_block(cidr), version) == cidr


def test_best_fit() -> None:
    """A prefix is cut from the smallest gap that holds it, the lowest of several, so that large ones stay whole."""
    nodes: dict[int, int] = {}
    root = [make_block("10.0.0.0/8")]
    for cidr in ("10.0.0.0/16", "10.1.0.0/24", "10.4.0.0/15"):
        take_block(nodes, make_block(cidr))
    for length, cidr in ((24, "10.1.1.0/24"), (23, "10.1.2.0/23"), (15, "10.2.0.0/15"), (12, "10.16.0.0/12")):
        block = find_free(nodes, root, length)
        assert block is not None
        assert show_block(block, 4) == cidr
    assert find_free(nodes, root, 8) is None
    assert find_free(nodes, [], 24) is None


def test_smallest_root_first() -> None:
    """Among several prefixes of a pool, too, the smallest gap is used first, and what is full is passed by."""
    nodes: dict[int, int] = {}
    roots = [make_block(cidr) for cidr in ("10.0.0.0/8", "192.168.0.0/24", "192.168.2.0/24")]
    found = []
    for _ in range(3):
        block = find_free(nodes, roots, 24)
        assert block is not None
        take_block(nodes, block)
        found.append(show_block(block, 4))
    assert found == ["192.168.0.0/24", "192.168.2.0/24", "10.0.0.0/24"]


blocks = st.integers(0, BITS).flatmap(lambda extra: st.integers(1 << extra, (2 << extra) - 1))


@given(st.lists(st.tuples(blocks, st.booleans()), max_size=40))
def test_tree_follows_from_what_is_taken(steps: list[tuple[int, bool]]) -> None:
    """However prefixes came and went, overlapping ones on the way included, what is free is what nobody has."""
    nodes: dict[int, int] = {}
    taken: list[int] = []
    for block, comes in steps:
        if comes or block not in taken:
            take_block(nodes, block)
            taken.append(block)
        else:
            free_block(nodes, block)
            taken.remove(block)
    fresh: dict[int, int] = {}
    for block in sorted(taken, reverse=True):
        take_block(fresh, block)
    assert nodes == fresh
    used = {address for block in taken for address in addresses_of(block)}
    for block in range(1, 2 << BITS):
        assert is_free(nodes, block) == used.isdisjoint(addresses_of(block))
        if not any(is_above(other, block) for other in taken):
            assert find_sizes(nodes, block) == free_sizes(used, block)


def addresses_of(block: int) -> range:
    length = block.bit_length() - 1
    size = 1 << (BITS - length)
    first = (block - (1 << length)) * size
    return range(first, first + size)


def is_above(other: int, block: int) -> bool:
    return other < block and block >> (block.bit_length() - other.bit_length()) == other


def free_sizes(used: set[int], block: int) -> int:
    """As `find_sizes`, found by looking at every address."""
    if used.isdisjoint(addresses_of(block)):
        return 1 << (block.bit_length() - 1)
    if block >= 1 << BITS:
        return 0
    return free_sizes(used, 2 * block) | free_sizes(used, 2 * block + 1)


small = st.tuples(st.integers(0, 63), st.integers(26, 32)).map(
    lambda pair: str(ip_network(f"198.51.100.{pair[0]}/{pair[1]}", strict=False))
)


def holds(cidrs: list[str]) -> set[str]:
    return {str(ip) for cidr in cidrs for ip in ip_network(cidr)}


@given(st.lists(small, max_size=8), st.lists(small, max_size=8))
def test_sums_and_differences(some: list[str], others: list[str]) -> None:
    """Prefixes joined, taken from each other and compared are what sets of addresses say, and as few as can be."""
    both = compact([*some, *others])
    assert holds(both) == holds(some) | holds(others)
    assert holds(subtract(some, others)) == holds(some) - holds(others)
    assert overlap(some, others) == bool(holds(some) & holds(others))
    assert hold(some, others) == (holds(others) <= holds(some))
    for one, two in pairwise(map(ip_network, both)):
        assert one.prefixlen != two.prefixlen or one.supernet() != two.supernet()
        assert not one.overlaps(two)


def test_versions_apart() -> None:
    """An IPv4 prefix has nothing in common with an IPv6 one, the whole space of either included."""
    assert not overlap(["0.0.0.0/0"], ["::/0"])
    assert subtract(["0.0.0.0/0"], ["::/0"]) == ["0.0.0.0/0"]
    assert compact(["::/1", "8000::/1", "0.0.0.0/0"]) == ["0.0.0.0/0", "::/0"]
    assert BASE in compact([BASE, "198.51.100.8/29"])
