"""A real server and requests of ill will, byte by byte: each is refused or its connection ends; others are served."""

from __future__ import annotations

import json
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.server import Server

HEAD = b"Host: api\r\nX-Roles: admin\r\nX-Project-Id: p\r\n"
NETWORK = b'{"network":{"name":"x"}}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("hostile") / "state")
    found.start()
    yield found
    found.stop()


def talk(server: Server, data: bytes, most_s: float = 20.0) -> bytes:
    """All that the server says to these bytes, until it closes, or says no more for a while after it said something."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=most_s) as line:
        said = b""
        try:
            line.sendall(data)
            while part := line.recv(65536):
                said += part
                line.settimeout(0.3)
        except (TimeoutError, ConnectionError):
            pass
        return said


def read_statuses(said: bytes) -> list[int]:
    return [int(part[:3]) for part in said.split(b"HTTP/1.1 ")[1:]]


def count_networks(server: Server) -> int:
    said = talk(server, b"GET /v2.0/networks HTTP/1.1\r\n" + HEAD + b"Connection: close\r\n\r\n")
    return len(json.loads(said.partition(b"\r\n\r\n")[2])["networks"])


def post(body: bytes, *headers: bytes, target: bytes = b"/v2.0/networks") -> bytes:
    named = b"".join(header + b"\r\n" for header in headers)
    return b"POST " + target + b" HTTP/1.1\r\n" + HEAD + named + b"\r\n" + body


SMUGGLED = post(NETWORK, b"Content-Length: %d" % len(NETWORK))
AMBIGUOUS = {
    "two lengths": post(b"", b"Content-Length: 0", b"Content-Length: %d" % len(SMUGGLED)) + SMUGGLED,
    "a length and chunks": post(b"0\r\n\r\n", b"Content-Length: 5", b"Transfer-Encoding: chunked") + SMUGGLED,
    "chunks and a length": post(b"0\r\n\r\n", b"Transfer-Encoding: chunked", b"Content-Length: 5") + SMUGGLED,
    "another coding": post(b"0\r\n\r\n", b"Transfer-Encoding: xchunked") + SMUGGLED,
    "a length with a sign": post(b"", b"Content-Length: +0") + SMUGGLED,
    "a length that is none": post(b"", b"Content-Length: 0x5") + SMUGGLED,
    "a space before the colon": post(b"", b"Content-Length : 0") + SMUGGLED,
    "a negative length": post(b"", b"Content-Length: -1") + SMUGGLED,
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_a_request_whose_end_is_in_doubt_is_refused_and_nothing_behind_it_is_read(name: str, server: Server) -> None:
    """Request smuggling: what one reader takes for a body and another for a request is carried out by none."""
    before = count_networks(server)
    said = talk(server, AMBIGUOUS[name])
    assert all(status >= 400 for status in read_statuses(said)), said[:300]
    assert count_networks(server) == before


BOMBS = {
    "a header of a megabyte": b"GET / HTTP/1.1\r\nX-A: " + b"a" * (1 << 20) + b"\r\n\r\n",
    "a path of a megabyte": b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
    "many segments": b"GET /v2.0" + b"/a" * 20_000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
    "dots": b"GET /v2.0/../../../../etc/passwd HTTP/1.1\r\n" + HEAD + b"\r\n",
    "encoded dots": b"GET /v2.0/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\n" + HEAD + b"\r\n",
    "a line in a path": b"GET /v2.0/networks/x%0d%0aX-Injected:%201 HTTP/1.1\r\n" + HEAD + b"\r\n",
    "no protocol": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_request_that_is_too_much_costs_its_connection_alone(name: str, server: Server) -> None:
    """Refused or not found, soon, and nothing of it comes back as a header."""
    said = talk(server, BOMBS[name])
    assert all(400 <= status < 500 for status in read_statuses(said)), said[:300]
    assert b"\r\nX-Injected" not in said and b"root:" not in said
    assert server.answers()


def nest(depth: int, one: bytes, other: bytes) -> bytes:
    return b'{"network":{"name":' + one * depth + b"1" + other * depth + b"}}"


BODIES = {
    "deep lists": nest(200_000, b"[", b"]"),
    "deep objects": nest(100_000, b'{"a":', b"}"),
    "never closed": b"[" * 300_000,
    "a number of 100,000 digits": b'{"network":{"mtu":' + b"9" * 100_000 + b"}}",
    "a number beyond all": b'{"network":{"mtu":1e400}}',
    "half a pair": b'{"network":{"name":"\\ud800"}}',
    "a key twice": b'{"network":{"name":"a","name":{"b":1}}}',
    "no UTF-8": b'{"network":{"name":"\xff\xfe"}}',
    "a zero": b'{"network":{"name":"a\x00b"}}',
    "100,000 keys": b'{"network":{' + b",".join(b'"k%d":1' % n for n in range(100_000)) + b"}}",
    "a list of everything": b'{"networks":[' + b",".join([b"{}"] * 50_000) + b"]}",
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_is_a_bomb_is_refused(name: str, server: Server) -> None:
    """400, by a server that is there afterwards, and with nothing made."""
    before, body = count_networks(server), BODIES[name]
    said = talk(server, post(body, b"Content-Length: %d" % len(body), b"Connection: close"))
    assert all(400 <= status < 500 for status in read_statuses(said)) and read_statuses(said), said[:300]
    assert server.answers() and count_networks(server) == before


def test_who_says_nothing_keeps_nobody_waiting(server: Server) -> None:
    """Two hundred connections with half a request each: the next one is answered at once."""
    lines = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(200)]
    try:
        for line in lines:
            line.sendall(b"POST /v2.0/networks HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
        assert count_networks(server) >= 0 and server.answers()
    finally:
        for line in lines:
            line.close()


def test_no_name_makes_a_line_of_the_log(server: Server) -> None:
    """What is in a path, a header or a body stands in the line of its own event."""
    forged = "2026-11-21 01:02:03,456 INFO netloom.forged"
    encoded = forged.replace(" ", "%20").encode()
    talk(server, b"GET /v2.0/networks/x%0a" + encoded + b" HTTP/1.1\r\n" + HEAD + b"\r\n")
    body = json.dumps({"network": {"name": f"x\n{forged}", "mtu": f"\n{forged}"}}).encode()
    talk(server, post(body, b"Content-Length: %d" % len(body), b"X-Openstack-Request-Id: req-\t" + forged.encode()))
    end = time.monotonic() + 60
    while "POST /v2.0/networks 400" not in server.log.read_text():
        assert time.monotonic() < end
        time.sleep(0.05)
    assert all(not line.startswith(forged) for line in server.log.read_text().splitlines())


SECRET = ("*.key", "*.json", "*.db", "*.db-wal", "*.sock")


def test_what_a_server_keeps_is_its_own_to_read(server: Server, tmp_path: Path) -> None:
    """Keys, tokens, users and the store: no other user of the machine may read them, nor speak to its sockets."""
    with_users = Server(tmp_path / "state", auth="builtin")
    with_users.start()
    found = [path for one in (server, with_users) for pattern in SECRET for path in one.state.rglob(pattern)]
    names = {path.name for path in found}
    assert {"netloom.db", "token.key", "identity.json", "authority.key", "server.key", "feed.sock"} <= names
    assert [path for path in found if is_open(path)] == []
    with_users.stop()


def is_open(path: Path) -> bool:
    """Whether any user of the machine gets at it, by its own mode and its folder's. A socket is used by writing."""
    about = path.stat()
    taken = stat.S_IWOTH if stat.S_ISSOCK(about.st_mode) else stat.S_IROTH | stat.S_IWOTH
    return bool(path.parent.stat().st_mode & stat.S_IXOTH) and bool(about.st_mode & taken)
