"""Neighbours of distributed routers outside: who has which address there, asked for and kept; and where ours came to.

Law: what is learned becomes a fact of this host, and flows come of facts; so nothing here writes a flow. What was
learned is kept on disk, so a restart asks anew but forgets nothing. Nobody outside decides what is asked for: only
addresses of the network's own subnets are, and only so many.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from netloom.agent.bucket import Bucket
from netloom.agent.parts import PacketIo, Routed
from netloom.model.address import ip_int, ip_version, link_local, parse_net
from netloom.model.facts import HostFacts
from netloom.model.flow import CONTROLLER, Action, DecTtl, Resubmit, SetField
from netloom.model.slices import Slices
from netloom.render import registers as reg
from netloom.render.answers.announce import announce_frame
from netloom.render.answers.frames import Malformed, pack_mac
from netloom.render.answers.routing import ask_frame, expired_frame, large_frame, parse_heard, read_target
from netloom.render.outside import Address, Outside, OutsideBook, Voice
from netloom.render.pipeline import REASON_EXPIRED, REASON_HEARD, REASON_LARGE, REASON_RESOLVE, ROUTE, SWITCH

LOG = logging.getLogger(__name__)
Key = tuple[str, str]
"""(network, address)."""

TICK_S = 0.25
REFRESH_S = 20.0
"""How often an address that is known is asked for again."""
SILENT_S = 65.0
"""How long one that does not answer is believed in: three askings."""
LIFE_S = 1800.0
"""How long one that no route needs is kept; it comes again with the next packet."""
TRIES = 3
MOST = 4096
"""Neighbours on all networks of this host."""
ANNOUNCED_S = (0.0, 0.25, 1.5, 3.0)
"""When an address that came is announced: more than once and not all at once, for the host that had it may speak of it
until it knows, and some disregard for a second what contradicts what they have just heard."""
HELD = 3
"""Packets that wait for one address."""
RATE, BURST = 200.0, 400.0
"""Packets a second that routers hand over, on all of them."""
COMPLAINTS = (REASON_EXPIRED, REASON_LARGE)
COMPLAINT_RATE, COMPLAINT_BURST = 100.0, 100.0
"""Of those, packets that their sender is told an error of: so who sends nothing else takes no neighbour from others."""
Learned = Mapping[Key, str]


@dataclass(slots=True)
class Neighbour:
    """Somebody outside. `waiting`: frames for him that came before he was known."""

    mac: str = ""
    heard_s: float = 0.0
    asked_s: float = 0.0
    tries: int = 0
    wanted_s: float = 0.0
    waiting: list[bytes] = field(default_factory=list)


class Neighbours:
    """`complete` gives facts with what was learned; `changed` is called when that is more or less than before."""

    def __init__(
        self,
        packets: PacketIo,
        clock: Callable[[], float],
        changed: Callable[[], None],
        known: Learned | None = None,
        save: Callable[[Learned], None] = lambda learned: None,
    ) -> None:
        self._packets, self._clock, self._changed, self._save = packets, clock, changed, save
        now = clock()
        self._held = {key: Neighbour(mac, now, wanted_s=now) for key, mac in (known or {}).items()}
        self._book = OutsideBook()
        self._outside = Outside({}, {})
        self._bucket, self._complaints = Bucket(BURST, now), Bucket(COMPLAINT_BURST, now)
        self._queue: asyncio.Queue[Routed] = asyncio.Queue(1024)
        self._own: dict[int, frozenset[Address]] | None = None
        self._news: list[tuple[float, int, Address]] = []  # what is to be announced, and when
        self._asked = asyncio.Event()

    @property
    def learned(self) -> Learned:
        return {key: one.mac for key, one in self._held.items() if one.mac}

    # -- in the loop ---------------------------------------------------------------------------------------------------

    def complete(self, slices: Slices, facts: HostFacts) -> HostFacts:
        """The facts, with neighbours on networks that this host speaks on; it asks for the gateways there."""
        self._outside = self._book.read(slices, facts)
        ids = {voice.network_id for voice in self._outside.voices.values()}
        gone = [key for key in self._held if key[0] not in ids] if slices else []
        for key in gone:
            del self._held[key]
        for voice in self._outside.voices.values():
            for ip in voice.gateways:
                self._want(voice, ip)
        return replace(facts, neighbours=self.learned)

    def note_done(self) -> None:
        """The flows are as they should be: now answers would arrive, so who is not known is asked for; and addresses
        that came to this host since are announced, some times: the host that had them before may still speak."""
        own = {number: voice.own for number, voice in self._outside.voices.items()}
        if self._own is not None:
            now = self._clock()
            for number, addresses in own.items():
                fresh = sorted(addresses - self._own.get(number, frozenset()))
                self._news += [(now + later, number, address) for later in ANNOUNCED_S for address in fresh]
        self._own = own
        if self._news or any(not held.mac for held in self._held.values()):
            self._asked.set()

    def _want(self, voice: Voice, ip: str) -> Neighbour | None:
        key = voice.network_id, ip
        held = self._held.get(key)
        if held is None:
            if len(self._held) >= MOST:
                return None
            held = self._held[key] = Neighbour()
        held.wanted_s = self._clock()
        return held

    # -- packets -------------------------------------------------------------------------------------------------------

    def take(self, packet: Routed) -> None:
        """Accept a packet that a router handed over, within the budget of its kind. Never waits."""
        if self._spend(packet.reason in COMPLAINTS) and not self._queue.full():
            self._queue.put_nowait(packet)

    def _spend(self, complaint: bool) -> bool:
        """Whether there is something left for one more."""
        now = self._clock()
        if complaint:
            left = self._complaints.take(now, COMPLAINT_RATE, COMPLAINT_BURST)
            self._complaints = left or self._complaints
        else:
            left = self._bucket.take(now, RATE, BURST)
            self._bucket = left or self._bucket
        return left is not None

    async def run(self) -> None:
        """Work off packets, and ask, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._run_packets())
            group.create_task(self._run_asking())

    async def _run_packets(self) -> None:
        handlers = {
            REASON_EXPIRED: self._expire, REASON_LARGE: self._refuse_large, REASON_RESOLVE: self._resolve,
            REASON_HEARD: self._hear,
        }  # fmt: skip
        while True:
            packet = await self._queue.get()
            try:
                await handlers[packet.reason](packet)
            except Malformed as error:
                LOG.debug("a routed packet was passed over: %s", error)
            except (OSError, TimeoutError) as error:
                LOG.warning("the switch took no packet: %s", error)

    async def _expire(self, packet: Routed) -> None:
        version = 6 if packet.frame[12:14] == b"\x86\xdd" else 4
        source = self._outside.routers.get(packet.router, {}).get((packet.origin, version))
        await self._complain(packet, expired_frame(packet.frame, source) if source else None)

    async def _refuse_large(self, packet: Routed) -> None:
        """Who sent it from outside is told in the name of the address inside that it goes to, which is translated as
        its answers are."""
        version = 6 if packet.frame[12:14] == b"\x86\xdd" else 4
        mtu = self._outside.mtus.get(packet.network)
        if packet.origin in self._outside.outer and version == 4:
            source: str | None = read_target(packet.frame)
        else:
            source = self._outside.routers.get(packet.router, {}).get((packet.origin, version))
        await self._complain(packet, large_frame(packet.frame, source, mtu) if source and mtu else None)

    async def _complain(self, packet: Routed, reply: bytes | None) -> None:
        """Send an error back the way that the packet came."""
        if reply:
            back = (
                SetField(reg.ROUTER, packet.router), SetField(reg.ORIGIN, packet.origin),
                reg.set_network(packet.origin), Resubmit(ROUTE),
            )  # fmt: skip
            await self._packets.send_through(reply, back, CONTROLLER)

    async def _resolve(self, packet: Routed) -> None:
        voice = self._outside.voices.get(packet.network)
        if voice is None or not is_near(voice, packet.hop):
            return
        held = self._want(voice, packet.hop)
        if held is None:
            return
        if held.mac:
            await self._deliver(voice.number, held.mac, packet.frame)
        elif len(held.waiting) < HELD:
            held.waiting.append(packet.frame)
            self._asked.set()

    async def _hear(self, packet: Routed) -> None:
        """Only who was asked for is believed."""
        heard, voice = parse_heard(packet.frame), self._outside.voices.get(packet.network)
        held = self._held.get((voice.network_id, heard.ip)) if voice else None
        if voice is None or held is None:
            return
        news = held.mac != heard.mac
        held.mac, held.heard_s, held.tries = heard.mac, self._clock(), 0
        waiting, held.waiting = held.waiting, []
        if news:
            self._note_change()
        for frame in waiting:
            await self._deliver(voice.number, heard.mac, frame)

    async def _deliver(self, network: int, mac: str, frame: bytes) -> None:
        """The last step, as its flow would have it."""
        frame = pack_mac(mac) + frame[6:]
        on: tuple[Action, ...] = (DecTtl(), reg.set_network(network), Resubmit(SWITCH))
        await self._packets.send_through(frame, on, CONTROLLER)

    def _note_change(self) -> None:
        self._save(self.learned)
        self._changed()

    # -- asking --------------------------------------------------------------------------------------------------------

    async def _run_asking(self) -> None:
        while True:
            self._asked.clear()
            try:
                await self.ask_due()
            except (OSError, TimeoutError) as error:
                LOG.info("nobody could be asked: %s", error)
            try:
                async with asyncio.timeout(TICK_S):
                    await self._asked.wait()
                    await asyncio.sleep(0)
            except TimeoutError:
                pass

    async def ask_due(self) -> None:
        """Ask for who is not known and for who was not heard of for a while; forget who is silent; announce."""
        now = self._clock()
        self._forget(now)
        ready = self._own or {}
        for voice in (voice for number, voice in self._outside.voices.items() if number in ready):
            for (network_id, ip), held in list(self._held.items()):
                if network_id == voice.network_id and ip_version(ip) in voice.speaks and is_due(held, now):
                    held.asked_s, held.tries = now, held.tries + 1
                    mac, source = voice.speaks[ip_version(ip)]
                    await self._say(voice.number, ask_frame(ip, mac, source))
        due = [(number, address) for at, number, address in self._news if at <= now]
        self._news = [news for news in self._news if news[0] > now]
        for number, address in due:
            if address in ready.get(number, ()):  # else it went on since: another host says so, not to be contradicted
                await self._say(number, announce_frame(*address))

    async def _say(self, network: int, frame: bytes) -> None:
        """To all who are on the network."""
        await self._packets.send_through(frame, (reg.set_network(network), Resubmit(SWITCH)), CONTROLLER)

    def _forget(self, now: float) -> None:
        before = self.learned
        needed = {(v.network_id, ip) for v in self._outside.voices.values() for ip in v.gateways}
        for key, held in list(self._held.items()):
            silent = now - held.heard_s > SILENT_S and held.tries >= TRIES
            if silent and key in needed:
                held.mac, held.waiting, held.tries = "", [], 1
            elif silent or (key not in needed and now - held.wanted_s > LIFE_S):
                del self._held[key]
        if self.learned != before:
            self._note_change()


def is_due(held: Neighbour, now: float) -> bool:
    """Three times at once, then now and then."""
    if held.mac and held.tries == 0:
        return now - max(held.heard_s, held.asked_s) >= REFRESH_S
    wait = TICK_S if held.tries < TRIES else REFRESH_S / 4
    return held.tries == 0 or now - held.asked_s >= wait


def is_near(voice: Voice, ip: str) -> bool:
    """Whether an address is of a subnet there, and not this host's own."""
    if any(ip == own for _, own in voice.own) or any(ip == link_local(mac) for mac, _ in voice.own):
        return False
    nets = (parse_net(prefix) for prefix in voice.prefixes)
    return any(
        net.version == ip_version(ip) and ip_int(ip) & int(net.netmask) == int(net.network_address) for net in nets
    )
