"""One real host under a real server: `netloom server`, `netloom agent run` in the host's namespace, instances on veths.

For what must be seen from outside: processes that are killed, messages counted on the wire, frames and their times.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pyroute2 import netns as spaces

from netloom.agent.neighbour_file import NeighbourFile
from netloom.agent.ovs_host import OvsHost as SwitchView
from netloom.drivers import merge_needs
from netloom.drivers.filter.iptables import IptablesDriver
from netloom.drivers.links import LinksDriver
from netloom.drivers.netns.driver import NetnsDriver
from netloom.drivers.nft import NftDriver
from netloom.drivers.ovs.driver import OvsDriver
from netloom.drivers.tc import TcDriver
from netloom.feed.cache import Cache
from netloom.main.hosts.agent import make_facts
from netloom.main.options.host import HostOptions, load_host_options
from netloom.main.options.server import load_server_options
from netloom.main.servers.fleet import make_join_token
from netloom.model.driver import Driver
from netloom.model.plan import Key, Plan, Thing
from netloom.reconcile.desired import merge_groups
from netloom.reconcile.plan import plan
from netloom.render.host import render_host
from tests.dataplane.ovs import PATIENCE_S, OvsHost, drop_namespaces, run, start_host, stop_host
from tests.faults.server import Server

PROJECT = "p1"
"""Whose everything is: ports of a project are in its default group, those of nobody in none."""
NO_QUOTA = tuple(
    word
    for name in ("port", "network", "security_group", "security_group_rule")
    for word in ("--set", f"quotas.quota_{name}=-1")
)


@dataclass(frozen=True, slots=True)
class Instance:
    """A port of the API, and the device in `netns` that it is plugged by. `tap` is the switch's end."""

    id: str
    tap: str
    netns: str
    device: str
    mac: str
    address: str


