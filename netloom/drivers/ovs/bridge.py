"""The flows of one bridge: read those that are ours, change them in one atomic bundle, and pass packets to and fro.

Law: a bundle stands or falls as one, so no packet ever meets half a change. A flow that the switch refuses is
taken out and reported, and the rest goes again. Ours are the flows that carry our cookie; no memory is needed to know.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path

from netloom.drivers.ovs import meters
from netloom.drivers.ovs.channel import Channel, ChannelLost, NoSwitch, OnPacket, open_channel
from netloom.drivers.ovs.openflow import messages as of
from netloom.drivers.ovs.openflow.check import find_fault
from netloom.drivers.ovs.openflow.fields import CodecError
from netloom.model.device import FlowBody
from netloom.model.flow import COOKIE_MAGIC, COOKIE_MASK, Action, Resubmit
from netloom.model.plan import Failure, Op, Put, Remove, State, Thing

LOG = logging.getLogger(__name__)

SPARE_TABLE = 253
"""No table of ours; 254 is the switch's own, and refused."""
UNKNOWN = FlowBody(-1, (Resubmit(0),))
"""The body of a flow with our cookie that does what this version never writes: equal to nothing that is wanted."""

_ROUNDS = 8
"""How many refused flows a bundle may lose one by one; beyond that the flows go singly, in the plan's order."""


Encoded = tuple[Op, bytes]


def encode_op(op: Op) -> bytes:
    """The flow-mod (with no xid yet) that makes `op` so. CodecError where OpenFlow cannot say it."""
    _, _, table, priority, match = op.thing.key
    if fault := find_fault(match):
        raise CodecError(fault)
    if isinstance(op, Put):
        body: FlowBody = op.thing.value
        if body.cookie & COOKIE_MASK != COOKIE_MAGIC:
            raise CodecError("a flow without our cookie would never be found again")
        return of.encode_flow_mod(of.ADD, table, priority, match, body.actions, body.cookie, 0)
    return of.encode_flow_mod(of.DELETE_STRICT, table, priority, match, (), COOKIE_MAGIC, 0)


def make_thing(bridge: str, flow: of.FlowEntry) -> Thing:
    body = UNKNOWN if flow.actions is None else FlowBody(flow.cookie, flow.actions)
    return Thing(("flow", bridge, flow.table, flow.priority, flow.match), body)


