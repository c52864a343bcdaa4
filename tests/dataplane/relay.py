"""What an agent says to its switch, counted on the wire: relays in front of the sockets of Open vSwitch."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from netloom.drivers.ovs.openflow.messages import MULTIPART_REQUEST, Message, split_messages
from netloom.drivers.ovs.ovsdb import split_json

NAMES = {4: "experimenter", 13: "packet_out", 14: "flow_mod", 33: "bundle_control", 34: "bundle_add"}
"""OpenFlow 1.4 message types (7.1.1) that matter here; the others are counted by number."""

MULTIPART_NAMES = {1: "flows", 10: "meters", 16: "monitor"}
"""Of multipart requests (7.3.5): what is asked for."""

CHANGES = ("flow_mod", "bundle_add", "bundle_control", "transact")
"""What alters a switch."""


@dataclass
class Relay:
    """`rundir` is what to give to the agent. `said` counts the messages that went to the switch."""

    switch: Path
    rundir: Path
    said: Counter[str] = field(default_factory=Counter)

    @property
    def changes(self) -> dict[str, int]:
        return {name: self.said[name] for name in CHANGES if self.said[name]}

    def count_openflow(self, buffer: bytearray) -> None:
        for message in split_messages(buffer):
            self.said[name_message(message)] += 1

    def count_ovsdb(self, buffer: bytearray) -> None:
        messages, rest = split_json(buffer.decode())
        buffer[:] = rest.encode()
        self.said.update(str(message.get("method")) for message in messages)

    async def serve(self, name: str) -> asyncio.Server:
        count = self.count_ovsdb if name == "db.sock" else self.count_openflow

        async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                far_reader, far_writer = await asyncio.open_unix_connection(self.switch / name)
            except OSError:
                writer.close()
                return
            await asyncio.wait(
                {
                    asyncio.create_task(copy(reader, far_writer, count)),
                    asyncio.create_task(copy(far_reader, writer, None)),
                }
            )

        return await asyncio.start_unix_server(meet, self.rundir / name)


async def copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: Callable[[bytearray], None] | None
) -> None:
    """One direction, until either end closes."""
    buffer = bytearray()
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            if count:
                buffer += data
                count(buffer)
    except OSError:
        pass
    finally:
        writer.close()


@contextmanager
def run_relay(switch: Path, bridges: tuple[str, ...] = ("br-int", "br-tun")) -> Iterator[Relay]:
    """Relays for the database and for each bridge, on a thread of their own. Socket paths must be short."""
    relay = Relay(switch, Path(tempfile.mkdtemp(prefix="nl-w-")))
    loop, ready = asyncio.new_event_loop(), threading.Event()

    async def main(stop: asyncio.Event) -> None:
        servers = [await relay.serve(name) for name in ("db.sock", *(f"{bridge}.mgmt" for bridge in bridges))]
        ready.set()
        await stop.wait()
        for server in servers:
            server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(main(stop)))
    thread.start()
    try:
        assert ready.wait(10)
        yield relay
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
        shutil.rmtree(relay.rundir)


def name_message(message: Message) -> str:
    """What a message asks for."""
    if message.type != MULTIPART_REQUEST:
        return NAMES.get(message.type, str(message.type))
    kind = int.from_bytes(message.body[:2], "big")
    return MULTIPART_NAMES.get(kind, f"multipart {kind}")
