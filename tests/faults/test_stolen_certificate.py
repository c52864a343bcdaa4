"""A real server, and somebody with the certificate and key of one of its hosts (law 9): byte by byte, over real TLS.

h1 has a port on a network of its own, h2 another; the thief has all that h2 has. `test_law_9_host.py` tries every
message in any order; here is what is below and around messages.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import struct
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from netloom.feed import messages as m
from netloom.feed import pki
from netloom.feed.client import Feed
from netloom.feed.codec import MAX_FROM_HOST, MAX_FROM_SERVER, make_frame, receive_frame
from tests.faults.host import attached, join_host, make_options
from tests.faults.server import Server, free_port

ADMIN = {"X-Roles": "admin", "X-Project-Id": "p", "Content-Type": "application/json"}
PAPERS = ("cert.pem", "key.pem", "ca.pem")


@dataclass
class Scene:
    """h1 is connected; the thief is h2 and not."""

    server: Server
    h1: Feed
    networks: dict[str, str]
    ports: dict[str, str]
    thief: ssl.SSLContext

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{self.server.url}/v2.0/{path}", data, ADMIN, method=method)
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.loads(reply.read() or b"null")

    def check_served(self) -> None:
        """h1 is there, and is told of what is new for it."""
        name = f"{time.monotonic_ns()}"
        body = {"network_id": self.networks["h1"], "name": name, "binding:host_id": "h1"}
        port = self.ask("POST", "ports", {"port": body})["port"]["id"]
        wait_until(lambda: f"port/{port}" in self.h1.slices["host/h1"].rows)
        wait_until(lambda: self.ask("GET", f"ports/{port}")["port"]["status"] == "ACTIVE")


def wait_until(true: Any, within_s: float = 60.0) -> None:
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    state = tmp_path_factory.mktemp("stolen") / "state"
    server = Server(state, extra=("--set", f"netloom.feed_listen=127.0.0.1:{free_port()}"))
    server.start()
    with ExitStack() as stack:
        stack.callback(server.stop)
        join_host(server, "h2")
        feed = stack.enter_context(attached(server, "h1", wires=True))
        with attached(server, "h2", join=False):
            pass  # so that it is known as a host
        papers = [state / "h2" / name for name in PAPERS]
        found = Scene(server, feed, {}, {}, pki.make_host_context(*papers))
        for host in ("h1", "h2"):
            network = found.networks[host] = found.ask("POST", "networks", {"network": {"name": host}})["network"]["id"]
            port = {"network_id": network, "binding:host_id": host, "device_owner": "compute:x", "security_groups": []}
            found.ports[host] = found.ask("POST", "ports", {"port": port})["port"]["id"]
        found.check_served()
        yield found


async def connect(scene: Scene, context: ssl.SSLContext) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = scene.server.feed.rpartition(":")
    return await asyncio.open_connection(host, int(port), ssl=context, server_hostname=pki.SERVER_NAME, limit=1 << 22)


def say(scene: Scene, *data: bytes, context: ssl.SSLContext | None = None, after_s: float = 1.0) -> list[m.Message]:
    """Send this on one connection; all that the server says, until it closes or says nothing for a while."""

    async def run() -> list[m.Message]:
        heard: list[m.Message] = []
        reader, writer = await connect(scene, context or scene.thief)
        try:
            for part in data:
                writer.write(part)
            while True:
                async with asyncio.timeout(after_s if heard else 60):
                    heard.append(m.parse_from_server(await receive_frame(reader, MAX_FROM_SERVER)))
        except (OSError, EOFError, TimeoutError, m.MessageError):
            return heard
        finally:
            writer.transport.abort()

    return asyncio.run(run())


def is_beyond(scene: Scene, heard: list[m.Message]) -> bool:
    """Whether something of the other host's port and network was said."""
    theirs = (scene.networks["h1"].encode(), scene.ports["h1"].encode())
    return any(id in msgspec.msgpack.encode(message) for message in heard for id in theirs)


def hello(host: str = "h2", **more: Any) -> bytes:
    return make_frame(m.Hello(host, **more))


HUGE = struct.pack("!I", MAX_FROM_HOST + 1)
FRAMES: dict[str, bytes] = {
    "a frame beyond the limit": HUGE + b"x" * 1000,
    "a frame of four gigabytes": b"\xff\xff\xff\xff" + b"x" * 1000,
    "an empty frame": struct.pack("!I", 0),
    "no message": struct.pack("!I", 4) + b"\x93\x01\x02\x03",
    "a deep message": struct.pack("!I", 100_001) + b"\x91" * 100_000 + b"\x01",
    "a map that says it has four billion entries": struct.pack("!I", 5) + b"\xdf\xff\xff\xff\xff",
    "half a frame": struct.pack("!I", 1000) + b"x",
}


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("polite", [True, False])
def test_a_frame_of_ill_will_ends_its_connection_alone(name: str, polite: bool, scene: Scene) -> None:
    """Before or after a greeting: nothing of others is said, and the other host is served as before."""
    heard = say(scene, *([hello()] if polite else []), FRAMES[name])
    assert not is_beyond(scene, heard)
    assert scene.h1.connected and scene.server.answers()


def test_what_is_read_is_of_its_own_ports_whatever_it_says_that_it_has(scene: Scene) -> None:
    """Copies that it claims to have, of others' slices, are not confirmed, brought up to date or compared."""
    have = {f"network/{scene.networks['h1']}": (1, "0" * 32), "host/h1": (1, "0" * 32), "hosts": (1, "")}
    heard = say(scene, hello(have=have), *(make_frame(m.Ask(name)) for name in have))
    named = {message.name for message in heard if isinstance(message, m.Whole | m.Delta | m.Keep)}
    assert f"network/{scene.networks['h2']}" in named
    assert f"network/{scene.networks['h1']}" not in named and "host/h1" not in named
    # That a slice is not for it is said of what there is as of what there is not.
    gone = [m.Gone(name) for name in have]
    assert not is_beyond(scene, [message for message in heard if message not in gone])


