"""HTTP as it comes: how long a client may be silent, and how much it may send before a request is one.

Law: what a client does not finish, or does not take, ends its own connection and holds up nobody: a line and headers
that do not come whole in time (408), that are too long (431), a body or an answer that stands still.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's own, with an end to patience. `make_protocol` gives one with limits."""

    client_timeout_s = 60.0
    max_header_size = 65536
    _header_size = 0  # of what is whole
    _unfinished = 0  # of what came since the last request was one
    _reading: asyncio.TimerHandle | None = None
    _writing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait_for_more()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_reading()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        # The clock runs from the first byte of a line until the headers are whole; after that from byte to byte.
        if self._reading is None or self._is_inside_body():
            self._wait_for_more()
        super().data_received(data)
        self._unfinished = 0 if self._reading is None or self._is_inside_body() else self._unfinished + len(data)
        if self._unfinished > self.max_header_size and not self.transport.is_closing():
            self._refuse(431)  # one line without an end

    def _is_inside_body(self) -> bool:
        return self.cycle is not None and self.cycle.more_body

    # -- what comes ----------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._header_size = 0

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def _count(self, size: int) -> None:
        self._header_size += size
        if self._header_size > self.max_header_size:
            self._refuse(431)
            raise OverflowError  # the parser stops, and what it had is let go

    def on_headers_complete(self) -> None:
        if self.transport.is_closing():
            return
        super().on_headers_complete()
        self._wait_for_more()

    def on_message_complete(self) -> None:
        self._stop_reading()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        if not self.transport.is_closing():  # one that was refused already has its answer
            super().send_400_response(msg)

    def _wait_for_more(self) -> None:
        self._stop_reading()
        self._reading = self.loop.call_later(self.client_timeout_s, self._lose_patience)

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _lose_patience(self) -> None:
        self._reading = None
        if self.flow.read_paused:  # it is we who do not read
            self._wait_for_more()
        elif self._is_inside_body() and self.cycle.response_started:
            self.transport.abort()
        else:
            self._refuse(408)

    def _refuse(self, status: int) -> None:
        self.transport.write(STATUS_LINE[status] + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()

    # -- what goes -----------------------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """The client takes nothing: its answer is held for so long and no longer."""
        self.flow.pause_writing()
        if self._writing is None:
            self._writing = self.loop.call_later(self.client_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
        self.flow.resume_writing()


def make_protocol(client_timeout_s: float, max_header_size: int) -> type[PatientProtocol]:
    """The protocol with these limits, for uvicorn's `http`."""
    limits = {"client_timeout_s": client_timeout_s, "max_header_size": max_header_size}
    return type("Bound", (PatientProtocol,), limits)
