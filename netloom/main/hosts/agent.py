"""Composition of an agent: feed, drivers and the loop of one host. Nothing here decides anything.

In the state folder: key.pem, cert.pem and ca.pem (who this host is), slices/ (what it followed last), joined (which
token was used). They are all that an agent remembers; what the devices hold is read from the devices.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import random
import signal
import time
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from typing import Any

from netloom import __version__
from netloom.agent.daemon_facts import DaemonFacts
from netloom.agent.joined_facts import JoinedFacts
from netloom.agent.loop import Agent
from netloom.agent.metadata import MetadataProxy
from netloom.agent.neighbour_file import NeighbourFile
from netloom.agent.ovs_host import OvsHost
from netloom.agent.packet_log import PacketLog
from netloom.agent.parts import Parts, SliceFeed, Tuning, watch_nothing
from netloom.drivers.dnsmasq import DnsmasqDriver
from netloom.drivers.filter.iptables import IptablesDriver, has_leftovers
from netloom.drivers.filter.watch import FilterWatch
from netloom.drivers.links import LinksDriver
from netloom.drivers.netns.driver import NetnsDriver
from netloom.drivers.nft import NftDriver
from netloom.drivers.ovs.driver import OvsDriver
from netloom.drivers.sriov import SriovDriver
from netloom.drivers.sriov.tree import choose_run
from netloom.drivers.sriov.watch import NicWatch
from netloom.drivers.tc import TcDriver
from netloom.feed.cache import Cache
from netloom.feed.client import RENEW_LOOK_S, Feed, request_join
from netloom.feed.dial import split_addresses
from netloom.feed.messages import Joined
from netloom.feed.pki import (
    JoinError,
    Token,
    encode_key,
    make_key,
    make_request,
    parse_token,
)
from netloom.main.hosts.bridge_agent import describe_bridge_host, make_bridge_parts, make_bridge_proxy, open_bridges
from netloom.main.hosts.papers import Papers as Papers
from netloom.main.hosts.underlay import describe_underlay, watch_links
from netloom.main.options.host import HostOptions
from netloom.main.options.host_checks import check_host, read_devices
from netloom.main.service import tell_manager
from netloom.main.watching.agent_turns import NOT_OBSERVED, Observed, observe
from netloom.main.watching.logs import set_up_logs
from netloom.model.facts import HostFacts
from netloom.render.answers import Settings
from netloom.render.host import Renderer
from netloom.render.status import find_floating, find_pending

LOG = logging.getLogger("netloom.agent")
WHERE = "look at --server or [netloom] feed_server, by default port 9697 and not the API's, and at firewalls between"
LOOK_S = 3.0
"""How long a start waits for the switch to say which bridges there are."""


def join(options: HostOptions, token: str) -> None:
    """Get this host's certificate with a one-time token; one that was used here already is enough. Raises JoinError."""
    papers = Papers(options.state_path)
    used = hashlib.sha256(token.strip().encode()).hexdigest()
    if papers.whole and papers.token.exists() and papers.token.read_text() == used:
        return
    found = parse_token(token)
    if found.host != options.host:
        raise JoinError(f"the token is for host {found.host}, and this host is {options.host} (option host)")
    if not options.feed_server:
        raise JoinError("where is the server? Set option feed_server, such as netloom.example.org:9697")
    key = make_key()
    joined = asyncio.run(request_join_at(options.feed_server, found, make_request(key, options.host)))
    papers.write(papers.key, encode_key(key))
    papers.save(joined)
    papers.write(papers.token, used.encode())


async def request_join_at(addresses: str, token: Token, csr: str) -> Joined:
    """At the first of the addresses where the token's server is; relays are passed over. Raises JoinError."""
    problems: list[str] = []
    for address in split_addresses(addresses):
        try:
            return await request_join(address, token, csr)
        except JoinError as error:
            silent = str(error).startswith(f"{address}: ")
            problems.append(f"no server answered at {error} ({WHERE})" if silent else str(error))
    raise JoinError("; ".join(problems))


def run_agent(options: HostOptions) -> None:
    """Keep this host until SIGTERM or SIGINT; the data plane stays as it is. Raises JoinError when it never joined."""
    set_up_logs(options.log)
    for note in options.notes:
        LOG.info("%s", note)
    if not options.feed_server:
        LOG.warning("no [netloom] feed_server is named: this host lives from what it has on disk")
    if options.feed_server and not Papers(options.state_path).whole:
        raise JoinError(f"host {options.host} has not joined: get a token by `netloom agent token {options.host}`")
    asyncio.run(serve_agent(options))


