"""Live migration of an instance, as Nova does it: a second binding, a device that waits, the swap, the activation.

The instance keeps its NIC. For the swap its cable is taken through a box on the underlay, where another end is put in:

    before    eth0 ═══ tap… on h1
    after     eth0 ═══ e-… ┤box├ m2-… ═══ tap… on h2

Law: until the swap a failure leaves the instance where it is, and nothing of it on the other host.
"""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from netloom.lab import processes
from netloom.lab.boot import choose_address, wait_active
from netloom.lab.client import Client, open_client
from netloom.lab.hosts import switch_env, vsctl
from netloom.lab.instances import find_inside, find_instance
from netloom.lab.plugs import attach, detach, find_box, hybrid_name
from netloom.lab.shell import CommandFailed, LabError, Say, run, succeeds, wait_for
from netloom.lab.state import Instance, Lab, Place, with_instance

PING_MS = 5
READY_S, COUNT_S = 20.0, 10.0
DELIVER = 80
"""The last table of br-int: an instance's device is there when all before it is."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Pings of one every PING_MS during the move; `source` "": nobody was there to ping."""

    source: str = ""
    sent: int = 0
    lost: int = 0


def migrate(place: Place, name: str, target: str, source: str, say: Say) -> tuple[Instance, Lost]:
    """The instance on its new host, pinged meanwhile from `source`, or else from another of its network. Raises
    LabError."""
    lab = place.require()
    here = find_instance(lab, name)
    check_move(lab, here, target)
    source = source or find_neighbour(lab, here)
    with open_client(place.clouds) as client:
        say(f"a second binding of its port, to {target}")
        there = expect(lab, place, client, here, target)
        try:
            say(f"its device on {target}, before it arrives")
            plug_there(lab, place, here, there)
        except BaseException:
            withdraw(lab, place, client, there)
            raise
        say("the swap, and the activation")
        with pinging(lab, place, source, here) as counted:
            swap(lab, place, client, here, there)
        detach_here(lab, place, here)
        client.delete(f"ports/{here.port_id}/bindings/{here.host}")
    return there, counted[0]


def check_move(lab: Lab, here: Instance, target: str) -> None:
    """Raises LabError."""
    if target not in lab.hosts:
        raise LabError(f"there is no host '{target}'; there are {', '.join(lab.hosts)}")
    if here.host == target:
        raise LabError(f"{here.name} is on {target} already")
    if here.slot:
        raise LabError(f"{here.name} has a virtual function of {here.host}'s NIC, which does not move with it")
    if here.kind == "vm":
        raise LabError(f"{here.name} is a virtual machine, whose program cannot be moved here")


def find_neighbour(lab: Lab, here: Instance) -> str:
    """Another instance of its network."""
    others = (one for one in lab.instances.values() if one.network == here.network and one.kind == "namespace")
    return next((one.name for one in others if one.name != here.name and here.addresses), "")


def expect(lab: Lab, place: Place, client: Client, here: Instance, target: str) -> Instance:
    """The instance as it will be there. Raises LabError with the server's reason where it cannot be."""
    body = {"binding": {"host": target}}
    bound = client.send("POST", f"ports/{here.port_id}/bindings", json=body)["binding"]
    return replace(here, host=target, hybrid=bool((bound["vif_details"] or {}).get("ovs_hybrid_plug")))


def withdraw(lab: Lab, place: Place, client: Client, there: Instance) -> None:
    detach(lab, place, there)
    succeeds("ip", "-n", lab.host_netns(there.host), "link", "del", there.device)
    client.delete(f"ports/{there.port_id}/bindings/{there.host}")


# -- the cable ---------------------------------------------------------------------------------------------------------


def end_name(lab: Lab, instance: Instance) -> str:
    """The box's end of the cable to the instance's host."""
    return f"m{lab.hosts[instance.host].number}-{instance.port_id[:8]}"


def plug_there(lab: Lab, place: Place, here: Instance, there: Instance) -> None:
    """A device on the new host with the box's end of it, and wait until its agent has all that it needs. Raises
    LabError."""
    netns, mtu = lab.host_netns(there.host), find_mtu(lab, here)
    run(
        "ip", "link", "add", there.device, "netns", netns, "mtu", mtu,
        "type", "veth", "peer", "name", end_name(lab, there), "netns", lab.underlay, "mtu", mtu,
    )  # fmt: skip
    run("ip", "-n", lab.underlay, "link", "set", end_name(lab, there), "up")
    run("ip", "-n", netns, "link", "set", there.device, "up")
    attach(lab, place, there)
    wait_for(f"{there.host} is ready for {there.name}", lambda: is_ready(lab, place, there), READY_S)


