"""Several real hosts under one real server: an underlay that joins them, a physical network, and a machine outside.

Each host is a Rig of its own; the machine outside is a namespace on the physical network, where floating IPs are met.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netloom.drivers.netns.keepers import Keepers
from tests.dataplane.ovs import PATIENCE_S, OvsHost, drop_namespaces, run, start_host, stop_host, wait_until
from tests.dataplane.rig import NO_QUOTA, Instance, Rig, drop_spaces
from tests.faults.server import Server

OUTSIDE = "203.0.113.1"
OPTIONS = (
    "--set",
    "quotas.quota_router=-1",
    "--set",
    "quotas.quota_subnet=-1",
    "--set",
    "quotas.quota_floatingip=-1",
    "--set",
    "ml2_type_flat.flat_networks=*",
    "--set",
    "ml2_type_vlan.network_vlan_ranges=physnet:100:199",
)


@dataclass
class Cloud:
    """`hosts` by name; `outside` is the namespace of the machine outside."""

    name: str
    folder: Path
    server: Server
    hosts: dict[str, Rig] = field(default_factory=dict)
    count: int = 0

    @property
    def underlay(self) -> str:
        return f"{self.name}-ul"

    @property
    def outside(self) -> str:
        return f"{self.name}-out"

    @property
    def api(self) -> Rig:
        """Any host's way to the API."""
        return next(iter(self.hosts.values()))

    # -- what a tenant makes -------------------------------------------------------------------------------------------

    def make_external(self, **given: Any) -> str:
        """The network outside, 203.0.113.0/24 and 2001:db8:ffff::/64, flat unless told otherwise."""
        kind = given or {"provider:network_type": "flat", "provider:physical_network": "physnet"}
        body = {"network": {"name": "outside", "router:external": True, **kind}}
        network = self.api.ask("POST", "networks", body)["network"]["id"]
        subnet = {"network_id": network, "cidr": "203.0.113.0/24", "ip_version": 4, "gateway_ip": OUTSIDE}
        self.api.ask("POST", "subnets", {"subnet": subnet | {"enable_dhcp": False}})
        self.api.networks["outside"] = network
        return str(network)

    def make_router(self, *subnets: str, external: str = "", **given: Any) -> str:
        if external:
            given |= {"external_gateway_info": {"network_id": external}}
        router = str(self.api.ask("POST", "routers", {"router": {"name": "r", **given}})["router"]["id"])
        for subnet in subnets:
            self.api.ask("PUT", f"routers/{router}/add_router_interface", {"subnet_id": subnet})
        return router

    def make_subnet(self, network: str, cidr: str, **given: Any) -> str:
        version = 6 if ":" in cidr else 4
        body = {"subnet": {"network_id": network, "cidr": cidr, "ip_version": version, **given}}
        return str(self.api.ask("POST", "subnets", body)["subnet"]["id"])

    def make_plain_network(self, name: str, **given: Any) -> str:
        return str(self.api.ask("POST", "networks", {"network": {"name": name, **given}})["network"]["id"])

    def associate(self, external: str, port: str, **given: Any) -> dict[str, Any]:
        body = {"floatingip": {"floating_network_id": external, "port_id": port, **given}}
        return dict(self.api.ask("POST", "floatingips", body)["floatingip"])

    def boot(self, host: str, network: str, gateway: str, prefix: int = 24, **given: Any) -> Instance:
        """An instance on that host, with a way out by `gateway`, and without port security."""
        rig = self.hosts[host]
        self.count += 1
        given = {"port_security_enabled": False, **given}
        (port,) = rig.make_ports(network, 1, **given)
        one = rig.boot(port, self.count, prefix)
        rig.plug([one])
        if gateway:
            run("ip", "-n", one.netns, "route", "add", "default", "via", gateway, "dev", one.device)
        wait_until(lambda: rig.ask("GET", f"ports/{one.id}")["port"]["status"] == "ACTIVE")
        return one

    def wait_router(self, router: str, timeout_s: float = PATIENCE_S) -> None:
        """Until every port of the router is ACTIVE."""

        def ready() -> bool:
            ports = self.api.list_ports(device_id=router)
            return bool(ports) and all(port["status"] == "ACTIVE" for port in ports)

        wait_until(ready, timeout_s)


def pings(netns: str, address: str, count: int = 1, wait_s: float = 1, size: int = 84) -> bool:
    """Whether the address answers to packets of so many bytes."""
    command = ["ip", "netns", "exec", netns, "ping", "-n", "-c", str(count), "-i", "0.2", "-W", str(wait_s)]
    command += ["-s", str(size - 28), address]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def wait_ping(netns: str, address: str, timeout_s: float = PATIENCE_S, size: int = 84) -> None:
    """Until the address answers: a machine that is busy may lose a packet, and a host be on its way."""
    wait_until(lambda: pings(netns, address, size=size), timeout_s, lambda: f"{address} does not answer {netns}")


