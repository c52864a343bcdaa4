"""Composition of an agent whose host switches with Linux bridges. Nothing here decides anything."""

from __future__ import annotations

import random
import time
from typing import Any

from netloom.agent.bridge_host import BridgeHost
from netloom.agent.parts import Parts, SliceFeed
from netloom.drivers.bridge.driver import BridgeDriver
from netloom.drivers.filter.nft import FilterDriver
from netloom.main.host_options import HostOptions
from netloom.model.facts import HostFacts
from netloom.render.bridges.host import BridgeRenderer
from netloom.render.bridges.status import find_pending

Drivers = tuple[BridgeDriver, FilterDriver]


def open_bridges(facts: HostFacts, feed: SliceFeed) -> tuple[BridgeHost, Drivers]:
    driver = BridgeDriver()
    return BridgeHost(driver, facts, lambda: feed.slices), (driver, FilterDriver())


def make_bridge_parts(feed: SliceFeed, host: BridgeHost, drivers: Drivers) -> Parts:
    return Parts(
        feed=feed,
        facts=host,
        packets=host,
        drivers={"bridge": drivers[0], "filter": drivers[1]},
        render=BridgeRenderer().render,
        find_pending=find_pending,
        clock=time.monotonic,
        chance=random.random,
    )


async def close_bridges(drivers: Drivers) -> None:
    for driver in drivers:
        await driver.close()


def describe_bridge_host(options: HostOptions) -> dict[str, Any]:
    """The `configurations` of this host's agent in the API, under the names that Neutron's has."""
    return {
        "switch": options.switch,
        "tunneling_ip": options.local_ip,
        "tunnel_types": list(options.tunnel_types),
        "interface_mappings": dict(options.bridge_mappings),
        "bridge_mappings": dict(options.bridge_mappings),
        "l2_population": True,
        "log_agent_heartbeats": False,
    }
