"""Composition of an agent whose host switches with Linux bridges. Nothing here decides anything."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import Any

from netloom.agent.bridge_host import BridgeHost
from netloom.agent.daemon_facts import DaemonFacts
from netloom.agent.joined_facts import JoinedFacts
from netloom.agent.metadata import MetadataProxy
from netloom.agent.parts import Parts, SliceFeed, watch_nothing
from netloom.drivers.bridge.copies import CopyDriver
from netloom.drivers.bridge.driver import BridgeDriver
from netloom.drivers.dnsmasq import DnsmasqDriver
from netloom.drivers.filter.nft import FilterDriver
from netloom.drivers.netns.driver import NetnsDriver
from netloom.drivers.tc import TcDriver
from netloom.main.hosts.underlay import describe_underlay, watch_links
from netloom.main.options.host import HostOptions
from netloom.model.driver import Driver
from netloom.model.facts import HostFacts
from netloom.render.answers import Settings
from netloom.render.bridges.host import BridgeRenderer
from netloom.render.bridges.metadata import find_bridge_callers
from netloom.render.bridges.plugs import find_plugged
from netloom.render.bridges.status import find_pending
from netloom.render.status import find_floating


@dataclass(frozen=True, slots=True)
class Hands:
    """The drivers of such a host."""

    bridge: BridgeDriver
    filter: FilterDriver
    netns: NetnsDriver
    tc: TcDriver
    copies: CopyDriver
    dnsmasq: DnsmasqDriver

    @property
    def named(self) -> dict[str, Driver]:
        return {
            "bridge": self.bridge, "filter": self.filter, "netns": self.netns, "tc": self.tc,
            "copies": self.copies, "dnsmasq": self.dnsmasq,
        }  # fmt: skip

    async def close(self) -> None:
        for driver in (self.bridge, self.filter, self.netns, self.tc):
            await driver.close()


def open_bridges(options: HostOptions, facts: HostFacts, feed: SliceFeed) -> tuple[BridgeHost, Hands]:
    hands = Hands(
        BridgeDriver(),
        FilterDriver(),
        NetnsDriver(options.netns_path, options.state_path / "keepers"),
        TcDriver(options.netns_path),
        CopyDriver(),
        DnsmasqDriver(options.state_path / "dhcp", options.netns_path),
    )
    return BridgeHost(hands.bridge, facts, lambda: feed.slices), hands


def make_bridge_proxy(options: HostOptions) -> MetadataProxy | None:
    """What answers for the metadata service; None where the host does not."""
    if options.metadata is None:
        return None
    return MetadataProxy(options.netns_path, options.metadata, find=find_bridge_callers)


def make_bridge_parts(
    feed: SliceFeed, host: BridgeHost, hands: Hands, settings: Settings, proxy: MetadataProxy | None = None
) -> Parts:
    facts = watch_links(DaemonFacts(JoinedFacts(host, hands.netns), hands.dnsmasq), host.tunnel_ip)
    return Parts(
        feed=feed,
        facts=facts,
        describe=lambda: describe_underlay(facts.known),
        packets=host,
        count_meddlings=lambda: host.meddlings,
        drivers=hands.named,
        render=BridgeRenderer(settings).render,
        find_pending=find_pending,
        find_plugged=find_plugged,
        find_floating=find_floating,
        clock=time.monotonic,
        chance=random.random,
        watch=proxy.update if proxy else watch_nothing,
    )


def describe_bridge_host(options: HostOptions) -> dict[str, Any]:
    """The `configurations` of this host's agent in the API, under the names that Neutron's has."""
    return {
        "switch": options.switch,
        "tunneling_ip": options.local_ip,
        "tunnel_types": list(options.tunnel_types),
        "interface_mappings": dict(options.bridge_mappings),
        "bridge_mappings": dict(options.bridge_mappings),
        "metadata_path": options.metadata_path,
        "l2_population": True,
        "log_agent_heartbeats": False,
        **({"tunnel_mtu": options.tunnel_mtu} if options.tunnel_mtu else {}),
        **options.providers.switch,
    }