def make_outside(cloud: Cloud) -> None:
    """The wires between hosts, and the machine outside with its address on the physical network."""
    for netns in (cloud.underlay, cloud.outside):
        run("ip", "netns", "add", netns)
        run("ip", "-n", netns, "link", "set", "lo", "up")
    run("ip", "netns", "exec", cloud.underlay, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
    for bridge in ("wire", "phys"):
        run("ip", "-n", cloud.underlay, "link", "add", bridge, "mtu", "1600", "up", "type", "bridge")
    make_wire(cloud, "phys", "out", cloud.outside, "eth0")
    run("ip", "netns", "exec", cloud.outside, "ethtool", "-K", "eth0", "tx", "off")
    run("ip", "-n", cloud.outside, "addr", "add", f"{OUTSIDE}/24", "dev", "eth0")
    run("ip", "-n", cloud.outside, "addr", "add", "2001:db8:ffff::1/64", "dev", "eth0", "nodad")


def make_wire(cloud: Cloud, bridge: str, name: str, netns: str, device: str) -> None:
    ends = ("type", "veth", "peer", "name", device, "netns", netns, "mtu", "1600")
    run("ip", "link", "add", name, "netns", cloud.underlay, "mtu", "1600", *ends)
    run("ip", "-n", cloud.underlay, "link", "set", name, "master", bridge, "up")
    run("ip", "-n", netns, "link", "set", device, "up")


def add_host(cloud: Cloud, number: int) -> Rig:
    """A host with a NIC for tunnels and one on the physical network; its agent is not started yet."""
    folder = cloud.folder / f"h{number}"
    folder.mkdir()
    host = start_host(f"{cloud.name}-h{number}", folder)
    make_wire(cloud, "wire", f"w{number}", host.netns, "eth0")
    make_wire(cloud, "phys", f"p{number}", host.netns, "eth1")
    make_bridge(host, "br-phy", "eth0", f"02:00:00:00:00:{number:02x}")
    make_bridge(host, "br-ex", "eth1", f"02:00:00:00:01:{number:02x}")
    run("ip", "-n", host.netns, "addr", "add", f"192.0.2.{number}/24", "dev", "br-phy")
    run("ip", "-n", host.netns, "link", "set", "br-phy", "up", "mtu", "1600")
    rig = Rig(host, cloud.folder, cloud.server, host.rundir, name=f"h{number}", tunnel_ip=f"192.0.2.{number}")
    rig.extra |= {"ovs.bridge_mappings": "physnet:br-ex", "agent.tunnel_types": "vxlan"}
    cloud.hosts[rig.name] = rig
    rig.join()
    return rig


def make_bridge(host: OvsHost, bridge: str, device: str, mac: str) -> None:
    mine = ["set", "bridge", bridge, "datapath_type=netdev", f"other-config:hwaddr={mac}"]
    host.vsctl("add-br", bridge, "--", *mine, "--", "add-port", bridge, device)


def stop_keepers(rig: Rig) -> None:
    """The daemons of routers with copies: they outlive agents."""
    folder = rig.folder / rig.name / "keepers"
    for path in folder.iterdir() if folder.is_dir() else ():
        Keepers(folder).remove(path.name)


@contextmanager
def make_cloud(
    hosts: int = 2, *server: str, prepare: Callable[[Rig, int], None] = lambda rig, number: None
) -> Iterator[Cloud]:
    """A server and joined hosts h1, h2, … with their agents running. All that is made here goes at the end.

    `prepare`: what is done to each host, by its number, before its agent starts.
    """
    folder = Path(tempfile.mkdtemp(prefix="nl-c-"))
    name = f"nlc{folder.name[5:]}"
    cloud = Cloud(name, folder, Server(folder / "s", extra=(*NO_QUOTA, *OPTIONS, *server)))
    try:
        cloud.server.start()
        make_outside(cloud)
        for number in range(1, hosts + 1):
            rig = add_host(cloud, number)
            prepare(rig, number)
            rig.start_agent()
        for rig in cloud.hosts.values():
            rig.wait_log("following")
        yield cloud
    finally:
        for rig in cloud.hosts.values():
            rig.stop_agent(signal.SIGKILL)
            stop_keepers(rig)
            drop_spaces(rig.host.rundir / "netns")
            stop_host(rig.host)
        if cloud.server.process is not None and cloud.server.process.poll() is None:
            cloud.server.kill()
        drop_namespaces(f"{name}-")
        shutil.rmtree(folder)
