"""The API over the real store and the builtin identity: what was answered is there after a restart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from netloom.api.app import App, make_app
from netloom.api.identity.builtin import BuiltinIdentity
from netloom.api.identity.users import make_builtin_users
from netloom.api.parts import ApiParts
from netloom.intent.catalog import CATALOG
from netloom.intent.operation import Settings
from netloom.store.context import make_contexts, make_id
from netloom.store.engine import open_store
from netloom.store.journal import SqlJournal
from netloom.store.load import load_snapshot
from netloom.store.writer import Writer
from tests.unit.api.api_client import exchange, find_policy

STORE, PASSWORDS = make_builtin_users(make_id, make_id, rounds=4)


async def with_server(folder: Path, use: Callable[[App], Awaitable[Any]]) -> Any:
    """Start a server on the folder's store, use it, stop it."""
    store = open_store(f"sqlite:///{folder}/netloom.db")
    writer = Writer(SqlJournal(store), load_snapshot(store, CATALOG), make_contexts(Settings()))
    identity = BuiltinIdentity(STORE, b"k" * 32)
    parts = ApiParts(CATALOG, lambda: writer.snapshot, writer, identity, find_policy(), mounts={"/identity": identity})
    try:
        return await use(make_app(parts))
    finally:
        await writer.close()
        store.close()


async def login(app: App) -> str:
    user = {"name": "demo", "domain": {"id": "default"}, "password": PASSWORDS["demo"]}
    identity = {"methods": ["password"], "password": {"user": user}}
    scope = {"project": {"name": "demo", "domain": {"id": "default"}}}
    body = json.dumps({"auth": {"identity": identity, "scope": scope}}).encode()
    reply = await exchange(app, "POST", "/identity/v3/auth/tokens", body, {})
    assert reply.status == 201
    return reply.headers["x-subject-token"]


async def send(app: App, token: str, method: str, path: str, body: Any = None) -> Any:
    content = json.dumps(body).encode() if body is not None else b""
    reply = await exchange(app, method, path, content, {"X-Auth-Token": token})
    assert reply.status < 300, reply.body
    return reply.json


def test_what_was_answered_is_there_after_a_restart(tmp_path: Path) -> None:
    """The token too."""

    async def make(app: App) -> tuple[str, Any]:
        token = await login(app)
        made = await send(app, token, "POST", "/v2.0/networks", {"network": {"name": "blue"}})
        network = made["network"]
        subnet = {"network_id": network["id"], "ip_version": 4, "cidr": "10.0.0.0/24"}
        await send(app, token, "POST", "/v2.0/subnets", {"subnet": subnet})
        bodies = [{"port": {"network_id": network["id"], "name": f"p{n}"}} for n in range(20)]
        ports = await asyncio.gather(*(send(app, token, "POST", "/v2.0/ports", body) for body in bodies))
        return token, [reply["port"] for reply in ports]

    token, ports = asyncio.run(with_server(tmp_path, make))
    assert len({port["fixed_ips"][0]["ip_address"] for port in ports}) == 20

    async def look(app: App) -> Any:
        return (await send(app, token, "GET", "/v2.0/ports"))["ports"]

    found = asyncio.run(with_server(tmp_path, look))
    assert found == sorted(ports, key=lambda port: str(port["id"]))