def find_mtu(lab: Lab, here: Instance) -> str:
    shown = run("ip", "-n", lab.instance_netns(here.name), "link", "show", "eth0")
    found = re.search(r"mtu (\d+)", shown)
    return found[1] if found else "1500"


def is_ready(lab: Lab, place: Place, there: Instance) -> bool:
    """Whether the agent has made room: the device is in its network's bridge, or what is for it is delivered."""
    if lab.hosts[there.host].bridges:
        return " master brq" in run("ip", "-n", lab.host_netns(there.host), "-o", "link", "show", there.device)
    device = hybrid_name(there, "qvo") if there.hybrid else there.device
    try:
        number = int(vsctl(place, there.host, "get", "Interface", device, "ofport"))
        env = {**processes.marked(place.directory), **switch_env(place.host(there.host))}
        flows = run("ovs-ofctl", "-O", "OpenFlow14", "dump-flows", "br-int", f"table={DELIVER}", env=env)
    except (CommandFailed, ValueError):
        return False
    return number > 0 and f"reg2=0x{number:x}" in flows


def swap(lab: Lab, place: Place, client: Client, here: Instance, there: Instance) -> None:
    """From here on it speaks and hears on the other host, and the API says so. Others learn it from what it says."""
    box, space = find_box(here), lab.underlay
    if not succeeds("ip", "-n", space, "link", "show", box):
        run("ip", "-n", space, "link", "add", box, "type", "bridge", "mcast_snooping", "0", "forward_delay", "0")
        run("ip", "-n", space, "link", "set", box, "up")
        eth = f"e-{here.port_id[:8]}"
        run("ip", "-n", lab.host_netns(here.host), "link", "set", here.device, "netns", space, "name", eth)
        batch = f"link set {end_name(lab, there)} master {box}\nlink set {eth} master {box} up\n"
    else:
        batch = f"link set {end_name(lab, here)} nomaster\nlink set {end_name(lab, there)} master {box}\n"
    run("ip", "-n", space, "-batch", "-", input=batch)
    client.send("PUT", f"ports/{here.port_id}/bindings/{there.host}/activate")
    place.change(lambda lab: with_instance(lab, there))
    announce(lab, there)
    wait_active(client, here.port_id)


def announce(lab: Lab, instance: Instance) -> None:
    """As QEMU does for one that arrived: physical networks learn from it where it is."""
    netns = lab.instance_netns(instance.name)
    for address in instance.addresses:
        if ":" not in address:
            succeeds("ip", "netns", "exec", netns, "arping", "-U", "-c", "1", "-w", "1", "-I", "eth0", address)


def detach_here(lab: Lab, place: Place, here: Instance) -> None:
    """What is left on the host that it came from."""
    succeeds("ip", "-n", lab.underlay, "link", "del", end_name(lab, here))
    detach(lab, place, here)


# -- what is lost ------------------------------------------------------------------------------------------------------


@contextmanager
def pinging(lab: Lab, place: Place, source: str, target: Instance) -> Iterator[list[Lost]]:
    """Pings from before until after; the list has what was lost when the block is done."""
    counted: list[Lost] = []
    if not source:
        yield [Lost()]
        return
    command = ("ip", "netns", "exec", find_inside(lab, source), "ping", "-n", "-i", str(PING_MS / 1000))
    log = place.instance(target.name) / "migrate.ping"
    log.unlink(missing_ok=True)
    process = processes.start((*command, choose_address(target)), place.directory, log)
    try:
        wait_for(f"pings from {source}", lambda: count_answers(log.read_text()) > 20, COUNT_S)
        yield counted
        before = count_answers(log.read_text())
        wait_for(f"pings from {source} after the move", lambda: count_answers(log.read_text()) > before + 20, COUNT_S)
    finally:
        process.send_signal(signal.SIGINT)
        wait_end(process)
    counted.append(read_lost(source, log.read_text()))


def wait_end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(COUNT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(COUNT_S)


def count_answers(text: str) -> int:
    return text.count("icmp_seq=")


def read_lost(source: str, text: str) -> Lost:
    """By their numbers: those that are missing below the highest that came back."""
    seen = {int(number) for number in re.findall(r"bytes from .*icmp_seq=(\d+)", text)}
    last = max(seen, default=0)
    return Lost(source, last, last - len(seen))
