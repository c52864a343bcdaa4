"""The metadata proxy of a host: listens in a namespace where instances' requests arrive, and asks Nova for them.

It needs the last known slices and Nova, never the server. Each request is a connection of its own and is bounded in
size, time and number, so that one instance that asks without end delays nobody else.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netloom.agent.metadata_request import Refused, Request, RequestReader, make_headers, render_response
from netloom.drivers.netns import kernel
from netloom.model.facts import HostFacts
from netloom.model.slices import Slices
from netloom.render.caller_book import CallerBook
from netloom.render.metadata import HTTP, SPACE, Caller, find_callers
from netloom.render.metadata_space import PORT, find_space_callers

if TYPE_CHECKING:
    import httpx

LOG = logging.getLogger(__name__)
READ_S = 10.0
"""How long a client may take over its request, and over taking the answer."""
MOST_AT_ONCE, MOST_OF_ONE = 256, 8
"""Requests under way: of all instances, and of one port."""
MOST_ANSWER = 16 << 20
LOOK_S = 1.0
"""How often it is looked whether the namespace is still the one that is listened in."""
SHOWN = ("content-type", "cache-control", "etag", "last-modified")
"""Headers of Nova's answer that go on."""


@dataclass(frozen=True, slots=True)
class MetadataSettings:
    """Where Nova's metadata service is, and the secret that it shares with us. Files are paths or empty."""

    host: str = "127.0.0.1"
    port: int = 8775
    protocol: str = "http"
    secret: str = ""
    insecure: bool = False
    authorities: str = ""
    certificate: str = ""
    key: str = ""
    timeout_s: float = 60.0

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.protocol}://{host}:{self.port}"

    def make_context(self) -> ssl.SSLContext | bool:
        if self.protocol != "https":
            return False
        context = ssl.create_default_context(cafile=self.authorities or None)
        if self.insecure:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if self.certificate:
            context.load_cert_chain(self.certificate, self.key or None)
        return context


Ask = Callable[[Request, Caller], Awaitable[tuple[int, list[tuple[str, str]], bytes]]]
"""(status, headers, body) of Nova's answer. Raises Refused."""


Spaces = Mapping[str, tuple[int, Mapping[str, Caller]]]
"""By namespace, the port that requests come to, and who may ask, by address."""
FindSpaces = Callable[[Slices, HostFacts, CallerBook], Spaces]


def find_spaces(slices: Slices, facts: HostFacts, book: CallerBook) -> Spaces:
    """With Open vSwitch: the host's own namespace, or those of routers and DHCP servers."""
    own = {SPACE: (HTTP, find_callers(slices, facts))} if facts.metadata else {}
    return own | {name: (PORT, callers) for name, callers in find_space_callers(slices, facts, book).items()}


@dataclass(frozen=True, slots=True)
class Listening:
    """Servers in one namespace, and what tells that namespace from another of its name."""

    identity: tuple[int, int]
    servers: tuple[asyncio.Server, ...]

    def close(self) -> None:
        for server in self.servers:
            server.close()


