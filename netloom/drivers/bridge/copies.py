"""Copies of frames between devices of this host: the kind "copy", by filters of tc that mirror (tc-mirred(8)).

Law: ours are the filters of one preference, `OURS`, on the two sides of a device that clsact opens; each is told by
where its copies go. What is not ours on such a device stays, and clsact goes when nothing is left there.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from netloom.drivers.tc import TcError, run_tc
from netloom.model.bridge import Copy
from netloom.model.driver import Driver
from netloom.model.plan import Failure, Key, Op, Put, State, Thing

OURS = 0x4E4C
SIDES = {"sent": "ingress", "received": "egress"}
"""What an instance sends comes in by its device."""
EVERYTHING = ("protocol", "all", "bpf", "bytecode", "1,6 0 0 4294967295")
"""A program of one instruction, for u32 has no filters of one side alone, and matchall is not on every kernel."""
MIRROR = ("action", "mirred", "egress", "mirror", "dev")
Filters = dict[tuple[str, str], list[str]]
"""By (side, where copies go): the handles."""


class CopyDriver:
    """Of the namespace that the agent runs in."""

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset({"copy"})

    @property
    def needs(self) -> Mapping[str, frozenset[str]]:
        return {}

    @property
    def after(self) -> Mapping[str, frozenset[str]]:
        return {"copy": frozenset({"bridge_port", "vlan"})}

    async def read(self) -> State:
        """TcError where tc does not work."""
        out: dict[Key, Thing] = {}
        for device in find_open(await run_tc(None, ["qdisc", "show"])):
            try:
                found, _ = await read_filters(device)
            except TcError:
                continue  # it went while we looked
            out |= {(key := ("copy", device, way, to)): Thing(key, Copy()) for way, to in find_copies(found)}
        return out

    async def look(self) -> State:
        return await self.read()

    async def apply(self, ops: Sequence[Op]) -> Sequence[Failure]:
        return [failure for op in ops if (failure := await apply_one(op))]

    async def close(self) -> None:
        """Nothing is held."""


async def apply_one(op: Op) -> Failure | None:
    _, device, way, to = op.thing.key
    try:
        await (put_copy if isinstance(op, Put) else remove_copy)(device, SIDES[way], to)
        return None
    except TcError as error:
        return Failure(op, str(error))


async def put_copy(device: str, side: str, to: str) -> None:
    if device not in find_open(await run_tc(None, ["qdisc", "show"])):
        await run_tc(None, ["qdisc", "add", "dev", device, "clsact"])
    where = ("dev", device, side, "pref", str(OURS))
    await run_tc(None, ["filter", "add", *where, *EVERYTHING, *MIRROR, to, "continue"])


async def remove_copy(device: str, side: str, to: str) -> None:
    """A device that is gone has taken its copies along."""
    if device not in find_open(await run_tc(None, ["qdisc", "show"])):
        return
    found, _ = await read_filters(device)
    for handle in found.get((side, to), ()):
        where = ("dev", device, side, "pref", str(OURS), "handle", handle, "bpf")
        await run_tc(None, ["filter", "del", *where])
    if not any((await read_filters(device))[1].values()):
        await run_tc(None, ["qdisc", "del", "dev", device, "clsact"])


async def read_filters(device: str) -> tuple[Filters, Mapping[str, int]]:
    """Ours, and how many filters there are in all on each side."""
    shown = await asyncio.gather(*(run_tc(None, ["-j", "filter", "show", "dev", device, s]) for s in SIDES.values()))
    found: Filters = {}
    count = {}
    for side, text in zip(SIDES.values(), shown, strict=True):
        filters = [entry for entry in parse_filters(text) if "actions" in entry.get("options", {})]
        count[side] = len(filters)
        for entry in filters:
            if entry.get("pref") == OURS:
                found.setdefault((side, find_output(entry)), []).append(entry["options"]["handle"])
    return found, count


# -- as tc shows it ----------------------------------------------------------------------------------------------------


def find_open(shown: str) -> list[str]:
    """The devices with clsact, from `tc qdisc show`.

    >>> find_open("qdisc noqueue 0: dev lo root\\nqdisc clsact ffff: dev tapa parent ffff:fff1 \\n")
    ['tapa']
    """
    lines = (line.split() for line in shown.splitlines())
    return [words[4] for words in lines if words[:2] == ["qdisc", "clsact"]]


def parse_filters(text: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(text or "[]")
    return listed


def find_output(entry: Mapping[str, Any]) -> str:
    """Where copies go; empty: that device is gone."""
    found = (action.get("to_dev") for action in entry["options"]["actions"] if action.get("kind") == "mirred")
    return str(next(found, "") or "")


def find_copies(found: Filters) -> Iterator[tuple[str, str]]:
    ways = {side: way for way, side in SIDES.items()}
    return ((ways[side], to) for side, to in found)


def make_driver(options: Mapping[str, str]) -> Driver:
    """The driver; it has no options."""
    return CopyDriver()
