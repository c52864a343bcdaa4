"""Which blocks of an address space are free, as a tree of prefixes that is kept from what is taken.

A prefix is a number: a one, then its bits, so 1 is the whole space, 2n and 2n+1 are the halves of n, and the length
of a prefix is that of its number less one. `nodes` holds, for each prefix in which something is taken, the lengths of
the largest free blocks inside, one bit a length; a prefix that is not there is free as a whole. Under -n it holds
how often n itself is taken. So the best free block is found from the top down, in as many steps as an address has
bits, however much is taken.

Law: nodes follow from the set of taken blocks alone, in whatever order they were taken and given back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from netloom.model.address import ip_text, ip_version, ip_width, parse_net

Nodes = Mapping[int, int]


def make_block(cidr: str) -> int:
    """The number of a prefix: "0.0.0.0/0" is 1, "128.0.0.0/1" is 3."""
    net = parse_net(cidr)
    return (1 << net.prefixlen) | (int(net.network_address) >> (net.max_prefixlen - net.prefixlen))


def show_block(block: int, version: int) -> str:
    length = block.bit_length() - 1
    return f"{ip_text((block - (1 << length)) << (ip_width(version) - length), version)}/{length}"


def find_sizes(nodes: Nodes, block: int) -> int:
    """The lengths of the largest free blocks in `block`, one bit a length. 0: it is full."""
    found = nodes.get(block)
    return 1 << (block.bit_length() - 1) if found is None else found


def is_free(nodes: Nodes, block: int) -> bool:
    """Whether nothing in the block is taken, nor a block that it is in."""
    if block in nodes:
        return False
    while block:
        if -block in nodes:
            return False
        block >>= 1
    return True


def find_free(nodes: Nodes, roots: Iterable[int], length: int) -> int | None:
    """A free block of `length` in one of `roots`, cut from the smallest free block that holds one; the lowest of
    several. None where there is none. The roots do not overlap, and nothing that is taken holds one of them."""
    fitting = (1 << (length + 1)) - 1
    best, start = -1, 0
    for root in roots:
        size = (find_sizes(nodes, root) & fitting).bit_length() - 1
        if size > best:
            best, start = size, root
    if best < 0:
        return None
    while start.bit_length() - 1 < best:
        start <<= 1
        if not find_sizes(nodes, start) >> best & 1:
            start += 1
    return start << (length - best)


def take_block(nodes: Any, block: int) -> None:
    """Mark a block as taken, in a tree that is open for mutation."""
    nodes[-block] = nodes.get(-block, 0) + 1
    update_from(nodes, block)


def free_block(nodes: Any, block: int) -> None:
    """Give back a block that was taken."""
    left = nodes.get(-block, 0) - 1
    if left > 0:
        nodes[-block] = left
        return
    nodes.pop(-block, None)
    update_from(nodes, block)


def update_from(nodes: Any, block: int) -> None:
    """What a block and those above it say after it changed; ends where they say the same as before."""
    while block:
        old, new = nodes.get(block), sum_up(nodes, block)
        if old == new:
            return
        if new is None:
            nodes.pop(block)
        else:
            nodes[block] = new
        block >>= 1


def sum_up(nodes: Nodes, block: int) -> int | None:
    """What a block says by its halves; None: it is free as a whole."""
    if -block in nodes:
        return 0
    left, right = nodes.get(2 * block), nodes.get(2 * block + 1)
    if left is None and right is None:
        return None
    half = 1 << block.bit_length()
    return (half if left is None else left) | (half if right is None else right)


def compact(cidrs: Iterable[str]) -> list[str]:
    """The fewest prefixes that hold the same addresses, in order: what is inside another goes, halves are joined."""
    left = sorted({(ip_version(cidr), *split_range(cidr)) for cidr in cidrs})
    joined: list[list[int]] = []
    for version, first, last in left:
        if joined and joined[-1][0] == version and first <= joined[-1][2] + 1:
            joined[-1][2] = max(joined[-1][2], last)
        else:
            joined.append([version, first, last])
    return [cidr for version, first, last in joined for cidr in cut_range(version, first, last)]


def split_range(cidr: str) -> tuple[int, int]:
    net = parse_net(cidr)
    return int(net.network_address), int(net.broadcast_address)


def cut_range(version: int, first: int, last: int) -> list[str]:
    """The fewest prefixes that are just the addresses first … last."""
    bits, found = ip_width(version), []
    while first <= last:
        size = min((first & -first).bit_length() - 1 if first else bits, (last - first + 1).bit_length() - 1)
        found.append(f"{ip_text(first, version)}/{bits - size}")
        first += 1 << size
    return found


def subtract(cidrs: Iterable[str], gone: Iterable[str]) -> list[str]:
    """The prefixes of what is in `cidrs` and not in `gone`, as few as can be."""
    found = []
    holes = sorted((ip_version(cidr), *split_range(cidr)) for cidr in compact(gone))
    for cidr in compact(cidrs):
        version, (first, last) = ip_version(cidr), split_range(cidr)
        for other, low, high in holes:
            if other == version and low <= last and first <= high:
                found += cut_range(version, first, low - 1)
                first = high + 1
        found += cut_range(version, first, last)
    return found


def overlap(some: Iterable[str], others: Iterable[str]) -> bool:
    """Whether an address is in both."""
    sides = enumerate((some, others))
    ranges = sorted((ip_version(cidr), *split_range(cidr), side) for side, cidrs in sides for cidr in cidrs)
    highest = [(0, -1), (0, -1)]
    for version, first, last, side in ranges:
        if highest[1 - side][0] == version and first <= highest[1 - side][1]:
            return True
        highest[side] = max(highest[side], (version, last))
    return False


def hold(cidrs: Iterable[str], inner: Iterable[str]) -> bool:
    """Whether every address of `inner` is in `cidrs`."""
    return not subtract(inner, cidrs)
