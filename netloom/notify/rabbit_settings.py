"""Where RabbitMQ is and what is sent to it. A file of its own, so that options are read without a broker's library."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RabbitSettings:
    """Where to send, with the names of oslo.messaging's options. `urls` are AMQP URLs, tried in turn."""

    urls: tuple[str, ...] = field(repr=False)
    exchange: str = "neutron"
    topics: tuple[str, ...] = ("notifications",)
    envelope: bool = True
    publisher: str = "network.localhost"
    durable: bool = False
    quorum: bool = False
    tls: ssl.SSLContext | None = None
    timeout_s: float = 10.0
