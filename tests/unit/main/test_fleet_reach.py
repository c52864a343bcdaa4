"""A host that comes from a server that was ahead: it is told that much or more, or sent on; never what was before."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from netloom.feed.pki import JoinError
from netloom.intent.catalog import CATALOG
from netloom.intent.operation import Requester
from netloom.intent.operations import make_create
from netloom.intent.schema import parse_create
from netloom.main.servers import fleet as fleets
from netloom.main.servers.fleet import Fleet, Look, serve_fleet
from netloom.store.errors import StoreError
from tests.unit.main.fleet_kit import make_options, open_writers

ADMIN = Requester(user_id="admin", project_id="p1", roles=("admin",), is_admin=True)


def run(folder: Path, test: Callable[[Fleet, int], Awaitable[None]], look: Look | None = None) -> None:
    """`test` is given the fleet of a server that is behind the store, and the store's revision."""

    async def main() -> None:
        options, network = make_options(folder), CATALOG["network"]
        async with (
            open_writers(options, 2) as (behind, ahead),
            asyncio.timeout(30),
            serve_fleet(options, behind, look=look) as fleet,
        ):
            await ahead.follow()
            await ahead.submit(make_create(network, [parse_create(network, {"name": "n"})]), ADMIN)
            assert behind.snapshot.revision < ahead.snapshot.revision
            await test(fleet, ahead.snapshot.revision)

    asyncio.run(main())


def test_a_server_takes_over_what_a_host_knows_already(tmp_path: Path) -> None:
    """By a look at the store; a store that knows no more than that (restored from a backup) is all there is."""

    async def test(fleet: Fleet, newest: int) -> None:
        await fleet.reach(newest)
        assert fleet.hub.frames._revision() == newest
        await fleet.reach(newest + 100)
        assert fleet.hub.frames._revision() == newest

    run(tmp_path, test)


def test_a_server_whose_store_fails_sends_the_host_on(tmp_path: Path) -> None:
    """It says what it knows and what the host knows; who knows no more than this server is let in."""

    async def fail() -> int:
        raise StoreError("gone")

    async def test(fleet: Fleet, newest: int) -> None:
        with pytest.raises(JoinError, match=f"at revision {newest}, and the store does not answer"):
            await fleet.reach(newest)
        await fleet.reach(0)

    run(tmp_path, test, fail)


def test_a_server_whose_store_is_stuck_sends_the_host_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while, rather than never."""
    monkeypatch.setattr(fleets, "REACH_S", 0.05)

    async def hang() -> int:
        await asyncio.Event().wait()
        return 0

    async def test(fleet: Fleet, newest: int) -> None:
        with pytest.raises(JoinError, match="does not answer"):
            await fleet.reach(newest)

    run(tmp_path, test, hang)
