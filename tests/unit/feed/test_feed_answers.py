"""What a relay is told of its hosts, in which order, and what it makes of an answer that comes late."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from netloom.feed import messages as m
from netloom.feed.cache import Cache
from netloom.feed.connection import Connection
from netloom.feed.frames import Frames
from netloom.feed.pki import JoinError
from netloom.feed.relay import Relay
from tests.unit.feed.relay_bench import RelayBench, give, run
from tests.unit.feed.test_feed_relay import Door
from tests.unit.feed.test_feed_wire import until

NOBODY = cast(Any, None)


def make_relay(folder: Path) -> Relay:
    return Relay("relay/r1", ("s1:9697",), lambda: NOBODY, lambda: b"", Cache(folder / "slices"))


def make_connection(host: str) -> Connection:
    return Connection(host, NOBODY, NOBODY, NOBODY, version=m.VERSION)


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_what_a_broken_connection_told_is_not_shown_after_it(tmp_path: Path) -> None:
    """The last host that had no answer leaves while nobody is upstream: what hosts say still waits for a server that
    knows what it is of."""

    async def main() -> None:
        relay, broke, done = make_relay(tmp_path), asyncio.Event(), asyncio.Event()

        async def connect(address: str) -> None:
            if broke.is_set():
                await done.wait()
            broke.set()
            relay._attached = {host: m.Attach(host) for host in ("h1", "h2")}
            for message in (m.Welcome(), m.At(5), m.Admitted("h2")):
                relay._take(message, NOBODY)
            raise EOFError

        relay._connect = connect  # type: ignore[method-assign]
        following = asyncio.create_task(relay._follow())
        await broke.wait()
        await until(lambda: not relay.connected)
        await relay.acknowledge("h2", 0, ["p"], {})
        await relay.present("h1", False)
        assert relay._fresh and relay.revision == 0 and relay.saying.gather(-1) is None
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    asyncio.run(main())


def test_a_host_is_let_in_by_no_answer_to_who_was_sent_away(tmp_path: Path) -> None:
    """What it follows may not be here any more: it would take its ports for gone."""

    async def main() -> None:
        relay = make_relay(tmp_path)
        relay._copies.asked.add("network/n")
        first = asyncio.create_task(relay.attach(m.Attach("h1")))
        await turn()
        relay._take(m.Admitted("h1"), NOBODY)
        relay._take(m.Dismissed("h1", "the word of h1 has ended"), NOBODY)
        with pytest.raises(JoinError, match="has ended"):
            await first
        second = asyncio.create_task(relay.attach(m.Attach("h1")))
        await turn()
        relay._copies.asked.clear()
        relay._take(m.At(5), NOBODY)
        await turn()
        assert relay.revision == 5 and not second.done()
        relay._take(m.Admitted("h1"), NOBODY)
        await asyncio.wait_for(second, 30)

    asyncio.run(main())


def test_upstream_hears_that_who_it_lets_in_is_not_here(tmp_path: Path) -> None:
    """It would take the host for alive for as long as the relay is."""

    async def main() -> None:
        relay, sent = make_relay(tmp_path), list[m.Message]()
        relay._send = sent.append  # type: ignore[method-assign, assignment]
        relay._take(m.Admitted("h1"), NOBODY)
        assert sent == [m.Detach("h1")]

    asyncio.run(main())


def test_a_relay_hears_of_who_is_let_go_of_before_what_it_led_to_is_gone() -> None:
    """Between the two its host would be shown that it has nothing; and who is let in after all is so at the end."""

    async def main() -> None:
        relay = make_connection("relay/r1")
        relay.after = [m.Admitted("h1"), m.Admitted("h2")]
        relay.dismiss("h1", "no")
        told = b"".join(Frames(NOBODY, lambda: 7).make(relay, ["host/h1"]))
        seen = []
        while told:
            size = 4 + int.from_bytes(told[:4], "big")
            seen.append(m.parse_from_server(told[4:size]))
            told = told[size:]
        assert seen == [m.Dismissed("h1", "no"), m.Gone("host/h1"), m.At(7), m.Admitted("h2")]

    asyncio.run(main())


def test_what_a_host_says_of_itself_while_it_is_let_in_again_is_heard(tmp_path: Path) -> None:
    """The relay came back and said what the host was; before the server has answered the host is another."""

    async def test(bench: RelayBench) -> None:
        give(bench.source, "h1", "p1", "n1")
        relay = (await bench.relay("r1")).relay
        feed = bench.feed("h1", bench.address("r1"))
        bench.start(feed)
        await until(lambda: "network/n1" in feed.slices)
        door = Door(bench)
        door.shut.add("h1")
        assert relay._writer is not None
        relay._writer.transport.abort()
        await until(lambda: "h1" in door.waiting)
        turns = bench.hub.relays._turns
        attaching = turns._last["h1"]
        await feed.send_report({"tunneling_ip": "192.0.2.7"})
        await until(lambda: turns._last.get("h1") is not attaching)
        door.shut.clear()
        await until(lambda: bench.told.reports["h1"] == {"tunneling_ip": "192.0.2.7"})

    run(tmp_path, test, within_s=30.0)


def test_a_host_that_came_itself_is_not_gone_with_its_relay_s_word(tmp_path: Path) -> None:
    """It was let go of at its relay, and is here before that is written."""

    async def test(bench: RelayBench) -> None:
        go = asyncio.Event()
        through, direct = make_connection("relay/r1"), make_connection("h1")
        bench.hub.seat("h1", through)
        bench.hub.relays._turns.add("h1", lambda: cast(Any, go.wait()))
        bench.hub.relays.dismiss(through, "h1", "its word has ended")
        bench.hub.seat("h1", direct)
        go.set()
        await until(lambda: not bench.hub.relays._turns.is_busy("h1"))
        assert bench.told.here == {} and bench.hub.leave("h1", direct)

    run(tmp_path, test)


def test_a_copy_that_takes_long_to_write_delays_its_host_alone(tmp_path: Path) -> None:
    """Where the store is away a word takes seconds; what other hosts of the relay say is heard meanwhile."""

    async def test(bench: RelayBench) -> None:
        go, asked, heard = asyncio.Event(), asyncio.Event(), []

        async def take_copies(host: str, copies: object) -> None:
            if copies:
                asked.set()
                await go.wait()
            heard.append(host)

        async def acknowledge(connection: Connection, host: str, ack: m.Ack) -> None:
            await take_copies(host, ack.copies)

        relay, relays = make_connection("relay/r1"), bench.hub.relays
        relay.attached, relay.revision = {"h1": (), "h2": ()}, 5
        relays._seats.acknowledge = acknowledge  # type: ignore[method-assign]
        said = m.Said({"h1": m.Ack(5, ["p1"], {}, {"r": "active"}), "h2": m.Ack(5, ["p2"])})
        await asyncio.wait_for(relays._hear(relay, said), 10)
        await asked.wait()
        assert heard == ["h2"]
        go.set()
        await until(lambda: heard == ["h2", "h1"])

    run(tmp_path, test)