async def serve_agent(options: HostOptions) -> None:
    if options.switch == "linuxbridge":
        await serve_bridges(check_host(options, await asyncio.to_thread(read_devices)))
        return
    driver = OvsDriver(options.ovs_rundir, frozenset((options.integration_bridge, options.tunnel_bridge)))
    try:
        await serve_switch(await look_at_host(options, driver), driver)
    finally:
        await driver.close()


async def look_at_host(options: HostOptions, driver: OvsDriver) -> HostOptions:
    """The options as the host bears them out. Raises OptionError. A switch that is away is not waited for."""
    seen, bridges = await asyncio.to_thread(read_devices), None
    check_host(options, seen)
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(LOOK_S):
            bridges = await driver.read_bridges()
    return check_host(options, replace(seen, bridges=bridges))


async def serve_switch(options: HostOptions, driver: OvsDriver) -> None:
    """With Open vSwitch."""
    feed = make_feed(options, driver.describe())
    proxy = MetadataProxy(options.netns_path, options.metadata) if options.metadata else None
    works = [*([feed.run()] if options.feed_server else []), *([proxy.run()] if proxy else [])]
    sweep = not options.hybrid and await has_leftovers()
    filters = IptablesDriver() if options.hybrid or sweep else None
    works += [FilterWatch(filters, driver.note_meddling).run()] if filters else []
    nics = make_nic_driver(options)
    works += [NicWatch(nics, driver.note_meddling).run()] if nics else []
    LOG.info("netloom %s keeps host %s, %d slices on disk", __version__, options.host, len(feed.slices))
    try:
        async with observe(options, feed) as observed:
            await run_until_stopped([make_agent(options, feed, driver, proxy, observed, filters, nics).run(), *works])
    finally:
        LOG.info("stopped; the data plane stays as it is")


async def serve_bridges(options: HostOptions) -> None:
    """The same with Linux bridges in the place of Open vSwitch."""
    feed = make_feed(options)
    host, hands = open_bridges(options, make_facts(options), feed)
    proxy = make_bridge_proxy(options)
    parts = make_bridge_parts(feed, host, hands, make_settings(options), proxy)
    works = [*([feed.run()] if options.feed_server else []), *([proxy.run()] if proxy else [])]
    LOG.info("netloom %s keeps host %s with Linux bridges, %d slices on disk", __version__, options.host,
             len(feed.slices))  # fmt: skip
    try:
        async with observe(options, feed) as observed:
            seen = replace(parts, turned=observed.turned, take_requests=observed.take_requests)
            agent = Agent(seen, Tuning(), make_settings(options), describe_host(options))
            host.follow_logged(PacketLog(agent.desk.find_port, parts.clock).take)
            await run_until_stopped([agent.run(), *works])
    finally:
        host.close()
        await hands.close()
        LOG.info("stopped; the data plane stays as it is")


