"""Certificates of hosts, end to end in one process: the server's fleet and the agent's own feed, over real TLS."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from netloom.feed import messages as m
from netloom.feed import pki
from netloom.feed.client import Feed, open_stream, request_join
from netloom.feed.codec import MAX_FROM_SERVER, make_frame, receive_frame
from netloom.intent.agents.agent import delete, mark_alive
from netloom.intent.operation import Context, Outcome
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Snapshot
from netloom.main.cli import app
from netloom.main.hosts.agent import Papers, make_feed
from netloom.main.options.host import HostOptions, load_host_options
from netloom.main.options.server import ServerOptions
from netloom.main.servers.fleet import HOSTS, WATCH_S, Fleet, make_join_token, serve_fleet
from netloom.main.servers.hosts import list_hosts, revoke_hosts
from netloom.store.writer import Writer
from tests.unit.main.fleet_kit import make_options, open_writers
from tests.waiting import end, until


@dataclass
class House:
    """A server's fleet on a socket file."""

    options: ServerOptions
    writer: Writer
    fleet: Fleet

    def host(self, name: str) -> HostOptions:
        folder = self.options.state_path
        given = {"host": name, "state_path": str(folder / name), "netloom.feed_server": f"unix:{folder}/s"}
        return load_host_options((), given)

    async def join(self, name: str, token: str = "") -> HostOptions:
        """The host with its certificate, as `netloom agent join` leaves it."""
        options = self.host(name)
        papers, key = Papers(options.state_path), pki.make_key()
        found = pki.parse_token(token or make_join_token(self.options, name))
        joined = await request_join(options.feed_server, found, pki.make_request(key, name))
        papers.write(papers.key, pki.encode_key(key))
        papers.save(joined)
        return options


def run(tmp_path: Path, test: Callable[[House], Awaitable[None]], life: timedelta = pki.HOST_LIFE) -> None:
    async def main() -> None:
        options = replace(make_options(tmp_path), certificate_life=life)
        async with open_writers(options) as (writer,), asyncio.timeout(30), serve_fleet(options, writer) as fleet:
            await test(House(options, writer, fleet))

    asyncio.run(main())


class Following:
    """A feed that runs meanwhile."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed

    async def __aenter__(self) -> Feed:
        self.task = asyncio.create_task(self.feed.run())
        await until(lambda: self.feed.connected)
        return self.feed

    async def __aexit__(self, *_: object) -> None:
        await end(self.task)


def test_an_agent_gets_its_next_certificate_by_itself(tmp_path: Path) -> None:
    """After two thirds of its life, on the connection that is there; that goes on when the old one has ended."""

    async def test(house: House) -> None:
        options = await house.join("h1")
        papers = Papers(options.state_path)
        first = papers.certificate.read_bytes()
        async with Following(make_feed(options, renew_look_s=0.1)) as feed:
            await until(lambda: papers.certificate.read_bytes() != first)
            assert pki.read_life(papers.certificate.read_bytes()).ends_s > pki.read_life(first).ends_s
            end = pki.read_life(first).ends_s
            await until(lambda: datetime.now(UTC).timestamp() > end + 1.2 or not feed.connected)
            assert feed.connected, "the connection has the life of the new certificate"
        async with Following(make_feed(options)):
            assert house.fleet.hub.hosts == {"h1"}

    run(tmp_path, test, timedelta(seconds=3))


def test_a_certificate_that_ended_is_let_in_no_more_and_lets_go(tmp_path: Path) -> None:
    """A host that does not renew is let go of at the end of its certificate, and cannot come back with it."""

    async def test(house: House) -> None:
        options = await house.join("h1")
        feed = make_feed(options)
        feed.renewal.csr = lambda: None
        async with Following(feed):
            await until(lambda: "h1" not in house.fleet.hub.hosts)
            assert (
                datetime.now(UTC).timestamp()
                > pki.read_life(Papers(options.state_path).certificate.read_bytes()).ends_s
            )
            assert await knock(options) != "welcome"

    run(tmp_path, test, timedelta(seconds=2))


async def knock(options: HostOptions) -> str:
    """What the server answers to a host's hello: the kind of message, and why if it refuses."""
    try:
        reader, writer = await open_stream(options.feed_server, Papers(options.state_path).open_context())
    except OSError as error:
        return type(error).__name__
    try:
        writer.write(make_frame(m.Hello(options.host)))
        answer = m.parse_from_server(await receive_frame(reader, MAX_FROM_SERVER))
    except (OSError, EOFError) as error:
        return type(error).__name__
    finally:
        writer.transport.abort()
    return answer.reason if isinstance(answer, m.Refuse) else type(answer).__name__.lower()


