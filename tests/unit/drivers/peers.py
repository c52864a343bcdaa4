"""A switch and a database that are a few lines each, for what a real one cannot be made to do at will."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from netloom.drivers.ovs.openflow import messages as of
from netloom.drivers.ovs.openflow.meters import METER_CONFIG
from netloom.model.flow import Match

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serve(path: Path, handler: Handler) -> AsyncIterator[None]:
    """`handler` for each connection to the unix socket at `path`."""
    open_: list[asyncio.StreamWriter] = []

    async def remember(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_.append(writer)
        try:
            await handler(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_unix_server(remember, path)
    try:
        yield
    finally:
        for writer in open_:
            writer.transport.abort()
        server.close()
        await server.wait_closed()


class FakeSwitch:
    """Flow tables behind OpenFlow 1.4: bundles that stand or fall, dumps in several parts, refusals on wish."""

    def __init__(self, refuse: Callable[[of.FlowEntry], bool] = lambda flow: False, part: int = 100) -> None:
        self.flows: dict[tuple[int, int, Match], of.FlowEntry] = {}
        self.refuse, self.part = refuse, part
        self.commits = 0
        self._bundle: list[tuple[int, bytes]] = []

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        buffer = bytearray()
        writer.write(of.encode_hello(0))
        while data := await reader.read(65536):
            buffer += data
            for message in of.split_messages(buffer):
                writer.write(self._answer(message))

    def _answer(self, message: of.Message) -> bytes:
        if message.type == of.BARRIER_REQUEST:
            return of.encode(of.BARRIER_REPLY, message.xid)
        if message.type == of.MULTIPART_REQUEST:
            if struct.unpack_from("!H", message.body)[0] == METER_CONFIG:
                return of.encode(of.MULTIPART_REPLY, message.xid, struct.pack("!HH4x", METER_CONFIG, 0))
            return self._dump(message.xid)
        if message.type == of.BUNDLE_ADD:
            self._bundle.append((message.xid, message.body[16:]))
        if message.type == of.FLOW_MOD:
            return self._change([(message.xid, message.body)])[0]
        if message.type == of.BUNDLE_CONTROL:
            return self._control(message)
        return b""

    def _control(self, message: of.Message) -> bytes:
        bundle, step = struct.unpack_from("!IH", message.body)
        errors = b""
        if step == of.BUNDLE_OPEN:
            self._bundle = []
        if step == of.BUNDLE_COMMIT:
            before = dict(self.flows)
            errors, failed = self._change(self._bundle)
            if failed:
                self.flows = before
                return errors + of.encode(of.ERROR, message.xid, struct.pack("!HH", 17, 10))
            self.commits += 1
        return errors + of.encode(of.BUNDLE_CONTROL, message.xid, struct.pack("!IHH", bundle, step + 1, 3))

    def _change(self, mods: list[tuple[int, bytes]]) -> tuple[bytes, bool]:
        for xid, body in mods:
            command, flow = of.decode_flow_mod(body)
            if command == of.ADD and self.refuse(flow):
                return of.encode(of.ERROR, xid, struct.pack("!HH", 2, 10)), True
            key = (flow.table, flow.priority, flow.match)
            if command == of.ADD:
                self.flows[key] = flow
            else:
                self.flows.pop(key, None)
        return b"", False

    def _dump(self, xid: int) -> bytes:
        flows = list(self.flows.values())
        parts = [flows[at : at + self.part] for at in range(0, len(flows), self.part)] or [[]]
        return b"".join(of.encode_flow_stats(part, xid, more=part is not parts[-1]) for part in parts)


def make_database(
    rows: dict[str, dict[str, dict[str, Any]]], seen: list[Any], echoed: asyncio.Event | None = None
) -> Handler:
    """A database that answers a monitor with `rows` in many small pieces, and notes all that it is asked."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            for text in data.decode().replace("}{", "}\n{").splitlines():
                message = json.loads(text)
                seen.append(message)
                if echoed and message["id"] == "echo":
                    echoed.set()
                if message.get("method") != "monitor":
                    continue
                first = {t: {u: {"new": row} for u, row in held.items()} for t, held in rows.items()}
                answer = json.dumps({"id": message["id"], "result": first, "error": None})
                if echoed:
                    answer += json.dumps({"id": "echo", "method": "echo", "params": ["x"]})
                for at in range(0, len(answer), 7):
                    writer.write(answer[at : at + 7].encode())
                    await writer.drain()
                    await asyncio.sleep(0)

    return handle
