"""Who is outside: asked for, believed, kept, forgotten; and where our own addresses came to."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from netloom.agent.neighbour_file import NeighbourFile
from netloom.agent.neighbours import ANNOUNCED_S, LIFE_S, REFRESH_S, SILENT_S, Neighbours
from netloom.agent.parts import Routed
from netloom.model.facts import HostFacts
from netloom.model.flow import ARP
from netloom.model.slices import (
    Address,
    FloatingRow,
    InterfaceRow,
    NetworkRow,
    RouterHost,
    RouterRow,
    Row,
    Segment,
    Slice,
    SubnetRow,
)
from netloom.render.answers.frames import pack_ip, pack_mac
from netloom.render.pipeline import REASON_EXPIRED, REASON_HEARD, REASON_LARGE, REASON_RESOLVE
from tests.unit.agent.agent_kit import FakeSwitch

GATEWAY, OTHER = "203.0.113.1", "203.0.113.77"
MAC, THEIRS = "fa:16:3e:00:00:01", "02:00:00:00:00:01"
FACTS = HostFacts("h1", bridge_mappings={"physnet": "br-ex"})


def make_slices(*floating: FloatingRow, central: str = "h1") -> dict[str, Slice]:
    network: dict[str, Row] = {
        "network/ext": NetworkRow("ext", 7, external=True, segments=(Segment("flat", "physnet"),)),
        "subnet/s": SubnetRow("s", "ext", "203.0.113.0/24", 4, GATEWAY),
    }
    port = InterfaceRow("gw", "ext", MAC, "gateway", (Address("203.0.113.10", "s"),))
    router: dict[str, Row] = {
        "router/r": RouterRow("r", distributed=True, gateway_port_id="gw", hosts=(RouterHost(central),)),
        "interface/gw": port,
        **{f"floating/{row.id}": row for row in floating},
    }
    return {"network/ext": Slice("network/ext", 1, network), "router/r": Slice("router/r", 1, router)}


@dataclass
class Bench:
    """A host whose clock is set, with what it sent."""

    switch: FakeSwitch = field(default_factory=FakeSwitch)
    now: float = 1000.0
    changes: int = 0
    saved: list[dict[tuple[str, str], str]] = field(default_factory=list)

    def make(self, known: dict[tuple[str, str], str] | None = None) -> Neighbours:
        return Neighbours(self.switch, lambda: self.now, self.note, known, lambda found: self.saved.append(dict(found)))

    def note(self) -> None:
        self.changes += 1

    def take_arps(self) -> list[tuple[int, str]]:
        """(operation, target) of what was sent."""
        sent, self.switch.through = self.switch.through, []
        return [
            (int.from_bytes(frame[20:22], "big"), ".".join(map(str, frame[38:42])))
            for frame, _ in sent
            if frame[12:14] == ARP.to_bytes(2, "big")
        ]


def reply(ip: str = GATEWAY, mac: str = THEIRS) -> Routed:
    head = pack_mac(MAC) + pack_mac(mac) + struct.pack(">HHHBBH", ARP, 1, 0x0800, 6, 4, 2)
    frame = head + pack_mac(mac) + pack_ip(ip) + pack_mac(MAC) + pack_ip("203.0.113.10")
    return Routed(REASON_HEARD, frame, network=7)


def play(work: Callable[[Bench, Neighbours], Awaitable[None]], known: dict[tuple[str, str], str] | None = None) -> None:
    async def run() -> None:
        bench = Bench()
        await work(bench, bench.make(known))

    asyncio.run(run())


async def settle(one: Neighbours, *packets: Routed) -> None:
    """Let it work off what came."""
    for packet in packets:
        one.take(packet)
    task = asyncio.create_task(one.run())
    for _ in range(20):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_the_gateway_is_asked_for_when_flows_are_there() -> None:
    """Before them no answer would arrive, so nobody is asked."""

    async def work(bench: Bench, one: Neighbours) -> None:
        one.complete(make_slices(), FACTS)
        await one.ask_due()
        assert bench.take_arps() == []
        one.note_done()
        await one.ask_due()
        assert bench.take_arps() == [(1, GATEWAY)]
        await settle(one, reply())
        assert one.complete(make_slices(), FACTS).neighbours == {("ext", GATEWAY): THEIRS}
        assert bench.changes == 1
        assert bench.saved == [{("ext", GATEWAY): THEIRS}]

    play(work)


def test_only_who_was_asked_for_is_believed() -> None:
    """An answer that nobody asked for, of a group's MAC address, or on another network changes nothing."""

    async def work(bench: Bench, one: Neighbours) -> None:
        one.complete(make_slices(), FACTS)
        one.note_done()
        elsewhere = Routed(REASON_HEARD, reply().frame, network=8)
        await settle(one, reply(OTHER), reply(mac="01:00:5e:00:00:01"), elsewhere, Routed(REASON_HEARD, b"short", 7))
        assert not one.learned

    play(work)