def test_a_revoked_host_is_let_go_of_within_seconds_and_kept_out(tmp_path: Path) -> None:
    """On its live connection and at the door; others do not notice; a new token lets it in again."""

    async def test(house: House) -> None:
        bad, good = await house.join("h1"), await house.join("h2")
        unused = make_join_token(house.options, "h1")
        async with Following(make_feed(bad)) as lost, Following(make_feed(good)) as kept:
            start = asyncio.get_running_loop().time()
            assert await asyncio.to_thread(revoke_hosts, house.options, ["h1"]) == []
            await until(lambda: "h1" not in house.fleet.hub.hosts and not lost.connected)
            assert asyncio.get_running_loop().time() - start < 5
            assert kept.connected
            assert "was revoked" in await knock(bad)
            assert await knock(good) == "welcome"
        with pytest.raises(pki.JoinError, match="not good"):
            await house.join("h1", unused)
        assert await knock(await house.join("h1")) == "welcome"

    run(tmp_path, test)


def test_a_revoked_host_cannot_renew_in_the_last_moment(tmp_path: Path) -> None:
    """Between the revocation and the next look the live connection gives no new certificate."""

    async def test(house: House) -> None:
        options = await house.join("h1")
        reader, writer = await open_stream(options.feed_server, Papers(options.state_path).open_context())
        writer.write(make_frame(m.Hello("h1")))
        await receive_frame(reader, MAX_FROM_SERVER)
        revoke_hosts(house.options, ["h1"])
        writer.write(make_frame(m.Renew(pki.make_request(pki.make_key(), "h1"))))
        seen: list[m.FromServer] = []
        while not any(isinstance(one, m.Refuse) for one in seen):
            seen.append(m.parse_from_server(await receive_frame(reader, MAX_FROM_SERVER)))
        assert not any(isinstance(one, m.Joined) for one in seen)
        writer.transport.abort()

    run(tmp_path, test)


def test_the_list_says_who_has_what(tmp_path: Path) -> None:
    """Joined and here, gone, revoked, invited: a line for each host."""

    async def test(house: House) -> None:
        here, gone = await house.join("here"), await house.join("gone")
        await house.join("void")
        make_join_token(house.options, "invited")
        revoke_hosts(house.options, ["void"])
        async with Following(make_feed(gone)):
            pass
        async with Following(make_feed(here)):
            await until(lambda: is_alive(house, "here") and not is_alive(house, "gone"))
            lines = await asyncio.to_thread(list_hosts, house.options)
        words = {line.split()[0]: line for line in lines[1:]}
        assert set(words) == {"gone", "here", "invited", "void"}
        assert "good until" in words["here"] and "here since" in words["here"]
        assert "good until" in words["gone"] and "gone since" in words["gone"]
        assert "revoked" in words["void"] and "never" in words["void"]
        assert "none; has a token" in words["invited"]

    run(tmp_path, test)


def is_alive(house: House, host: str) -> bool:
    agents = [one.doc for one in house.writer.snapshot.records("agent").values()]
    return any(doc["host"] == host and doc["alive"] for doc in agents)


def test_the_server_shows_its_next_certificate_without_a_restart(tmp_path: Path) -> None:
    """In the last third of its life a running server makes itself a new one; hosts follow it as before."""

    async def test(house: House) -> None:
        options = await house.join("h1")
        old = house.fleet._certificates.authority
        late = datetime.now(UTC) - pki.SERVER_LIFE * 0.9
        aged = replace(old, server=pki.make_server_pair(old.authority, late))
        (tmp_path / "feed" / "server.key").write_bytes(aged.server.key)
        (tmp_path / "feed" / "server.pem").write_bytes(aged.server.certificate)
        house.fleet._certificates.authority = aged
        await until(lambda: house.fleet._certificates.authority.server != aged.server)
        assert pki.ends_at((tmp_path / "feed" / "server.pem").read_bytes()) > datetime.now(UTC) + pki.SERVER_LIFE * 0.9
        assert await knock(options) == "welcome"
        assert await knock(await house.join("h2")) == "welcome"

    run(tmp_path, test)


