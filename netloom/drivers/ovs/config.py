"""The configuration of Open vSwitch: the driver of the kinds "bridge" and "switch_port", and the facts of a host.

Law: an op is done when ovs-vswitchd has acted on it, not when the database has stored it. Ops go in one transaction;
if that is refused, each goes alone, so that one failure stops no other.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from netloom.drivers.ovs import rows, watching
from netloom.drivers.ovs.ovsdb import OvsdbClient, OvsdbError, OvsdbLost, Tables, as_list
from netloom.model.facts import Interface
from netloom.model.plan import Failure, Op, Put, State

KINDS = frozenset({"bridge", "switch_port"}) | watching.KINDS
NEEDS: Mapping[str, frozenset[str]] = {
    "switch_port": frozenset({"bridge"}),
    "mirror": frozenset({"bridge", "switch_port"}),
    "export": frozenset({"bridge"}),
    "bond": frozenset({"bridge"}),
}


class OvsdbDriver:
    """Bridges and the ports that we make, in one host's OVSDB. `own`: the bridges whose fail mode is ours to set."""

    def __init__(
        self, socket: Path, own: frozenset[str] = frozenset({"br-int", "br-tun"}), timeout_s: float = 10.0
    ) -> None:
        self._client = OvsdbClient(socket, self.note_change, timeout_s)
        self._own, self._timeout_s = own, timeout_s
        self._turn = 0
        self._news = asyncio.Event()

    @property
    def kinds(self) -> frozenset[str]:
        return KINDS

    @property
    def needs(self) -> Mapping[str, frozenset[str]]:
        return NEEDS

    async def read(self) -> State:
        """Marked bridges and ports, from the server's own words. OvsdbLost when there is none."""
        await self._client.ready()
        return {**rows.read_things(self._client.tables, self._own), **watching.read_watching(self._client.tables)}

    async def apply(self, ops: Sequence[Op]) -> list[Failure]:
        """Make each op so, in a transaction for all or, if that is refused, one for each."""
        try:
            await self._client.ready()
            try:
                if not await self._transact(ops):
                    return []
            except (OvsdbError, rows.Refused):
                pass
            return [failure for op in ops if (failure := await self._apply_one(op))]
        except OvsdbLost as error:
            return [Failure(op, str(error)) for op in ops]

    async def _apply_one(self, op: Op) -> Failure | None:
        try:
            reason = await self._transact([op])
        except (OvsdbError, rows.Refused) as error:
            reason = str(error)
        return Failure(op, reason) if reason else None

    async def _transact(self, ops: Sequence[Op]) -> str:
        """Apply ops in one transaction and wait until the switch has acted; why it could not, or nothing.

        What refers to a row that an earlier op of the same call makes needs a transaction of its own.
        """
        for batch in split_batches(ops):
            operations = [operation for op in batch for operation in self._encode(op)]
            if operations:
                await self._commit(operations)
        return self._find_error(ops)

    async def _commit(self, operations: list[rows.Operation]) -> None:
        client = self._client
        root = next(iter(client.tables.get("Open_vSwitch", {})), None)
        if root is None:
            raise rows.Refused("the Open vSwitch database was never initialised (ovs-vsctl init)")
        where = [["_uuid", "==", ["uuid", root]]]
        bump = {"op": "mutate", "table": "Open_vSwitch", "where": where, "mutations": [["next_cfg", "+=", 1]]}
        ask = {"op": "select", "table": "Open_vSwitch", "where": where, "columns": ["next_cfg"]}
        results = await client.transact([*operations, bump, ask])
        wanted = int(results[len(operations) + 1]["rows"][0]["next_cfg"])
        if not await client.wait_for(lambda: self._has_acted(wanted), self._timeout_s):
            raise OvsdbLost("ovs-vswitchd did not act on the change in time")

    def _has_acted(self, wanted: int) -> bool:
        held = self._client.tables.get("Open_vSwitch", {})
        return any(int(row["cur_cfg"]) >= wanted for row in held.values())

    def _encode(self, op: Op) -> list[rows.Operation]:
        tables, key = self._client.tables, op.thing.key
        if key[0] in watching.KINDS:
            if isinstance(op, Put):
                return watching.PUT[key[0]](tables, key[1], key[2], op.thing.value)
            return watching.REMOVE[key[0]](tables, key[1], key[2])
        if key[0] == "bridge":
            if isinstance(op, Put):
                return rows.put_bridge(tables, key[1], op.thing.value, self._own)
            return rows.remove_bridge(tables, key[1])
        if isinstance(op, Put):
            return rows.put_port(tables, key[1], key[2], op.thing.value)
        return rows.remove_port(tables, key[1], key[2])

    def _find_error(self, ops: Sequence[Op]) -> str:
        """What the switch says of ports that were put and that it could not open."""
        wanted = {op.thing.key for op in ops if isinstance(op, Put)}
        for bridge, port, interface in rows.walk_ports(self._client.tables):
            if ("switch_port", bridge, port["name"]) in wanted and rows.read_ofport(interface) == -1:
                return "".join(as_list(interface["error"])) or f"the switch could not open {port['name']}"
        return ""

    def note_change(self) -> None:
        """Wake whoever waits for a change."""
        self._turn += 1
        self._news.set()

    async def wait_change(self, seen: int) -> int:
        """Wait until something changed since `seen` (0 at first); the number to give next time."""
        with contextlib.suppress(OvsdbLost):
            await self._client.ready()
        while self._turn <= seen:
            self._news.clear()
            await self._news.wait()
        return self._turn

    async def read_interfaces(self, bridge: str) -> dict[str, Interface]:
        """By port id, the devices that somebody plugged into `bridge` (external_ids:iface-id)."""
        await self._client.ready()
        return rows.read_interfaces(self._client.tables, bridge)

    async def read_ofports(self) -> dict[tuple[str, str], int]:
        """By (bridge, port name), the numbers that the switch gave."""
        await self._client.ready()
        return rows.read_ofports(self._client.tables)

    async def read_bridges(self) -> frozenset[str]:
        """The names of all bridges, ours or not."""
        await self._client.ready()
        return frozenset(row["name"] for _, row in self._client.rows("Bridge"))

    async def close(self) -> None:
        await self._client.close()

    @property
    def tables(self) -> Tables:
        """The replica as it stands; for reading only."""
        return self._client.tables


def split_batches(ops: Sequence[Op]) -> list[list[Op]]:
    """Runs in the ops' order: removals, bridges put, ports put; each run reads what the one before it made."""
    out: list[list[Op]] = []
    last: Any = None
    for op in ops:
        sort = (isinstance(op, Put), op.thing.kind)
        if sort != last:
            out.append([])
            last = sort
        out[-1].append(op)
    return out