class BridgeFlows:
    """The OpenFlow side of one bridge. Connects when first used, and from then on whenever the switch comes back.

    `on_return` is called when it came back: a switch that was started anew has no flows. `on_meddling`: when somebody
    else changed flows of ours.
    """

    def __init__(
        self,
        rundir: Path,
        bridge: str,
        on_return: Callable[[], None] = lambda: None,
        timeout_s: float = 10.0,
        on_meddling: Callable[[], None] | None = None,
    ) -> None:
        self.bridge = bridge
        self._path = rundir / f"{bridge}.mgmt"
        self._on_return, self._timeout_s, self._on_meddling = on_return, timeout_s, on_meddling
        self._channel: Channel | None = None
        self._lock = asyncio.Lock()
        self._bundles = count(1)
        self._on_packet: OnPacket | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._over = False
        self.others: Counter[int] = Counter()
        """How many flows of others the last dump showed, by cookie."""

    async def read(self) -> State:
        """Our flows as they are. Empty for a bridge that is not there. ChannelLost when the switch breaks off."""
        return {thing.key: thing for thing in (make_thing(self.bridge, flow) for flow in await self.dump())}

    async def dump(self) -> list[of.FlowEntry]:
        """Our flows with their counters."""
        async with self._lock:
            channel = await self._connect()
            xid = channel.next_xid()
            parts = await channel.request(of.encode_flow_dump(xid), xid, self._timeout_s)
            channel.take_errors()
        if parts[-1].type == of.ERROR:
            raise ChannelLost(str(of.decode_error(parts[-1])))
        found = [of.decode_flow_dump(part.body) for part in parts]
        self.others = sum((others for _, others in found), Counter())
        return [flow for flows, _ in found for flow in flows]

    async def apply(self, ops: Sequence[Op]) -> list[Failure]:
        """Change flows in one atomic bundle; see the law above for what happens to a refused flow."""
        failures, left = _sift(ops)
        try:
            async with self._lock:
                channel = await self._connect()
                for _ in range(_ROUNDS):
                    if not left:
                        return failures
                    refused = await self._send_bundle(channel, left)
                    if not refused:
                        return failures
                    failures += refused
                    gone = {id(failure.op) for failure in refused}
                    left = [item for item in left if id(item[0]) not in gone]
                return failures + await self._send_singly(channel, left)
        except NoSwitch as error:  # what should go went with the bridge
            return failures + [Failure(op, str(error)) for op, _ in left if isinstance(op, Put)]
        except (ChannelLost, TimeoutError) as error:
            return failures + [Failure(op, str(error)) for op, _ in left]

    async def refresh(self) -> None:
        """Make the switch look again at packets that it forwards from its cache: it does so for a change of flows, and
        (3.1) not for one of mirrors. A flow that comes and goes in one bundle is such a change."""
        thing = Thing(("flow", self.bridge, SPARE_TABLE, 0, ()), FlowBody(COOKIE_MAGIC, ()))
        for failure in await self.apply([Put(thing), Remove(thing)]):
            LOG.warning("bridge %s: mirrors hold for new packets only: %s", self.bridge, failure.reason)

    async def read_meters(self) -> State:
        """All meters of the bridge. ChannelLost when the switch breaks off."""
        async with self._lock:
            return await meters.read_meters(await self._connect(), self.bridge, self._timeout_s)

    async def apply_meters(self, ops: Sequence[Op]) -> list[Failure]:
        try:
            async with self._lock:
                return await meters.apply_meters(await self._connect(), ops, self._timeout_s)
        except NoSwitch as error:  # what should go went with the bridge
            return [Failure(op, str(error)) for op in ops if isinstance(op, Put)]
        except (ChannelLost, TimeoutError) as error:
            return [Failure(op, str(error)) for op in ops]

    async def _send_bundle(self, channel: Channel, ops: Sequence[Encoded]) -> list[Failure]:
        """The failures that made the switch refuse the bundle; none: it stands."""
        bundle = next(self._bundles) & 0xFFFFFFFF
        by_xid = {channel.next_xid(): item for item in ops}
        opened, commit = channel.next_xid(), channel.next_xid()
        await channel.send([of.encode_bundle_control(bundle, of.BUNDLE_OPEN, opened)], self._timeout_s)
        adds = (of.encode_bundle_add(bundle, message, xid) for xid, (_, message) in by_xid.items())
        await channel.send(adds, self._timeout_s)
        done = of.encode_bundle_control(bundle, of.BUNDLE_COMMIT, commit)
        answer = await channel.request(done, commit, self._timeout_s)
        errors = channel.take_errors()
        refused = _find_refused(errors, by_xid)
        if answer[-1].type != of.ERROR and not refused:
            return []
        if not refused:
            raise ChannelLost(f"the bundle was refused: {of.decode_error(answer[-1])}")
        return refused

    async def _send_singly(self, channel: Channel, ops: Sequence[Encoded]) -> list[Failure]:
        by_xid = {channel.next_xid(): item for item in ops}
        await channel.send((of.set_xid(message, xid) for xid, (_, message) in by_xid.items()), self._timeout_s)
        return _find_refused(await channel.barrier(self._timeout_s), by_xid)

    async def _connect(self) -> Channel:
        """The connection, made anew if there is none. To be called under the lock."""
        if self._over:
            raise ChannelLost(f"bridge {self.bridge} is gone")
        if self._channel is None or self._channel.closed.is_set():
            channel = await open_channel(self._path, self._timeout_s)
            await self._ask_all(channel)
            self._channel = channel
            if self._keeper is None:
                self._keeper = asyncio.create_task(self._keep())
        return self._channel

    async def _ask_all(self, channel: Channel) -> None:
        """What a new connection is to tell by itself; or no connection at all."""
        try:
            if self._on_meddling and not await channel.follow_changes(self._on_meddling, self._timeout_s):
                LOG.info("bridge %s does not tell of changes by others: they are found on the slow clock", self.bridge)
        except (ChannelLost, TimeoutError):
            channel.abort()
            raise
        if self._on_packet:
            await self._ask_packets(channel, self._on_packet)

    async def _ask_packets(self, channel: Channel, on_packet: OnPacket) -> None:
        """Packets, or no connection at all: one that works but for packets would never be mended."""
        try:
            await channel.follow_packets(on_packet, self._timeout_s)
        except (ChannelLost, TimeoutError):
            channel.abort()
            raise

    async def _keep(self) -> None:
        """Come back after each loss, and say so."""
        channel = self._channel
        while True:
            if channel:
                await channel.closed.wait()
                LOG.info("the switch left bridge %s", self.bridge)
            try:
                async with self._lock:
                    channel = await self._connect()
                self._on_return()
            except (OSError, TimeoutError):
                channel = None
                await asyncio.sleep(_RETRY_S)

    @property
    def channel(self) -> Channel | None:
        """The connection, if there is one now."""
        return None if self._channel is None or self._channel.closed.is_set() else self._channel

    @property
    def follows(self) -> bool:
        """Whether somebody takes this bridge's packets."""
        return self._on_packet is not None

    async def follow_packets(self, on_packet: OnPacket) -> None:
        """Call `on_packet` for each packet that a flow sends to us, now and after each return of the switch."""
        async with self._lock:
            self._on_packet = on_packet
            fresh = self._channel is None or self._channel.closed.is_set()
            channel = await self._connect()
            if not fresh:
                await self._ask_packets(channel, on_packet)

    async def send_packet(self, data: bytes, actions: Sequence[Action], in_port: int) -> None:
        """Send a packet through `actions`. ChannelLost when there is no switch."""
        channel = self._channel
        if channel is None or channel.closed.is_set():
            async with self._lock:
                channel = await self._connect()
        if not channel.post(of.encode_packet_out(data, actions, in_port, of.NOBODY)):
            raise ChannelLost(f"the switch does not read from bridge {self.bridge}")

    async def close(self) -> None:
        """For good: whoever waits for the connection is told that it is gone."""
        self._over = True
        if self._keeper:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        async with self._lock:  # a request that is under way ends first, within its time
            if self._channel:
                await self._channel.close()


_RETRY_S = 0.05


def _find_refused(errors: Sequence[of.SwitchError], by_xid: Mapping[int, Encoded]) -> list[Failure]:
    """One failure for each op that an error is about."""
    first = {error.xid: error for error in reversed(errors)}
    return [
        Failure(op, str(error), retry=error.may_pass) for xid, (op, _) in by_xid.items() if (error := first.get(xid))
    ]


def _sift(ops: Sequence[Op]) -> tuple[list[Failure], list[Encoded]]:
    """What cannot be said in OpenFlow, and the rest, encoded."""
    failures: list[Failure] = []
    fit: list[Encoded] = []
    for op in ops:
        try:
            fit.append((op, encode_op(op)))
        except CodecError as error:
            failures.append(Failure(op, str(error), retry=False))
    return failures, fit
