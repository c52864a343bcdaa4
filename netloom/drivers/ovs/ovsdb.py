"""A client of one OVSDB server (RFC 7047) on asyncio: a replica of the tables that matter, and transactions.

Law: the replica is what the server said, row by row (a port's number comes as a change of a row that has no name in it,
so rows are found by uuid alone). When the connection breaks the replica is empty until the server has sent it anew.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

LOG = logging.getLogger(__name__)

Row = dict[str, Any]
Tables = dict[str, dict[str, Row]]

MONITORED: Mapping[str, Sequence[str]] = {
    "Open_vSwitch": ("bridges", "cur_cfg", "next_cfg", "datapath_types", "iface_types", "other_config"),
    "Bridge": (
        *("name", "ports", "datapath_type", "fail_mode", "protocols", "other_config", "external_ids"),
        *("mirrors", "netflow", "sflow", "ipfix"),
    ),
    "Port": ("name", "interfaces", "external_ids", "bond_mode", "lacp"),
    "Interface": (
        *("name", "type", "options", "ofport", "ofport_request", "external_ids", "mac_in_use", "error"),
        *("bfd", "bfd_status", "mtu", "lacp_current"),
    ),
    "Mirror": ("name", "select_src_port", "select_dst_port", "select_vlan", "output_port", "external_ids"),
    "NetFlow": ("targets", "active_timeout", "engine_id", "engine_type", "external_ids"),
    "sFlow": ("targets", "agent", "header", "polling", "sampling", "external_ids"),
    "IPFIX": (
        *("targets", "sampling", "obs_domain_id", "obs_point_id", "cache_active_timeout", "cache_max_flows"),
        "external_ids",
    ),
}

_RETRY_S = 0.05
MAX_TEXT = 256 << 20
"""Characters of one message: a picture of some hundred thousand ports."""


class OvsdbError(Exception):
    """The server refused a transaction, in its words."""


class OvsdbLost(ConnectionError):
    """There is no server, or it went away."""


def split_json(buffer: str) -> tuple[list[Any], str]:
    """The whole JSON values at the start of `buffer`, and what is left. They come without frames (RFC 7047, 4)."""
    decoder, at, out = json.JSONDecoder(), 0, []
    while at < len(buffer):
        if buffer[at].isspace():
            at += 1
            continue
        try:
            value, at = decoder.raw_decode(buffer, at)
        except json.JSONDecodeError:
            break
        out.append(value)
    return out, buffer[at:]


def read_value(value: Any) -> Any:
    """A column as Python has it: a set as a sorted list, a map as a dict, a uuid as its text."""
    if isinstance(value, list) and len(value) == 2:
        kind, content = value
        if kind == "set":
            return sorted((read_value(item) for item in content), key=str)
        if kind == "map":
            return {read_value(key): read_value(held) for key, held in content}
        if kind in ("uuid", "named-uuid"):
            return content
    return value


def write_map(pairs: Mapping[str, str]) -> list[Any]:
    return ["map", [[key, value] for key, value in pairs.items()]]


def write_set(items: Sequence[Any]) -> list[Any]:
    return ["set", list(items)]


def as_list(value: Any) -> list[Any]:
    """A set column: the server sends one element bare."""
    return value if isinstance(value, list) else [value]


def change_tables(tables: Tables, updates: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    """Apply a monitor's table-updates (RFC 7047, 4.1.6); `new` holds the whole row."""
    for table, rows in updates.items():
        held = tables.setdefault(table, {})
        for uuid, change in rows.items():
            if "new" in change:
                held[uuid] = {name: read_value(value) for name, value in change["new"].items()}
            else:
                held.pop(uuid, None)


