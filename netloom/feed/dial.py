"""How a host or relay gets to who is upstream: one of several addresses, again and again, never all at once."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Sequence

from netloom.feed.grants import is_relay
from netloom.feed.pki import SERVER_NAME, find_host_name

FIRST_RETRY_S, LAST_RETRY_S = 0.2, 15.0


async def open_stream(
    address: str, context: ssl.SSLContext, limit: int = 1 << 20
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """TLS to "host:port" or "unix:/path"."""
    if address.startswith("unix:"):
        return await asyncio.open_unix_connection(address[5:], ssl=context, server_hostname=SERVER_NAME, limit=limit)
    host, _, port = address.rpartition(":")
    return await asyncio.open_connection(
        host.strip("[]"), int(port), ssl=context, server_hostname=SERVER_NAME, limit=limit
    )


def split_addresses(text: str) -> tuple[str, ...]:
    """The addresses of a text that has one or several, with commas between them."""
    return tuple(address for part in text.split(",") if (address := part.strip()))


def find_relay(writer: asyncio.StreamWriter) -> str:
    """The name of the relay at the other end, by its certificate; empty: it is a server."""
    tls = writer.get_extra_info("ssl_object")
    name = find_host_name(tls.getpeercert()) if tls else ""
    return name if is_relay(name) else ""


class Dial:
    """Which address is next, and when. `chance` is what keeps thousands of hosts apart."""

    def __init__(self, addresses: Sequence[str], chance: random.Random | None = None) -> None:
        self._addresses = tuple(addresses)
        self._chance = chance or random.Random()
        self._at = 0
        self._wait_s = FIRST_RETRY_S

    @property
    def address(self) -> str:
        return self._addresses[self._at % len(self._addresses)] if self._addresses else ""

    def fail(self, served: bool) -> float:
        """Seconds until the next try, at the next address. `served`: the last one had told something.

        They grow twofold while nobody serves, once all addresses were tried; the first of a round are tried at once.
        """
        if served:
            self._wait_s = FIRST_RETRY_S
        elif self._at % max(1, len(self._addresses)) == len(self._addresses) - 1 or len(self._addresses) < 2:
            self._wait_s = min(self._wait_s * 2, LAST_RETRY_S)
        self._at += 1
        return self._wait_s * self._chance.uniform(0.5, 1.0)
