"""Composes what Placement is told: no commit, but how things stand with agents and with segments."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import httpx

from netloom.intent.agents.agent import mark_synced
from netloom.intent.operation import Requester
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Change, Snapshot
from netloom.main.options.nova import NovaOptions
from netloom.main.options.placement import PlacementOptions
from netloom.notify.placement import Placement, make_session
from netloom.notify.placement_agents import make_agent_keeper
from netloom.notify.placement_keeper import Keeper
from netloom.notify.placement_segments import Segments, make_nova_session, make_segment_keeper
from netloom.notify.placement_segments_wanted import find_touched
from netloom.store.log import LogEntry
from netloom.store.writer import Writer

PLACEMENT = Requester(user_id="netloom", roles=("admin",), is_admin=True, user_name="placement")
"""Who notes what Placement knows."""


@asynccontextmanager
async def tell_placement(
    options: PlacementOptions, nova: NovaOptions | None, writer: Writer
) -> AsyncIterator[Sequence[Keeper]]:
    """What hosts have for guarantees, and the addresses of routed networks' segments; `nova`: who keeps aggregates."""
    known = [writer.snapshot]
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(httpx.AsyncClient(verify=options.verify))
        agents = make_agents(options, client, writer)
        session = None
        if nova is not None:
            session = make_nova_session(
                nova.settings, await stack.enter_async_context(httpx.AsyncClient(verify=nova.verify))
            )
        placed = Segments(make_session(options.settings, client), session)
        segments = make_segment_keeper(placed, lambda: writer.snapshot, lambda: writer.writing)

        def heard(entries: Sequence[LogEntry], snapshot: Snapshot) -> None:
            before, known[0] = known[0], snapshot
            changes = [change for entry in entries for change in entry.changes]
            agents.note(find_restated(before, snapshot, changes))
            segments.note(find_touched(before, snapshot, changes))

        stack.callback(writer.listen(heard))
        for keeper in (agents, segments):
            await stack.enter_async_context(running(keeper))
        yield agents, segments


def make_agents(options: PlacementOptions, client: httpx.AsyncClient, writer: Writer) -> Keeper:
    def find_agents() -> dict[str, Doc]:
        return {id: record.doc for id, record in writer.snapshot.records("agent").items()}

    async def mark(id: str, synced: bool) -> None:
        await writer.submit(lambda snapshot, context: mark_synced(snapshot, context, id, synced), PLACEMENT)

    tell = Placement(options.settings, client).tell
    return make_agent_keeper(tell, find_agents, mark, options.settings.tunnelled, lambda: writer.writing)


@asynccontextmanager
async def running(keeper: Keeper) -> AsyncIterator[None]:
    telling = asyncio.get_running_loop().create_task(keeper.run())
    try:
        yield
    finally:
        telling.cancel()
        with suppress(asyncio.CancelledError):
            await telling


def find_restated(before: Snapshot, now: Snapshot, changes: Iterable[Change]) -> list[str]:
    """Agents that say something else of their hosts, or that came, or were forgotten."""
    ids = {change.id for change in changes if change.kind == "agent"}
    return [id for id in ids if find_said(before.get("agent", id)) != find_said(now.get("agent", id))]


def find_said(agent: Doc | None) -> tuple[object, ...]:
    return (agent["configurations"], agent["alive"]) if agent else ()
