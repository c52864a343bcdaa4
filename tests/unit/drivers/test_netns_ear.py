"""What the kernel says of namespaces, byte by byte: where it was, and whose it was; and what a look makes of it."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from netloom.drivers.bridge.watch import MAKER, NEW_GENERATION
from netloom.drivers.netns.ear import NUMBER, NUMBER_GONE, News, find_link_news, find_rule_news, find_sender
from netloom.drivers.netns.others import Others
from netloom.model.plan import State, Thing

OWN = os.getpid() | 5 << 22
NEW_ROUTE = 24
LEVEL: State = {("netns", "qrouter-a"): Thing(("netns", "qrouter-a"), None)}
KEPT: State = {**LEVEL, ("keeper", "qrouter-a"): Thing(("keeper", "qrouter-a"), None)}
LESS: State = {("netns", "qrouter-a"): Thing(("netns", "qrouter-a"), 1)}


def attribute(kind: int, body: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(body), kind) + body


def message(kind: int, port: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, port) + body


def generation(thread: int) -> bytes:
    return message(NEW_GENERATION, 0, bytes(4) + attribute(MAKER, thread.to_bytes(4, "big")))


@pytest.mark.parametrize(
    ("number", "told", "news"),
    [
        (3, message(NEW_ROUTE, 1, bytes(12)), [(3, True)]),
        (3, message(NEW_ROUTE, 0, bytes(12)), [(3, False)]),
        (3, message(NEW_ROUTE, OWN, bytes(12)), []),
        (-1, message(NEW_ROUTE, 1, bytes(12)), []),
        (-1, message(NUMBER_GONE, 0, bytes(4) + attribute(NUMBER, struct.pack("=i", 7))), [(7, False)]),
        (3, message(NEW_ROUTE, OWN, bytes(12)) + message(NEW_ROUTE, 1, bytes(12)), [(3, True)]),
        (3, message(NEW_ROUTE, 1, bytes(12))[:20], []),
    ],
    ids=["another program", "the kernel", "we", "where we listen", "a namespace ended", "both", "cut off"],
)
def test_whose_change_of_links_it_was(number: int, told: bytes, news: list[News]) -> None:
    """Ours are no news; the kernel's may have any reason."""
    assert list(find_link_news(number, told)) == news


@pytest.mark.parametrize(
    ("thread", "news"), [(1, [(3, True)]), (os.getpid(), [])], ids=["another program", "a thread of ours"]
)
def test_whose_change_of_rules_it_was(thread: int, news: list[News]) -> None:
    """The kernel says which thread made the new generation."""
    told = message(10 << 8 | 13, 0, bytes(4)) + generation(thread)
    assert list(find_rule_news(3, told)) == news
    assert list(find_rule_news(-1, told)) == []


def test_where_a_message_comes_from() -> None:
    """From the namespace whose number goes with it; with none, from the one where we listen."""
    assert find_sender([(270, 8, struct.pack("=i", 12))]) == 12
    assert find_sender([(270, 3, bytes(8))]) == find_sender([]) == -1


@pytest.mark.parametrize(
    ("before", "there", "other", "meddling"),
    [
        (LEVEL, LEVEL, True, False),
        (LEVEL, LESS, False, True),
        (LEVEL, {}, False, True),
        (None, LEVEL, False, False),
        (None, LEVEL, True, True),
        (None, KEPT, True, False),
        (None, {}, True, False),
    ],
    ids=["level", "changed", "gone", "left by us", "left by us, then changed", "by its daemon", "removed by us"],
)
def test_what_a_look_makes_of_it(
    tmp_path: Path, before: State | None, there: State, other: bool, meddling: bool
) -> None:
    """Somebody's is what differs from what was read, or was done by another program since we changed it."""
    others = Others(tmp_path, lambda name: there, run, lambda: None)
    others.note_read({} if before is None else {"qrouter-a": before})
    assert others.compare("qrouter-a", other) == meddling
    assert not others.compare("qrouter-a", False), "counted twice"
    others.close()


async def run(work: Callable[[], bool]) -> bool:
    return work()
