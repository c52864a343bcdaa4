"""The cloud as a whole: up, down, and what must be so in between.

Law: `down` needs no memory. It stops what carries the lab's mark and removes the namespaces that carry it or are
written down; so it cleans up after a kill at any instant, and so does `up`, which begins with it.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from netloom.lab import bonds, functions, hosts, processes
from netloom.lab.client import open_client
from netloom.lab.namespaces import find_namespaces, list_namespaces, remove_namespace
from netloom.lab.shell import LabError, Say, run, succeeds, wait_for
from netloom.lab.state import HYBRID, LINUXBRIDGE, OPENVSWITCH, Host, Lab, Place

NETLOOM = (sys.executable, "-m", "netloom.main.cli")
PROGRAMS = {
    "ip": "iproute2", "ovs-vsctl": "openvswitch-switch", "ovsdb-server": "openvswitch-switch",
    "ovs-vswitchd": "openvswitch-switch", "nft": "nftables", "ethtool": "ethtool", "ping": "iputils-ping",
    "udhcpc": "udhcpc", "dhclient": "isc-dhcp-client", "sysctl": "procps",
}  # fmt: skip
"""What the lab runs, and the Debian package it is in."""
HYBRID_PROGRAMS = {"iptables-save": "iptables", "ipset": "ipset"}
"""What hosts run beside these when iptables keeps the rules."""
DNSMASQ_PROGRAMS = {"dnsmasq": "dnsmasq-base"}
"""And when DHCP servers are programs of their own."""
FIREWALLS = ("", "openvswitch", HYBRID)
OPTION = re.compile(r"^[a-zA-Z0-9_]+(\.[a-zA-Z0-9_]+)?=.*$")

START_S = 30.0
KEEPS = "keeps host"
"""What an agent logs once it has looked at its options and its host."""
MAX_HOSTS = 100
SOCKET_PATH_MAX = 107
"""Longest path of a unix socket in Linux (sizeof sun_path - 1)."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a lab is to be: of `hosts` the last `bridge_hosts` switch with Linux bridges, the others with Open vSwitch.

    firewall: firewall_driver of the hosts with Open vSwitch. Options are "section.name=value". nic_functions, bonds: of
    the hosts with Open vSwitch (see lab/functions.py, lab/bonds.py).
    """

    hosts: int = 3
    bridge_hosts: int = 0
    physnet: bool = True
    firewall: str = ""
    host_options: tuple[str, ...] = ()
    server_options: tuple[str, ...] = ()
    nic_functions: int = 0
    bonds: bool = False


def plan_hosts(shape: Shape) -> list[Host]:
    """Raises LabError."""
    if not 1 <= shape.hosts <= MAX_HOSTS:
        raise LabError(f"--hosts {shape.hosts}: allowed are 1 to {MAX_HOSTS}")
    if not 0 <= shape.bridge_hosts <= shape.hosts:
        raise LabError(f"--bridge-hosts {shape.bridge_hosts}: allowed are 0 to {shape.hosts}, of --hosts {shape.hosts}")
    if shape.firewall not in FIREWALLS:
        raise LabError(f"--firewall-driver {shape.firewall}: allowed are {', '.join(filter(None, FIREWALLS))}")
    if not 0 <= shape.nic_functions <= functions.MOST:
        raise LabError(f"--nic-functions {shape.nic_functions}: allowed are 0 to {functions.MOST}")
    if not shape.physnet and (shape.nic_functions or shape.bonds):
        raise LabError("--nic-functions and --bonds are about NICs on the provider network: not with --no-physnet")
    check_options((*shape.host_options, *shape.server_options))
    first_bridge = shape.hosts - shape.bridge_hosts + 1
    return [plan_host(shape, number, number >= first_bridge) for number in range(1, shape.hosts + 1)]


def plan_host(shape: Shape, number: int, bridges: bool) -> Host:
    if bridges:
        return Host(f"h{number}", number, shape.physnet, LINUXBRIDGE)
    return Host(
        f"h{number}", number, shape.physnet, OPENVSWITCH, shape.firewall, bonded=shape.bonds,
        functions=shape.nic_functions,
    )  # fmt: skip


def find_programs(shape: Shape, made: Iterable[Host]) -> tuple[str, ...]:
    """What such a lab runs."""
    hybrid = HYBRID_PROGRAMS if any(host.hybrid for host in made) else {}
    servers = {} if "dhcp_driver=dnsmasq" not in shape.server_options else DNSMASQ_PROGRAMS
    return (*PROGRAMS, *hybrid, *servers)


def up(place: Place, shape: Shape, prefix: str, say: Say) -> Lab:
    """Hosts, server and agents, all of them alive as the API tells it. What a killed lab left is removed first."""
    made = plan_hosts(shape)
    check_machine(place, find_programs(shape, made))
    with place.locked():
        refuse_second(place)
        sweep(place, prefix, say)
        lab = Lab(prefix, {host.name: host for host in made}, api_url=choose_url(), host_options=shape.host_options,
                  server_options=shape.server_options)  # fmt: skip
        place.save(lab)
        say("the underlay: a switch between hosts")
        hosts.make_underlay(lab, place)
        if shape.physnet:
            say(f"a machine outside, at {hosts.OUTSIDE_IP} on the provider network")
            hosts.make_outside(lab, place)
        if any(host.bonded for host in made):
            say("a switch that bonds with hosts, on the provider network")
            bonds.make_partner(lab, place)
        for host in made:
            say(f"host {host.name}: a namespace with {describe_switch(host)}, tunnel address {host.tunnel_ip}")
            make_host(lab, place, host)
        start_metadata(lab, place, say)
        start_server(lab, place, say)
        start_agents(lab, place, say)
        return place.save(replace(lab, ready=True))


def make_host(lab: Lab, place: Place, host: Host) -> None:
    hosts.make_host(lab, place, host)
    if host.bonded:
        bonds.plug_bonded(lab, place, host)
    if host.functions:
        functions.make_functions(lab, place, host)


def describe_switch(host: Host) -> str:
    more = (", two NICs as one" if host.bonded else "") + (", a NIC with functions" if host.functions else "")
    return "Linux bridges" if host.bridges else f"an Open vSwitch of its own{more}"


def down(place: Place, prefix: str, say: Say) -> bool:
    """Remove all that the lab made; False if there was nothing."""
    if os.geteuid() != 0:
        raise LabError("the lab needs root")
    with place.locked():
        return sweep(place, prefix, say)


def check_machine(place: Place, programs: Iterable[str] = ()) -> None:
    """Raises LabError, saying what is missing and how to get it."""
    packages = {**PROGRAMS, **HYBRID_PROGRAMS, **DNSMASQ_PROGRAMS}
    if os.geteuid() != 0:
        raise LabError("the lab needs root: it makes network namespaces and switches")
    missing = {packages[program] for program in programs or PROGRAMS if not shutil.which(program)}
    if missing:
        raise LabError(f"missing here: {', '.join(sorted(missing))}; `make system` or apt-get install brings them")
    longest = len(str(place.host("h999") / "ovs-vswitchd.ctl"))
    if longest > SOCKET_PATH_MAX:
        raise LabError(f"{place.directory} is too long a path for sockets in it: {longest} > {SOCKET_PATH_MAX} bytes")


def refuse_second(place: Place) -> None:
    with suppress(LabError):
        lab = place.load()
        if lab and lab.ready and answers(lab.api_url):
            count = f"{len(lab.hosts)} hosts, {len(lab.instances)} instances"
            raise SecondLab(
                f"a lab is up in {place.directory} ({count}): see `netloom lab status`; `lab down` removes it"
            )


class SecondLab(Exception):
    """A lab is up already. Not a LabError: it must not be taken for a state file that cannot be read."""


def sweep(place: Place, prefix: str, say: Say) -> bool:
    """Remove every process, namespace and file of this lab; False if there was none."""
    lab = load_or_forget(place)
    running = processes.find_owned(place.directory)
    written = lab.namespaces() if lab else ()
    marked = find_namespaces(lab.prefix if lab else prefix, place.directory)
    namespaces = [name for name in list_namespaces() if name in {*written, *marked}]
    found = bool(running or namespaces or place.state.exists())
    if running or namespaces:
        say(f"removing the lab there was: {len(running)} processes, {len(namespaces)} namespaces")
    processes.stop(running, place.directory)
    for name in namespaces:
        remove_namespace(name, place.directory)
    processes.stop(processes.find_owned(place.directory), place.directory)
    remove_spaces(place)
    for path in place.contents():
        remove(path)
    return found


def load_or_forget(place: Place) -> Lab | None:
    """A state file that cannot be read must not keep what it describes from being removed."""
    with suppress(LabError):
        return place.load()
    return None


def remove_spaces(place: Place, host: str = "*") -> None:
    """The namespaces that agents made; each is held by a file that something is mounted on."""
    for path in place.directory.glob(f"hosts/{host}/netns/*"):
        succeeds("umount", "--lazy", str(path))
        path.unlink(missing_ok=True)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


# -- server and agents -------------------------------------------------------------------------------------------------


def choose_url(first: int = 9696) -> str:
    """The first port that is free, from the usual one upwards."""
    for port in range(first, first + 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return f"http://127.0.0.1:{port}"
    raise LabError(f"no port is free from {first} to {first + 99}")


def start_server(lab: Lab, place: Place, say: Say) -> None:
    say(f"the server: netloom server --config-file {place.config}")
    place.config.write_text(render_server_config(lab, place))
    command = (*NETLOOM, "server", "--config-file", str(place.config), *render_options(lab.server_options))
    server = processes.start(command, place.directory, place.server_log)

    def ready() -> bool:
        if server.poll() is not None:
            raise LabError(f"the server ended at once ({server.returncode}): {read_tail(place.server_log)}")
        return place.clouds.exists() and answers(lab.api_url)

    wait_for(f"the server at {lab.api_url}", ready, START_S, lambda: read_tail(place.server_log))


def render_server_config(lab: Lab, place: Place) -> str:
    host, _, port = lab.api_url.removeprefix("http://").partition(":")
    return f"""# Made by `netloom lab up`.
