"""Composition of an agent: feed, drivers and the loop of one host. Nothing here decides anything.

In the state folder: key.pem, cert.pem and ca.pem (who this host is), slices/ (what it followed last), joined (which
token was used). They are all that an agent remembers; what the devices hold is read from the devices.
"""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import logging
import random
import signal
import ssl
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netloom import __version__
from netloom.agent.daemon_facts import DaemonFacts
from netloom.agent.joined_facts import JoinedFacts
from netloom.agent.loop import Agent
from netloom.agent.metadata import MetadataProxy
from netloom.agent.neighbour_file import NeighbourFile
from netloom.agent.ovs_host import OvsHost
from netloom.agent.packet_log import PacketLog
from netloom.agent.parts import Parts, SliceFeed, Tuning
from netloom.drivers.dnsmasq import DnsmasqDriver
from netloom.drivers.filter.iptables import IptablesDriver
from netloom.drivers.links import LinksDriver
from netloom.drivers.netns.driver import NetnsDriver
from netloom.drivers.nft import NftDriver
from netloom.drivers.ovs.driver import OvsDriver
from netloom.drivers.sriov import SriovDriver
from netloom.drivers.tc import TcDriver
from netloom.feed.cache import Cache
from netloom.feed.client import RENEW_LOOK_S, Feed, request_join
from netloom.feed.messages import Joined
from netloom.feed.pki import (
    JoinError,
    encode_key,
    load_key,
    make_host_context,
    make_key,
    make_request,
    parse_token,
    read_life,
    wants_renewal,
)
from netloom.main.bridge_agent import close_bridges, describe_bridge_host, make_bridge_parts, open_bridges
from netloom.main.host_options import HostOptions
from netloom.model.driver import Driver
from netloom.model.facts import HostFacts
from netloom.render.answers import Settings
from netloom.render.host import Renderer
from netloom.render.status import find_floating, find_pending

LOG = logging.getLogger("netloom.agent")