@dataclass
class Rig:
    """One host (h1), its server and its agent. `rundir` is where the agent looks for the switch."""

    host: OvsHost
    folder: Path
    server: Server
    rundir: Path
    agent: subprocess.Popen[bytes] | None = None
    networks: dict[str, str] = field(default_factory=dict)
    extra: dict[str, str] = field(default_factory=dict)  # options of the agent
    name: str = "h1"
    tunnel_ip: str = "192.0.2.1"
    program: tuple[str, ...] = (sys.executable, "-m", "netloom.main.cli")  # the agent's

    # -- the API -------------------------------------------------------------------------------------------------------

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The answer's body."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "X-Project-Id": PROJECT}
        request = urllib.request.Request(f"{self.server.url}/v2.0/{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return json.loads(reply.read() or b"null")
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from error

    def make_network(self, name: str, cidr: str, **given: Any) -> str:
        network = self.ask("POST", "networks", {"network": {"name": name, **given}})["network"]["id"]
        subnet = {"network_id": network, "cidr": cidr, "ip_version": 4}
        self.ask("POST", "subnets", {"subnet": subnet})
        self.networks[name] = network
        return str(network)

    def make_ports(self, network: str, count: int, **given: Any) -> list[dict[str, Any]]:
        """Bound to this host, in one request."""
        body = {"ports": [{"network_id": network, "binding:host_id": self.name, **given} for _ in range(count)]}
        return list(self.ask("POST", "ports", body)["ports"])

    def list_ports(self, **where: str) -> list[dict[str, Any]]:
        return list(self.ask("GET", "ports?" + "&".join(f"{k}={v}" for k, v in where.items()))["ports"])

    # -- the agent -----------------------------------------------------------------------------------------------------

    @property
    def log(self) -> Path:
        return self.folder / "agent.log" if self.name == "h1" else self.folder / f"agent-{self.name}.log"

    def read_log(self, since: int = 0) -> str:
        return self.log.read_text()[since:] if self.log.exists() else ""

    def join(self) -> None:
        options = load_server_options((), {"state_path": str(self.server.state), "auth_strategy": "noauth"})
        self.run_netloom("agent", "join", make_join_token(options, self.name), *self.options)

    @property
    def settings(self) -> dict[str, str]:
        return {
            "host": self.name, "state_path": f"{self.folder}/{self.name}",
            "netloom.feed_server": f"unix:{self.server.state}/feed.sock",
            "netloom.ovs_rundir": f"{self.rundir}", "ovs.local_ip": self.tunnel_ip,
            "ovs.datapath_type": "netdev", "netloom.netns_path": f"{self.host.rundir}/netns", **self.extra,
        }  # fmt: skip

    @property
    def options(self) -> tuple[str, ...]:
        return tuple(word for name, value in self.settings.items() for word in ("--set", f"{name}={value}"))

    def plan_anew(self) -> Plan:
        """What somebody who knows nothing but the slices on disk would do to this host's devices."""
        spaces.pushns(self.host.netns)
        try:
            return asyncio.run(self.plan_devices(load_host_options((), self.settings)))
        finally:
            spaces.popns()

    async def plan_devices(self, options: HostOptions) -> Plan:
        """As `plan_anew`, in the host's namespace."""
        return await plan_host(options)

    def run_netloom(self, *arguments: str) -> None:
        done = subprocess.run([*NETLOOM, *arguments], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr or done.stdout

    def start_agent(self) -> None:
        # Not `ip netns exec`: that gives it mounts of its own, and namespaces that it makes would go with it.
        command = ["nsenter", f"--net=/run/netns/{self.host.netns}", *self.program, "agent", "run", *self.options]
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        with self.log.open("ab") as out:
            self.agent = subprocess.Popen(command, stdout=out, stderr=out, env=env)

    def stop_agent(self, how: signal.Signals = signal.SIGTERM) -> None:
        """`nsenter` becomes the agent, so its process is the agent's."""
        if self.agent is None:
            return
        self.agent.send_signal(how)
        self.agent.wait(PATIENCE_S)
        self.agent = None

    def wait_log(self, words: str, since: int = 0, timeout_s: float = PATIENCE_S) -> re.Match[str]:
        """The first line of the agent's log after `since` that matches."""
        pattern = re.compile(words)
        end = time.monotonic() + timeout_s
        while (found := pattern.search(self.read_log(since))) is None:
            assert self.agent is None or self.agent.poll() is None, f"the agent ended: {self.read_log(since)[-2000:]}"
            assert time.monotonic() < end, f"no '{words}' in {self.read_log(since)[-3000:]}"
            time.sleep(0.005)
        return found

    # -- instances -----------------------------------------------------------------------------------------------------

    def cable(self, ports: Sequence[Mapping[str, Any]], netns: str, first: int = 0) -> list[Instance]:
        """A veth for each port: one end here, the other in `netns` with the port's MAC."""
        made = [
            Instance(
                port["id"], self.name_tap(port, n), netns, f"e{n}", port["mac_address"],
                port["fixed_ips"][0]["ip_address"],
            )
            for n, port in enumerate(ports, first)
        ]  # fmt: skip
        lines = [
            f"link add {one.tap} netns {self.host.netns} up type veth peer name {one.device} netns {netns} "
            f"address {one.mac}\n"
            for one in made
        ]
        batch("".join(lines))
        batch("".join(f"link set {one.device} up\n" for one in made), netns)
        return made

    def name_tap(self, port: Mapping[str, Any], number: int) -> str:
        return f"t{number}"

    def plug(self, instances: Sequence[Instance]) -> None:
        """All of them in one transaction of ovs-vsctl, once the agent has made the bridge; returns when the switch has
        opened them."""
        words = []
        for one in instances:
            ids = (f"external_ids:iface-id={one.id}", f"external_ids:attached-mac={one.mac}")
            words += ["--", "add-port", "br-int", one.tap, "--", "set", "interface", one.tap, *ids]
        self.host.vsctl("--timeout=30", "wait-until", "bridge", "br-int", *words)

    def make_space(self, name: str) -> str:
        """A namespace for instances that says nothing by itself."""
        netns = f"{self.host.netns}-{name}"
        run("ip", "netns", "add", netns)
        run("ip", "netns", "exec", netns, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
        run("ip", "-n", netns, "link", "set", "lo", "up")
        return netns

    def boot(self, port: Mapping[str, Any], number: int, prefix: int = 24) -> Instance:
        """An instance that can ping: a namespace of its own, with the port's address."""
        (one,) = self.cable([port], self.make_space(f"i{number}"), number)
        run("ip", "-n", one.netns, "addr", "add", f"{one.address}/{prefix}", "dev", one.device)
        run("ip", "netns", "exec", one.netns, "ethtool", "-K", one.device, "tx", "off")
        return one

    def dump_flows(self) -> list[str]:
        """Every flow of the agent, on both bridges, as ovs-ofctl shows it."""
        shown = [self.host.ofctl("dump-flows", bridge) for bridge in ("br-int", "br-tun")]
        return [line.strip() for text in shown for line in text.splitlines() if "cookie=0x4e4c" in line]


async def plan_host(options: HostOptions) -> Plan:
    """Read the devices, render the slices that are on disk, and plan; with no memory, and nothing done."""
    driver = OvsDriver(options.ovs_rundir, frozenset((options.integration_bridge, options.tunnel_bridge)))
    spaces_driver = NetnsDriver(options.netns_path, options.state_path / "keepers")
    drivers: list[Driver] = [driver, NftDriver(), LinksDriver(), TcDriver(options.netns_path), spaces_driver]
    drivers += [IptablesDriver()] if options.hybrid else []
    try:
        facts = await SwitchView(driver, make_facts(options)).read_facts()
        facts = replace(facts, neighbours=NeighbourFile(options.state_path / "neighbours").load())
        wanted, clashes = merge_groups(render_host(Cache(options.state_path / "slices").load(), facts))
        assert not clashes
        actual: dict[Key, Thing] = {}
        for one in drivers:
            actual |= await one.read()
        return plan(wanted, actual, merge_needs(drivers))
    finally:
        await driver.close()
        await spaces_driver.close()


NETLOOM = (sys.executable, "-m", "netloom.main.cli")


def batch(lines: str, netns: str = "") -> None:
    where = ("-n", netns) if netns else ()
    done = subprocess.run(["ip", *where, "-batch", "-"], input=lines, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def read_duration(flow: str) -> float:
    """Seconds that a flow of `ovs-ofctl dump-flows` has been in its table."""
    found = re.search(r"duration=([0-9.]+)s", flow)
    assert found, flow
    return float(found[1])


@contextmanager
def make_rig(rundir: Path | None = None, host: OvsHost | None = None) -> Iterator[Rig]:
    """A server and a joined host, with no agent running yet. All that is made here goes at the end."""
    folder = Path(tempfile.mkdtemp(prefix="nl-r-"))
    own = host is None
    ovs = host or start_host(f"nlr-{folder.name[5:]}", folder)
    server = Server(folder / "s", extra=NO_QUOTA)
    rig = Rig(ovs, folder, server, rundir or ovs.rundir)
    run("ip", "-n", ovs.netns, "addr", "replace", f"{rig.tunnel_ip}/32", "dev", "lo")
    try:
        server.start()
        rig.join()
        yield rig
    finally:
        rig.stop_agent(signal.SIGKILL)
        if server.process is not None and server.process.poll() is None:
            server.kill()
        drop_namespaces(f"{ovs.netns}-")
        drop_spaces(ovs.rundir / "netns")
        if own:
            stop_host(ovs)
        shutil.rmtree(folder)


def drop_spaces(folder: Path) -> None:
    """The namespaces of routers that a host had."""
    for path in folder.iterdir() if folder.is_dir() else ():
        run("umount", str(path), check=False)
        path.unlink(missing_ok=True)