[DEFAULT]
bind_host = {host}
bind_port = {port}
state_path = {place.server}
auth_strategy = builtin

[ml2_type_vlan]
network_vlan_ranges = {hosts.PHYSNET}:100:199

[netloom]
feed_listen = unix:{place.feed}
"""


def render_options(options: Iterable[str]) -> tuple[str, ...]:
    return tuple(word for option in options for word in ("--set", option))


def render_agent_config(place: Place, host: Host) -> str:
    return f"""# Made by `netloom lab up`.
[DEFAULT]
host = {host.name}
state_path = {place.host(host.name)}
nova_metadata_host = {hosts.METADATA_IP}
metadata_proxy_shared_secret = {place.load_secret()}

{render_switch(place, host)}
[netloom]
switch = {host.switch}
feed_server = unix:{place.feed}
ovs_rundir = {place.host(host.name)}
netns_path = {place.spaces(host.name)}
{bonds.render_option(host)}{functions.render_options(place, host)}"""


def render_switch(place: Place, host: Host) -> str:
    """The sections of the host's switch. A bridge's tunnels carry whole checksums, for others switch in user space."""
    if host.bridges:
        mappings = f"{hosts.PHYSNET}:eth1" if host.physnet else ""
        return f"""[vxlan]
local_ip = {host.tunnel_ip}

