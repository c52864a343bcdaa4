"""Servers on several machines have one authority, one key and one list of who is revoked: the store's."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from netloom.api.identity import users
from netloom.api.identity.users import load_identity
from netloom.feed.pki import SERVER_LIFE, JoinError, parse_token
from netloom.main.options.server import load_server_options
from netloom.main.servers.authority import open_authority
from netloom.main.servers.identities import keep_users, load_users
from netloom.main.servers.shared_state import Share, agree_on_file, fetch, make_share
from netloom.store.engine import open_shared

NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)


@pytest.fixture
def share(tmp_path: Path) -> Iterator[Share]:
    store = open_shared(f"sqlite:///{tmp_path}/netloom.db")
    yield Share(store)
    store.close()


def test_a_second_machine_has_the_first_ones_authority(share: Share, tmp_path: Path) -> None:
    """Keys and certificates are the same on both, also after the server's certificate was made anew."""
    first = open_authority(tmp_path / "a", NOW, share=share)
    second = open_authority(tmp_path / "b", NOW, share=share)
    assert (second.authority, second.server) == (first.authority, first.server)
    later = NOW + SERVER_LIFE * 0.7
    renewed = open_authority(tmp_path / "b", later, share=share)
    assert renewed.server != first.server
    assert open_authority(tmp_path / "a", later, share=share).server == renewed.server
    assert (tmp_path / "a/server.pem").read_bytes() == renewed.server.certificate


def test_two_machines_that_start_at_once_agree(share: Share, tmp_path: Path) -> None:
    """Whoever is faster: there is one authority."""
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: open_authority(tmp_path / str(n), NOW, share=share), range(4)))
    assert len({one.authority.certificate for one in found}) == len({one.server.certificate for one in found}) == 1


def test_an_authority_of_its_own_is_set_aside(share: Share, tmp_path: Path) -> None:
    """The first to come gives its own to the store; that of a later one is kept beside."""
    one, other = open_authority(tmp_path / "a", NOW), open_authority(tmp_path / "b", NOW)
    assert open_authority(tmp_path / "a", NOW, share=share).authority == one.authority
    assert open_authority(tmp_path / "b", NOW, share=share).authority == one.authority
    assert (tmp_path / "b/authority.pem.old").read_bytes() == other.authority.certificate


def test_a_join_token_is_good_once_at_any_server(share: Share, tmp_path: Path) -> None:
    """Made at one machine, used at another, worth nothing at the first."""
    first, second = (open_authority(tmp_path / name, NOW, share=share) for name in "ab")
    token = parse_token(first.make_token("h1", NOW))
    second.use_token("h1", token.secret, NOW)
    for authority in (first, second):
        with pytest.raises(JoinError):
            authority.use_token("h1", token.secret, NOW)


def test_who_is_revoked_at_one_is_revoked_at_all(share: Share, tmp_path: Path) -> None:
    """As soon as the other has looked."""
    first = open_authority(tmp_path / "a/feed", NOW, share=share)
    second = open_authority(tmp_path / "b/feed", NOW, share=share)
    first.revoke("h1", NOW)
    assert set(fetch(share, tmp_path / "b")) == {"feed/hosts.json", "feed/tokens.json"}
    assert second.load_hosts().hosts["h1"].revoked
    assert fetch(share, tmp_path / "b") == []


def test_users_and_the_key_of_tokens_are_the_same(
    share: Share, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token of one server is good at the other, and void at both when it is revoked at either."""
    monkeypatch.setattr(users, "BCRYPT_ROUNDS", 4)
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
    keys = [agree_on_file(share, folder / "token.key", "token.key", lambda: bytes(32)) for folder in folders]
    assert keys[0] == keys[1] and (folders[1] / "token.key").stat().st_mode & 0o777 == 0o600
    stores = [load_users(load_server_options((), {"state_path": str(folder)}), share) for folder in folders]
    assert stores[0] == stores[1]
    assert not (folders[1] / "clouds.yaml").exists()  # the passwords are where the users were made
    keep_users(share, folders[0] / "identity.json", replace(stores[0], revoked={"x": 2e9}))
    keep_users(share, folders[1] / "identity.json", replace(stores[1], revoked={"y": 2e9}))
    fetch(share, folders[0])
    assert load_identity((folders[0] / "identity.json").read_bytes()).revoked == {"x": 2e9, "y": 2e9}


def test_a_file_is_shared_by_its_folder(tmp_path: Path) -> None:
    """Processes of one machine on a file need nothing else."""
    store = open_shared(f"sqlite:///{tmp_path}/netloom.db")
    assert make_share(store) is None
    store.close()
