"""One OpenFlow connection to one bridge, over the unix socket that ovs-vswitchd opens for it.

Law: a request is answered, refused or broken off, never left hanging; a connection that broke is made anew by the
next request, and whoever asked for packets gets them again without asking.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path

from netloom.drivers.ovs.openflow import messages as of
from netloom.drivers.ovs.openflow.fields import CodecError

LOG = logging.getLogger(__name__)

OnPacket = Callable[[of.PacketIn], None]
MONITOR = of.FLOW_MONITOR.to_bytes(2, "big")


class ChannelLost(ConnectionError):
    """The switch went away, or said something that is no OpenFlow 1.4."""


class NoSwitch(ChannelLost):
    """Nobody listens for that bridge: there is no such bridge, or no switch; no flow either way."""


class Channel:
    """A connection that has shaken hands. Ends for good when the switch does; `closed` is set then."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._on_packet: OnPacket | None = None
        self._on_meddling: Callable[[], None] | None = None
        self._xids = count(1)
        self._waiting: dict[int, asyncio.Future[list[of.Message]]] = {}
        self._parts: dict[int, list[of.Message]] = {}
        self._errors: list[of.SwitchError] = []
        self._hello: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed = asyncio.Event()
        self._task = asyncio.create_task(self._receive())

    async def shake_hands(self, timeout_s: float) -> None:
        """Agree on OpenFlow 1.4. TimeoutError or ChannelLost when that is not possible."""
        self._writer.write(of.encode_hello(self.next_xid()))
        async with asyncio.timeout(timeout_s):
            await self._hello
        await self.barrier(timeout_s)

    async def follow_packets(self, on_packet: OnPacket, timeout_s: float) -> None:
        """From now on give each packet that a flow sends to the controller to `on_packet`."""
        self._on_packet = on_packet
        xids = [self.next_xid() for _ in range(3)]
        await self.send(of.encode_packet_setup(xids), timeout_s)
        if errors := [error for error in await self.barrier(timeout_s) if error.xid in xids]:
            raise ChannelLost(f"the switch refused to send packets: {errors[0]}")

    async def follow_changes(self, on_meddling: Callable[[], None], timeout_s: float) -> bool:
        """From now on call `on_meddling` when somebody else changed flows of ours. False: this switch does not tell."""
        self._on_meddling = on_meddling
        xid = self.next_xid()
        await self.send([of.encode_flow_monitor(xid)], timeout_s)
        return not any(error.xid == xid for error in await self.barrier(timeout_s))

    def ask_echo(self) -> asyncio.Future[list[of.Message]]:
        """A sign of life: done when the switch answers, with ChannelLost when it never can. It may take any time."""
        xid = self.next_xid()
        future: asyncio.Future[list[of.Message]] = asyncio.get_running_loop().create_future()
        self._waiting[xid] = future
        future.add_done_callback(lambda _: self._waiting.pop(xid, None))
        if self.closed.is_set():
            future.set_exception(ChannelLost("the switch closed the connection"))
        else:
            self.post(of.encode(of.ECHO_REQUEST, xid))
        return future

    def next_xid(self) -> int:
        return next(self._xids) % of.NOBODY

    async def send(self, parts: Iterable[bytes], timeout_s: float) -> None:
        """Write messages, no faster than the switch reads them."""
        try:
            for part in parts:
                self._writer.write(part)
                if self._writer.transport.get_write_buffer_size() > _HIGH_WATER:
                    await self._drain(timeout_s)
            await self._drain(timeout_s)
        except (OSError, TimeoutError) as error:
            self.abort()
            raise ChannelLost(str(error) or "the switch does not read") from error

    async def _drain(self, timeout_s: float) -> None:
        # Not `asyncio.wait_for`: it swallows a cancellation that comes with what it waits for (Python 3.11).
        async with asyncio.timeout(timeout_s):
            await self._writer.drain()

    async def request(self, message: bytes, xid: int, timeout_s: float) -> list[of.Message]:
        """The answer to `message`: all parts of a multipart reply, or the one error."""
        if self.closed.is_set():
            raise ChannelLost("the switch closed the connection")
        future: asyncio.Future[list[of.Message]] = asyncio.get_running_loop().create_future()
        self._waiting[xid] = future
        try:
            await self.send([message], timeout_s)
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError as error:
            self.abort()
            raise ChannelLost("the switch did not answer in time") from error
        finally:
            self._waiting.pop(xid, None)

    async def barrier(self, timeout_s: float) -> list[of.SwitchError]:
        """Wait until all before it is done; the errors that came since they were last taken."""
        xid = self.next_xid()
        await self.request(of.encode(of.BARRIER_REQUEST, xid), xid, timeout_s)
        return self.take_errors()

    def take_errors(self) -> list[of.SwitchError]:
        errors, self._errors = self._errors, []
        return errors

    def post(self, message: bytes) -> bool:
        """Write without waiting: for a packet out. False: it was dropped, for the switch does not read."""
        if self._writer.transport.get_write_buffer_size() > _HIGH_WATER:
            return False
        self._writer.write(message)
        return True

    def abort(self) -> None:
        self._writer.transport.abort()

    async def close(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _receive(self) -> None:
        buffer = bytearray()
        reason = "the switch closed the connection"
        try:
            while data := await self._reader.read(1 << 18):
                buffer += data
                for message in of.split_messages(buffer):
                    self._handle(message)
        except (OSError, CodecError) as error:
            reason = str(error)
        except Exception as error:  # a message cut short, such as no switch sends
            reason = f"no OpenFlow: {type(error).__name__}: {error}"
        finally:
            self._finish(reason)

    def _finish(self, reason: str) -> None:
        self._writer.close()
        self.closed.set()
        if not self._hello.done():
            self._hello.set_exception(ChannelLost(reason))
            self._hello.exception()  # read here, or the loop complains when nobody waits for it
        for future in list(self._waiting.values()):
            if not future.done():
                future.set_exception(ChannelLost(reason))

    def _handle(self, message: of.Message) -> None:
        if message.type == of.ECHO_REQUEST:
            self.post(of.encode(of.ECHO_REPLY, message.xid, message.body))
        elif message.type == of.HELLO:
            if not self._hello.done():
                self._hello.set_result(None)
        elif message.type == of.ERROR:
            self._take_error(message)
        elif message.type == of.EXPERIMENTER:
            self._packet(message)
        elif message.type == of.MULTIPART_REPLY and message.body[:2] == MONITOR:
            self._note_changes(message.body)
        elif message.type == of.MULTIPART_REPLY and message.body[3] & 1:
            self._parts.setdefault(message.xid, []).append(message)
        else:
            self._resolve(message)

    def _note_changes(self, body: bytes) -> None:
        if self._on_meddling is not None and of.find_meddling(body):
            self._on_meddling()

    def _take_error(self, message: of.Message) -> None:
        error = of.decode_error(message)
        if message.xid == of.NOBODY:
            LOG.debug("a packet was refused: %s", error)
            return
        self._errors.append(error)
        self._resolve(message)

    def _resolve(self, message: of.Message) -> None:
        future = self._waiting.get(message.xid)
        parts = self._parts.pop(message.xid, [])
        if future and not future.done():
            future.set_result([*parts, message])

    def _packet(self, message: of.Message) -> None:
        packet = of.decode_packet_in(message.body)
        if packet is None or self._on_packet is None:
            return
        try:
            self._on_packet(packet)
        except Exception:
            LOG.exception("a packet for reason %s was not handled", packet.reason)


_HIGH_WATER = 1 << 20


async def open_channel(path: Path, timeout_s: float = 10.0) -> Channel:
    """A connection to the bridge whose socket is at `path`, ready for requests. NoSwitch when nobody listens."""
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=1 << 20)
    except OSError as error:
        raise NoSwitch(f"no switch at {path}: {error.strerror}") from error
    channel = Channel(reader, writer)
    try:
        await channel.shake_hands(timeout_s)
    except (OSError, TimeoutError) as error:
        await channel.close()
        raise ChannelLost(str(error) or "no handshake in time") from error
    except BaseException:  # cancelled: nobody else knows of the connection
        channel.abort()
        raise
    return channel
