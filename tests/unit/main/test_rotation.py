"""The authority of hosts is replaced by another: who signs, who is trusted, and when the old one may go."""

from __future__ import annotations

import asyncio
import datetime
import random
import ssl
from pathlib import Path

import pytest

from netloom.feed import messages as m
from netloom.feed import pki
from netloom.feed.papers import Renewal
from netloom.feed.pki import HostBook, HostEntry, JoinError
from netloom.main.hosts.papers import Papers
from netloom.main.options.server import ServerOptions, load_server_options
from netloom.main.servers.authority import Authority, load_pair, open_authority
from netloom.main.servers.rotation import begin, end, find_late

NOW = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
LATER = NOW + datetime.timedelta(days=1)
THEN = LATER + datetime.timedelta(seconds=1)


def make_options(folder: Path) -> ServerOptions:
    return load_server_options((), {"state_path": str(folder)})


def join(authority: Authority, host: str, now: datetime.datetime) -> bytes:
    return authority.issue(host, pki.make_request(pki.make_key(), host), now, pki.HOST_LIFE).encode()


def test_a_new_authority_signs_hosts_while_the_server_is_of_the_old(tmp_path: Path) -> None:
    """Hosts that know the old one alone still believe the server; begun twice it is begun once."""
    first = open_authority(tmp_path / "feed", NOW)
    said = begin(make_options(tmp_path), LATER)
    assert said[0] == "two authorities are trusted; the newer one signs, since 2026-11-02 00:00:00 UTC"
    second = open_authority(tmp_path / "feed", LATER)
    assert second.trusted[1:] == first.trusted and second.server == first.server
    with pytest.raises(JoinError, match="try again"):
        join(first, "h1", LATER)
    certificate = join(first, "h1", THEN)
    assert pki.is_by(certificate, second.authority.certificate) and not pki.is_by(certificate, first.trusted[0])
    begin(make_options(tmp_path), LATER)
    assert open_authority(tmp_path / "feed", LATER) == second


def test_the_old_authority_goes_when_no_host_is_left_with_it(tmp_path: Path) -> None:
    """Named are those that are late; the server's certificate is by the new one then, and nothing was set aside."""
    authority = open_authority(tmp_path / "feed", NOW)
    options = make_options(tmp_path)
    with pytest.raises(JoinError, match="nothing to end"):
        end(options, NOW)
    join(authority, "h1", NOW)
    begin(options, LATER)
    with pytest.raises(JoinError, match="1 without a certificate by the newer authority: h1; see that they come"):
        end(options, LATER)
    join(authority, "h1", THEN)
    end(options, THEN)
    left = open_authority(tmp_path / "feed", LATER)
    assert len(left.trusted) == 1 and left.trusted != authority.trusted
    assert pki.is_by(left.server.certificate, left.trusted[0])
    assert not list(tmp_path.rglob("*.old"))


def test_hosts_that_never_come_are_given_up_by_order(tmp_path: Path) -> None:
    """--anyway names them; they join again."""
    authority = open_authority(tmp_path / "feed", NOW)
    join(authority, "h1", NOW)
    begin(make_options(tmp_path), LATER)
    assert end(make_options(tmp_path), LATER, anyway=True)[1] == "to join again: h1"


def test_without_an_authority_there_is_none_to_replace(tmp_path: Path) -> None:
    (tmp_path / "feed").mkdir()
    with pytest.raises(JoinError, match="start a server first"):
        begin(make_options(tmp_path), NOW)


def test_late_is_who_has_a_good_certificate_of_before() -> None:
    """Revoked ones, and those whose certificates have ended, need no waiting for."""
    entries = {
        "old": HostEntry(10, 100), "new": HostEntry(60, 100), "ended": HostEntry(10, 20),
        "revoked": HostEntry(10, 100, revoked_s=30), "relay/r1": HostEntry(50, 100),
    }  # fmt: skip
    assert find_late(HostBook(entries), 50, 50) == ["old", "relay/r1"]


def test_a_server_goes_by_its_papers_as_they_are_now(tmp_path: Path) -> None:
    """One context for as long as it listens: who is signed by an authority that was dropped comes in no more."""
    old, new = pki.make_authority(datetime.datetime.now(datetime.UTC)), open_authority(tmp_path / "s", now())
    (tmp_path / "s" / "authority.pem").write_bytes(new.authority.certificate + old.certificate)
    context = pki.make_server_context(new.server_certificate_file, new.server_key_file, new.authority_file)
    papers, key = Papers(tmp_path / "h"), pki.make_key()
    papers.write(papers.key, pki.encode_key(key))
    papers.write(papers.authority, new.authority.certificate)
    papers.write(papers.certificate, pki.issue(old, "h1", key.public_key(), now(), server=False))

    async def knock() -> bytes:
        reader, writer = await asyncio.open_unix_connection(
            tmp_path / "sock", ssl=papers.open_context(), server_hostname=pki.SERVER_NAME
        )
        try:
            async with asyncio.timeout(10):
                return await reader.read(2)
        except (ssl.SSLError, ConnectionError):
            return b""
        finally:
            writer.transport.abort()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hi")
        await writer.drain()
        writer.close()

    async def run() -> list[bytes]:
        async with await asyncio.start_unix_server(serve, tmp_path / "sock", ssl=context):
            before = await knock()
            new.authority_file.unlink()
            without = await knock()  # half-written papers count for nothing yet
            new.authority_file.write_bytes(new.authority.certificate)
            return [before, without, await knock()]

    assert asyncio.run(run()) == [b"hi", b"hi", b""]


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def test_a_host_asks_once_for_each_change_of_authorities(tmp_path: Path) -> None:
    """When a server says that it trusts others, and not again however often it says so; an older one says nothing."""
    authority = open_authority(tmp_path / "feed", NOW)
    papers = Papers(tmp_path / "h1")
    papers.write(papers.key, pki.encode_key(pki.make_key()))
    papers.write(papers.authority, authority.authority.certificate)
    tag = pki.find_tag(authority.authority.certificate)
    assert [papers.make_anew("h1", said) is None for said in ("", tag, "another")] == [True, True, False]
    sent: list[bytes] = []

    class Writer:
        def write(self, data: bytes) -> None:
            sent.append(data)

    async def run() -> None:
        renewal = Renewal(lambda: None, lambda said: papers.make_anew("h1", said), random.Random(1), 3600.0)
        task = asyncio.create_task(renewal.run(Writer()))  # type: ignore[arg-type]
        for said in (m.Ping(), m.Ping(tag), m.Ping("another"), m.Ping("another"), m.Welcome(authority="another")):
            renewal.hear(said)
            for _ in range(5):
                await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    assert len(sent) == 1


def test_a_pair_that_came_of_ours_is_not_set_aside(tmp_path: Path) -> None:
    """A stranger's is (test_shared_state); what a rotation made of it is not."""
    open_authority(tmp_path / "feed", NOW)
    begin(make_options(tmp_path), LATER)
    assert load_pair(tmp_path / "feed", "authority") is not None
    assert sorted(path.name for path in (tmp_path / "feed").glob("authority*")) == ["authority.key", "authority.pem"]
