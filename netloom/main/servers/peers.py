"""The wire between servers of one store: who does not write hands requests to who does.

Law: a request that could not be delivered may be handed on again; one that was delivered and never answered may not,
for nobody knows whether it was carried out. The two are told apart by exception: NotDelivered, Unanswered.

One connection per peer carries many calls at once: frames of four bytes of length and msgpack. The first frame is the
key that all servers of a store find in it; over TCP there is TLS around, with the authority of the hosts' feed.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from netloom.feed.pki import SERVER_NAME, find_host_name

LOG = logging.getLogger("netloom.server")
LENGTH = struct.Struct("!I")
MAX_FRAME = 512 << 20
CONNECT_S = 1.0

Pair = tuple[bytes, bytes]


class NotDelivered(Exception):
    """The call did not reach the peer: it was not carried out."""


class Unanswered(Exception):
    """The call was sent, and the peer went away: whether it was carried out is not known."""


class Call(msgspec.Struct, array_like=True):
    """`what`: http, word, news or step-down; `body` is what that takes."""

    number: int
    what: str
    body: msgspec.Raw


class Reply(msgspec.Struct, array_like=True):
    number: int
    body: msgspec.Raw


class HttpRequest(msgspec.Struct, array_like=True):
    """A client's request as it came."""

    method: str
    raw_path: bytes
    path: str
    query: bytes
    scheme: str
    headers: list[Pair]
    body: bytes


class HttpAnswer(msgspec.Struct, array_like=True):
    """`revision`: the answer rests on it. `moved`: it was not carried out, because this server does not write."""

    status: int = 0
    headers: list[Pair] = []
    body: bytes = b""
    revision: int = 0
    moved: bool = False


class Word(msgspec.Struct, array_like=True):
    """What a host said, as an operation by name."""

    name: str
    values: list[Any]


class WordAnswer(msgspec.Struct, array_like=True):
    """`status`: 0, or that of the error."""

    status: int = 0
    type: str = ""
    message: str = ""
    revision: int = 0
    moved: bool = False


ENCODE = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.decode


def make_frame(body: bytes) -> bytes:
    return LENGTH.pack(len(body)) + body


async def receive_frame(reader: asyncio.StreamReader) -> bytes:
    (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
    if length > MAX_FRAME:
        raise ConnectionError("a frame is too long")
    return await reader.readexactly(length)


# -- the end that answers ----------------------------------------------------------------------------------------------

Serve = Callable[[str, msgspec.Raw], Awaitable[Any]]


class PeerServer:
    """Answers calls; `serve(what, body)` gives what to say. `stop` answers what is under way first."""

    def __init__(self, key: str, serve: Serve) -> None:
        self._key = key.encode()
        self._serve = serve
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._servers: list[asyncio.Server] = []

    async def listen(self, address: str, context: ssl.SSLContext | None) -> str:
        """`address`: "unix:/path" or "host:port" (port 0: any); gives it as peers reach it."""
        if address.startswith("unix:"):
            path = Path(address[5:])
            await asyncio.to_thread(make_room, path)
            self._servers.append(await asyncio.start_unix_server(self._follow, path))
            return address
        host, _, port = address.rpartition(":")
        server = await asyncio.start_server(self._follow, host.strip("[]"), int(port), ssl=context)
        self._servers.append(server)
        return f"{host}:{server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        for server in self._servers:
            server.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=10)
        for writer in list(self._writers):
            writer.close()

    async def _follow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if not hmac.compare_digest(await asyncio.wait_for(receive_frame(reader), 10), self._key):
                LOG.warning("a peer without the store's key was turned away")
                return
            while True:
                call = decode(await receive_frame(reader), type=Call)
                task = asyncio.get_running_loop().create_task(self._answer(call, writer))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        except (EOFError, OSError, TimeoutError, msgspec.MsgspecError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, call: Call, writer: asyncio.StreamWriter) -> None:
        try:
            body = await self._serve(call.what, call.body)
        except Exception:
            LOG.exception("a peer's call (%s) failed", call.what)
            writer.close()  # the caller is told at once that nobody answers
            return
        with suppress(OSError, RuntimeError):  # uvloop calls a closed transport a RuntimeError
            writer.write(make_frame(ENCODE(Reply(call.number, msgspec.Raw(ENCODE(body))))))
            await writer.drain()