@dataclass(frozen=True, slots=True)
class Papers:
    """The files that say who this host is."""

    folder: Path

    @property
    def key(self) -> Path:
        return self.folder / "key.pem"

    @property
    def certificate(self) -> Path:
        return self.folder / "cert.pem"

    @property
    def authority(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def token(self) -> Path:
        return self.folder / "joined"

    @property
    def whole(self) -> bool:
        return all(path.exists() for path in (self.key, self.certificate, self.authority))

    def save(self, joined: Joined) -> None:
        self.write(self.authority, joined.authority.encode())
        self.write(self.certificate, joined.certificate.encode())

    def write(self, path: Path, body: bytes) -> None:
        """Whole or not at all, and for nobody else's eyes."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)
        new.touch(mode=0o600)
        new.write_bytes(body)
        new.replace(path)

    def open_context(self) -> ssl.SSLContext:
        if read_life(self.certificate.read_bytes()).ends_s < time.time():
            LOG.error("the certificate %s has ended: join again, with a token of the server", self.certificate)
        return make_host_context(self.certificate, self.key, self.authority)

    def make_renewal(self, host: str) -> str | None:
        """A request for the next certificate, when it is time for one."""
        if not wants_renewal(self.certificate.read_bytes(), datetime.datetime.now(datetime.UTC)):
            return None
        return make_request(load_key(self.key.read_bytes()), host)


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
    joined = asyncio.run(request_join(options.feed_server, found, make_request(key, options.host)))
    papers.write(papers.key, encode_key(key))
    papers.save(joined)
    papers.write(papers.token, used.encode())


def run_agent(options: HostOptions) -> None:
    """Keep this host until SIGTERM or SIGINT; the data plane stays as it is. Raises JoinError when it never joined."""
    logging.basicConfig(
        level=logging.DEBUG if options.debug else logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    for name in ("asyncio", "httpx"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for note in options.notes:
        LOG.info("%s", note)
    if options.feed_server and not Papers(options.state_path).whole:
        raise JoinError(f"host {options.host} has not joined: get a token by `netloom agent token {options.host}`")
    asyncio.run(serve_agent(options))


async def serve_agent(options: HostOptions) -> None:
    if options.switch == "linuxbridge":
        await serve_bridges(options)
        return
    driver = OvsDriver(options.ovs_rundir, frozenset((options.integration_bridge, options.tunnel_bridge)))
    feed = make_feed(options)
    proxy = MetadataProxy(options.netns_path, options.metadata) if options.metadata else None
    agent = make_agent(options, feed, driver, proxy)
    works = [agent.run(), *([feed.run()] if options.feed_server else []), *([proxy.run()] if proxy else [])]
    LOG.info("netloom %s keeps host %s, %d slices on disk", __version__, options.host, len(feed.slices))
    try:
        await run_until_stopped(works)
    finally:
        await driver.close()
        LOG.info("stopped; the data plane stays as it is")


async def serve_bridges(options: HostOptions) -> None:
    """The same with Linux bridges in the place of Open vSwitch."""
    feed = make_feed(options)
    host, drivers = open_bridges(make_facts(options), feed)
    parts = make_bridge_parts(feed, host, drivers)
    agent = Agent(parts, Tuning(), make_settings(options), describe_host(options))
    LOG.info("netloom %s keeps host %s with Linux bridges, %d slices on disk", __version__, options.host,
             len(feed.slices))  # fmt: skip
    try:
        await run_until_stopped([agent.run(), *([feed.run()] if options.feed_server else [])])
    finally:
        host.close()
        await close_bridges(drivers)
        LOG.info("stopped; the data plane stays as it is")


async def run_until_stopped(works: list[Coroutine[Any, Any, None]]) -> None:
    """Run until a signal asks to stop, or until one of `works` fails."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    tasks = [asyncio.create_task(work) for work in works]
    waiting = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in (waiting, *tasks):
        task.cancel()
    await asyncio.gather(waiting, *tasks, return_exceptions=True)
    for task in done - {waiting}:
        task.result()


def make_feed(options: HostOptions, renew_look_s: float = RENEW_LOOK_S) -> Feed:
    papers = Papers(options.state_path)
    return Feed(
        options.host,
        options.feed_server,
        papers.open_context,
        Cache(options.state_path / "slices"),
        on_joined=papers.save,
        csr=lambda: papers.make_renewal(options.host),
        program=f"netloom {__version__}",
        availability_zone=options.availability_zone,
        configurations=describe_host(options),
        renew_look_s=renew_look_s,
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
    if uplinks.device_mappings:
        told["device_mappings"] = {name: list(found) for name, found in uplinks.device_mappings.items()}
    if uplinks.bandwidths:
        told["resource_provider_bandwidths"] = {
            bridge: {"egress": out, "ingress": into} for bridge, (out, into) in uplinks.bandwidths.items()
        }
    return told


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
        metadata=options.metadata_path == "host",
        metadata_redirect=options.metadata_path == "namespace",
        device_mappings=options.uplinks.device_mappings,
        bandwidths={
            physical: options.uplinks.bandwidths[bridge][0]
            for physical, bridge in options.bridge_mappings.items()
            if bridge in options.uplinks.bandwidths
        },
        exports=options.uplinks.exports,
        bonds=options.uplinks.bonds,
    )


def make_nic_driver(options: HostOptions) -> dict[str, Driver]:
    """The hands of SR-IOV, where there are NICs for them."""
    nics = [device for found in options.uplinks.device_mappings.values() for device in found]
    return {"sriov": SriovDriver(nics)} if nics else {}


def make_agent(options: HostOptions, feed: SliceFeed, driver: OvsDriver, proxy: MetadataProxy | None = None) -> Agent:
    host = OvsHost(driver, make_facts(options))
    spaces = NetnsDriver(options.netns_path, options.state_path / "keepers")
    servers = DnsmasqDriver(options.state_path / "dhcp", options.netns_path)
    neighbours = NeighbourFile(options.state_path / "neighbours")
    parts = Parts(
        feed=feed,
        facts=DaemonFacts(JoinedFacts(host, spaces), servers),
        packets=host,
        drivers={
            "ovs": driver,
            "nft": NftDriver(),
            "links": LinksDriver(),
            "tc": TcDriver(options.netns_path),
            "netns": spaces,
            "dnsmasq": servers,
            **make_nic_driver(options),
            **({"iptables": IptablesDriver()} if options.hybrid else {}),
        },
        render=Renderer(make_settings(options)).render,
        find_pending=find_pending,
        clock=time.monotonic,
        chance=random.random,
        find_floating=find_floating,
        find_foreign=driver.find_foreign,
        neighbours=neighbours.load(),
        save_neighbours=neighbours.save,
        **({"watch": proxy.update} if proxy else {}),
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
