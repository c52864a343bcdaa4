"""RabbitMQ, as other OpenStack services read it: a topic exchange, and a queue for each topic, made as oslo.messaging
makes them.

Law: a message is sent when the broker has confirmed it; the queue is there before the first one, so that none is lost
because nobody listens yet.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange
from aio_pika.exceptions import AMQPError, ChannelNotFoundEntity, ChannelPreconditionFailed

from netloom.notify.messages import Message, encode_message
from netloom.notify.outbox import NotTold
from netloom.notify.rabbit_settings import RabbitSettings

LOG = logging.getLogger("netloom.rabbit")
PRIORITY = "info"


class Rabbit:
    """Sends: the `send` of an outbox. One connection, made when it is needed."""

    def __init__(self, settings: RabbitSettings) -> None:
        self._settings = settings
        self._connection: AbstractConnection | None = None
        self._exchange: AbstractExchange | None = None
        self._turn = 0

    async def send(self, messages: Sequence[Message]) -> None:
        """Raises NotTold unless the broker has confirmed all of them."""
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                exchange = await self._find_exchange()
                await asyncio.gather(*(self._publish(exchange, message) for message in messages))
        except (AMQPError, OSError, RuntimeError, TimeoutError, asyncio.CancelledError) as error:
            if is_cancelled():  # we are to stop; the library cancels as well when a connection breaks
                raise
            await self.close()
            self._turn += 1
            raise NotTold(f"RabbitMQ: {error!r}") from None

    async def _publish(self, exchange: AbstractExchange, message: Message) -> None:
        settings = self._settings
        body = encode_message(message, settings.publisher, settings.envelope)
        for topic in settings.topics:
            sent = aio_pika.Message(
                body, content_type="application/json", content_encoding="utf-8",
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            )  # fmt: skip
            await exchange.publish(sent, f"{topic}.{PRIORITY}", mandatory=False)

    async def _find_exchange(self) -> AbstractExchange:
        if self._exchange is None or self._connection is None or self._connection.is_closed:
            await self.close()
            self._connection = await self._connect()
            self._exchange = await self._declare(self._connection)
        return self._exchange

    async def _connect(self) -> AbstractConnection:
        settings = self._settings
        url = settings.urls[self._turn % len(settings.urls)]
        given: dict[str, Any] = {"ssl": True, "ssl_context": settings.tls} if settings.tls else {}
        connection: AbstractConnection = await aio_pika.connect(url, timeout=settings.timeout_s, **given)
        return connection

    async def _declare(self, connection: AbstractConnection) -> AbstractExchange:
        """What is there is used as it is; what is not is made as the options say."""
        settings = self._settings
        durable = settings.durable or settings.quorum
        kind: Any = {"x-queue-type": "quorum"} if settings.quorum else None
        for topic in settings.topics:
            name = f"{topic}.{PRIORITY}"
            channel = await connection.channel()
            try:
                queue = await channel.declare_queue(name, durable=durable, arguments=kind)
            except ChannelPreconditionFailed:  # somebody made it otherwise
                channel = await connection.channel()
                queue = await channel.declare_queue(name, passive=True)
            exchange = await find_exchange(connection, settings.exchange, durable)
            await queue.bind(exchange, name)
        return await find_exchange(connection, settings.exchange, durable)

    async def close(self) -> None:
        connection, self._connection, self._exchange = self._connection, None, None
        if connection is not None:
            try:
                await asyncio.wait_for(connection.close(), 2)
            except (AMQPError, OSError, TimeoutError, RuntimeError):
                LOG.debug("the connection to RabbitMQ did not close in order")


def is_cancelled() -> bool:
    """Whether somebody has asked this task to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def find_exchange(connection: AbstractConnection, name: str, durable: bool) -> AbstractExchange:
    channel: AbstractChannel = await connection.channel(publisher_confirms=True)
    try:
        return await channel.get_exchange(name, ensure=True)
    except ChannelNotFoundEntity:
        channel = await connection.channel(publisher_confirms=True)
        return await channel.declare_exchange(name, aio_pika.ExchangeType.TOPIC, durable=durable)
