"""Real servers, a relay and hosts, while the authority of their certificates is replaced by another."""

from __future__ import annotations

import asyncio
import datetime
import signal
import urllib.error
from pathlib import Path

import pytest

from netloom.feed import messages as m
from netloom.feed import pki
from netloom.feed.client import open_stream
from netloom.feed.codec import make_frame, receive_frame
from netloom.feed.pki import JoinError, Pair
from netloom.main.hosts.papers import Papers
from netloom.main.options.host import HostOptions
from netloom.main.servers.authority import load_pair
from netloom.main.servers.rotation import begin, end
from tests.faults.host import attached, join_host
from tests.faults.server import Server
from tests.faults.several import NETLOOM, find_writer, order, stop_all
from tests.faults.test_relay import RelayProcess, ask, following, is_active, make_host, make_port, wait_until
from tests.faults.test_two_machines import load, make_machines


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def rotate(server: Server, *words: str) -> str:
    command = [*NETLOOM, "server", "rotate-authority", *words, "--set", f"state_path={server.state}"]
    return order(command)


def is_renewed(options: HostOptions, authority: bytes, trusted: int) -> bool:
    """Whether the host's certificate is by the new authority, and the host trusts so many."""
    papers = Papers(options.state_path)
    known = papers.authority.read_bytes()
    return len(pki.split_trusted(known)) == trusted and pki.is_by(papers.certificate.read_bytes(), authority)


def creates(server: Server) -> bool:
    """Whether it takes a write, of its own or handed on; a 503 is a server that waits for the next writer."""
    try:
        return bool(ask(server, "POST", "networks", {"network": {"name": "n"}})["network"]["id"])
    except urllib.error.URLError as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        return False


async def greet(address: str, authority: Pair, known: bytes, host: str, folder: Path) -> str:
    """What the server says to who has a certificate of this authority; nothing: it takes no word of it."""
    key = pki.make_key()
    certificate = pki.issue(authority, host, key.public_key(), now(), server=False)
    papers = Papers(folder / host)
    papers.write(papers.key, pki.encode_key(key))
    papers.write(papers.authority, known)
    papers.write(papers.certificate, certificate)
    try:
        async with asyncio.timeout(20):
            reader, writer = await open_stream(address, papers.open_context())
            try:
                writer.write(make_frame(m.Hello(host)))
                found = m.parse_from_server(await receive_frame(reader, 1 << 20))
            finally:
                writer.transport.abort()
            return type(found).__name__
    except (OSError, EOFError):
        return "nothing"


def test_an_authority_is_replaced_and_no_host_is_lost(tmp_path: Path) -> None:
    """By the command beside a running server: hosts, one behind a relay, get their next certificates; the old authority
    goes when all have, and what it signs from then on is worth nothing."""
    server = Server(tmp_path)
    server.start()
    relay = RelayProcess(server, "r1")
    relay.start()
    try:
        wait_until(lambda: (relay.state / "feed.sock").exists())
        direct, behind = make_host(server, "h1", server.feed), make_host(server, "h2", relay.address)
        late = join_host(server, "h3")
        old = load_pair(server.state / "feed", "authority")
        assert old is not None
        with following(direct) as first, following(behind) as second:
            wait_until(lambda: first.connected and second.connected)
            assert asyncio.run(greet(server.feed, old, old.certificate, "h8", tmp_path)) == "Welcome"
            assert "without a certificate by the newer authority: h1, h2, h3, relay/r1" in rotate(server)
            new = load_pair(server.state / "feed", "authority")
            assert new is not None
            wait_until(lambda: all(is_renewed(host, new.certificate, 2) for host in (direct, behind)))
            wait_until(lambda: "1 without a certificate by the newer authority: h3" in begin(load(server), now())[1])
            with pytest.raises(JoinError, match="newer authority: h3; see that they come"):
                end(load(server), now())
            assert asyncio.run(greet(server.feed, old, old.certificate, "h8", tmp_path)) == "Welcome"
            with attached(server, "h3", join=False):  # it was away, and knows the old one alone
                wait_until(lambda: is_renewed(late, new.certificate, 2))
            assert "trusted no more" in rotate(server, "--finish")
            wait_until(lambda: all(is_renewed(host, new.certificate, 1) for host in (direct, behind)))
            last = load_pair(server.state / "feed", "authority")
            assert last is not None and pki.split_trusted(last.certificate) == pki.split_trusted(new.certificate)[:1]
            assert asyncio.run(greet(server.feed, old, last.certificate, "h8", tmp_path)) == "nothing"
            assert asyncio.run(greet(relay.address, old, last.certificate, "h8", tmp_path)) == "nothing"
            network = ask(server, "POST", "networks", {"network": {"name": "n"}})["network"]["id"]
            ports = [make_port(server, network, host) for host in ("h1", "h2")]
            wait_until(lambda: all(is_active(server, port) for port in ports))
        assert "Traceback" not in server.log.read_text() + (relay.state / "out").read_text()
    finally:
        relay.end(signal.SIGKILL)
        server.stop()


def test_servers_of_several_machines_change_their_authority_together(tmp_path: Path) -> None:
    """Begun and ended at one machine: hosts of the other renew there, and requests are handed on before and after."""
    machines = make_machines(tmp_path)
    for server in machines:
        server.auth = "noauth"
    first, second = machines
    try:
        for server in machines:
            server.start()
        with attached(second, "h1") as feed:
            begin(load(first), now())
            wait_until(lambda: "every host" in begin(load(first), now())[1])
            end(load(first), now())
            papers = Papers(second.state / "h1")
            wait_until(lambda: feed.connected and len(pki.split_trusted(papers.authority.read_bytes())) == 1)
        for name in ("authority", "server"):
            wait_until(lambda: len({load_pair(server.state / "feed", name) for server in machines}) == 1)  # noqa: B023
        assert not list(tmp_path.rglob("*.old"))
        writer = asyncio.run(find_writer(machines, 60.0))
        machines[writer].stop()  # the other one takes the seat, and this one's new connection is by the new papers
        machines[writer].start()
        for server in machines:
            wait_until(lambda: creates(server))  # noqa: B023
    finally:
        stop_all(machines)