def test_a_host_cannot_take_anothers_tunnel_address(tmp_path: Path) -> None:
    """Two hosts with one address would steal each other's frames: the second is refused, be the first here or not,
    until somebody says that the first is gone for good."""

    async def test(house: House) -> None:
        first, second = await house.join("h1"), await house.join("h2")
        same = {"tunneling_ip": "192.0.2.1"}
        one, two = make_feed(first), make_feed(second)
        one._report = two._report = m.Report(same)
        async with Following(one):
            await until(lambda: is_alive(house, "h1"))
            assert "is that of h1" in await claim(second, same)
        await until(lambda: "h1" not in house.fleet.hub.hosts and not is_alive(house, "h1"))
        assert "openstack network agent delete" in await claim(second, same)
        for agent in list(house.writer.snapshot.find("agent", "host", "h1")):
            await house.writer.submit(partial(delete_agent, agent), HOSTS)
        async with Following(two):
            await until(lambda: is_alive(house, "h2"))

    run(tmp_path, test)


def delete_agent(agent: Doc, snapshot: Snapshot, context: Context) -> Outcome:
    return delete(snapshot, agent, context)


async def claim(options: HostOptions, configurations: dict[str, str]) -> str:
    """Why the host may not say this of itself."""
    reader, writer = await open_stream(options.feed_server, Papers(options.state_path).open_context())
    writer.write(make_frame(m.Hello(options.host, configurations=configurations)))
    answer = m.parse_from_server(await receive_frame(reader, MAX_FROM_SERVER))
    writer.transport.abort()
    assert isinstance(answer, m.Refuse)
    return answer.reason


def test_a_host_that_is_here_is_alive_whoever_missed_that(tmp_path: Path) -> None:
    """Another server notices late that the host left it: what it writes then does not stand."""

    async def test(house: House) -> None:
        async with Following(make_feed(await house.join("h1"))):
            await until(lambda: is_alive(house, "h1"))
            await house.writer.submit(lambda snapshot, context: mark_alive(snapshot, context, "h1", False), HOSTS)
            revision = house.writer.snapshot.revision
            await until(lambda: house.writer.snapshot.revision > revision and is_alive(house, "h1"))

    run(tmp_path, test)


def test_two_hosts_that_come_at_once_do_not_share_a_tunnel_address(tmp_path: Path) -> None:
    """It is decided in the write: one of them is refused."""

    async def test(house: House) -> None:
        words = [house.fleet.report(host, {"tunneling_ip": "192.0.2.1"}, None) for host in ("h1", "h2")]
        done = await asyncio.gather(*words, return_exceptions=True)
        assert [type(one) for one in done] == [type(None), m.MessageError]

    run(tmp_path, test)


def test_a_book_that_cannot_be_read_lets_nobody_in(tmp_path: Path) -> None:
    """Who is here stays, who comes is refused with the file's name, and the server does not start with it."""

    async def test(house: House) -> None:
        options, other = await house.join("h1"), await house.join("h2")
        path = tmp_path / "feed" / "hosts.json"
        good = path.read_bytes()
        async with Following(make_feed(options)) as feed:
            path.write_text('{"hosts": {"h1": {"issued')
            await asyncio.sleep(WATCH_S * 1.2)  # that nothing happens has no event to wait for
            assert feed.connected
            assert "hosts.json cannot be read" in await knock(other)
            path.write_bytes(good)
            assert await knock(other) == "welcome"
        path.write_text("{}")

    run(tmp_path, test)
    with pytest.raises(pki.JoinError, match="put back a copy"):
        run(tmp_path, test)


def test_the_commands_say_what_they_did(tmp_path: Path) -> None:
    """list of nobody makes nothing; revoke of a stranger says so and ends with 1."""
    runner, given = CliRunner(), ["--set", f"state_path={tmp_path}/s"]
    assert "no host has joined" in runner.invoke(app, ["agent", "list", *given]).stdout
    assert not (tmp_path / "s").exists()
    done = runner.invoke(app, ["agent", "revoke", "h9", *given])
    assert (done.exit_code, "never joined" in done.stderr) == (1, True)
    assert json.loads((tmp_path / "s/feed/hosts.json").read_bytes())["hosts"]["h9"]["revoked_s"] > 0
