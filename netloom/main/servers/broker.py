"""Composition of the broker between a server and its relays. Law: it is an option; without it nothing is different."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from types import ModuleType

from netloom.feed.bus import Offers
from netloom.feed.hub import Hub
from netloom.feed.relay import Relay
from netloom.main.options.checks import OptionError
from netloom.main.options.server import ServerOptions


def load_bus(servers: Sequence[str]) -> ModuleType:
    """Raises OptionError where its library is not installed."""
    try:
        from netloom.feed import nats_bus
    except ImportError as error:
        needs = "it needs the library nats-py: pip install 'netloom[nats]'"
        raise OptionError("[netloom] nats_servers", ",".join(servers), needs) from error
    return nats_bus


def start_publishing(options: ServerOptions, hub: Hub) -> asyncio.Task[None]:
    """Until cancelled. Each process of each server has a subject of its own."""
    if not options.nats_servers:
        return asyncio.get_running_loop().create_task(asyncio.sleep(0))
    subject = f"netloom.frames.{secrets.token_hex(8)}"
    publisher = load_bus(options.nats_servers).NatsPublisher(options.nats_servers, subject)
    hub.frames.offers = Offers(publisher, subject)
    return asyncio.get_running_loop().create_task(publisher.run())


async def keep_listening(servers: Sequence[str], relay: Relay) -> None:
    """Until cancelled."""
    if servers:
        relay.hearing.listener = listener = load_bus(servers).NatsListener(servers, relay.hearing.shelf.put)
        await listener.run()
    await asyncio.get_running_loop().create_future()