def test_a_packet_waits_for_its_neighbour() -> None:
    """The first packet to somebody new is not lost, and goes out with his address."""

    async def work(bench: Bench, one: Neighbours) -> None:
        one.complete(make_slices(), FACTS)
        one.note_done()
        frame = bytes(12) + b"\x08\x00" + bytes(30)
        await settle(one, Routed(REASON_RESOLVE, frame, network=7, hop=OTHER))
        assert (1, OTHER) in bench.take_arps()
        await settle(one, reply(OTHER))
        assert pack_mac(THEIRS) + frame[6:] in [sent for sent, _ in bench.switch.through]

    play(work)


def test_nobody_elsewhere_is_asked_for() -> None:
    """An instance that scans the world makes the host ask for nobody but neighbours, and not for the host itself."""

    async def work(bench: Bench, one: Neighbours) -> None:
        one.complete(make_slices(), FACTS)
        one.note_done()
        await settle(one, *(Routed(REASON_RESOLVE, b"x" * 40, network=7, hop=ip) for ip in ("8.8.8.8", "203.0.113.10")))
        assert set(bench.take_arps()) == {(1, GATEWAY)}

    play(work)


def test_who_is_silent_is_forgotten() -> None:
    """Three askings without an answer; one that answers stays, with the address that he has now."""

    async def work(bench: Bench, one: Neighbours) -> None:
        one.complete(make_slices(), FACTS)
        one.note_done()
        for _ in range(3):
            bench.now += REFRESH_S
            await one.ask_due()
        await settle(one, reply(mac="02:00:00:00:00:02"))
        assert one.learned == {("ext", GATEWAY): "02:00:00:00:00:02"}
        for _ in range(4):
            bench.now += REFRESH_S + SILENT_S / 3
            await one.ask_due()
        assert not one.learned
        assert bench.saved[-1] == {}

    play(work, {("ext", GATEWAY): THEIRS})


def test_who_is_not_needed_is_forgotten() -> None:
    """A neighbour that no route needs is kept for half an hour after the last packet."""

    async def work(bench: Bench, one: Neighbours) -> None:
        one.complete(make_slices(), FACTS)
        bench.now += LIFE_S + 1
        one.complete(make_slices(), FACTS)
        await one.ask_due()
        assert ("ext", OTHER) not in one.learned

    play(work, {("ext", GATEWAY): THEIRS, ("ext", OTHER): THEIRS})


def test_what_a_restarted_agent_knew_is_a_fact_at_once() -> None:
    """So that its first turn changes no flow, and nothing is announced."""

    async def work(bench: Bench, one: Neighbours) -> None:
        facts = one.complete(make_slices(), FACTS)
        assert facts.neighbours == {("ext", GATEWAY): THEIRS}
        one.note_done()
        await one.ask_due()
        assert bench.take_arps() == []

    play(work, {("ext", GATEWAY): THEIRS})


def test_an_address_that_comes_is_announced() -> None:
    """Some times over three seconds, however often there is news; and no more once it went on to another host."""
    floating = FloatingRow("f", "ext", "203.0.113.50", "fa:16:3e:00:00:50", "10.0.0.5", "p", "h1")

    async def work(bench: Bench, one: Neighbours) -> None:
        known = {("ext", GATEWAY): THEIRS}
        assert known == one.learned
        one.complete(make_slices(), FACTS)
        one.note_done()
        one.complete(make_slices(floating), FACTS)
        one.note_done()
        said = []
        for _ in range(9):  # two seconds
            for _ in range(3):
                one.note_done()
                await one.ask_due()
            said.append(len(bench.take_arps()))
            bench.now += 0.25
        assert said == [1, 1, 0, 0, 0, 0, 1, 0, 0]
        one.complete(make_slices(), FACTS)
        one.note_done()
        bench.now += ANNOUNCED_S[-1]
        await one.ask_due()
        assert bench.take_arps() == []

    play(work, {("ext", GATEWAY): THEIRS})


