"""Simulated hosts: a namespace, a switch of its own, and a NIC on the underlay.

With Open vSwitch (userspace datapath):

                    namespace nl-ul                        namespace nl-h1
      bridge underlay (mtu 1600) ──── h1 ═══════════ eth0 ─ br-phy (10.99.0.1, fd00:99::1)
      bridge provider (mtu 1600) ──── p1 ═══════════ eth1 ─ br-ex              br-int, br-tun: the agent's

With Linux bridges the namespace's own kernel is the switch, eth0 has the tunnel address, and eth1 is the agent's.

Law: where Open vSwitch has taken a frame from a NIC, the kernel never sees it (an nft guard on eth0 and eth1); else it
would answer ARP in the name of br-phy with the NIC's MAC, and frames of tunnels would go astray.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from netloom.lab import processes
from netloom.lab.namespaces import list_namespaces, make_namespace, set_sysctl
from netloom.lab.shell import run, succeeds
from netloom.lab.state import Host, Lab, Place

UNDERLAY_MTU = 1600
"""Room for the longest tunnel header (GENEVE over v6: 40 + 8 + 8 + 14 and options) around a frame of 1,500."""

SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
METADATA_IP = "10.99.0.254"
"""Where the metadata service of the lab is, on the underlay."""
OUTSIDE_IP, OUTSIDE_NET = "203.0.113.1", "203.0.113.0/24"
OUTSIDE_IP6, OUTSIDE_NET6 = "2001:db8::1", "2001:db8::/64"
"""The machine outside, and the prefixes that it is in."""
PHYSNET, PHYSNET_BRIDGE = "physnet1", "br-ex"


def make_underlay(lab: Lab, place: Place) -> None:
    """The switches that hosts are cabled to: one for tunnels, one for the provider network."""
    make_namespace(lab.underlay, place.directory)
    for bridge in ("underlay", "provider"):
        run(
            "ip", "-n", lab.underlay, "link", "add", bridge, "mtu", str(UNDERLAY_MTU),
            "type", "bridge", "mcast_snooping", "0",
        )  # fmt: skip
        run("ip", "-n", lab.underlay, "link", "set", bridge, "up")
    run("ip", "netns", "exec", lab.underlay, "ethtool", "-K", "underlay", "tx", "off")
    run("ip", "-n", lab.underlay, "addr", "add", f"{METADATA_IP}/24", "dev", "underlay")


def make_outside(lab: Lab, place: Place) -> None:
    """A machine on the provider network, with addresses there."""
    make_namespace(lab.outside, place.directory)
    make_nic(lab.underlay, "outside", "provider", lab.outside, "eth0")
    run("ip", "netns", "exec", lab.outside, "ethtool", "-K", "eth0", "tx", "off")
    run("ip", "-n", lab.outside, "link", "set", "eth0", "mtu", "1500")
    set_sysctl(lab.outside, "net.ipv6.conf.eth0.disable_ipv6", 0)
    run("ip", "-n", lab.outside, "addr", "add", f"{OUTSIDE_IP}/24", "dev", "eth0")
    run("ip", "-n", lab.outside, "addr", "add", f"{OUTSIDE_IP6}/64", "dev", "eth0", "nodad")


def make_host(lab: Lab, place: Place, host: Host) -> None:
    """The host with its switch running and its tunnel addresses answering; no agent yet."""
    netns, directory = lab.host_netns(host.name), place.host(host.name)
    directory.mkdir(parents=True, exist_ok=True)
    make_namespace(netns, place.directory)
    make_nic(lab.underlay, f"h{host.number}", "underlay", netns, "eth0")
    single = host.physnet and not host.bonded  # a bonded host's are plugged by lab/bonds.py
    if single:
        make_nic(lab.underlay, f"p{host.number}", "provider", netns, "eth1")
    if host.bridges:
        # What the kernel sends itself goes through the userspace datapaths of others, which hand frames on as they are.
        run("ip", "netns", "exec", netns, "ethtool", "-K", "eth0", "tx", "off")
        give_tunnel_addresses(netns, "eth0", host)
        return
    guard(netns, ["eth0", "eth1"] if single else ["eth0"])
    start_switch(place, host, netns)
    make_underlay_bridge(place, host, netns)
    if host.physnet:
        mac = f"02:00:00:01:00:{host.number:02x}"
        vsctl(place, host.name, *add_bridge(PHYSNET_BRIDGE, "eth1" if single else "", mac))


def make_nic(underlay: str, port: str, bridge: str, netns: str, device: str) -> None:
    """A cable from the host's `device` to the underlay's `bridge`, both ends up."""
    make_cable(underlay, port, netns, device)
    run("ip", "-n", underlay, "link", "set", port, "master", bridge)


def make_cable(one: str, port: str, other: str, device: str) -> None:
    """Two devices, each in its namespace, both up."""
    run(
        "ip", "link", "add", port, "netns", one, "mtu", str(UNDERLAY_MTU),
        "type", "veth", "peer", "name", device, "netns", other, "mtu", str(UNDERLAY_MTU),
    )  # fmt: skip
    for netns, end in ((one, port), (other, device)):
        run("ip", "-n", netns, "link", "set", end, "up")


def guard(netns: str, devices: Iterable[str], table: str = "netloom_lab") -> None:
    rules = f"""table netdev {table} {{
    chain nics {{
        type filter hook ingress devices = {{ {", ".join(devices)} }} priority 0
        drop
    }}
}}
"""
    run("ip", "netns", "exec", netns, "nft", "-f", "-", input=rules)


def make_underlay_bridge(place: Place, host: Host, netns: str) -> None:
    vsctl(place, host.name, *add_bridge("br-phy", "eth0", f"02:00:00:00:00:{host.number:02x}"))
    run("ip", "-n", netns, "link", "set", "br-phy", "up", "mtu", str(UNDERLAY_MTU))
    give_tunnel_addresses(netns, "br-phy", host)


def give_tunnel_addresses(netns: str, device: str, host: Host) -> None:
    set_sysctl(netns, f"net.ipv6.conf.{device}.disable_ipv6", 0)
    run("ip", "-n", netns, "addr", "replace", f"{host.tunnel_ip}/24", "dev", device)
    run("ip", "-n", netns, "addr", "replace", f"{host.tunnel_ip6}/64", "dev", device, "nodad")


def add_bridge(bridge: str, device: str, mac: str) -> tuple[str, ...]:
    """With the device as a port, if there is one."""
    return (
        "--may-exist", "add-br", bridge,
        "--", "set", "bridge", bridge, "datapath_type=netdev", f"other-config:hwaddr={mac}",
        *(("--", "--may-exist", "add-port", bridge, device) if device else ()),
    )  # fmt: skip


def switch_env(directory: Path) -> dict[str, str]:
    """Where this host's Open vSwitch keeps its sockets and files; programs of Open vSwitch read these."""
    return {name: str(directory) for name in ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR")}


def start_switch(place: Place, host: Host, netns: str) -> None:
    """ovsdb-server and ovs-vswitchd of one host, ready for ovs-vsctl."""
    start_database(place, host, netns)
    start_forwarding(place, host, netns)


def restart_switch(lab: Lab, place: Place, host: Host, parts: Iterable[str]) -> None:
    """Start "database", "switch" or both anew. What the database holds comes back; br-phy is given its addresses."""
    netns = lab.host_netns(host.name)
    if "database" in parts:
        start_database(place, host, netns)
    if "switch" in parts:
        start_forwarding(place, host, netns)
        make_underlay_bridge(place, host, netns)


def start_database(place: Place, host: Host, netns: str) -> None:
    directory = place.host(host.name)
    database = directory / "conf.db"
    if not database.exists():
        run("ovsdb-tool", "create", str(database), SCHEMA)
    start_daemon(
        place, host, netns, "ovsdb-server", str(database), f"--remote=punix:{directory}/db.sock",
        f"--unixctl={directory}/ovsdb.ctl",
    )  # fmt: skip
    vsctl(place, host.name, "--no-wait", "init", "--", "set", "Open_vSwitch", ".", *identity(host))


def start_forwarding(place: Place, host: Host, netns: str) -> None:
    directory = place.host(host.name)
    control = f"--unixctl={directory}/ovs-vswitchd.ctl"
    start_daemon(place, host, netns, "ovs-vswitchd", f"unix:{directory}/db.sock", control)


def start_daemon(place: Place, host: Host, netns: str, program: str, *arguments: str) -> None:
    """A program of Open vSwitch in the host's namespace, with its process id and log in the host's folder."""
    directory = place.host(host.name)
    run(
        "ip", "netns", "exec", netns, program, *arguments, f"--pidfile={directory}/{program}.pid",
        f"--log-file={directory}/{program}.log", "--detach", "--no-chdir", "-vconsole:off", "-vsyslog:off",
        env=processes.marked(place.directory, switch_env(directory)),
    )  # fmt: skip


def identity(host: Host) -> tuple[str, ...]:
    return (f"external_ids:system-id={host.name}", f"external_ids:hostname={host.name}")


def vsctl(place: Place, host: str, *arguments: str) -> str:
    """What `ovs-vsctl` says of this host. Raises CommandFailed."""
    socket = place.host(host) / "db.sock"
    return run("ovs-vsctl", f"--db=unix:{socket}", "--timeout=10", *arguments)


def read_fault(lab: Lab, place: Place, host: str) -> str:
    """What is wrong with the host's switch; empty if it answers. The kernel's bridges are there with the namespace."""
    directory = place.host(host)
    if lab.hosts[host].bridges:
        netns = lab.host_netns(host)
        return "" if netns in list_namespaces() else f"there is no namespace {netns}"
    env = {**os.environ, **switch_env(directory)}
    control = str(directory / "ovs-vswitchd.ctl")
    if succeeds("ovs-appctl", "--timeout=3", "-t", control, "version", env=env):
        return ""
    return f"does not answer; log: {directory}/ovs-vswitchd.log"
