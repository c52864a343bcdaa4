"""Nova is told in batches and in order, by whoever Keystone says it is, until it has answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from netloom.notify import outbox as module
from netloom.notify.events import PLUGGED, NovaEvent
from netloom.notify.nova import Nova, NovaSettings
from netloom.notify.outbox import Outbox
from netloom.notify.place import FilePlace
from tests.waiting import running, until

Box = Outbox[NovaEvent]

SETTINGS = NovaSettings("http://keystone/v3", "netloom", "secret", region_name="one")
CATALOG = [
    {"type": "image", "endpoints": [{"interface": "public", "region_id": "one", "url": "http://glance"}]},
    {"type": "compute", "endpoints": [
        {"interface": "public", "region_id": "two", "url": "http://elsewhere"},
        {"interface": "internal", "region_id": "one", "url": "http://inside"},
        {"interface": "public", "region_id": "one", "url": "http://nova/v2.1/"},
    ]},
]  # fmt: skip


class Cloud:
    """Keystone and Nova behind one transport; `answers` are Nova's, one a request, then 200."""

    def __init__(self, answers: list[int | Exception] | None = None) -> None:
        self.answers = answers or []
        self.logins = 0
        self.told: list[list[str]] = []
        self.tokens: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == "keystone":
            assert json.loads(request.content)["auth"]["identity"]["password"]["user"]["name"] == "netloom"
            self.logins += 1
            body = {"token": {"catalog": CATALOG}}
            return httpx.Response(201, json=body, headers={"X-Subject-Token": f"t{self.logins}"})
        assert str(request.url) == "http://nova/v2.1/os-server-external-events"
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        self.tokens.append(request.headers["x-auth-token"])
        if answer == 200:
            events = json.loads(request.content)["events"]
            self.told.append([event["tag"] for event in events])
            return httpx.Response(200, json={"events": [{**event, "code": 200} for event in events]})
        return httpx.Response(answer, text="no")


def event(tag: str) -> NovaEvent:
    return NovaEvent("11111111-1111-4111-8111-111111111111", PLUGGED, tag, "completed")


def run(cloud: Cloud, path: Path, test: Callable[[Box], Awaitable[None]], **given: Any) -> None:
    async def main() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(cloud)) as client:
            nova = Outbox("Nova", Nova(SETTINGS, client).send, FilePlace(path / "nova.json"), batch_s=0, **given)
            async with running(nova.run()):
                await test(nova)

    asyncio.run(main())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_RETRY_S", 0.001)


def test_events_go_in_one_request_and_the_place_is_kept(tmp_path: Path) -> None:
    """One login, one request; how far Nova has heard stands on the disk."""
    cloud = Cloud()

    async def test(nova: Box) -> None:
        nova.tell([event("a"), event("b")], 7)
        nova.tell([event("c")], 8)
        await until(lambda: FilePlace(tmp_path / "nova.json").load() == 8)
        nova.tell([event("d")], 9)
        nova.tell([], 12)
        await until(lambda: FilePlace(tmp_path / "nova.json").load() == 12)

    run(cloud, tmp_path, test)
    assert cloud.told == [["a", "b", "c"], ["d"]] and cloud.logins == 1


@pytest.mark.parametrize("trouble", [500, 503, httpx.ConnectError("down"), httpx.ReadTimeout("slow")])
def test_nova_that_is_away_is_told_later(tmp_path: Path, trouble: int | Exception) -> None:
    """In order, and nothing twice; the place waits with it."""
    cloud = Cloud([trouble, trouble])

    async def test(nova: Box) -> None:
        nova.tell([event("a")], 7)
        await until(lambda: len(cloud.answers) < 2)
        assert FilePlace(tmp_path / "nova.json").load() is None
        nova.tell([event("b")], 8)
        await until(lambda: FilePlace(tmp_path / "nova.json").load() == 8)

    run(cloud, tmp_path, test)
    assert [tag for batch in cloud.told for tag in batch] == ["a", "b"]


def test_a_token_that_is_good_no_more_is_renewed(tmp_path: Path) -> None:
    """Once, at once; Nova never sees the old one again."""
    cloud = Cloud([200, 401])

    async def test(nova: Box) -> None:
        for number, tag in enumerate("ab", 1):
            nova.tell([event(tag)], number)
            await until(lambda number=number: FilePlace(tmp_path / "nova.json").load() == number)  # type: ignore[misc]

    run(cloud, tmp_path, test)
    assert cloud.tokens == ["t1", "t1", "t2"] and cloud.told == [["a"], ["b"]]


@pytest.mark.parametrize("status", [400, 404])
def test_what_nova_refuses_is_let_go(tmp_path: Path, status: int) -> None:
    """A server that is gone keeps no other waiting."""
    cloud = Cloud([status])

    async def test(nova: Box) -> None:
        nova.tell([event("a")], 1)
        await until(lambda: FilePlace(tmp_path / "nova.json").load() == 1)
        nova.tell([event("b")], 2)
        await until(lambda: FilePlace(tmp_path / "nova.json").load() == 2)

    run(cloud, tmp_path, test)
    assert cloud.told == [["b"]]


def test_events_that_are_too_old_are_let_go(tmp_path: Path) -> None:
    """Nova waits for a port five minutes; after a quarter of an hour nobody does."""
    clock, cloud = [0.0], Cloud([500] * 1000)

    async def test(nova: Box) -> None:
        nova.tell([event("a")], 1)
        await until(lambda: len(cloud.answers) < 1000)
        clock[0] = module.OLDEST_S + 1
        nova.tell([event("b")], 2)
        cloud.answers.clear()
        await until(lambda: FilePlace(tmp_path / "nova.json").load() == 2)

    run(cloud, tmp_path, test, now=lambda: clock[0])
    assert cloud.told == [["b"]]


def test_a_place_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    """Whatever the file says."""
    for text in ("", "[]", '{"revision": "x"}', "{"):
        (tmp_path / "p").write_text(text)
        assert FilePlace(tmp_path / "p").load() is None
