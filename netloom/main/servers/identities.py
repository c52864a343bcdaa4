"""Who may ask, in the three ways of `auth_strategy`: builtin, keystone, noauth.

The builtin users are made at the first start; their passwords are written once, to clouds.yaml in the state folder.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from netloom.api.identity.builtin import BuiltinIdentity
from netloom.api.identity.keystone import KeystoneIdentity, make_client
from netloom.api.identity.noauth import NoAuth
from netloom.api.identity.users import (
    IdentityStore,
    load_identity,
    make_builtin_users,
    read_passwords,
    render_clouds_yaml,
    save_identity,
)
from netloom.api.parts import Identity, Mounted
from netloom.main.options.server import ServerOptions
from netloom.main.servers.shared_state import Share, agree_on_file
from netloom.main.servers.state import save_file
from netloom.store.context import make_id

FOLLOW_S = 1.0


@dataclass(frozen=True, slots=True)
class Identities:
    """`identity` answers who asks; `mounts` serves tokens where we do that ourselves; `close` ends what it opened."""

    identity: Identity
    mounts: Mapping[str, Mounted]
    close: Callable[[], Awaitable[None]]
    follow: Callable[[], Coroutine[Any, Any, None]] = lambda: do_nothing()
    """Takes over what other processes change, until cancelled."""


def find_public_url(options: ServerOptions) -> str:
    """The address that clouds.yaml names: public_url, else our own; a wildcard address is the loopback one."""
    if options.public_url:
        return options.public_url
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(options.bind_host, options.bind_host)
    return f"{'https' if options.tls_cert else 'http'}://{f'[{host}]' if ':' in host else host}:{options.bind_port}"


def load_users(options: ServerOptions, share: Share | None = None) -> IdentityStore:
    """The builtin users; at a first start they are made and clouds.yaml is written. Blocks for the hashing."""
    path = options.state_path / "identity.json"
    if path.exists() or (share is not None and share.read(path.name) is not None):
        renew_clouds(options)
    return load_identity(agree_on_file(share, path, path.name, lambda: make_users(options)))


def make_users(options: ServerOptions) -> bytes:
    store, passwords = make_builtin_users(make_id, lambda: secrets.token_urlsafe(15))
    # The passwords go first: users whose passwords nobody knows would be made only once.
    save_clouds(options, passwords)
    return save_identity(store)


def save_clouds(options: ServerOptions, passwords: Mapping[str, str]) -> None:
    cacert = str(options.tls_cert) if options.tls_cert else ""
    text = render_clouds_yaml(f"{find_public_url(options)}/identity/v3", passwords, cacert=cacert)
    save_file(options.state_path / "clouds.yaml", text.encode())


def renew_clouds(options: ServerOptions) -> None:
    """Where the file is still as we wrote it, it follows a changed address; one that somebody edited is theirs."""
    path = options.state_path / "clouds.yaml"
    if path.exists() and (passwords := read_passwords(path.read_text())):
        save_clouds(options, passwords)


def make_builtin(options: ServerOptions, share: Share | None = None) -> Identities:
    path: Path = options.state_path / "identity.json"

    async def persist(store: IdentityStore) -> None:
        await asyncio.to_thread(keep_users, share, path, store)

    key = agree_on_file(share, options.state_path / "token.key", "token.key", lambda: os.urandom(32))
    scheme = "https" if options.tls_cert else "http"
    identity = BuiltinIdentity(load_users(options, share), key, persist, public_url=options.public_url, scheme=scheme)
    return Identities(identity, {"/identity": identity}, do_nothing, lambda: follow_users(identity, path))


def keep_users(share: Share | None, path: Path, store: IdentityStore) -> None:
    """With servers of other machines: what they revoked meanwhile stays revoked."""

    def merge(old: bytes | None) -> bytes:
        revoked = load_identity(old).revoked if old is not None else {}
        return save_identity(replace(store, revoked={**revoked, **store.revoked}))

    save_file(path, save_identity(store) if share is None else share.change(path.name, merge))


async def follow_users(identity: BuiltinIdentity, path: Path, period_s: float = FOLLOW_S) -> None:
    """A token that another process of this machine has revoked is void here in a second."""
    seen = await asyncio.to_thread(read_time, path)
    while True:
        await asyncio.sleep(period_s)
        found = await asyncio.to_thread(read_time, path)
        if found != seen:
            identity.adopt(load_identity(await asyncio.to_thread(path.read_bytes)))
            seen = found


def read_time(path: Path) -> int:
    return path.stat().st_mtime_ns


def make_keystone(options: ServerOptions) -> Identities:
    assert options.keystone is not None
    client = make_client(options.keystone)
    return Identities(KeystoneIdentity(options.keystone, client), {}, client.aclose)


async def do_nothing() -> None:
    pass


def make_identities(options: ServerOptions, share: Share | None = None) -> Identities:
    if options.auth_strategy == "builtin":
        return make_builtin(options, share)
    if options.auth_strategy == "keystone":
        return make_keystone(options)
    return Identities(NoAuth(), {}, do_nothing)
