"""Of several servers one tells, and the next goes on where it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from netloom.notify import outbox as module
from netloom.notify.outbox import NotTold, Outbox
from netloom.notify.place import FilePlace, StorePlace
from netloom.store.engine import open_store
from netloom.store.meta import change_value, read_value, swap_value


@dataclass
class MemoryPlace:
    revision: int | None = None

    def load(self) -> int | None:
        return self.revision

    def save(self, revision: int) -> None:
        self.revision = max(revision, self.revision or 0)


@dataclass
class Two:
    """Two servers with one service and one place; `leader` tells."""

    place: MemoryPlace = field(default_factory=MemoryPlace)
    leader: int = 0
    heard: list[tuple[int, int]] = field(default_factory=list)
    away: bool = False

    def make(self, number: int) -> Outbox[int]:
        async def send(items: Sequence[int]) -> None:
            if self.away:
                raise NotTold("away")
            self.heard += [(number, item) for item in items]

        return Outbox(f"s{number}", send, self.place, batch_s=0, tells=lambda: self.leader == number)

    def tell(self, *boxes: Outbox[int], revision: int) -> None:
        for box in boxes:
            box.tell([revision], revision)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.002)


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.005)
    monkeypatch.setattr(module, "FIRST_RETRY_S", 0.001)


def test_who_takes_over_goes_on_where_the_other_ended() -> None:
    """Each word once, by whoever wrote then; also those that waited when the seat changed hands."""
    two = Two()

    async def run() -> None:
        first, second = two.make(0), two.make(1)
        tasks = [asyncio.create_task(box.run()) for box in (first, second)]
        two.tell(first, second, revision=1)
        await until(lambda: two.place.revision == 1 and second.waiting == 0)
        two.away = True
        two.tell(first, second, revision=2)
        two.leader = 1
        two.away = False
        two.tell(first, second, revision=3)
        await until(lambda: two.place.revision == 3)
        for task in tasks:
            await end(task)

    asyncio.run(run())
    assert [item for _, item in two.heard] == [1, 2, 3]
    assert {number for number, item in two.heard if item > 1} == {1}


def test_a_killed_server_leaves_nothing_untold() -> None:
    """What it had not noted as told is told by the next: never less than once."""
    two = Two()

    async def run() -> None:
        first, second = two.make(0), two.make(1)
        dying, other = asyncio.create_task(first.run()), asyncio.create_task(second.run())
        two.away = True
        two.tell(first, second, revision=1)
        await end(dying)
        two.away, two.leader = False, 1
        await until(lambda: two.place.revision == 1)
        await end(other)

    asyncio.run(run())
    assert two.heard == [(1, 1)]


def test_a_place_in_the_store_only_goes_forward(tmp_path: Path) -> None:
    """One that was kept in a file by an older server is taken over."""
    FilePlace(tmp_path / "nova.json").save(5)
    store = open_store(f"sqlite:///{tmp_path}/netloom.db")
    try:
        place = StorePlace(store, "nova", tmp_path / "nova.json")
        assert place.load() == 5
        place.save(9)
        place.save(7)
        assert (place.load(), StorePlace(store, "rabbit").load()) == (9, None)
    finally:
        store.close()


def test_a_value_is_swapped_by_comparing(tmp_path: Path) -> None:
    """Of two servers that change a value at once, both changes are in it."""
    store = open_store(f"sqlite:///{tmp_path}/netloom.db")
    try:
        assert swap_value(store, "k", None, "a")
        assert not swap_value(store, "k", None, "b")
        assert not swap_value(store, "k", "b", "c")
        late = iter(["x"])

        def add(old: str | None) -> str:
            for other in late:  # another server is faster, once
                assert swap_value(store, "k", old, f"{old}{other}")
            return f"{old}y"

        assert change_value(store, "k", add) == "axy" == read_value(store, "k")
    finally:
        store.close()
