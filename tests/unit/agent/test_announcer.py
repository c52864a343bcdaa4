"""Addresses that came to routers here are announced, by frames that are right to the byte."""

from __future__ import annotations

import asyncio
import struct

from netloom.agent.announcer import Announcer, find_announced
from netloom.model.facts import HostFacts, Interface
from netloom.model.netns import Held
from netloom.model.plan import Op, Put, Remove, Thing
from netloom.render.answers import announce_frame
from netloom.render.answers.frames import checksum, pseudo_header
from tests.unit.agent.agent_kit import FakeSwitch

MAC = "fa:16:3e:00:00:02"


def held(kind: str, cidr: str) -> Thing:
    return Thing((kind, "qrouter-r1", "qg-ggggggggggg", cidr), Held())


def test_only_what_came_is_announced() -> None:
    """Not what went, nor anything but addresses."""
    ops: list[Op] = [
        Put(held("alias", "203.0.113.9/32")), Put(held("address", "203.0.113.2/24")),
        Remove(held("alias", "192.0.2.1/32")), Put(held("proxy", "2001:db8::1")),
    ]  # fmt: skip
    assert list(find_announced(ops)) == [("tapggggggggggg", "203.0.113.9"), ("tapggggggggggg", "203.0.113.2")]


def test_a_gratuitous_reply() -> None:
    """RFC 826, from and about the address, sent to everybody and meant for itself: so Linux believes it at once, even
    where it has just heard something else."""
    frame = announce_frame(MAC, "203.0.113.9")
    own, all = bytes.fromhex(MAC.replace(":", "")), b"\xff" * 6
    assert frame[:14] == all + own + b"\x08\x06"
    assert struct.unpack(">HHBBH", frame[14:22]) == (1, 0x0800, 6, 4, 2)
    assert frame[22:] == 2 * (own + bytes((203, 0, 113, 9)))


def test_an_unsolicited_advertisement() -> None:
    """RFC 4861, 4.4: to all nodes, hop limit 255, override, a checksum that is right."""
    frame = announce_frame(MAC, "2001:db8::2")
    message = frame[54:]
    assert frame[:6] == bytes.fromhex("333300000001") and frame[21] == 255
    assert message[0] == 136 and message[4] == 0xA0 and message[-8:-6] == b"\2\1"
    assert checksum(pseudo_header("fe80::f816:3eff:fe00:2", "ff02::1", 58, len(message)) + message) == 0


def test_it_is_said_once_the_device_is_wired_and_then_again() -> None:
    """The first time may come too early: the device is opened with the next turn."""

    async def story() -> list[tuple[int, bytes]]:
        switch, facts = FakeSwitch(), [HostFacts("h1")]
        found = Announcer(switch, lambda: facts[0], (0.0, 0.001, 0.002, 0.003))
        task = asyncio.ensure_future(found.run())
        found.note([Put(held("alias", "203.0.113.9/32"))])
        await asyncio.sleep(0)
        facts[0] = HostFacts("h1", interfaces={"g": Interface("tapggggggggggg", 7, MAC)})
        while len(switch.injected) < 2:
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return switch.injected

    assert set(asyncio.run(story())) == {(7, announce_frame(MAC, "203.0.113.9"))}