async def run_until_stopped(works: list[Coroutine[Any, Any, None]]) -> None:
    """Run until a signal asks to stop, or until one of `works` fails."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    tasks = [asyncio.create_task(work) for work in works]
    tell_manager("READY=1")
    waiting = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in (waiting, *tasks):
        task.cancel()
    await asyncio.gather(waiting, *tasks, return_exceptions=True)
    for task in done - {waiting}:
        task.result()


def make_feed(options: HostOptions, told: Mapping[str, Any] | None = None, renew_look_s: float = RENEW_LOOK_S) -> Feed:
    """`told`: what the switch says of itself."""
    papers = Papers(options.state_path)
    return Feed(
        options.host,
        options.feed_server,
        papers.open_context,
        Cache(options.state_path / "slices"),
        on_joined=papers.save,
        csr=lambda: papers.make_renewal(options.host),
        anew=lambda tag: papers.make_anew(options.host, tag),
        program=f"netloom {__version__}",
        availability_zone=options.availability_zone,
        configurations={**describe_host(options), **(told or {})},
        renew_look_s=renew_look_s,
        grant=lambda relay: papers.make_grant(options.host, relay),
    )


def describe_host(options: HostOptions) -> dict[str, Any]:
    """The `configurations` of this host's agent in the API, under Neutron's names."""
    if options.switch == "linuxbridge":
        return describe_bridge_host(options)
    return {
        "tunneling_ip": options.local_ip,
        "tunnel_types": list(options.tunnel_types),
        "bridge_mappings": dict(options.bridge_mappings),
        "datapath_type": options.datapath_type,
        "integration_bridge": options.integration_bridge,
        "tunnel_bridge": options.tunnel_bridge,
        "metadata_path": options.metadata_path,
        "l2_population": True,
        "arp_responder_enabled": True,
        "ovs_hybrid_plug": options.hybrid,
        "log_agent_heartbeats": False,
        **describe_uplinks(options),
    }


def describe_uplinks(options: HostOptions) -> dict[str, Any]:
    """What is there to be told of the NICs; nothing where nothing was configured."""
    uplinks = options.uplinks
    told: dict[str, Any] = {"vhostuser_socket_dir": uplinks.socket_folder}
    if options.tunnel_mtu:
        told["tunnel_mtu"] = options.tunnel_mtu
    if uplinks.device_mappings:
        told["device_mappings"] = {name: list(found) for name, found in uplinks.device_mappings.items()}
    return {**told, **describe_providers(options)}


def describe_providers(options: HostOptions) -> dict[str, Any]:
    """What Placement is to be told of the host."""
    nics = options.providers.nics
    return {**options.providers.switch, **({"nic_resource_providers": dict(nics)} if nics else {})}


def make_facts(options: HostOptions) -> HostFacts:
    """What configuration tells of this host; the rest is read from the switch."""
    return HostFacts(
        host=options.host,
        tunnel_ip=options.local_ip,
        tunnel_types=options.tunnel_types,
        bridge_mappings=options.bridge_mappings,
        datapath_type=options.datapath_type,
        integration_bridge=options.integration_bridge,
        tunnel_bridge=options.tunnel_bridge,
        hybrid=options.hybrid,
        permitted_ethertypes=options.permitted_ethertypes,
        metadata=options.metadata_path == "host",
        metadata_redirect=options.metadata_path == "namespace",
        connection_sync=options.connection_sync,
        device_mappings=options.uplinks.device_mappings,
        bandwidths={
            physical: options.uplinks.bandwidths[bridge][0]
            for physical, bridge in options.bridge_mappings.items()
            if bridge in options.uplinks.bandwidths
        },
        exports=options.uplinks.exports,
        bonds=options.uplinks.bonds,
    )


def make_nic_driver(options: HostOptions) -> SriovDriver | None:
    """The hands of SR-IOV, where there are NICs for them."""
    uplinks = options.uplinks
    nics = [device for found in uplinks.device_mappings.values() for device in found]
    return SriovDriver(nics, uplinks.sysfs, choose_run(uplinks.sysfs), uplinks.excluded) if nics else None


def make_agent(
    options: HostOptions,
    feed: SliceFeed,
    driver: OvsDriver,
    proxy: MetadataProxy | None = None,
    observed: Observed = NOT_OBSERVED,
    filters: IptablesDriver | None = None,
    nics: SriovDriver | None = None,
) -> Agent:
    """`filters`: the host's rules are kept by iptables, or were, and it is to be left empty. `nics`: see
    `make_nic_driver`."""
    host = OvsHost(driver, make_facts(options))
    spaces = NetnsDriver(options.netns_path, options.state_path / "keepers")
    servers = DnsmasqDriver(options.state_path / "dhcp", options.netns_path)
    neighbours = NeighbourFile(options.state_path / "neighbours")
    facts = watch_links(DaemonFacts(JoinedFacts(host, spaces), servers), options.local_ip, nics)
    parts = Parts(
        feed=feed,
        facts=facts,
        packets=host,
        drivers={
            "ovs": driver,
            "nft": NftDriver(),
            "links": LinksDriver(),
            "tc": TcDriver(options.netns_path),
            "netns": spaces,
            "dnsmasq": servers,
            **({"sriov": nics} if nics else {}),
            **({"iptables": filters} if filters else {}),
        },
        render=Renderer(make_settings(options)).render,
        find_pending=find_pending,
        clock=time.monotonic,
        chance=random.random,
        find_floating=find_floating,
        find_foreign=driver.find_foreign,
        describe=lambda: {**driver.describe(), **describe_underlay(facts.known)},
        count_meddlings=lambda: driver.meddlings,
        neighbours=neighbours.load(),
        save_neighbours=neighbours.save,
        turned=observed.turned,
        take_requests=observed.take_requests,
        watch=proxy.update if proxy else watch_nothing,
    )
    settings = make_settings(options)
    agent = Agent(parts, Tuning(), settings, describe_host(options))
    host.follow_logged(PacketLog(agent.desk.find_port, parts.clock).take)
    return agent


def make_settings(options: HostOptions) -> Settings:
    """What DHCP and router advertisements say that the server does not know."""
    return Settings(
        lease_s=options.dhcp_lease_duration, domain=options.dns_domain, metadata_route=options.metadata_route
    )
