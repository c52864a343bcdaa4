"""Servers that are behind, refuse or break off, disks that are full, hosts that do not read: nothing of it lasts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from netloom.feed import messages as m
from netloom.feed.cache import Cache
from netloom.feed.client import Feed, open_stream
from netloom.feed.codec import make_frame
from netloom.model.slices import NetworkRow, PortRow, Row, Slice
from tests.unit.feed.test_feed_wire import Bench, give, run, stop, until


def start(bench: Bench, feed: Feed) -> asyncio.Task[None]:
    return asyncio.create_task(feed.run())


def restore(bench: Bench, kept: Mapping[str, Slice], revision: int) -> None:
    """The server's slices as a backup had them."""
    bench.source.slices, bench.source.revision = dict(kept), revision


def test_a_server_restored_from_a_backup_is_followed_back(tmp_path: Path) -> None:
    """Revisions go back: the host takes the old state, says so at the old revision, and stays connected."""

    async def test(bench: Bench) -> None:
        give(bench.source, "h1", "p1", "n1")
        kept, revision = dict(bench.source.slices), bench.source.revision
        feed = bench.feed("h1")
        task = start(bench, feed)
        await until(lambda: "network/n1" in feed.slices)
        for mtu in (1400, 1300, 1200):
            row = {"network/n1": NetworkRow("n1", 1, mtu=mtu)}
            bench.hub.notify({"network/n1": bench.source.put("network/n1", row)})
        await until(lambda: feed.revision == revision + 3)
        await feed.send_ack(feed.revision, ["p1"], {})
        await until(lambda: len(bench.told.acks) == 1)
        await bench.hub.stop()
        restore(bench, kept, revision)
        tries, context = [], feed._context
        feed._context = lambda: (tries.append(1), context())[1]  # type: ignore[func-returns-value]
        await until(lambda: feed.revision == revision and bench.hub.hosts == {"h1"})
        assert dict(feed.slices["network/n1"].rows) == dict(kept["network/n1"].rows)
        await feed.send_ack(feed.revision, ["p1"], {})
        await until(lambda: bench.told.acks[1:] == [("h1", revision, ["p1"], {})])
        assert len(tries) == 1, "the server sent it away"
        await stop(task)

    run(tmp_path, test)


def test_a_word_for_what_the_server_no_longer_knows_is_kept_back(tmp_path: Path) -> None:
    """An agent in the middle of a turn acknowledges the newer revision: the restored server is not bothered with it."""

    async def test(bench: Bench) -> None:
        give(bench.source, "h1", "p1", "n1")
        feed = bench.feed("h1")
        task = start(bench, feed)
        await until(lambda: "network/n1" in feed.slices)
        writer = feed._writer
        await feed.send_ack(feed.revision + 7, ["p1"], {})
        await feed.send_ack(feed.revision, ["p1"], {})
        await until(lambda: len(bench.told.acks) == 1)
        assert feed._writer is writer, "the server refused it and closed"
        await stop(task)

    run(tmp_path, test)


def test_a_question_that_was_never_answered_does_not_hold_the_host(tmp_path: Path) -> None:
    """The connection breaks between the question and its answer: the next one brings the host up to date."""

    async def test(bench: Bench) -> None:
        give(bench.source, "h1", "p1", "n1")
        feed = bench.feed("h1")
        task = start(bench, feed)
        await until(lambda: "network/n1" in feed.slices)
        feed._copies.asked.add("network/n1")
        assert feed._writer is not None
        feed._writer.transport.abort()
        await until(lambda: feed.connected and not feed._fresh)
        bench.hub.notify(
            {"host/h1": bench.source.put("host/h1", {"port/p2": PortRow("p2", "n1", "fa:16:3e:00:00:02")})}
        )
        await until(lambda: feed.revision == bench.source.revision)
        await stop(task)

    run(tmp_path, test)


def test_a_full_disk_keeps_nobody_from_following(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host goes on with what it hears, and writes it down as soon as there is room."""

    async def test(bench: Bench) -> None:
        give(bench.source, "h1", "p1", "n1")
        feed = bench.feed("h1")
        full = True
        save = Cache.save

        def try_save(cache: Cache, found: Slice) -> None:
            if full:
                raise OSError(28, "No space left on device")
            save(cache, found)

        monkeypatch.setattr(Cache, "save", try_save)
        task = start(bench, feed)
        await until(lambda: "network/n1" in feed.slices)
        assert Cache(tmp_path / "h1.d").load() == {}
        full = False
        row: dict[str, Row] = {"network/n1": NetworkRow("n1", 1, mtu=1400)}
        bench.hub.notify({"network/n1": bench.source.put("network/n1", row)})
        await until(lambda: feed.revision == bench.source.revision)
        kept = Cache(tmp_path / "h1.d").load()
        assert {name: dict(part.rows) for name, part in kept.items()} == {
            name: dict(part.rows) for name, part in feed.slices.items()
        }
        assert Cache(tmp_path / "h1.d").complete
        await stop(task)

    run(tmp_path, test)


def test_whatever_breaks_the_connection_the_host_goes_on(tmp_path: Path) -> None:
    """A certificate file that cannot be read for now, say: the agent does not end, and follows when it can."""

    async def test(bench: Bench) -> None:
        give(bench.source, "h1", "p1", "n1")
        feed, context, tries = bench.feed("h1"), bench.context("h1"), 0

        def read_context() -> object:
            nonlocal tries
            tries += 1
            if tries == 1:
                raise ValueError("no PEM")
            return context

        feed._context = read_context  # type: ignore[assignment]
        task = start(bench, feed)
        await until(lambda: "network/n1" in feed.slices)
        assert tries == 2
        await stop(task)

    run(tmp_path, test)


def test_a_host_that_asks_and_never_reads_costs_no_memory(tmp_path: Path) -> None:
    """A million pings and no reading: the server stops listening to it, and holds no answers for it."""

    async def test(bench: Bench) -> None:
        give(bench.source, "h1", "p1", "n1")
        reader, writer = await open_stream(bench.address, bench.context("h1"), limit=1 << 10)
        writer.write(make_frame(m.Hello("h1")))
        await until(lambda: bench.hub.hosts == {"h1"})
        pings = make_frame(m.Ping()) * 20_000
        held = bench.hub._hosts["h1"].writer.transport
        most = 0
        for _ in range(60):
            writer.write(pings)
            await asyncio.sleep(0.005)
            most = max(most, held.get_write_buffer_size())
        assert most < 1 << 20, f"{most} bytes"
        writer.transport.abort()
        del reader

    run(tmp_path, test)


def test_a_host_that_the_server_fails_on_is_told_so_and_the_log_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as a file of tokens that the server may not read: neither end is left without a word."""

    async def fail(host: str, issued_s: float) -> None:
        raise PermissionError("tokens.json")

    async def test(bench: Bench) -> None:
        bench.told.admit = fail  # type: ignore[method-assign]
        task = start(bench, bench.feed("h1"))
        await until(lambda: "the server refuses: the server failed; its log has the reason" in caplog.text)
        assert "PermissionError: tokens.json" in caplog.text
        await stop(task)

    with caplog.at_level("INFO", "netloom.feed"):
        run(tmp_path, test)