class MetadataProxy:
    """`folder` has the namespaces by name; `ask` asks Nova, unless a test has another; `find`: who asks where."""

    def __init__(
        self, folder: Path, settings: MetadataSettings, ask: Ask | None = None, find: FindSpaces | None = None
    ) -> None:
        self._find: FindSpaces = find or find_spaces
        self._book = CallerBook()
        self._folder = folder
        self._settings = settings
        self._ask: Ask = ask or self._ask_nova
        self._client: httpx.AsyncClient | None = None
        self._callers: Mapping[str, Mapping[str, Caller]] = {}
        self._wanted: Mapping[str, int] = {}
        self._busy: Counter[str] = Counter()
        self._held: dict[str, Listening] = {}
        self._wake = asyncio.Event()

    def update(self, slices: Slices, facts: HostFacts) -> None:
        """Who may ask from now on."""
        found = self._find(slices, facts, self._book)
        self._callers = {name: callers for name, (_, callers) in found.items()}
        self._wanted = {name: port for name, (port, _) in found.items()}
        self._wake.set()

    async def run(self) -> None:
        """Listen in the namespaces, whenever they are there, until cancelled."""
        try:
            while True:
                for name in sorted(self._wanted.keys() | self._held.keys()):
                    await self._follow_space(name)
                self._wake.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await self._wake.wait()
        finally:
            await self._close()

    async def _follow_space(self, name: str) -> None:
        """A namespace that was made anew has none of the sockets of the old one."""
        port, held = self._wanted.get(name, 0), self._held.get(name)
        found = find_identity(self._folder / name) if port else None
        if found == (held.identity if held else None):
            return
        if held:
            self._held.pop(name).close()
        if found is not None:
            try:
                self._held[name] = await self._listen(name, port, found)
            except OSError as error:
                LOG.warning("metadata: no listening in %s: %s", name, error)

    async def _listen(self, name: str, port: int, identity: tuple[int, int]) -> Listening:
        sockets = await asyncio.to_thread(open_listeners, self._folder / name, port)
        serve = partial(self._serve, name)
        servers = tuple([await asyncio.start_server(serve, sock=sock, limit=1 << 16) for sock in sockets])
        LOG.info("metadata: instances are answered in %s, by %s", name, self._settings.url)
        return Listening(identity, servers)

    async def _close(self) -> None:
        for held in self._held.values():
            held.close()
        self._held = {}
        if self._client is not None:
            await self._client.aclose()

    # -- one connection ------------------------------------------------------------------------------------------------

    async def _serve(self, space: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = str(writer.get_extra_info("peername")[0]).partition("%")[0]
        try:
            await self._answer(self._callers.get(space, {}).get(address), reader, writer)
        except (OSError, TimeoutError):
            pass  # the instance went away, or takes nothing
        except Exception:
            LOG.exception("metadata: a request from %s could not be answered", address)
        finally:
            writer.close()

    async def _answer(self, caller: Caller | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head_only = False
        try:
            if caller is None:
                raise Refused(404, "no instance asks from there")
            request = await self._take(caller, reader)
            head_only = request.method == "HEAD"
            status, headers, body = await self._pass_on(caller, request)
        except Refused as refused:
            status, headers, body = refused.status, [("Content-Type", "text/plain")], f"{refused}\n".encode()
        writer.write(render_response(status, headers, body, head_only))
        async with asyncio.timeout(READ_S):
            await writer.drain()
            writer.write_eof()

    async def _take(self, caller: Caller, reader: asyncio.StreamReader) -> Request:
        if self._busy[caller.port_id] >= MOST_OF_ONE or self._busy.total() >= MOST_AT_ONCE:
            raise Refused(429, "too many requests at once")
        with self._counted(caller):
            try:
                async with asyncio.timeout(READ_S):
                    return await read_request(reader)
            except TimeoutError:
                raise Refused(408, "the request took too long") from None

    async def _pass_on(self, caller: Caller, request: Request) -> tuple[int, list[tuple[str, str]], bytes]:
        with self._counted(caller):
            return await self._ask(request, caller)

    def _counted(self, caller: Caller) -> _Counted:
        return _Counted(self._busy, caller.port_id)

    # -- Nova ----------------------------------------------------------------------------------------------------------

    async def _ask_nova(self, request: Request, caller: Caller) -> tuple[int, list[tuple[str, str]], bytes]:
        import httpx  # here, for an agent that is never asked needs none of it

        client = self._open_client()
        url = httpx.URL(self._settings.url).copy_with(raw_path=request.target.encode())
        headers = make_headers(request, caller, self._settings.secret)
        try:
            async with (
                asyncio.timeout(self._settings.timeout_s),
                client.stream(request.method, url, headers=headers, content=request.body or None) as answer,
            ):
                body = await read_answer(answer)
        except TimeoutError:
            raise Refused(504, "the metadata service does not answer") from None
        except httpx.HTTPError as error:
            LOG.warning("metadata: %s does not answer: %r", self._settings.url, error)
            raise Refused(503, "the metadata service cannot be reached") from None
        if answer.status_code == 403:
            LOG.warning("metadata: refused for port %s: is metadata_proxy_shared_secret the same?", caller.port_id)
        return answer.status_code, [(name, answer.headers[name]) for name in SHOWN if name in answer.headers], body

    def _open_client(self) -> httpx.AsyncClient:
        import httpx

        if self._client is None:
            self._client = httpx.AsyncClient(
                verify=self._settings.make_context(), trust_env=False, timeout=self._settings.timeout_s,
                headers={"Accept": "*/*"}, limits=httpx.Limits(max_connections=MOST_AT_ONCE),
            )  # fmt: skip
        return self._client


class _Counted:
    """One more under way, while it lasts."""

    def __init__(self, busy: Counter[str], key: str) -> None:
        self._busy, self._key = busy, key

    def __enter__(self) -> None:
        self._busy[self._key] += 1

    def __exit__(self, *gone: object) -> None:
        self._busy[self._key] -= 1
        if not self._busy[self._key]:
            del self._busy[self._key]


async def read_request(reader: asyncio.StreamReader) -> Request:
    """Raises Refused where the client ends before its request does."""
    parser = RequestReader()
    while data := await reader.read(1 << 14):
        if request := parser.feed(data):
            return request
    raise Refused(400, "the request was not whole")


async def read_answer(answer: Any) -> bytes:
    body = b""
    async for part in answer.aiter_bytes():
        body += part
        if len(body) > MOST_ANSWER:
            raise Refused(502, "the answer is too long")
    return body


def find_identity(space: Path) -> tuple[int, int] | None:
    """What tells a namespace from another of its name; None: there is none."""
    try:
        found = space.stat()
    except FileNotFoundError:
        return None
    return (found.st_dev, found.st_ino) if kernel.is_namespace(space) else None


def open_listeners(space: Path, port: int) -> list[socket.socket]:
    """Sockets of both IP versions that listen in the namespace; a socket stays where it was made. Raises OSError."""
    with kernel.entered(space):
        return [open_listener(family, port) for family in (socket.AF_INET, socket.AF_INET6)]


def open_listener(family: socket.AddressFamily, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind(("", port))
    sock.listen(128)
    sock.setblocking(False)
    return sock
