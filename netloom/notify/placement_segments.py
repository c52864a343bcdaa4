"""Routed networks' segments, told to Placement and to Nova (Compute API 2.41, os-aggregates).

Law: Placement is told though Nova cannot be; a host that Nova does not know is no failure, but is looked for again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx

from netloom.intent.snapshot import Snapshot
from netloom.notify.nova import NovaSettings
from netloom.notify.outbox import NotTold
from netloom.notify.placement import (
    PROVIDERS,
    TRIES,
    Outdated,
    apply,
    list_found,
    read_inventories,
    read_provider,
)
from netloom.notify.placement_keeper import LOOK_S, Keeper, Tell
from netloom.notify.placement_plan import Request
from netloom.notify.placement_segments_plan import (
    Aggregate,
    HeldSegment,
    find_aggregate,
    plan_hosts,
    plan_new_aggregate,
    plan_provider,
)
from netloom.notify.placement_segments_wanted import SegmentTold, find_routed, find_segment_id, render_segment
from netloom.notify.session import Session, pick, read_json

LOG = logging.getLogger("netloom.placement")

NOVA_VERSION = "compute 2.41"
"""The first in which an aggregate shows its UUID."""
UNKNOWN_S = 300.0
"""How soon a segment is looked at again, some of whose hosts Nova does not know. Those of networks only never are."""
SWEEP = ""
"""Stands for all that Placement and Nova hold of segments that are there no more."""


def make_nova_session(settings: NovaSettings, client: httpx.AsyncClient) -> Session:
    return Session("compute", "Nova", NOVA_VERSION, client, settings, timeout_s=settings.timeout_s)


class Segments:
    """Makes Placement, and Nova where there is one, hold what is wanted of a segment."""

    def __init__(self, placement: Session, nova: Session | None) -> None:
        self._placement = placement
        self._nova = nova

    async def tell(self, id: str, wanted: SegmentTold | None, aggregates: Sequence[Aggregate] | None) -> list[str]:
        """The hosts that Nova does not know. `aggregates`: all that Nova has; None: it is not asked. Raises NotTold."""
        errors, unknown, aggregate = list[str](), list[str](), find_aggregate(aggregates or (), id)
        if aggregates is not None:
            with note(errors):
                aggregate = await self._make_aggregate(plan_new_aggregate(id, wanted, aggregate)) or aggregate
        with note(errors):
            await self._tell_placement(id, wanted, aggregate)
        with note(errors):
            for request in plan_hosts(wanted, aggregate) if aggregate else ():
                unknown += await self._ask_nova(request)
        if errors:
            raise NotTold("; ".join(errors))
        return unknown

    async def _make_aggregate(self, request: Request | None) -> Aggregate | None:
        if request is None or self._nova is None:
            return None
        reply = await self._nova.ask(request.method, request.path, request.body)
        return read_aggregate({"hosts": (), **pick(read_json(reply), "aggregate", dict)})

    async def _tell_placement(self, id: str, wanted: SegmentTold | None, aggregate: Aggregate | None) -> None:
        for _ in range(TRIES):
            held = await self._read(id)
            try:
                known = {id: held.provider} if held.provider else {}
                return await apply(self._placement, plan_provider(id, wanted, held, aggregate), known)
            except Outdated:
                continue
        raise NotTold(f"the provider of segment {id} changes all the time")

    async def _read(self, id: str) -> HeldSegment:
        """Of the generation that is read first, so nothing newer is taken for it."""
        found = await list_found(self._placement, PROVIDERS, "resource_providers", uuid=id)
        if not found:
            return HeldSegment()
        aggregates = await list_found(self._placement, f"{PROVIDERS}/{id}/aggregates", "aggregates")
        inventories = await read_inventories(self._placement, id)
        return HeldSegment(replace(read_provider(found[0]), inventories=inventories), frozenset(aggregates))

    async def _ask_nova(self, request: Request) -> list[str]:
        """The host to be added that Nova does not know. What is as it is to be already is no failure (404, 409)."""
        if self._nova is None:
            return []
        reply = await self._nova.ask(request.method, request.path, request.body)
        if reply.status_code == 404:
            return [one["host"] for name, one in (request.body or {}).items() if name == "add_host"]
        if reply.status_code >= 400 and reply.status_code != 409:
            raise NotTold(f"Nova refuses {request.method} {request.path}: {reply.status_code} {reply.text[:200]}")
        return []

    async def list_aggregates(self) -> list[Aggregate] | None:
        """None: there is no Nova to ask."""
        if self._nova is None:
            return None
        found = pick(read_json(await self._nova.ask("GET", "/os-aggregates")), "aggregates", list)
        return [read_aggregate(one) for one in found]

    async def find_known(self, aggregates: Sequence[Aggregate]) -> set[str]:
        """The segments that Placement or Nova holds something of."""
        providers = await list_found(self._placement, PROVIDERS, "resource_providers")
        own = (one["name"] for one in providers if one["uuid"] == find_segment_id(one["name"]))
        return {find_segment_id(name) for name in (*own, *(one.name for one in aggregates))} - {""}


def read_aggregate(found: Mapping[str, Any]) -> Aggregate:
    """Raises NotTold for what is none."""
    try:
        return Aggregate(found["id"], found["uuid"], found["name"], frozenset(found["hosts"]))
    except (KeyError, TypeError) as error:
        raise NotTold(f"Nova's answer has an aggregate without {error}") from None


@contextmanager
def note(errors: list[str]) -> Iterator[None]:
    """What cannot be told keeps nothing else from being told."""
    try:
        yield
    except NotTold as error:
        errors.append(str(error))


def make_segment_keeper(segments: Segments, snapshot: Callable[[], Snapshot], tells: Callable[[], bool]) -> Keeper:
    """Keeps all segments told, and clears away what is left of those that are gone."""
    said = dict[str, str]()

    async def begin() -> Tell:
        now, errors, aggregates = snapshot(), list[str](), None
        with note(errors):
            aggregates = await segments.list_aggregates()

        async def tell(id: str) -> float | None:
            look_s: float | None = LOOK_S
            if id == SWEEP:
                keeper.note(await segments.find_known(aggregates or ()) - find_routed(now))
            else:
                wanted = render_segment(now, id)
                unknown = await segments.tell(id, wanted, aggregates)
                look_s = (UNKNOWN_S if unknown else LOOK_S) if wanted else None
            if errors:
                raise NotTold(errors[0])
            said.pop(id, None)
            return look_s

        return tell

    def fail(id: str, error: NotTold) -> None:
        """Said once, until it changes."""
        if said.get(id) != str(error):
            LOG.warning("Placement and Nova are not told of segment %s: %s", id or "that is gone", error)
        said[id] = str(error)

    keeper = Keeper(begin, lambda: {SWEEP, *find_routed(snapshot())}, fail, tells)
    return keeper
