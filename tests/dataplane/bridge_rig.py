"""A host with Linux bridges under a real server: its agent, and instances on veths named as Nova names taps."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from netloom.drivers import merge_needs
from netloom.feed.cache import Cache
from netloom.main.hosts.agent import make_facts, make_settings
from netloom.main.hosts.bridge_agent import open_bridges
from netloom.main.options.host import HostOptions
from netloom.model.plan import Key, Plan, Thing
from netloom.reconcile.desired import merge_groups
from netloom.reconcile.plan import plan
from netloom.render.bridges.host import render_bridge_host
from tests.dataplane.ovs import OvsHost, drop_namespaces, run, wait_until
from tests.dataplane.rig import NO_QUOTA, Instance, Rig, drop_spaces
from tests.dataplane.rig_cloud import Cloud, make_cloud, make_wire, stop_keepers
from tests.faults.server import Server
from tests.unit.agent.agent_kit import FakeFeed

LOCAL = "192.0.2.1"


def tap_of(port: Mapping[str, Any]) -> str:
    return f"tap{port['id']}"[:14]


class BridgeRig(Rig):
    """A host that switches with Linux bridges."""

    def start_agent(self) -> None:
        super().start_agent()
        self.wait_log("keeps host")

    def name_tap(self, port: Mapping[str, Any], number: int) -> str:
        return tap_of(port)

    def plug(self, instances: Sequence[Instance]) -> None:
        """Nothing is left to do: the agent knows a tap by its name."""

    async def plan_devices(self, options: HostOptions) -> Plan:
        return await plan_host(options)


async def plan_host(options: HostOptions) -> Plan:
    """Read the devices, render the slices that are on disk, and plan; with no memory, and nothing done."""
    feed = FakeFeed(Cache(options.state_path / "slices").load())
    host, hands = open_bridges(options, make_facts(options), feed)
    try:
        wanted, clashes = merge_groups(render_bridge_host(feed.slices, await host.read_facts(), make_settings(options)))
        assert not clashes
        actual: dict[Key, Thing] = {}
        for one in hands.named.values():
            actual |= await one.read()
        return plan(wanted, actual, merge_needs(hands.named.values()))
    finally:
        await hands.close()


@contextmanager
def make_bridge_rig(**extra: str) -> Iterator[BridgeRig]:
    """A server, and a joined host h1 that is told to switch with Linux bridges; no agent runs yet."""
    folder = Path(tempfile.mkdtemp(prefix="nl-b-"))
    netns = f"nlb{folder.name[5:]}"
    server = Server(folder / "s", extra=NO_QUOTA)
    rig = make_bridge_host(netns, folder, server, 1, **extra)
    try:
        run("ip", "-n", netns, "link", "add", "eth0", "mtu", "1600", "type", "veth", "peer", "name", "wire0")
        run("ip", "-n", netns, "addr", "add", f"{LOCAL}/24", "dev", "eth0")
        for device in ("eth0", "wire0"):
            run("ip", "-n", netns, "link", "set", device, "up")
        server.start()
        rig.join()
        yield rig
    finally:
        rig.stop_agent(signal.SIGKILL)
        if server.process is not None and server.process.poll() is None:
            server.kill()
        stop_keepers(rig)
        drop_spaces(rig.host.rundir / "netns")
        drop_namespaces(netns)
        shutil.rmtree(folder)


def make_bridge_host(netns: str, folder: Path, server: Server, number: int, **extra: str) -> BridgeRig:
    """A namespace, and the agent that is to be there."""
    run("ip", "netns", "add", netns)
    run("ip", "-n", netns, "link", "set", "lo", "up")
    address = f"192.0.2.{number}"
    rig = BridgeRig(OvsHost(netns, folder), folder, server, folder, name=f"h{number}", tunnel_ip=address)
    rig.extra = {"netloom.switch": "linuxbridge", "ovs.local_ip": "", "vxlan.local_ip": address, **extra}
    return rig


def is_alive(rig: Rig) -> bool:
    """Whether the API knows the host's agents, and that they live: only then are ports bound there."""
    agents = rig.ask("GET", f"agents?host={rig.name}")["agents"]
    return bool(agents) and all(agent["alive"] for agent in agents)


@contextmanager
def make_mixed_cloud(*server: str, **extra: str) -> Iterator[Cloud]:
    """h1 has Open vSwitch, h2 has Linux bridges; `extra` are options of the latter's agent. Both agents run."""
    with make_cloud(1, *server) as made:
        folder = made.folder / "h2"
        folder.mkdir()
        told = {"linux_bridge.physical_interface_mappings": "physnet:eth1", "ovs.datapath_type": "netdev", **extra}
        rig = make_bridge_host(f"{made.name}-h2", folder, made.server, 2, **told)
        netns = rig.host.netns
        make_wire(made, "wire", "w2", netns, "eth0")
        make_wire(made, "phys", "p2", netns, "eth1")
        run("ip", "netns", "exec", netns, "ethtool", "-K", "eth0", "tx", "off")
        run("ip", "-n", netns, "addr", "add", "192.0.2.2/24", "dev", "eth0")
        rig.join()
        rig.start_agent()
        made.hosts["h2"] = rig
        wait_until(lambda: is_alive(rig))
        try:
            yield made
        finally:
            rig.stop_agent()
            del made.hosts["h2"]
            stop_keepers(rig)
            drop_spaces(rig.host.rundir / "netns")