class OvsdbClient:
    """Keeps a connection and a replica. `on_change` is called after each change, and after each loss and return."""

    def __init__(self, path: Path, on_change: Callable[[], None] = lambda: None, timeout_s: float = 10.0) -> None:
        self.tables: Tables = {}
        self._path, self._on_change, self._timeout_s = path, on_change, timeout_s
        self._ids = count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._ready = asyncio.Event()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._monitor = 0  # the number of the request whose answer is the first picture
        self._fault = "it never answered"

    async def ready(self) -> None:
        """Return when the replica is whole; at once, without a turn of the event loop, if it is. OvsdbLost when late.

        So whoever reads several things one after the other reads them from one picture.
        """
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._keep())
        if self._ready.is_set():
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                while not self._ready.is_set():  # it may be lost again before we are woken
                    await self._ready.wait()
        except TimeoutError as error:
            raise OvsdbLost(f"no OVSDB server at {self._path}: {self._fault}") from error

    async def close(self) -> None:
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def transact(self, operations: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Do all operations or none, in Open_vSwitch. The replica holds the result on return."""
        await self.ready()
        results = await self._call("transact", ["Open_vSwitch", *operations])
        for result in results:
            if result and "error" in result:
                raise OvsdbError(f"{result['error']}: {result.get('details', '')}".rstrip(": "))
        return list(results)

    async def wait_for(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        """Whether `holds()` comes true in time; looked at after each change of the replica."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()
        return holds()

    async def _call(self, method: str, params: list[Any]) -> Any:
        writer = self._writer
        if writer is None:
            raise OvsdbLost("the OVSDB server went away")
        number = next(self._ids)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            writer.write(json.dumps({"method": method, "params": params, "id": number}).encode())
            async with asyncio.timeout(self._timeout_s):
                await writer.drain()
                return await future
        except TimeoutError as error:
            self._break(writer)
            raise OvsdbLost("the OVSDB server did not answer in time") from error
        except OSError as error:
            self._break(writer)
            raise OvsdbLost(str(error) or "the OVSDB server went away") from error
        finally:
            self._waiting.pop(number, None)

    def _break(self, writer: asyncio.StreamWriter) -> None:
        """The picture is gone from this moment on: whoever asks again at once waits for the next connection.

        Without that, such a caller would never let the event loop see the end of this one.
        """
        writer.transport.abort()
        if self._writer is writer:
            self._lose()

    async def _keep(self) -> None:
        while True:
            try:
                await self._serve()
            except (OSError, OvsdbError) as error:
                self._note_fault(str(error) or type(error).__name__)
            except Exception as error:  # whatever it said, the picture must not stay as it was
                self._note_fault(f"what it says is no OVSDB: {type(error).__name__}: {error}")
            finally:
                self._lose()
            await asyncio.sleep(_RETRY_S)

    def _note_fault(self, words: str) -> None:
        """Say it once, however often it is tried in vain."""
        if self._ready.is_set():
            LOG.warning("lost the OVSDB server: %s", words)
        elif words != self._fault:
            LOG.warning("waiting for the OVSDB server at %s: %s", self._path, words)
        self._fault = words

    async def _serve(self) -> None:
        """One connection, from the first byte to the last."""
        reader, writer = await asyncio.open_unix_connection(self._path, limit=1 << 20)
        self._writer = writer
        wanted = {table: [{"columns": list(columns)}] for table, columns in MONITORED.items()}
        self._monitor = next(self._ids)
        start = {"method": "monitor", "params": ["Open_vSwitch", "replica", wanted], "id": self._monitor}
        try:
            writer.write(json.dumps(start).encode())
            await self._receive(reader)
        finally:
            writer.close()

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        text, decode = "", codecs.getincrementaldecoder("utf-8")()
        while data := await reader.read(1 << 18):
            text += decode.decode(data)
            if text.endswith("}"):  # a message may end here; to look sooner would be work in vain
                messages, text = split_json(text)
                for message in messages:
                    self._handle(message)
            if text.lstrip()[:1] not in ("", "{") or len(text) > MAX_TEXT:
                raise ValueError("it is no JSON-RPC")
        raise OvsdbLost("it closed the connection")

    def _handle(self, message: Mapping[str, Any]) -> None:
        method = message.get("method")
        if method == "echo":
            answer = {"result": message.get("params"), "error": None, "id": message.get("id")}
            if self._writer:
                self._writer.write(json.dumps(answer).encode())
        elif method == "update":
            change_tables(self.tables, message["params"][1])
            self._notify()
        elif method is None:
            self._resolve(message)

    def _begin(self, message: Mapping[str, Any]) -> None:
        """The first picture. Taken in its place among the messages: an update may follow in the same breath."""
        if message.get("error"):
            raise OvsdbError(f"it gives no picture: {message['error']}")
        change_tables(self.tables, message["result"])
        LOG.info("following the OVSDB server at %s", self._path)
        self._fault = ""
        self._ready.set()
        self._notify()

    def _resolve(self, message: Mapping[str, Any]) -> None:
        if message.get("id") == self._monitor:
            self._begin(message)
            return
        future = self._waiting.get(message.get("id", 0))
        if future is None or future.done():
            return
        if message.get("error"):
            future.set_exception(OvsdbError(str(message["error"])))
        else:
            future.set_result(message.get("result"))

    def _lose(self) -> None:
        self._writer, self.tables = None, {}
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(OvsdbLost("the OVSDB server went away"))
        if self._ready.is_set():
            self._ready.clear()
            self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._on_change()

    def rows(self, table: str) -> Iterator[tuple[str, Row]]:
        """(uuid, row) of each row of a table, as far as the server has said."""
        return iter(tuple(self.tables.get(table, {}).items()))

    def find(self, table: str, name: str) -> tuple[str, Row] | None:
        """The row of that name."""
        return next(((uuid, row) for uuid, row in self.rows(table) if row["name"] == name), None)
