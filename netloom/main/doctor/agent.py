"""What `netloom doctor` looks at on a host."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from netloom.feed.client import open_stream
from netloom.main.doctor.clocks import check_clocks
from netloom.main.doctor.findings import ERROR, WARNING, Check, Finding
from netloom.main.doctor.machine import Machine, check_certificate, check_clock, check_notes, check_room, check_secret
from netloom.main.hosts.papers import Papers
from netloom.main.options.checks import OptionError
from netloom.main.options.host import HostOptions
from netloom.main.options.host_checks import Seen, check_host

OLDEST_SWITCH = (2, 17)
"""Open vSwitch before that has no zone limits of conntrack by ovsdb, and is not tried."""
FULL, NEARLY = 0.95, 0.8
PATIENCE_S = 5.0
ALWAYS = ("ip", "nft", "tc")


@dataclass(frozen=True, slots=True)
class Host:
    """`seen`: devices, addresses and bridges as they are; `switch`: Open vSwitch's version, empty: it does not
    answer. `underlay_mtu`: what networks in tunnels are counted from. `needs`: programs for what is configured.
    `apis`: where servers answer HTTP."""

    options: HostOptions
    machine: Machine
    seen: Seen
    switch: str = ""
    underlay_mtu: int = 1500
    needs: tuple[str, ...] = ()
    apis: tuple[str, ...] = ()


def make_agent_checks(host: Host) -> list[tuple[str, Check]]:
    options, machine = host.options, host.machine
    return [
        ("options", partial(check_notes, options.notes)),
        ("rights", partial(check_rights, machine)),
        ("switch", partial(check_switch, host)),
        ("bridges", partial(check_devices, host)),
        ("underlay", partial(check_underlay, host)),
        ("programs", partial(check_programs, host)),
        ("kernel", partial(check_kernel, host)),
        ("connections", partial(check_conntrack, machine)),
        ("certificate", partial(check_papers, options, machine)),
        ("server", partial(check_server, options)),
        ("disk", partial(check_room, options.state_path)),
        ("clock", partial(check_clock, machine)),
        ("clocks", partial(check_clocks, host.apis)),
    ]


def check_rights(machine: Machine) -> Iterator[Finding]:
    if not machine.root:
        yield Finding("rights", ERROR, "this is not root: bridges and namespaces cannot be made", "run it as root")


def check_switch(host: Host) -> Iterator[Finding]:
    if host.options.switch != "openvswitch":
        return
    if not host.switch:
        said = f"Open vSwitch does not answer at {host.options.ovs_rundir}/db.sock"
        yield Finding("switch", ERROR, said, "systemctl start openvswitch-switch, or look at [netloom] ovs_rundir")
    elif () < read_version(host.switch) < OLDEST_SWITCH:
        oldest = ".".join(map(str, OLDEST_SWITCH))
        yield Finding("switch", WARNING, f"Open vSwitch {host.switch} is older than {oldest}", "upgrade it")


def read_version(words: str) -> tuple[int, ...]:
    """Nothing where Open vSwitch was started by hand and nobody wrote its version into its database."""
    found = re.search(r"(\d+)\.(\d+)", words)
    return (int(found[1]), int(found[2])) if found else ()


def check_devices(host: Host) -> Iterator[Finding]:
    """As the agent itself does at its start, which it refuses."""
    try:
        check_host(host.options, host.seen)
    except OptionError as error:
        yield Finding("bridges", ERROR, str(error), "mend the option, or give the host what it names")


def check_underlay(host: Host) -> Iterator[Finding]:
    options = host.options
    device = host.seen.addresses.get(options.local_ip, "")
    mtu = host.seen.mtus.get(device, 0)
    if options.local_ip and device and mtu < host.underlay_mtu:
        said = (
            f"{device}, which tunnels leave by, carries {mtu} bytes, and networks are counted from {host.underlay_mtu}"
        )
        fix = f"ip link set {device} mtu {host.underlay_mtu}, or set [ml2] path_mtu = {mtu} on the servers"
        yield Finding("underlay", ERROR, said, fix)


def check_programs(host: Host) -> Iterator[Finding]:
    missing = [name for name in host.needs if name not in host.machine.programs]
    if missing:
        fix = f"install them: apt-get install {' '.join(dict.fromkeys(PACKAGES.get(name, name) for name in missing))}"
        yield Finding("programs", ERROR, f"not there: {', '.join(missing)}", fix)


PACKAGES = {
    "ip": "iproute2", "tc": "iproute2", "bridge": "iproute2", "nft": "nftables", "dnsmasq": "dnsmasq-base",
    "ovs-vsctl": "openvswitch-switch", "ovs-vswitchd": "openvswitch-switch",
}  # fmt: skip


def check_kernel(host: Host) -> Iterator[Finding]:
    options, machine = host.options, host.machine
    if options.switch == "openvswitch" and options.datapath_type == "system" and "openvswitch" not in machine.modules:
        fix = "modprobe openvswitch; or set [ovs] datapath_type = netdev, which is slower"
        yield Finding("kernel", ERROR, "the kernel has no module openvswitch", fix)
    if "net/netfilter/nf_conntrack_max" not in machine.values:
        fix = "modprobe nf_conntrack, and have it loaded at boot (/etc/modules-load.d)"
        yield Finding("kernel", WARNING, "the kernel does not follow connections yet (nf_conntrack)", fix)


def check_conntrack(machine: Machine) -> Iterator[Finding]:
    most = machine.values.get("net/netfilter/nf_conntrack_max", 0)
    count = machine.values.get("net/netfilter/nf_conntrack_count", 0)
    if most and count > NEARLY * most:
        level = ERROR if count > FULL * most else WARNING
        fix = (
            f"sysctl net.netfilter.nf_conntrack_max={most * 2}, and in /etc/sysctl.d; a full table refuses what is new"
        )
        yield Finding("connections", level, f"{count} of {most} connections are followed", fix)


def check_papers(options: HostOptions, machine: Machine) -> Iterator[Finding]:
    papers = Papers(options.state_path)
    if not options.feed_server:
        return
    again = f"netloom agent token {options.host} on a server, then netloom agent join here"
    if not papers.whole:
        yield Finding("certificate", ERROR, f"host {options.host} has not joined", again)
        return
    yield from check_certificate("certificate", papers.certificate, machine, again)
    yield from check_secret(papers.key)


def check_server(options: HostOptions) -> Iterator[Finding]:
    """That it can be reached, and is of the authority that this host joined."""
    papers = Papers(options.state_path)
    if not options.feed_server:
        fix = "set [netloom] feed_server"
        yield Finding("server", WARNING, "no server is named: the host lives from what it has on disk", fix)
        return
    try:
        if papers.whole:
            asyncio.run(reach(options.feed_server, papers))
        elif not options.feed_server.startswith("unix:"):
            host, _, port = options.feed_server.rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), PATIENCE_S).close()
    except ssl.SSLError as error:
        fix = "join again: netloom agent token HOST on a server, then netloom agent join here; and look at the clocks"
        yield Finding("server", ERROR, f"{options.feed_server} and this host do not believe each other: {error}", fix)
    except (OSError, TimeoutError) as error:
        said = f"{options.feed_server} does not answer: {str(error) or type(error).__name__}"
        yield Finding("server", ERROR, said, "look at [netloom] feed_server, the server, and firewalls between")


async def reach(address: str, papers: Papers) -> None:
    async with asyncio.timeout(PATIENCE_S):
        _, writer = await open_stream(address, papers.open_context())
        writer.transport.abort()


# -- as the host is ----------------------------------------------------------------------------------------------------

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def read_switch(rundir: Path, run: Run = subprocess.run) -> tuple[str, frozenset[str] | None]:
    """Open vSwitch's version and bridges; nothing where it does not answer."""
    command = ["ovs-vsctl", f"--db=unix:{rundir}/db.sock", "--timeout=3", "--", "get", "Open_vSwitch", ".",
               "ovs_version", "--", "list-br"]  # fmt: skip
    try:
        done = run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return "", None
    version, *bridges = done.stdout.split()
    return version.strip('"'), frozenset(bridges)


def find_needs(options: HostOptions, dnsmasq: bool, keepalived: bool) -> tuple[str, ...]:
    """Programs that the agent calls, by what is configured."""
    needs = [*ALWAYS]
    needs += ["ovs-vsctl", "ovs-vswitchd"] if options.switch == "openvswitch" else ["bridge"]
    needs += ["dnsmasq"] if dnsmasq else []
    needs += ["keepalived", "conntrack"] if keepalived else []
    needs += ["iptables", "ipset"] if options.hybrid else []
    return tuple(needs)