def test_a_claim_of_anothers_tunnel_address_is_refused(scene: Scene) -> None:
    """h1's traffic would come here. The address of h1 stays h1's."""
    mine = {"tunnel_types": ["vxlan"], "tunneling_ip": "192.0.2.1"}
    heard = say(scene, hello(configurations=mine))
    assert any(isinstance(message, m.Refuse) for message in heard)
    agents = scene.ask("GET", "agents?host=h1&host=h2")["agents"]
    claims = {agent["host"] for agent in agents if agent["configurations"].get("tunneling_ip") == "192.0.2.1"}
    assert claims == {"h1"}


def test_a_word_about_others_ports_changes_nothing(scene: Scene) -> None:
    """It says that h1's port waits, or is wired: the port shows what h1 said of it."""
    port = scene.ports["h1"]
    wait_until(lambda: scene.ask("GET", f"ports/{port}")["port"]["status"] == "ACTIVE")
    revision = scene.ask("GET", f"ports/{port}")["port"]["revision_number"]
    at = scene.h1.revision
    say(scene, hello(), make_frame(m.Ack(at, [], {port: "pulled"})), make_frame(m.Ack(at, [port], {})))
    scene.check_served()
    found = scene.ask("GET", f"ports/{port}")["port"]
    assert (found["status"], found["revision_number"]) == ("ACTIVE", revision)


def test_a_session_that_is_played_again_says_no_more_than_the_first(scene: Scene) -> None:
    """The same bytes on another connection: the answers are for h2 again, and an old word does not undo a new one."""
    session = (hello(), make_frame(m.Ack(scene.h1.revision, [scene.ports["h2"]], {})))
    first, again = say(scene, *session), say(scene, *session)
    assert not is_beyond(scene, [*first, *again])
    assert {type(one) for one in again} <= {type(one) for one in first}


@pytest.mark.parametrize("version", [0, 1, 99, -1])
def test_another_version_of_the_protocol_shows_no_more(version: int, scene: Scene) -> None:
    """An older end, or one from the future, follows the same slices."""
    heard = say(scene, hello(version=version), make_frame(m.Ask("host/h1")))
    assert heard and not is_beyond(scene, heard)


def test_a_flood_delays_nobody_else(scene: Scene) -> None:
    """Thousands of questions, words and reports from a connection that reads nothing: h1 is told of its ports."""

    async def flood() -> None:
        _, writer = await connect(scene, scene.thief)
        words = [make_frame(m.Ask("host/h2")), make_frame(m.Ping()), make_frame(m.Ack(1, [scene.ports["h2"]], {})),
                 make_frame(m.Report({"bridge_mappings": {"a": "b"}}, "z"))]  # fmt: skip
        writer.write(hello())
        checking = asyncio.create_task(asyncio.to_thread(scene.check_served))
        try:
            for _ in range(500):
                writer.write(b"".join(words))
                await asyncio.sleep(0)
            await checking
        except ConnectionError:
            await checking
        finally:
            writer.transport.abort()

    asyncio.run(flood())
    assert scene.h1.connected


def make_strange_context(folder: Path, name: str) -> ssl.SSLContext:
    """A certificate for this name from an authority of the thief's own."""
    authority = pki.make_authority(datetime.now(UTC))
    key = pki.make_key()
    certificate = pki.sign_request(authority, name, pki.make_request(key, name), datetime.now(UTC))
    paths = [folder / one for one in PAPERS]
    for path, data in zip(paths, (certificate.encode(), pki.encode_key(key), authority.certificate), strict=True):
        path.write_bytes(data)
    return pki.make_host_context(*paths)


def test_only_the_servers_own_authority_makes_hosts(scene: Scene, tmp_path: Path) -> None:
    """A certificate in h1's name that another authority signed opens nothing; nor does none at all."""
    strange = make_strange_context(tmp_path, "h1")
    strange.check_hostname, strange.verify_mode = False, ssl.CERT_NONE
    nobody = ssl.create_default_context(cafile=scene.server.state / "h2" / "ca.pem")
    for context in (strange, nobody):
        try:
            heard = say(scene, hello("h1"), context=context)
        except OSError:
            continue  # refused in the handshake
        assert all(isinstance(message, m.Refuse) for message in heard)


def test_nothing_older_than_tls_1_3_is_spoken(scene: Scene) -> None:
    """An old protocol is refused in the handshake, with a good certificate too."""
    old = pki.make_host_context(*(scene.server.state / "h2" / name for name in PAPERS))
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2
    with pytest.raises(OSError):
        asyncio.run(connect(scene, old))


def test_a_host_cannot_play_the_server_to_another(scene: Scene) -> None:
    """With h2's certificate on a listener: h1 looks for the server's name in it and turns away."""

    async def run() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(scene.server.state / "h2" / "cert.pem", scene.server.state / "h2" / "key.pem")
        heard: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.read(100))
            writer.close()

        listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        victim = pki.make_host_context(*(Path(make_options(scene.server, "h1").state_path) / name for name in PAPERS))
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection(
                *listener.sockets[0].getsockname()[:2], ssl=victim, server_hostname=pki.SERVER_NAME
            )
        listener.close()
        assert not any(heard)

    asyncio.run(run())
