"""Instances: a namespace each, with a NIC that is plugged into its host's switch as Nova plugs one (lab/plugs.py).

    namespace nl-i-a                      namespace nl-h1
      eth0 (the port's MAC) ═══════════ tap<port id> on br-int, external_ids iface-id and attached-mac

Law: the instance's kernel makes whole checksums (tx off). The userspace datapath copies frames as they are: with the
checksum left to a NIC that is none, ping works and TCP passes no byte.
"""

from __future__ import annotations

import re
import shutil

from netloom.lab.functions import plug_function, unplug_function
from netloom.lab.namespaces import make_namespace, remove_namespace, set_sysctl
from netloom.lab.plugs import attach, detach, remove_box
from netloom.lab.shell import CommandFailed, LabError, run
from netloom.lab.state import OUTSIDE, Instance, Lab, Place
from netloom.lab.vm import remove_machine

NIC_MTU = 1500
"""What the NIC starts with, as a virtual machine's does; DHCP and router advertisements lower it."""


def make_instance(lab: Lab, place: Place, instance: Instance, mtu: int) -> None:
    """The namespace, its NIC, and the plug. The instance has no address yet."""
    netns = lab.instance_netns(instance.name)
    make_namespace(netns, place.directory, ipv6=True)
    if instance.slot:
        plug_function(lab, place, instance, mtu)
    else:
        plug(lab, instance, mtu)
    run("ip", "netns", "exec", netns, "ethtool", "-K", "eth0", "tx", "off")
    set_sysctl(netns, "net.ipv6.conf.eth0.accept_ra", 2)
    attach(lab, place, instance)
    run("ip", "-n", netns, "link", "set", "eth0", "up")


def plug(lab: Lab, instance: Instance, mtu: int) -> None:
    """The cable: eth0 in the instance, up last, so that its first frames find the switch listening."""
    host, netns = lab.host_netns(instance.host), lab.instance_netns(instance.name)
    mtu = max(mtu, NIC_MTU)
    run(
        "ip", "link", "add", instance.device, "netns", host, "mtu", str(mtu),
        "type", "veth", "peer", "name", "eth0", "netns", netns, "address", instance.mac, "mtu", str(mtu),
    )  # fmt: skip
    run("ip", "-n", host, "link", "set", instance.device, "up")


def remove_instance(lab: Lab, place: Place, instance: Instance) -> None:
    """The plug, the namespace with what runs in it, and its files. What is gone already is no error."""
    if instance.port_id and instance.host in lab.hosts and instance.slot:
        unplug_function(lab, place, instance)
    elif instance.port_id and instance.host in lab.hosts:
        detach(lab, place, instance)
        remove_box(lab, instance)
    if instance.kind == "vm":
        remove_machine(lab, place, instance)
    else:
        remove_namespace(lab.instance_netns(instance.name), place.directory)
    shutil.rmtree(place.instance(instance.name), ignore_errors=True)


def find_instance(lab: Lab, name: str) -> Instance:
    if name not in lab.instances:
        known = ", ".join(lab.instances) or "none yet"
        raise LabError(f"there is no instance '{name}'; there are: {known}")
    return lab.instances[name]


def find_inside(lab: Lab, name: str) -> str:
    """The namespace of an instance. Raises LabError for a virtual machine: nothing is run in one from outside."""
    if name == OUTSIDE and name not in lab.instances:
        return lab.outside
    if find_instance(lab, name).kind == "vm":
        raise LabError(f"{name} is a virtual machine: `netloom lab console {name}` shows what it says")
    return lab.instance_netns(name)


def ping(lab: Lab, source: str, address: str, count: int = 3, wait_s: int = 2) -> tuple[int, float | None]:
    """How many of `count` pings came back, and the median-like average round trip in ms (None: no answer)."""
    netns = find_inside(lab, source)
    command = ("ip", "netns", "exec", netns, "ping", "-q", "-n", "-c", str(count), "-i", "0.2", "-W", str(wait_s))
    try:
        shown = run(*command, address, timeout_s=wait_s + count + 10)
    except CommandFailed as error:
        if error.status != 1:  # 1: no answer; else ping itself could not do it
            shown = error.output
            if "received" not in shown and "unreachable" not in shown.lower():
                raise
        return 0, None
    return parse_ping(shown)


def parse_ping(text: str) -> tuple[int, float | None]:
    """(answers, average ms) of iputils' summary."""
    received = re.search(r"(\d+) received", text)
    times = re.search(r"= [\d.]+/([\d.]+)/", text)
    return int(received[1]) if received else 0, float(times[1]) if times else None
