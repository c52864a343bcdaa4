"""Linux bridges of this host: made, filled and swept, one by one, in the namespace that the agent runs in.

Law: a bridge, tunnel or VLAN device is ours when its alias says so; its ports and the addresses on it then are ours
too. Everything is read from the kernel. A NIC that has addresses is not put into a bridge: the host would lose them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby
from typing import Any, TypeVar

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from netloom.drivers.bridge import entries, links, tables
from netloom.model.bridge import VxlanDevice
from netloom.model.driver import Driver
from netloom.model.plan import Failure, Key, Op, Put, State, Thing

DEVICES = frozenset({"brq", "vxlan", "vlan"})
KINDS = DEVICES | {"bridge_port"} | entries.KINDS
NEEDS: Mapping[str, frozenset[str]] = {
    "bridge_port": DEVICES,
    "bridge_fdb": frozenset({"bridge_port"}),
    "tunnel_fdb": frozenset({"vxlan"}),
    "neighbour": frozenset({"brq", "vxlan"}),
}
AFTER: Mapping[str, frozenset[str]] = {"bridge_port": frozenset({"filter_way", "tunnel_fdb", "neighbour", "veth"})}
"""The door opens last: before a device comes into its bridge, it is known what it may send and where that leads."""

T = TypeVar("T")
Hand = Callable[[IPRoute, Key, Any], None]


def put_vxlan(ipr: IPRoute, key: Key, want: VxlanDevice) -> None:
    """One that has to go and come again keeps what leads through it, and then its place in the bridge."""
    there = links.fetch(ipr, key[1])
    kept = () if there is None else find_kept(ipr, there)
    links.put_vxlan(ipr, key, want)
    if there is not None and there.index != links.require(ipr, key[1]):
        for failure in apply_ops(ipr, [Put(thing) for thing in kept]):
            raise OSError(failure.reason)


def find_kept(ipr: IPRoute, device: links.Device) -> tuple[Thing, ...]:
    """What goes with a tunnel device: where addresses lead, then its place in the bridge, and what the bridge knows."""
    devices = links.read_devices(ipr)
    found = [*links.read_things(devices), *tables.read_things(ipr, devices)]
    order = ("tunnel_fdb", "neighbour", "bridge_port", "bridge_fdb")
    mine = (thing for thing in found if thing.key[1] == device.name and thing.kind in order and thing.value is not None)
    return tuple(sorted(mine, key=lambda thing: order.index(thing.kind)))


PUT: Mapping[str, Hand] = {
    "brq": links.put_bridge,
    "vxlan": put_vxlan,
    "vlan": links.put_vlan,
    "bridge_port": links.put_port,
}
REMOVE: Mapping[str, Hand] = {
    **dict.fromkeys(DEVICES, links.remove_device),
    "bridge_port": links.remove_port,
}


class BridgeDriver:
    """`mark`: the devices of ours as they were after the last read or apply; another mark means that somebody came."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "bridge")
        self.mark: links.Mark = frozenset()

    @property
    def kinds(self) -> frozenset[str]:
        return KINDS

    @property
    def needs(self) -> Mapping[str, frozenset[str]]:
        return NEEDS

    @property
    def after(self) -> Mapping[str, frozenset[str]]:
        return AFTER

    async def read(self) -> State:
        return await self._work(self._read_all)

    async def apply(self, ops: Sequence[Op]) -> Sequence[Failure]:
        return await self._work(partial(self._apply_all, ops)) if ops else []

    async def read_devices(self) -> Mapping[str, links.Device]:
        """Every device of the namespace by name."""
        return await self._work(read_devices)

    async def _work(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except NetlinkError as error:
            raise OSError(error.code, describe(error)) from error

    async def close(self) -> None:
        self._pool.shutdown(wait=False)

    # -- in the thread -------------------------------------------------------------------------------------------------

    def _read_all(self) -> State:
        with IPRoute() as ipr:
            devices = links.read_devices(ipr)
            self.mark = links.make_mark(devices)
            found = [*links.read_things(devices), *tables.read_things(ipr, devices)]
        return {thing.key: thing for thing in found}

    def _apply_all(self, ops: Sequence[Op]) -> list[Failure]:
        with IPRoute() as ipr:
            failures = apply_ops(ipr, ops)
            if any(op.thing.kind in DEVICES or op.thing.kind == "bridge_port" for op in ops):
                self.mark = links.make_mark(links.read_devices(ipr))
        return failures


def read_devices() -> Mapping[str, links.Device]:
    with IPRoute() as ipr:
        return {device.name: device for device in links.read_devices(ipr).values()}


def apply_ops(ipr: IPRoute, ops: Sequence[Op]) -> list[Failure]:
    """In their order, entries of tables that follow one another at once."""
    failures: list[Failure] = []
    for are_entries, run in groupby(ops, lambda op: op.thing.kind in entries.KINDS):
        if are_entries:
            failures += entries.apply_entries(list(run))
        else:
            failures += [failure for op in run if (failure := apply_one(ipr, op))]
    return failures


def apply_one(ipr: IPRoute, op: Op) -> Failure | None:
    hands = PUT if isinstance(op, Put) else REMOVE
    try:
        hands[op.thing.kind](ipr, op.thing.key, op.thing.value)
        return None
    except (OSError, NetlinkError) as error:
        return Failure(op, explain(op.thing, error))


def explain(thing: Thing, error: Exception) -> str:
    """What the kernel says, and for what it has not, what that means."""
    words = describe(error)
    if thing.key[1].startswith(links.TAP) and isinstance(error, NetlinkError) and error.code == 95:
        return f"this kernel has no {thing.kind} devices, so Linux bridges carry no subports of trunks here: {words}"
    if thing.kind in DEVICES and isinstance(error, NetlinkError) and error.code == 95:
        return f"this kernel has no {thing.kind} devices, so the network cannot leave this host: {words}"
    return words


def describe(error: Exception) -> str:
    if isinstance(error, NetlinkError) and len(error.args) > 1:
        return str(error.args[1])
    return (error.strerror if isinstance(error, OSError) and error.strerror else None) or str(error)


def make_driver(options: Mapping[str, str]) -> Driver:
    """The driver; it has no options."""
    return BridgeDriver()
