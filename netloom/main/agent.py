"""Composition of an agent: the feed, the renderer, the drivers of this host, and the loop that joins them."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from netloom import __version__
from netloom.agent.loop import Agent
from netloom.agent.ovs_host import OvsHost
from netloom.agent.parts import Parts, Tuning
from netloom.drivers.links import LinksDriver
from netloom.drivers.nft import NftDriver
from netloom.drivers.ovs.driver import OvsDriver
from netloom.feed import messages as m
from netloom.feed import pki
from netloom.feed.cache import Cache
from netloom.feed.client import Feed, request_join
from netloom.main.host_options import HostOptions
from netloom.main.state import save_file
from netloom.model.facts import HostFacts
from netloom.render.answers import Settings
from netloom.render.host import Renderer
from netloom.render.status import find_pending

LOG = logging.getLogger("netloom.agent")


@dataclass(frozen=True, slots=True)
class HostFiles:
    """Where an agent keeps who it is and what it knows."""

    key: Path
    certificate: Path
    authority: Path
    slices: Path


def find_files(options: HostOptions) -> HostFiles:
    folder = options.state_path / "agent"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return HostFiles(folder / "host.key", folder / "host.pem", folder / "authority.pem", folder / "slices")


def join(options: HostOptions, token: str) -> None:
    """Get this host's certificate with a token. Raises JoinError. A host that has one keeps it."""
    files = find_files(options)
    if files.certificate.exists():
        return
    parsed = pki.parse_token(token)
    if parsed.host != options.host:
        raise pki.JoinError(f"the token is for host {parsed.host}, this one is {options.host}")
    key = pki.make_key()
    joined = asyncio.run(request_join(options.feed_server, parsed, pki.make_request(key, options.host)))
    save_file(files.key, pki.encode_key(key))
    save_joined(files, joined)


def save_joined(files: HostFiles, joined: m.Joined) -> None:
    save_file(files.authority, joined.authority.encode(), 0o644)
    save_file(files.certificate, joined.certificate.encode(), 0o644)


def make_feed(options: HostOptions, files: HostFiles) -> Feed:
    def context() -> ssl.SSLContext:
        return pki.make_host_context(files.certificate, files.key, files.authority)

    def request() -> str | None:
        """A request for a new certificate, with the key that this host has, once the old one nears its end."""
        if not pki.wants_renewal(files.certificate.read_bytes(), datetime.now(UTC)):
            return None
        return pki.make_request(pki.load_key(files.key.read_bytes()), options.host)

    return Feed(
        options.host,
        options.feed_server,
        context,
        Cache(files.slices),
        on_joined=lambda joined: save_joined(files, joined),
        csr=request,
        program=f"netloom {__version__}",
        availability_zone=options.availability_zone,
        configurations=describe_host(options),
    )


def make_facts(options: HostOptions) -> HostFacts:
    return HostFacts(
        host=options.host,
        tunnel_ip=options.local_ip,
        tunnel_types=options.tunnel_types,
        bridge_mappings=dict(options.bridge_mappings),
        datapath_type=options.datapath_type,
        integration_bridge=options.integration_bridge,
        tunnel_bridge=options.tunnel_bridge,
    )


def describe_host(options: HostOptions) -> Mapping[str, Any]:
    """An agent's `configurations`, with the names that Neutron's Open vSwitch agent uses."""
    return {
        "tunneling_ip": options.local_ip or None,
        "tunnel_types": list(options.tunnel_types),
        "bridge_mappings": dict(options.bridge_mappings),
        "datapath_type": options.datapath_type,
        "integration_bridge": options.integration_bridge,
        "ovs_hybrid_plug": False,
    }


def run_agent(options: HostOptions) -> None:
    """Keep the host as it should be until SIGTERM or SIGINT; the data plane then stays as it is."""
    logging.basicConfig(
        level=logging.DEBUG if options.debug else logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    for note in options.notes:
        LOG.info("%s", note)
    files = find_files(options)
    if options.feed_server and not files.certificate.exists():
        raise pki.JoinError(f"host {options.host} has not joined: `netloom agent join TOKEN` gets its certificate")
    # Not uvloop: it cannot carry the netlink sockets of pyroute2.
    asyncio.run(serve(options, files))


async def serve(options: HostOptions, files: HostFiles) -> None:
    feed = make_feed(options, files)
    ovs = OvsDriver(options.ovs_rundir, frozenset({options.integration_bridge, options.tunnel_bridge}))
    host = OvsHost(ovs, make_facts(options))
    parts = Parts(
        feed=feed,
        facts=host,
        packets=host,
        drivers={"ovs": ovs, "nft": NftDriver(), "links": LinksDriver()},
        render=Renderer().render,
        find_pending=find_pending,
        clock=time.monotonic,
        chance=random.random,
    )
    settings = Settings(lease_s=options.dhcp_lease_duration, domain=options.dns_domain)
    agent = Agent(parts, Tuning(), settings, describe_host(options))
    LOG.info("netloom %s keeps host %s", __version__, options.host)
    tasks = [asyncio.create_task(agent.run())]
    if options.feed_server:
        tasks.append(asyncio.create_task(feed.run()))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    stopping = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
    for task in (*tasks, stopping):
        task.cancel()
    await asyncio.gather(*tasks, stopping, return_exceptions=True)
    await ovs.close()
    for task in done - {stopping}:
        task.result()
