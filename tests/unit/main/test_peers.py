"""The wire between servers: what reaches a peer, what does not, and who may listen and ask."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from netloom.feed import pki
from netloom.main.servers.authority import open_authority
from netloom.main.servers.peers import (
    NotDelivered,
    Peer,
    Peers,
    PeerServer,
    Unanswered,
    decode,
    make_peer_context,
    sweep,
)


async def repeat(what: str, body: msgspec.Raw) -> Any:
    if what == "slow":
        await asyncio.sleep(0.05)
    return [what, decode(body)]


async def ask(peer: Peer, what: str, body: Any) -> Any:
    return decode(await peer.ask(what, body))


def test_many_calls_share_a_connection_and_answers_find_their_callers(tmp_path: Path) -> None:
    """A slow call holds up nobody; each caller gets its own answer."""

    async def run() -> None:
        server = PeerServer("key", repeat)
        peer = Peer(await server.listen(f"unix:{tmp_path}/run/a.sock", None), "key", lambda: None)
        slow = asyncio.ensure_future(ask(peer, "slow", 0))
        fast = await asyncio.gather(*(ask(peer, "fast", n) for n in range(1, 50)))
        assert fast == [["fast", n] for n in range(1, 50)] and not slow.done()
        assert await slow == ["slow", 0]
        assert (tmp_path / "run").stat().st_mode & 0o077 == 0
        await peer.close()
        await server.stop()

    asyncio.run(run())


def test_what_was_never_sent_is_told_from_what_was_never_answered(tmp_path: Path) -> None:
    """Nobody listens: not delivered. The peer dies with the call: unanswered. It comes back: the same peer works."""

    async def die(what: str, body: msgspec.Raw) -> Any:
        dying._writers.pop().transport.abort()
        await asyncio.sleep(1)

    async def run(server: PeerServer) -> None:
        address = f"unix:{tmp_path}/b.sock"
        peer = Peer(address, "key", lambda: None)
        with pytest.raises(NotDelivered):
            await peer.ask("http", 1)
        await server.listen(address, None)
        with pytest.raises(Unanswered):
            await peer.ask("http", 1)
        for task in server._tasks:
            task.cancel()
        await server.stop()
        server = PeerServer("key", repeat)
        await server.listen(address, None)
        assert await ask(peer, "again", 2) == ["again", 2]
        await peer.close()
        await server.stop()

    dying = PeerServer("key", die)
    asyncio.run(run(dying))


def test_a_caller_without_the_stores_key_hears_nothing(tmp_path: Path) -> None:
    """A wrong key ends the connection before a call is read."""
    served: list[str] = []

    async def note(what: str, body: msgspec.Raw) -> Any:
        served.append(what)

    async def run() -> None:
        server = PeerServer("right", note)
        peer = Peer(await server.listen(f"unix:{tmp_path}/c.sock", None), "wrong", lambda: None)
        with pytest.raises((Unanswered, NotDelivered)):
            await peer.ask("step-down", None)
        await peer.close()
        await server.stop()

    asyncio.run(run())
    assert not served


def test_a_hosts_certificate_makes_no_server(tmp_path: Path) -> None:
    """Over TCP there is TLS: servers find each other, and whoever shows a host's or a relay's certificate is sent
    nothing."""
    now = datetime.now(UTC)
    authority = open_authority(tmp_path, now)
    key = pki.make_key()
    certificate = authority.issue("h1", pki.make_request(key, "h1"), now, pki.HOST_LIFE)
    (tmp_path / "h1.crt").write_text(certificate)
    (tmp_path / "h1.key").write_bytes(pki.encode_key(key))
    good = pki.make_server_context(
        authority.server_certificate_file, authority.server_key_file, authority.authority_file
    )
    bad = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    bad.load_cert_chain(tmp_path / "h1.crt", tmp_path / "h1.key")
    (tmp_path / "r1.crt").write_text(authority.issue("relay/r1", pki.make_request(key, "relay/r1"), now, pki.HOST_LIFE))
    relay = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    relay.load_cert_chain(tmp_path / "r1.crt", tmp_path / "h1.key")

    async def run(context: ssl.SSLContext) -> Any:
        server = PeerServer("key", repeat)
        peers = Peers("key", partial(make_peer_context, authority.authority_file))
        try:
            return await ask(peers.find(await server.listen("127.0.0.1:0", context)), "word", "x")
        finally:
            await peers.close()
            await server.stop()

    assert asyncio.run(run(good)) == ["word", "x"]
    with pytest.raises(NotDelivered, match="certificate"):
        asyncio.run(run(bad))
    with pytest.raises(NotDelivered, match="relay/r1 is no server"):
        asyncio.run(run(relay))


def test_sockets_of_processes_that_are_no_more_are_taken_away(tmp_path: Path) -> None:
    """Not those of who listens, of who has only begun, or of a name that is no process's."""
    held = []
    for name, listens in (
        ("4194305.sock", False),
        ("4194306.sock", True),
        (f"{os.getpid()}.sock", False),
        ("own.sock", False),
    ):
        held.append(socket.socket(socket.AF_UNIX))
        held[-1].bind(str(tmp_path / name))
        if listens:
            held[-1].listen(1)
    assert sweep(tmp_path) == ["4194305.sock"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["4194306.sock", f"{os.getpid()}.sock", "own.sock"]
    )
    assert sweep(tmp_path / "none") == []
    for one in held:
        one.close()