def test_a_host_without_a_part_in_it_says_nothing() -> None:
    """Only who hides or translates addresses of a network speaks there."""

    async def work(bench: Bench, one: Neighbours) -> None:
        assert not one.complete(make_slices(central="h2"), FACTS).neighbours
        one.note_done()
        await one.ask_due()
        assert bench.take_arps() == []

    play(work, {("ext", GATEWAY): THEIRS})


def test_a_packet_that_grew_old_gets_an_answer() -> None:
    """From the router's address where it came from, by way of the router; an error gets none."""

    async def work(bench: Bench, one: Neighbours) -> None:
        one.complete(make_slices(), FACTS)
        (number,) = one._outside.routers
        head = struct.pack(">BBHHHBBH", 0x45, 0, 28, 0, 0, 1, 17, 0) + pack_ip("203.0.113.99") + pack_ip("10.0.0.5")
        frame = bytes(12) + b"\x08\x00" + head + bytes(8)
        await settle(one, Routed(REASON_EXPIRED, frame, network=7, origin=7, router=number))
        ((sent, actions),) = bench.switch.through
        assert sent[26:30] == pack_ip("203.0.113.10")
        assert sent[34:36] == b"\x0b\x00"
        assert sent[42:] == head + bytes(8)
        assert len(actions) == 4
        bench.switch.through.clear()
        echo = frame[:23] + b"\x01" + frame[24:34] + b"\x0b\x00" + bytes(6)
        await settle(one, Routed(REASON_EXPIRED, echo, network=7, origin=7, router=number))
        assert not bench.switch.through

    play(work)


def test_a_packet_that_is_too_long_gets_an_answer() -> None:
    """With the MTU of the next network, from the router; who is outside hears it of the address that he sent to."""

    async def work(bench: Bench, one: Neighbours) -> None:
        slices = make_slices()
        inner: dict[str, Row] = {"network/red": NetworkRow("red", 9, mtu=1300, segments=(Segment("vxlan"),))}
        port = InterfaceRow("in", "red", THEIRS, "internal", (Address("10.1.0.1", "s2"),))
        router = {**slices["router/r"].rows, "interface/in": port}
        slices |= {"network/red": Slice("network/red", 1, inner), "router/r": Slice("router/r", 1, router)}
        one.complete(slices, FACTS)
        (number,) = one._outside.routers
        head = struct.pack(">BBHHHBBH", 0x45, 0, 1400, 0, 0x4000, 9, 17, 0)
        out = bytes(12) + b"\x08\x00" + head + pack_ip("10.1.0.5") + pack_ip("203.0.113.99") + bytes(1380)
        back = bytes(12) + b"\x08\x00" + head + pack_ip("203.0.113.99") + pack_ip("10.1.0.5") + bytes(1380)
        for frame, network, origin in ((out, 7, 9), (back, 9, 7)):
            await settle(one, Routed(REASON_LARGE, frame, network=network, origin=origin, router=number))
        (first, _), (second, _) = bench.switch.through
        assert (first[26:30], first[34:36]) == (pack_ip("10.1.0.1"), b"\x03\x04")
        assert (int.from_bytes(first[38:42], "big"), int.from_bytes(second[38:42], "big")) == (1500, 1300)
        assert (second[26:30], second[30:34]) == (pack_ip("10.1.0.5"), pack_ip("203.0.113.99"))

    play(work)


def test_complaints_take_nothing_from_neighbours() -> None:
    """Whoever sends what grows old, ever so often, costs a hundred answers a second, and no neighbour is missed."""

    async def work(bench: Bench, one: Neighbours) -> None:
        one.complete(make_slices(), FACTS)
        one.note_done()
        for _ in range(1000):
            one.take(Routed(REASON_LARGE, b"", 7, 7, 1))
        assert one._queue.qsize() == 100
        await settle(one, Routed(REASON_RESOLVE, bytes(12) + b"\x08\x00" + bytes(30), network=7, hop=OTHER))
        assert (1, OTHER) in bench.take_arps()

    play(work)


def test_what_was_learned_is_on_disk(tmp_path: Path) -> None:
    """And a file that cannot be read is as good as none."""
    kept = NeighbourFile(tmp_path / "neighbours")
    assert kept.load() == {}
    kept.save({("ext", GATEWAY): THEIRS})
    assert kept.load() == {("ext", GATEWAY): THEIRS}
    kept.path.write_text('[["ext", "nowhere", 7]]')
    assert kept.load() == {}
