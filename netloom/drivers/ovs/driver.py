"""One host's Open vSwitch, whole: bridges, the ports that we make, and flows; with what the agent asks of it besides.

Law: flows wait for the bridges and ports they speak of, and a bridge's flows change in one bundle per run of the plan.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

from netloom.drivers.ovs import config, rows
from netloom.drivers.ovs.bridge import BridgeFlows
from netloom.drivers.ovs.channel import Channel, ChannelLost, OnPacket
from netloom.drivers.ovs.config import OvsdbDriver
from netloom.drivers.ovs.forget import PURGE, WAIT, Forgetter, ask_switch, has_userspace
from netloom.drivers.ovs.ovsdb import OvsdbLost
from netloom.drivers.ovs.pulse import Pulse
from netloom.model.facts import Interface
from netloom.model.flow import Action
from netloom.model.plan import Failure, Key, Op, Put, State, Thing

LOG = logging.getLogger(__name__)

KINDS = config.KINDS | {"flow", "meter"}
SPOKEN = ("flow", "meter")
"""Kinds that are held by OpenFlow; the others by the database."""
STEERING = ("flow", "switch_port", "bridge")
"""Kinds that decide where packets go."""
NEEDS: Mapping[str, frozenset[str]] = {
    **config.NEEDS,
    "meter": frozenset({"bridge"}),
    "flow": frozenset({"bridge", "switch_port", "meter"}),
}


class OvsDriver:
    """The hands of Open vSwitch. `rundir` holds db.sock and a <bridge>.mgmt for each bridge."""

    def __init__(
        self, rundir: Path, own: frozenset[str] = frozenset({"br-int", "br-tun"}), timeout_s: float = 10.0
    ) -> None:
        self._rundir, self._own, self._timeout_s = rundir, own, timeout_s
        self._config = OvsdbDriver(rundir / "db.sock", own, timeout_s)
        self._bridges: dict[str, BridgeFlows] = {}
        self._packets: dict[str, OnPacket] = {}
        self.epoch = 0  # grows when a bridge came back, perhaps with empty tables
        self.meddlings = 0  # grows when somebody else changed flows of ours
        self._busy = 0
        self._forgetter = Forgetter(rundir, timeout_s)
        self._pulse = Pulse(self._find_channel, lambda: self._busy > 0, self._note_pulse)

    @property
    def kinds(self) -> frozenset[str]:
        return KINDS

    @property
    def needs(self) -> Mapping[str, frozenset[str]]:
        return NEEDS

    async def read(self) -> State:
        """Marked bridges and ports, and every flow with our cookie on any bridge. ConnectionError without a switch."""
        if self._pulse.silent:
            raise ChannelLost(self._pulse.silent)
        with self._work():
            return await self._read()

    async def _read(self) -> State:
        state: dict[Key, Thing] = dict(await self._config.read())
        await self._drop_gone()
        for name in sorted(await self._config.read_bridges()):
            try:
                state.update(await self._flows(name).read())
                if name in self._own:
                    state.update(await self._flows(name).read_meters())
            except ChannelLost:
                if ("bridge", name) in state:
                    raise
        return state

    async def apply(self, ops: Sequence[Op]) -> Sequence[Failure]:
        """Apply runs of flows and runs of the rest in the order given; failures never stop a run."""
        if self._pulse.silent:
            return [Failure(op, self._pulse.silent) for op in ops]
        with self._work():
            return await self._apply(ops)

    async def _apply(self, ops: Sequence[Op]) -> Sequence[Failure]:
        failures: list[Failure] = []
        for kind, run in groupby(ops, key=lambda op: op.thing.kind if op.thing.kind in SPOKEN else ""):
            mine = list(run)
            failures += await (self._speak(kind, mine) if kind else self._config.apply(mine))
            for bridge in sorted({op.thing.key[1] for op in mine if op.thing.kind == "mirror"}):
                await self._flows(bridge).refresh()
        if any(op.thing.kind in STEERING for op in ops) and has_userspace(self._config.tables):
            self._forgetter.note_change()
        await self._drop_gone()
        return failures

    async def settle(self) -> None:
        """The flows of the datapath follow those of the tables a moment later, and longer where there are many or the
        machine is busy: have them forgotten after that moment."""
        await ask_switch(self._rundir, self._timeout_s, WAIT, PURGE)

    async def _speak(self, kind: str, ops: Sequence[Op]) -> list[Failure]:
        """By OpenFlow, each bridge its own."""
        try:
            there = await self._config.read_bridges()
        except OvsdbLost as error:
            return [Failure(op, str(error)) for op in ops]
        by_bridge: dict[str, list[Op]] = {}
        failures = []
        for op in ops:
            name = op.thing.key[1]
            if name in there:
                by_bridge.setdefault(name, []).append(op)
            elif isinstance(op, Put):
                failures.append(Failure(op, f"there is no bridge {name}"))
        for name, mine in by_bridge.items():
            flows = self._flows(name)
            failures += await (flows.apply(mine) if kind == "flow" else flows.apply_meters(mine))
        await self._follow_waiting(by_bridge)
        return failures

    def _flows(self, bridge: str) -> BridgeFlows:
        if bridge not in self._bridges:
            self._bridges[bridge] = BridgeFlows(
                self._rundir, bridge, self._note_return, self._timeout_s, self.note_meddling
            )
        self._pulse.start()
        return self._bridges[bridge]

    def _find_channel(self) -> Channel | None:
        return next((flows.channel for flows in self._bridges.values() if flows.channel), None)

    @contextmanager
    def _work(self) -> Iterator[None]:
        """While the switch is at work for us."""
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1

    def _note_return(self) -> None:
        self._pulse.note_return()
        self._note_pulse()

    def _note_pulse(self) -> None:
        """What the switch holds, and whether it says so, is to be looked at anew."""
        self.epoch += 1
        self._config.note_change()

    def note_meddling(self) -> None:
        """Somebody else changed what is ours, here or in a filter beside the switch.

        Much that changes at once is one look: whoever is woken looks when the loop gets to it.
        """
        self.meddlings += 1
        self._config.note_change()

    async def _drop_gone(self) -> None:
        try:
            there = await self._config.read_bridges()
        except OvsdbLost:
            return
        for name in self._bridges.keys() - there:
            await self._bridges.pop(name).close()

    async def follow_packets(self, bridge: str, on_packet: OnPacket) -> None:
        """Call `on_packet` for each packet that a flow of `bridge` sends to us, as long as we live.

        Also when the bridge is not there yet, or is made anew: then from the first flow on.
        """
        self._packets[bridge] = on_packet
        try:
            if bridge in await self._config.read_bridges():
                await self._follow_waiting([bridge])
        except OvsdbLost:
            pass

    async def _follow_waiting(self, bridges: Sequence[str] | Mapping[str, object]) -> None:
        for name in bridges:
            flows = self._flows(name)
            if name in self._packets and not flows.follows:
                try:
                    await flows.follow_packets(self._packets[name])
                except (ChannelLost, TimeoutError) as error:  # whoever connects next asks again
                    LOG.warning("no packets from bridge %s yet: %s", name, error)

    async def send_packet(self, bridge: str, data: bytes, actions: Sequence[Action], in_port: int) -> None:
        """Send a frame from `bridge` as if it had come in by `in_port`. ConnectionError when there is no switch."""
        await self._flows(bridge).send_packet(data, actions, in_port)

    async def wait_change(self, seen: int) -> int:
        """Wait until bridges, ports or the switch itself changed since `seen` (0 at first); what to give next time."""
        return await self._config.wait_change(seen)

    async def read_interfaces(self, bridge: str) -> dict[str, Interface]:
        """By port id, the devices that somebody plugged into `bridge`."""
        return await self._config.read_interfaces(bridge)

    async def read_ofports(self) -> dict[tuple[str, str], int]:
        """By (bridge, port name), the numbers that the switch gave."""
        return await self._config.read_ofports()

    async def read_underlay(self) -> tuple[str, ...]:
        """The devices of the host on any bridge that nobody plugged for a port: its NICs, sorted by name."""
        await self._config.read_bridges()
        return rows.read_underlay(self._config.tables)

    async def read_mtus(self) -> dict[str, int]:
        """By bridge, what its NICs carry, in bytes."""
        await self._config.read_bridges()
        return rows.read_mtus(self._config.tables)

    async def read_dead_bonds(self) -> dict[str, str]:
        """By bridge, why the bond on it carries nothing."""
        await self._config.read_bridges()
        return rows.read_dead_bonds(self._config.tables)

    async def read_strays(self, bridge: str) -> dict[tuple[str, str], int]:
        """By (type, remote address), the tunnel ports on `bridge` for one remote host each."""
        await self._config.read_bridges()
        return rows.read_strays(self._config.tables, bridge)

    async def read_silent(self, bridge: str) -> frozenset[str]:
        """The remote addresses of hosts that BFD lost on tunnels of `bridge`."""
        await self._config.read_bridges()
        return rows.read_silent(self._config.tables, bridge)

    async def read_bridges(self) -> frozenset[str]:
        """The names of all bridges, whosever. OvsdbLost without a database."""
        return await self._config.read_bridges()

    def describe(self) -> dict[str, Any]:
        """What the switch can, under Neutron's names, and the NICs of its bonds; nothing while its database was not
        read."""
        found, bonds = rows.read_capabilities(self._config.tables), rows.read_members(self._config.tables)
        told = {"ovs_capabilities": found, "vlan_limit": self.read_vlan_limit()} if found else {}
        return {**told, **({"bonds": bonds} if bonds else {})}

    def read_vlan_limit(self) -> int:
        """How many VLAN tags of a frame the switch reads, as last told."""
        return rows.read_vlan_limit(self._config.tables)

    def find_foreign(self) -> tuple[str, ...]:
        """What others made on the bridges that are ours alone, as last read: in words, with what takes it away."""
        return tuple(f"{words}: {' '.join(command)}" for words, command in self.find_sweeps())

    def find_sweeps(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The same as (words, command)."""
        for bridge in sorted(self._own):
            yield from describe_flows(bridge, self._bridges[bridge].others if bridge in self._bridges else {})
            for name in rows.find_foreign(self._config.tables, bridge):
                yield f"{bridge} has port {name}", ("ovs-vsctl", "del-port", bridge, name)

    async def close(self) -> None:
        await self._pulse.close()
        await self._forgetter.close()
        for flows in self._bridges.values():
            await flows.close()
        await self._config.close()


def describe_flows(bridge: str, others: Mapping[int, int]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for cookie, count in sorted(others.items()):
        which = f"cookie={cookie:#x}/-1"
        command = ("ovs-ofctl", "-O", "OpenFlow14", "del-flows", bridge, which)
        yield f"{bridge} has {count} flows with cookie {cookie:#x}", command


def make_driver(options: Mapping[str, str]) -> OvsDriver:
    """The driver from options: rundir (where db.sock is), own_bridges (comma-separated)."""
    own = options.get("own_bridges", "br-int,br-tun").split(",")
    return OvsDriver(Path(options.get("rundir", "/var/run/openvswitch")), frozenset(filter(None, own)))
