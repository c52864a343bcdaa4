"""A switch that falls silent and speaks again, and one whose flows somebody else changes."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

import pytest

from netloom.drivers.ovs.channel import ChannelLost, open_channel
from netloom.drivers.ovs.openflow import messages as of
from netloom.drivers.ovs.openflow.fields import CodecError, encode_match
from netloom.drivers.ovs.pulse import WORDS, Pulse
from netloom.model.flow import COOKIE_MAGIC
from tests.unit.drivers.peers import FakeSwitch, serve
from tests.waiting import until


class Mute(FakeSwitch):
    """It answers a sign of life when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may = asyncio.Event()
        self.asked = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        buffer = bytearray()
        writer.write(of.encode_hello(0))
        while data := await reader.read(65536):
            buffer += data
            for message in of.split_messages(buffer):
                if message.type == of.ECHO_REQUEST:
                    self.asked += 1
                    await self.may.wait()
                    writer.write(of.encode(of.ECHO_REPLY, message.xid))
                else:
                    writer.write(self._answer(message))


def test_a_silent_switch_is_noticed_and_its_first_word_too(tmp_path: Path) -> None:
    """Each once, on the connection that there is; while the switch is at work for us nothing is asked."""

    async def whole() -> None:
        switch, changes, busy = Mute(), [], [True]
        async with serve(tmp_path / "br.mgmt", switch.handle):
            channel = await open_channel(tmp_path / "br.mgmt")
            pulse = Pulse(lambda: channel, lambda: busy[0], lambda: changes.append(pulse.silent), 0.01, 0.05)
            pulse.start()
            await asyncio.sleep(0.1)
            assert switch.asked == 0
            busy[0] = False
            await until(lambda: pulse.silent)
            assert (changes, channel.closed.is_set()) == ([WORDS], False)
            switch.may.set()
            await until(lambda: not pulse.silent)
            await until(lambda: switch.asked > 2)
            assert changes == [WORDS, ""]
            await pulse.close()
            await channel.close()

    asyncio.run(whole())


def test_a_switch_that_goes_while_it_is_asked(tmp_path: Path) -> None:
    """The question ends with the connection, and a silence that was noticed stays until the switch is back."""

    async def whole() -> None:
        switch = Mute()
        async with serve(tmp_path / "br.mgmt", switch.handle):
            channel = await open_channel(tmp_path / "br.mgmt")
            pulse = Pulse(lambda: channel, lambda: False, lambda: None, 0.01, 0.05)
            pulse.start()
            await until(lambda: pulse.silent)
            asked = channel.ask_echo()
            channel.abort()
            with pytest.raises(ChannelLost):
                await asked
            with pytest.raises(ChannelLost):
                await channel.ask_echo()
            await asyncio.sleep(0.05)
            assert pulse.silent == WORDS
            pulse.note_return()
            assert not pulse.silent
            await pulse.close()
            await channel.close()

    asyncio.run(whole())


def make_update(event: int, cookie: int = 0) -> bytes:
    if event == 4:
        return struct.pack("!HHI", 8, event, 7)
    return struct.pack("!HHBBHHHIQ", 32, event, 0, 0, 0, 0, 5, 0, cookie) + encode_match(())


OURS, THEIRS = COOKIE_MAGIC | 7, 7
INITIAL, ADDED, REMOVED, MODIFIED, ABBREV, PAUSED, RESUMED = range(7)


@pytest.mark.parametrize(
    ("updates", "found"),
    [
        ((), False),
        (((ABBREV, 0),), False),
        (((ADDED, THEIRS), (REMOVED, THEIRS)), False),
        (((ABBREV, 0), (REMOVED, OURS)), True),
        (((ADDED, OURS),), True),
        (((MODIFIED, THEIRS),), True),
        (((PAUSED, 0),), True),
        (((RESUMED, 0),), True),
    ],
)
def test_whose_flows_somebody_changed(updates: tuple[tuple[int, int], ...], found: bool) -> None:
    """Ours, or one that was overwritten; one's own changes are told as numbers alone, others' flows are others'."""
    body = struct.pack("!HH4x", of.FLOW_MONITOR, 0) + b"".join(
        struct.pack("!HH4x", 8, event) if event > ABBREV else make_update(event, cookie) for event, cookie in updates
    )
    assert of.find_meddling(body) is found
    with pytest.raises(CodecError):
        of.find_meddling(struct.pack("!HH4xHH", of.FLOW_MONITOR, 0, 4, ADDED))
