"""NATS JetStream as the broker of `feed/bus.py`: one stream in memory, a subject for each server.

Law: nothing waits for the broker but a task of its own, and nothing fails with it: it is ready, or it is not.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import nats
from nats.aio.client import Client
from nats.errors import Error
from nats.js.api import ConsumerConfig, DeliverPolicy, DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.client import JetStreamContext

LOG = logging.getLogger("netloom.feed")
STREAM, SUBJECTS = "NETLOOM", "netloom.frames.*"
MAX_AGE_S = 60.0
MAX_BYTES = 256 << 20
WAITING = 256
"""Blobs that wait to be published; when there are more, frames go by the relays' own connections."""
WORKERS = 8
ANSWER_S = 2.0
"""How long the broker has to say that it has a blob."""
RETRY_S = 1.0
PING_S = 2


async def open_broker(servers: Sequence[str], on_end: Callable[[], None]) -> tuple[Client, JetStreamContext]:
    """A connection, with the stream there. A broker that lost the stream gets it again. Raises Error, OSError."""

    async def end() -> None:
        on_end()

    async def log(error: Exception) -> None:
        LOG.debug("broker: %s", error)

    client = await nats.connect(
        list(servers), allow_reconnect=False, connect_timeout=2, ping_interval=PING_S, max_outstanding_pings=1,
        closed_cb=end, disconnected_cb=end, error_cb=log, max_reconnect_attempts=1,
    )  # fmt: skip
    try:
        stream = client.jetstream(timeout=ANSWER_S)
        config = StreamConfig(
            name=STREAM, subjects=[SUBJECTS], storage=StorageType.MEMORY, retention=RetentionPolicy.LIMITS,
            discard=DiscardPolicy.OLD, max_age=MAX_AGE_S, max_bytes=MAX_BYTES,
        )  # fmt: skip
        await stream.add_stream(config)
    except BaseException:
        await close_broker(client)
        raise
    return client, stream


async def close_broker(client: Client) -> None:
    with suppress(Error, OSError, TimeoutError):
        async with asyncio.timeout(1.0):
            await client.close()


class Link:
    """A connection that is made again whenever it ends. `serve` uses one until `over`."""

    def __init__(self, servers: Sequence[str], serve: Callable[[JetStreamContext], Awaitable[None]]) -> None:
        self.ready = False
        self.over = asyncio.Event()
        self._servers = tuple(servers)
        self._serve = serve

    def end(self) -> None:
        self.ready = False
        self.over.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self.over.clear()
            client: Client | None = None
            try:
                client, stream = await open_broker(self._servers, self.end)
                await self._serve(stream)
            except (Error, OSError, TimeoutError) as error:
                LOG.info("broker: %s", str(error) or type(error).__name__)
            finally:
                self.ready = False
                if client is not None:
                    await close_broker(client)
            await asyncio.sleep(RETRY_S)


class NatsPublisher:
    """The broker of a server."""

    def __init__(self, servers: Sequence[str], subject: str) -> None:
        self._link = Link(servers, self._serve)
        self._subject = subject
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(WAITING)

    @property
    def ready(self) -> bool:
        return self._link.ready

    async def run(self) -> None:
        await self._link.run()

    def publish(self, blob: bytes) -> bool:
        if not self.ready or self._waiting.full():
            return False
        self._waiting.put_nowait(blob)
        return True

    async def _serve(self, stream: JetStreamContext) -> None:
        while not self._waiting.empty():
            self._waiting.get_nowait()  # whoever was due it has asked by now
        self._link.ready = True
        tasks = [asyncio.ensure_future(self._work(stream)) for _ in range(WORKERS)]
        try:
            await self._link.over.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, stream: JetStreamContext) -> None:
        while True:
            blob = await self._waiting.get()
            try:
                await stream.publish(self._subject, blob, timeout=ANSWER_S)
            except (Error, OSError, TimeoutError) as error:
                LOG.info("broker: a frame was not taken: %s", str(error) or type(error).__name__)
                self._link.end()


class NatsListener:
    """Brings a relay what its server publishes."""

    def __init__(self, servers: Sequence[str], put: Callable[[bytes], None]) -> None:
        self._link = Link(servers, self._serve)
        self._put = put
        self._subject = ""
        self._wanted = asyncio.Event()

    @property
    def ready(self) -> bool:
        return self._link.ready

    async def run(self) -> None:
        await self._link.run()

    def listen(self, subject: str) -> None:
        self._subject = subject
        self._wanted.set()
        self._link.end()

    async def _serve(self, stream: JetStreamContext) -> None:
        await self._wanted.wait()
        self._link.over.clear()

        async def take(message: Any) -> None:
            self._put(message.data)

        config = ConsumerConfig(deliver_policy=DeliverPolicy.NEW)
        await stream.subscribe(self._subject, cb=take, ordered_consumer=True, config=config)
        self._link.ready = True
        await self._link.over.wait()