[ovs]
datapath_type = netdev

[linux_bridge]
physical_interface_mappings = {mappings}
"""
    mappings = f"{hosts.PHYSNET}:{hosts.PHYSNET_BRIDGE}" if host.physnet else ""
    return f"""[ovs]
local_ip = {host.tunnel_ip}
datapath_type = netdev
bridge_mappings = {mappings}

[securitygroup]
firewall_driver = {host.firewall}
"""


def start_metadata(lab: Lab, place: Place, say: Say) -> None:
    """What answers instances in Nova's place, where every host reaches it."""
    say(f"a metadata service in Nova's place, at {hosts.METADATA_IP}")
    place.secret.write_text(secrets.token_urlsafe(24))
    processes.start(
        (sys.executable, "-m", "netloom.lab.metadata", "--listen", hosts.METADATA_IP, "--names", str(place.state)),
        place.directory, place.directory / "metadata.log", lab.underlay, {"METADATA_SECRET": place.load_secret()},
    )  # fmt: skip


def start_agents(lab: Lab, place: Place, say: Say) -> None:
    """An agent on every host, with a certificate got by a token of its own; returns when the API calls them alive."""
    say("the agents: each joins with a token of its own, in its host's namespace")
    tokens = fetch_tokens(place, lab.hosts)
    for host in lab.hosts.values():
        start_agent(lab, place, host, tokens[host.name])
    with open_client(place.clouds) as client:

        def silent() -> set[str]:
            return set(lab.hosts) - {agent["host"] for agent in client.list("agents") if agent["alive"]}

        def why() -> str:
            return "; ".join(f"{host}: {read_tail(place.agent_log(host))}" for host in sorted(silent()))

        wait_for("agents alive", lambda: not silent(), START_S, why)


