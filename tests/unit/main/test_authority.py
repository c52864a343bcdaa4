"""The authority on disk: made once, tokens used once, also by two at a time."""

from __future__ import annotations

import datetime
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from netloom.feed.pki import SERVER_LIFE, TOKEN_LIFE_S, JoinError, fingerprint, parse_token
from netloom.main.servers.authority import open_authority

NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)


def test_an_authority_is_made_once_and_is_private(tmp_path: Path) -> None:
    """A restart finds the same authority and server certificate; keys are for their owner alone."""
    first = open_authority(tmp_path / "feed", NOW)
    assert open_authority(tmp_path / "feed", NOW) == first
    for key in (tmp_path / "feed").glob("*.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_a_server_certificate_is_made_anew_in_time(tmp_path: Path) -> None:
    """In the last third of its life the server's certificate is replaced, the authority stays."""
    first = open_authority(tmp_path, NOW)
    assert open_authority(tmp_path, NOW + SERVER_LIFE * 0.7, renew=False) == first
    later = open_authority(tmp_path, NOW + SERVER_LIFE * 0.7)
    assert later.authority == first.authority
    assert later.server != first.server
    assert later.server_certificate_file.read_bytes() == later.server.certificate


def test_half_a_pair_is_made_anew(tmp_path: Path) -> None:
    """A kill between key and certificate leaves no pair that does not match."""
    first = open_authority(tmp_path, NOW)
    first.server_certificate_file.unlink()
    second = open_authority(tmp_path, NOW)
    assert second.server.key != first.server.key
    assert open_authority(tmp_path, NOW) == second


def test_a_token_is_good_once_for_its_host(tmp_path: Path) -> None:
    """It names the server's certificate; it is refused for another host, a second time, and after its hour."""
    authority = open_authority(tmp_path, NOW)
    token = parse_token(authority.make_token("h1", NOW))
    assert token.fingerprint == fingerprint(authority.server.certificate)
    with pytest.raises(JoinError):
        authority.use_token("h2", token.secret, NOW)
    # another process, as the server beside `netloom agent token`
    open_authority(tmp_path, NOW).use_token("h1", token.secret, NOW)
    with pytest.raises(JoinError):
        authority.use_token("h1", token.secret, NOW)
    late = parse_token(authority.make_token("h1", NOW))
    with pytest.raises(JoinError):
        authority.use_token("h1", late.secret, NOW + datetime.timedelta(seconds=TOKEN_LIFE_S + 1))


def test_no_secret_is_kept(tmp_path: Path) -> None:
    """Who reads the book cannot join with it."""
    token = parse_token(open_authority(tmp_path, NOW).make_token("h1", NOW))
    assert token.secret not in (tmp_path / "tokens.json").read_text()


def test_a_token_used_by_many_at_once_is_good_for_one(tmp_path: Path) -> None:
    """Of several hosts that show one token at the same time, one joins."""
    authority = open_authority(tmp_path, NOW)
    token = parse_token(authority.make_token("h1", NOW))

    def attempt(_: int) -> bool:
        try:
            authority.use_token("h1", token.secret, NOW)
        except JoinError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(16))) == 1