def sweep(folder: Path) -> list[str]:
    """Take away the sockets of processes that were killed; those taken. A name is a process's number.

    Two witnesses: no process has the number, and nobody takes a connection. One alone may err: a process that begins
    has a socket before it listens, and one in a container has its number elsewhere.
    """
    gone = [path for path in folder.glob("*.sock") if not is_running(path.stem) and not is_listening(path)]
    for path in gone:
        path.unlink(missing_ok=True)
    return sorted(path.name for path in gone)


def is_running(number: str) -> bool:
    """What is no number of a process is none of ours to judge."""
    return not number.isdecimal() or Path(f"/proc/{number}").exists()


def is_listening(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            pass  # it has more callers than it takes, or we may not ask: somebody is there
        return True


def make_room(path: Path) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.unlink(missing_ok=True)


# -- the end that asks -------------------------------------------------------------------------------------------------


class Peer:
    """A connection to one peer, opened at the first call and again after it broke."""

    def __init__(self, address: str, key: str, context: Callable[[], ssl.SSLContext | None]) -> None:
        self.address = address
        self._key = key
        self._context = context
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._number = 0
        self._opening = asyncio.Lock()

    async def ask(self, what: str, body: Any) -> msgspec.Raw:
        """Raises NotDelivered, Unanswered."""
        writer = await self._open()
        self._number += 1
        answer: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        self._waiting[self._number] = answer
        number = self._number
        try:
            writer.write(make_frame(ENCODE(Call(number, what, msgspec.Raw(ENCODE(body))))))
            await writer.drain()
        except RuntimeError as error:  # uvloop: it was closed before
            raise NotDelivered(self.address) from error
        except OSError:
            pass  # part of it may have arrived: the end of the connection is what answers then
        try:
            return await answer
        finally:
            self._waiting.pop(number, None)

    async def _open(self) -> asyncio.StreamWriter:
        async with self._opening:
            if self._writer is None:
                try:
                    async with asyncio.timeout(CONNECT_S):
                        reader, writer = await self._connect()
                    check_peer(writer)
                    self._writer = writer
                except (OSError, TimeoutError) as error:
                    raise NotDelivered(f"{self.address}: {error}") from error
                self._writer.write(make_frame(self._key.encode()))
                self._reading = asyncio.get_running_loop().create_task(self._read(reader, self._writer))
            return self._writer

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.address.startswith("unix:"):
            return await asyncio.open_unix_connection(self.address[5:])
        host, _, port = self.address.rpartition(":")
        context = self._context()
        name = SERVER_NAME if context else None
        return await asyncio.open_connection(host.strip("[]"), int(port), ssl=context, server_hostname=name)

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                reply = decode(await receive_frame(reader), type=Reply)
                answer = self._waiting.get(reply.number)
                if answer is not None and not answer.done():
                    answer.set_result(reply.body)
        except (EOFError, OSError, msgspec.MsgspecError):
            pass
        finally:
            writer.close()
            self._writer = None
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(Unanswered(self.address))

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)


class Peers:
    """The connections of this server to its peers, by address. `context`: asked for with each connection."""

    def __init__(self, key: str, context: Callable[[], ssl.SSLContext | None]) -> None:
        self._key = key
        self._context = context
        self._peers: dict[str, Peer] = {}

    def find(self, address: str) -> Peer:
        peer = self._peers.get(address)
        if peer is None:
            peer = self._peers[address] = Peer(address, self._key, self._context)
        return peer

    async def close(self) -> None:
        for peer in self._peers.values():
            await peer.close()


def check_peer(writer: asyncio.StreamWriter) -> None:
    """Raises NotDelivered where the other end has a certificate that is not a server's own: a relay's has two names."""
    tls = writer.get_extra_info("ssl_object")
    if tls is not None and (name := find_host_name(tls.getpeercert())) != SERVER_NAME:
        writer.transport.abort()
        raise NotDelivered(f"{name} is no server")


def make_peer_context(authority: Path) -> ssl.SSLContext:
    """For who asks: the peer must show a server's certificate of our authority; a host's is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(authority)
    return context
