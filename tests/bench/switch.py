"""The data plane's part of `make bench`: how soon a port answers its first ping, and what a restart of the agent costs.

The instances' namespaces and veths are there beforehand: what is measured is the API, the agent and Open vSwitch. A
device is plugged as Nova does it, by one transaction of OVSDB, and the ping is a frame sent every millisecond.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from netloom.drivers.ovs.ovsdb import OvsdbClient
from tests.dataplane.ovs import start_host, stop_host
from tests.dataplane.relay import run_relay
from tests.dataplane.rig import Instance, Rig, make_rig
from tests.dataplane.settled import fill
from tests.dataplane.wire import Pinging, await_ping, open_socket

Figures = dict[str, Any]

PLUGGED = 40
SPACES = 4
"""Namespaces that the pinging instances share: a socket is on its device, so they do not meet."""


def describe(seconds: list[float]) -> Figures:
    ranked = sorted(1000 * one for one in seconds)
    return {
        "p50_ms": round(statistics.median(ranked), 1), "p90_ms": round(ranked[int(len(ranked) * 0.9)], 1),
        "max_ms": round(ranked[-1], 1), "count": len(ranked),
    }  # fmt: skip


class Plugger:
    """A connection to OVSDB that is open, as Nova's is; on a loop of its own."""

    def __init__(self, rundir: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._client = OvsdbClient(rundir / "db.sock")
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._do(self._client.ready())

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def plug(self, tap: str, port_id: str, mac: str) -> None:
        """Returns when the database has it."""
        found = self._client.find("Bridge", "br-int")
        assert found
        ids = ["map", [["iface-id", port_id], ["attached-mac", mac]]]
        self._do(
            self._client.transact(
                [
                    {"op": "insert", "table": "Interface", "uuid-name": "i", "row": {"name": tap, "external_ids": ids}},
                    {"op": "insert", "table": "Port", "uuid-name": "p",
                     "row": {"name": tap, "interfaces": ["named-uuid", "i"]}},
                    {"op": "mutate", "table": "Bridge", "where": [["_uuid", "==", ["uuid", found[0]]]],
                     "mutations": [["ports", "insert", ["set", [["named-uuid", "p"]]]]]},
                    {"op": "mutate", "table": "Open_vSwitch", "where": [], "mutations": [["next_cfg", "+=", 1]]},
                ]
            )
        )  # fmt: skip

    def close(self) -> None:
        self._do(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)


def wait_port(rig: Rig, id: str, holds: Callable[[Mapping[str, Any]], bool]) -> float:
    """The moment at which the API shows it; asked every 2 ms."""
    while not holds(rig.ask("GET", f"ports/{id}")["port"]):
        time.sleep(0.002)
    return time.perf_counter()


def make_port(rig: Rig, network: str, one: Instance) -> str:
    address = [{"ip_address": one.address}]
    body = {"network_id": network, "binding:host_id": "h1", "mac_address": one.mac, "fixed_ips": address}
    return str(rig.ask("POST", "ports", {"port": body})["port"]["id"])


def prepare(rig: Rig, count: int) -> list[Instance]:
    """Devices for ports that are not there yet, each with the MAC and address that its port will have."""
    spaces = [rig.make_space(f"b{n}") for n in range(SPACES)]
    out: list[Instance] = []
    for n in range(count):
        mac, address = f"fa:16:3e:aa:00:{n:02x}", f"10.0.0.{100 + n}"
        port = {"id": "", "mac_address": mac, "fixed_ips": [{"ip_address": address}]}
        out += rig.cable([port], spaces[n % SPACES], 5000 + n)
    return out


def bench_first_ping(rig: Rig, gate: Instance) -> Figures:
    """For each port: POST, plug at once, ping `gate` until it answers; meanwhile the API is asked whether ACTIVE."""
    plugger, network = Plugger(rig.host.rundir), rig.networks["n0"]
    took: dict[str, list[float]] = {name: [] for name in ("answer_to_ping", "plug_to_ping", "plug_to_active")}
    for number, one in enumerate(prepare(rig, PLUGGED)):
        with open_socket(one.netns, one.device) as wire:
            id = make_port(rig, network, one)
            answered = time.perf_counter()
            plugger.plug(one.tap, id, one.mac)
            plugged = time.perf_counter()
            if number % 2:  # each by itself: asking the API costs time of the machine that the other would measure
                active = wait_port(rig, id, lambda port: bool(port["status"] == "ACTIVE"))
                took["plug_to_active"].append(active - plugged)
            else:
                pinged = await_ping(wire, one, gate)
                took["plug_to_ping"].append(pinged - plugged)
                took["answer_to_ping"].append(pinged - answered)
                wait_port(rig, id, lambda port: bool(port["status"] == "ACTIVE"))
    plugger.close()
    return {name: describe(seconds) for name, seconds in took.items()}


def bench_ack(rig: Rig) -> Figures:
    """POST answered → the host has said that it waits for the device, and the API shows it."""
    took = []
    for _ in range(PLUGGED):
        (port,) = rig.make_ports(rig.networks["n1"], 1)
        began = time.perf_counter()
        took.append(wait_port(rig, port["id"], lambda port: "waiting for a device" in str(port)) - began)
        rig.ask("DELETE", f"ports/{port['id']}")
    return describe(took)


def bench_restart(rig: Rig, said: Mapping[str, int], a: Instance, b: Instance, how: signal.Signals) -> Figures:
    """Stop the agent, start it, and wait until it has told the server of all its ports; pings every 5 ms meanwhile."""
    at = len(rig.read_log())
    before = dict(said)
    pinging = Pinging(a, b.address, 0.005)
    rig.stop_agent(how)
    began = time.perf_counter()
    rig.start_agent()
    rig.wait_log("ports wired, 0 wait", at)
    took = time.perf_counter() - began
    replies, lost = pinging.stop()
    return {
        "start_to_told_s": round(took, 2), "pings": replies, "pings_lost": len(lost),
        "messages_that_change_the_switch": sum(said[name] - before.get(name, 0) for name in CHANGES),
    }  # fmt: skip


def bench_dark(rig: Rig, a: Instance, b: Instance) -> Figures:
    """vswitchd is killed and started: what it takes to open its ports, and from then to the first ping."""
    start, dark = [], []
    with open_socket(a.netns, a.device) as wire:
        for _ in range(3):
            await_ping(wire, a, b)
            rig.host.stop("ovs-vswitchd")
            began = time.perf_counter()
            rig.host.start_switch()
            ready = time.perf_counter()
            dark.append(await_ping(wire, a, b) - ready)
            start.append(ready - began)
    flows = len(rig.dump_flows())
    return {"start_of_the_switch": describe(start), "ready_to_ping": describe(dark), "flows_made_anew": flows}


CHANGES = ("flow_mod", "bundle_add", "bundle_control", "transact")


def bench_switch() -> Figures:
    """All of it, on one host with 200 ports on ten networks beside those that are measured. Needs root."""
    folder = Path(tempfile.mkdtemp(prefix="nl-"))
    host = start_host(f"nlb-{folder.name[3:]}", folder)
    try:
        with run_relay(folder) as relay, make_rig(relay.rundir, host) as rig:
            a, b = fill(rig, 200)
            figures: Figures = {"flows_of_200_ports": len(rig.dump_flows())}
            for how in (signal.SIGTERM, signal.SIGKILL):
                figures[f"restart_by_{how.name.lower()}"] = bench_restart(rig, relay.said, a, b, how)
            rig.stop_agent()
            rig.rundir = folder  # without the relay, which costs time
            said = len(rig.read_log())
            rig.start_agent()
            rig.wait_log("ports wired, 0 wait", said)
            figures["post_answered_to_waiting_in_api"] = bench_ack(rig)
            figures |= bench_first_ping(rig, a)
            figures["switch_killed"] = bench_dark(rig, a, b)
            return figures
    finally:
        stop_host(host)
        shutil.rmtree(folder)
