"""What a feed costs as hosts and changes grow: counted in frames and bytes, never in seconds."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from netloom.feed import messages as m
from netloom.feed import pki
from netloom.feed.client import open_stream
from netloom.feed.codec import MAX_FROM_SERVER, make_frame, receive_frame
from netloom.feed.connection import BURST, SQUASHED, WORDS_S
from netloom.feed.copies import Copies
from netloom.feed.dial import LAST_RETRY_S, Dial, split_addresses
from netloom.model.digest import digest_rows
from netloom.model.slices import NetworkRow, Slice
from tests.unit.feed.relay_bench import RelayBench, give, make_place, run
from tests.unit.feed.test_feed_wire import until


def test_a_scoped_change_is_one_frame_to_who_follows_and_none_to_others(tmp_path: Path) -> None:
    """Two of twelve hosts have a port on the network that changes: two frames, made once, and no byte to the ten."""

    async def test(bench: RelayBench) -> None:
        hosts = [f"h{n}" for n in range(12)]
        for n, host in enumerate(hosts):
            give(bench.source, host, f"p-{host}", "near" if n < 2 else f"far{n}")
        feeds = [bench.feed(host, bench.server) for host in hosts]
        for feed in feeds:
            bench.start(feed)
        await until(lambda: all(len(feed.slices) == 2 for feed in feeds))
        frames, quiet = bench.hub.frames, [feed.received_bytes for feed in feeds[2:]]
        before = frames.sent, frames.encoded
        bench.change("network/near", {"network/near": NetworkRow("near", 1, mtu=1400)})
        await until(lambda: all(feed.revision == bench.source.revision for feed in feeds[:2]))
        assert (frames.sent - before[0], frames.encoded - before[1]) == (2, 1)
        assert [feed.received_bytes for feed in feeds[2:]] == quiet

    run(tmp_path, test)


def test_who_was_away_is_sent_what_is_newer(tmp_path: Path) -> None:
    """400 rows, of which 3 changed and 1 went meanwhile, and a server that remembers nothing: a tenth of the bytes."""

    async def test(bench: RelayBench) -> None:
        give(bench.source, "h1", "p1", "n1", rows=400)
        feed = bench.feed("h1", bench.server)
        task = bench.start(feed)
        await until(lambda: "network/n1" in feed.slices)
        whole = feed.received_bytes
        task.cancel()
        await until(lambda: not bench.hub.hosts)
        revision = bench.source.revision + 1
        put = {f"place/{n}": make_place(n + 500, revision) for n in (3, 5, 7)}
        bench.source.put("network/n1", put, ("place/9",))
        bench.hub = bench.new_hub()
        again = bench.feed("h1", bench.server)
        bench.start(again)
        await until(lambda: again.revision == bench.source.revision and again.connected)
        assert dict(again.slices["network/n1"].rows) == dict(bench.source.slices["network/n1"].rows)
        assert again.received_bytes < whole / 10, (again.received_bytes, whole)

    run(tmp_path, test)


def test_a_row_that_says_too_little_of_its_age_costs_the_slice_whole(tmp_path: Path) -> None:
    """Its revision did not grow with it: the digest shows that, and the copy is asked for and right in the end."""

    async def test(bench: RelayBench) -> None:
        give(bench.source, "h1", "p1", "n1", rows=40)
        feed = bench.feed("h1", bench.server)
        task = bench.start(feed)
        await until(lambda: "network/n1" in feed.slices)
        task.cancel()
        await until(lambda: not bench.hub.hosts)
        bench.source.put("network/n1", {"place/3": make_place(503, 1)})
        again = bench.feed("h1", bench.server)
        bench.start(again)
        await until(lambda: again.connected and again.revision == bench.source.revision)
        assert dict(again.slices["network/n1"].rows) == dict(bench.source.slices["network/n1"].rows)

    run(tmp_path, test)


def test_a_slow_host_costs_its_state_and_no_queue(tmp_path: Path) -> None:
    """Hundreds of changes while it reads nothing: what waits for it is one mark for the slice, then what is newer."""

    async def test(bench: RelayBench) -> None:
        give(bench.source, "h1", "p1", "n1", rows=400)
        reader, writer = await open_stream(bench.server, bench.papers("h1").context(), limit=1 << 10)
        writer.write(make_frame(m.Hello("h1")))
        await until(lambda: "h1" in bench.hub._hosts and bench.hub._hosts["h1"].revision > 0)
        connection = bench.hub._hosts["h1"]
        connection.wake.clear()
        sending = connection.wake
        connection.wake = asyncio.Event()  # as if the last write had not gone through yet
        for n in range(SQUASHED * 3):
            bench.change("network/n1", {f"place/{n % 400}": make_place(n + 500, bench.source.revision + 1)})
        assert set(connection.behind) == {"network/n1"} and connection.behind["network/n1"] is None
        connection.wake = sending
        sending.set()
        copies = Copies({}, lambda name, since: None)
        while (held := copies.coming.get("network/n1")) is None or held.revision < bench.source.revision:
            copies.take(m.parse_from_server(await receive_frame(reader, MAX_FROM_SERVER)))
        assert held.rows == bench.source.slices["network/n1"].rows and not copies.asked
        writer.transport.abort()

    run(tmp_path, test)


def test_few_changes_that_a_slow_host_missed_are_joined(tmp_path: Path) -> None:
    """Five changes of a long slice before it could take one: one frame with five rows."""

    async def test(bench: RelayBench) -> None:
        give(bench.source, "h1", "p1", "n1", rows=400)
        feed = bench.feed("h1", bench.server)
        bench.start(feed)
        await until(lambda: "network/n1" in feed.slices and feed.revision == bench.source.revision)
        sent, bytes_ = bench.hub.frames.sent, feed.received_bytes
        for n in range(5):
            bench.change("network/n1", {f"place/{n}": make_place(n + 500, bench.source.revision + 1)})
        await until(lambda: feed.revision == bench.source.revision)
        assert bench.hub.frames.sent - sent == 1 and feed.received_bytes - bytes_ < 2000

    run(tmp_path, test)


def test_a_copy_that_went_bad_in_memory_is_found_and_healed(tmp_path: Path) -> None:
    """Digests are compared now and then: that slice alone is asked for."""

    async def test(bench: RelayBench) -> None:
        give(bench.source, "h1", "p1", "n1", rows=40)
        feed = bench.feed("h1", bench.server)
        bench.start(feed)
        await until(lambda: "network/n1" in feed.slices and feed.revision == bench.source.revision)
        held = feed._copies.coming["network/n1"]
        feed._copies.coming["network/n1"] = Slice(held.name, held.revision, {**held.rows, "place/3": make_place(99)})
        sent = bench.hub.frames.sent
        bench.hub.pulse.look_over(bench.hub._hosts["h1"])
        await until(lambda: bench.hub.frames.sent == sent + 1)
        await until(lambda: dict(feed.slices["network/n1"].rows) == dict(bench.source.slices["network/n1"].rows))
        bench.hub.pulse.look_over(bench.hub._hosts["h1"])
        writer = feed._writer
        await feed.send_ack(feed.revision, ["p1"], {})
        await until(lambda: bool(bench.told.acks))
        assert bench.hub.frames.sent == sent + 1 and feed._writer is writer

    run(tmp_path, test)


def test_a_flood_of_reports_from_one_host_reaches_nobody_else(tmp_path: Path) -> None:
    """It is taken so often a second and no more; the other host is heard at once."""

    async def test(bench: RelayBench) -> None:
        for host in ("bad", "good"):
            give(bench.source, host, f"p-{host}", "n1")
        taken: list[str] = []
        report = bench.told.report

        async def count(host: str, configurations: object, zone: str | None) -> None:
            taken.append(host)
            await report(host, {}, zone)

        bench.told.report = count  # type: ignore[method-assign]
        began = asyncio.get_running_loop().time()
        _, writer = await open_stream(bench.server, bench.papers("bad").context())
        flood = b"".join(make_frame(m.Report({"n": n})) for n in range(1000))
        writer.write(make_frame(m.Hello("bad")) + flood)
        await until(lambda: taken.count("bad") >= BURST)
        feed = bench.feed("good", bench.server)
        bench.start(feed)
        await until(lambda: "network/n1" in feed.slices and "good" in taken)
        passed_s = asyncio.get_running_loop().time() - began
        assert taken.count("bad") <= BURST + 2 + WORDS_S * (passed_s + 1)
        writer.transport.abort()

    run(tmp_path, test)


# -- versions ----------------------------------------------------------------------------------------------------------


class OldHello(msgspec.Struct, tag_field="type", tag="hello"):
    """As version 1 had it."""

    host: str
    version: int = 1
    program: str = ""
    have: dict[str, tuple[int, str]] = {}
    configurations: dict[str, object] = {}
    availability_zone: str | None = None


OLD_KINDS = {"welcome", "whole", "delta", "keep", "gone", "at", "joined", "refuse", "ping", "pong"}
"""What an agent of version 1 can read; anything else ends its connection."""


def encode_old(message: object) -> bytes:
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(4, "big") + body


def test_a_host_of_the_version_before_is_told_what_it_can_read(tmp_path: Path) -> None:
    """Away while few of many rows changed, compared, told of changes: no message that version 1 does not have."""

    async def test(bench: RelayBench) -> None:
        give(bench.source, "h1", "p1", "n1", rows=40)
        old = bench.source.slices["network/n1"]
        have = {"network/n1": (old.revision, f"{digest_rows(old.rows):032x}")}
        bench.source.put("network/n1", {"place/3": make_place(503, bench.source.revision + 1)})
        reader, writer = await open_stream(bench.server, bench.papers("h1").context())
        writer.write(encode_old(OldHello("h1", have=have)))
        kinds: list[str] = []

        async def read_until(kind: str) -> dict[str, object]:
            while True:
                body = msgspec.msgpack.decode(await receive_frame(reader, MAX_FROM_SERVER))
                kinds.append(body["type"])
                if body["type"] == kind:
                    found: dict[str, object] = body
                    return found

        await read_until("at")
        bench.hub.pulse.look_over(bench.hub._hosts["h1"])
        bench.change("network/n1", {"place/4": make_place(504, bench.source.revision + 1)})
        await read_until("delta")
        at = await read_until("at")
        writer.write(encode_old({"type": "ack", "revision": at["revision"], "wired": ["p1"], "pending": {}}))
        await until(lambda: bool(bench.told.acks))
        assert set(kinds) <= OLD_KINDS and bench.told.acks[0][2] == ["p1"]
        writer.transport.abort()

    run(tmp_path, test)


def test_a_host_follows_a_server_of_the_version_before(tmp_path: Path) -> None:
    """It is told slices, asks anew for one that is wrong, acknowledges: with messages that version 1 has."""

    async def test(bench: RelayBench) -> None:
        kinds: list[str] = []
        row = {"id": "n1", "number": 1}
        whole = {"type": "whole", "name": "network/n1", "revision": 5, "rows": {"network/n1": row}}
        good = f"{digest_rows({'network/n1': NetworkRow('n1', 1)}):032x}"
        at = {"type": "at", "revision": 5}

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(EOFError, ConnectionError):
                while True:
                    kinds.append(msgspec.msgpack.decode(await receive_frame(reader, 1 << 20))["type"])
                    if kinds[-1] == "hello":
                        writer.write(encode_old({"type": "welcome", "version": 1, "server": "old", "revision": 5}))
                        writer.write(encode_old({**whole, "digest": "0" * 32}) + encode_old(at))
                    elif kinds[-1] == "ask":
                        writer.write(encode_old({**whole, "digest": good}) + encode_old(at))
            writer.close()

        context = pki.make_server_context(tmp_path / "s.pem", tmp_path / "s.key", tmp_path / "ca.pem")
        listener = await asyncio.start_unix_server(serve, tmp_path / "old.sock", ssl=context)
        feed = bench.feed("h1", f"unix:{tmp_path}/old.sock")
        task = bench.start(feed)
        await until(lambda: "network/n1" in feed.slices)
        await feed.send_ack(5, ["p1"], {})
        await until(lambda: "ack" in kinds)
        task.cancel()
        listener.close()
        assert set(kinds) <= {"hello", "ack", "report", "ask", "join", "renew", "ping", "pong"}

    run(tmp_path, test)


def test_a_host_of_the_next_version_is_understood(tmp_path: Path) -> None:
    """Attributes that this version does not know are passed over."""

    async def test(bench: RelayBench) -> None:
        give(bench.source, "h1", "p1", "n1")
        reader, writer = await open_stream(bench.server, bench.papers("h1").context())
        writer.write(encode_old({"type": "hello", "host": "h1", "version": m.VERSION + 1, "of_tomorrow": [1, 2]}))
        seen: list[m.FromServer] = []
        while not (seen and isinstance(seen[-1], m.At)):
            seen.append(m.parse_from_server(await receive_frame(reader, MAX_FROM_SERVER)))
        assert {one.name for one in seen if isinstance(one, m.Whole)} == {"host/h1", "network/n1"}
        writer.transport.abort()

    run(tmp_path, test)


# -- pure --------------------------------------------------------------------------------------------------------------


def test_waits_grow_with_chance_and_addresses_take_turns() -> None:
    """Two hosts never wait the same; a served host tries again soon; the wait has an end."""
    waits = [[dial.fail(False) for _ in range(12)] for dial in (Dial(["a"], random.Random(n)) for n in (1, 2))]
    assert waits[0] != waits[1] and max(max(w) for w in waits) <= LAST_RETRY_S
    assert all(found[n + 3] > found[n] for found in waits for n in range(4))
    dial = Dial(split_addresses("a, b,c"), random.Random(1))
    tried = []
    for _ in range(6):
        tried.append(dial.address)
        dial.fail(False)
    assert tried == ["a", "b", "c"] * 2
    assert [Dial(["a"], random.Random(5)).fail(False) for _ in range(2)] == [
        Dial(["a"], random.Random(5)).fail(False) for _ in range(2)
    ]
    assert dial.fail(True) <= 0.2


def test_a_hostile_list_of_keys_is_a_bad_message() -> None:
    """Names of rows that are cut short end the connection, and nothing else."""
    with pytest.raises(m.MessageError):
        m.find_unnamed({}, b"abc")
