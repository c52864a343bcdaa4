"""The users of a server and the clouds.yaml that they find."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from netloom.api.identity import users
from netloom.api.identity.builtin import BuiltinIdentity
from netloom.main.options.server import ServerOptions, load_server_options
from netloom.main.servers.identities import find_public_url, follow_users, load_users


def load(folder: Path, **given: str) -> ServerOptions:
    return load_server_options((), {"state_path": str(folder), **{k.replace("__", "."): v for k, v in given.items()}})


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, "http://127.0.0.1:9696"),
        ({"bind_host": "::"}, "http://[::1]:9696"),
        ({"bind_host": "2001:db8::1"}, "http://[2001:db8::1]:9696"),
        ({"bind_host": "192.0.2.7", "bind_port": "80"}, "http://192.0.2.7:80"),
        ({"netloom__public_url": "https://net.example.org/"}, "https://net.example.org"),
    ],
)
def test_clients_are_told_an_address_that_they_can_reach(given: dict[str, str], url: str, tmp_path: Path) -> None:
    """public_url; else the address of the server, with brackets for IPv6 and loopback for "any"."""
    assert find_public_url(load(tmp_path, **given)) == url


def test_clouds_yaml_follows_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that moves tells so in clouds.yaml and keeps the passwords; a file of somebody's own is not touched."""
    monkeypatch.setattr(users, "BCRYPT_ROUNDS", 4)
    path = tmp_path / "clouds.yaml"
    store = load_users(load(tmp_path))
    first = path.read_text()
    assert load_users(load(tmp_path, netloom__public_url="https://net.example.org")) == store
    moved = path.read_text()
    assert moved == first.replace("http://127.0.0.1:9696", "https://net.example.org")
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text(f"{moved}# mine\n")
    load_users(load(tmp_path))
    assert path.read_text() == f"{moved}# mine\n"
    path.unlink()
    load_users(load(tmp_path))
    assert not path.exists()


def test_a_token_that_another_process_revoked_is_void_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes of one machine share the file of revoked tokens, and each takes over what the others write."""
    monkeypatch.setattr(users, "BCRYPT_ROUNDS", 4)
    store, path = load_users(load(tmp_path)), tmp_path / "identity.json"

    async def run() -> None:
        identity = BuiltinIdentity(store, bytes(32))
        following = asyncio.ensure_future(follow_users(identity, path, 0.01))
        await asyncio.sleep(0.05)
        path.write_bytes(users.save_identity(replace(store, revoked={"audit": 2e9})))
        async with asyncio.timeout(10):
            while "audit" not in identity.store.revoked:
                await asyncio.sleep(0.01)
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following

    asyncio.run(run())