def fetch_tokens(place: Place, names: Iterable[str]) -> Mapping[str, str]:
    """A one-time join token for each host, as an administrator gets them on the server's machine."""
    names = tuple(names)
    shown = run(*NETLOOM, "agent", "token", *names, "--config-file", str(place.config))
    return dict(zip(names, shown.split(), strict=True))


def start_agent(lab: Lab, place: Place, host: Host, token: str = "") -> subprocess.Popen[bytes]:
    config = place.host(host.name) / "netloom.conf"
    config.write_text(render_agent_config(place, host))
    # Not `ip netns exec`: that gives it mounts of its own, and the namespaces that it makes would go with it.
    inside = ("nsenter", f"--net=/run/netns/{lab.host_netns(host.name)}")
    return processes.start(
        (*inside, *NETLOOM, "agent", "run", "--config-file", str(config), *render_options(lab.host_options),
         *render_options(host.options)),
        place.directory, place.agent_log(host.name), env={"NETLOOM_JOIN_TOKEN": token} if token else {},
    )  # fmt: skip


def check_options(options: Iterable[str]) -> None:
    """Raises LabError."""
    for option in options:
        if not OPTION.match(option):
            raise LabError(f"'{option}': an option is given as section.name=value, or name=value for [DEFAULT]")


def tell_host(place: Place, name: str, options: Iterable[str]) -> Host:
    """Write down what one host's agent is told from its next start on, beside what all are told. Raises LabError."""
    options = tuple(options)
    check_options(options)

    def change(lab: Lab) -> Lab:
        return replace(lab, hosts={**lab.hosts, name: replace(lab.hosts[name], options=options)})

    return place.change(change).hosts[name]


def restart_agent(lab: Lab, place: Place, host: Host) -> None:
    """Kill the host's agent, whose certificate and slices are kept, and start another; it keeps the host when this
    returns. Raises LabError with what it said when it ends instead, as it does where an option is wrong."""
    inside = processes.find_in_netns(lab.host_netns(host.name))
    agents = {pid for pid, command in processes.find_owned(place.directory).items() if "agent run" in command}
    processes.stop(inside & agents, place.directory)
    log = place.agent_log(host.name)
    begin = log.stat().st_size if log.exists() else 0
    agent = start_agent(lab, place, host)

    def keeps() -> bool:
        if agent.poll() is not None:
            raise LabError(f"the agent of {host.name} ended at once ({agent.returncode}): {read_tail(log, 1)}")
        return KEEPS.encode() in log.read_bytes()[begin:]

    wait_for(f"the agent of {host.name}", keeps, START_S, lambda: read_tail(log))


def answers(url: str) -> bool:
    import httpx

    try:
        return httpx.get(f"{url}/", timeout=2, trust_env=False).status_code < 500
    except httpx.HTTPError:
        return False


def read_tail(log: Path, lines: int = 5) -> str:
    try:
        text = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        return f"no {log}"
    return f"{log} ends: " + " | ".join(text[-lines:]) if text else f"{log} is empty"
