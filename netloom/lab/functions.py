"""NICs with virtual functions (SR-IOV) that are none: devices, a device tree that shows them, and a switch within.

    namespace nl-ul                 namespace nl-h1-nic: the NIC's inside        namespace nl-h1
      provider ──── n1 ═══════════ wire ┐                                ┌ pf ═══ ens1
                                        └ lab/nic_switch.py ─────────────┼ vf0 ══ ens1v0
                                                                         └ vf1 ══ ens1v1, or an instance's eth0

Law: the agent meets a NIC as it would meet a real one: [sriov_nic] sysfs names its tree, and `ip link set … vf` is
played by drivers/sriov/tree.py. What was set there is what the switch does. Instances get a function as Nova gives one:
chosen here, told to the API in the port's binding profile, handed back when they go.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from netloom.drivers.sriov.tree import Function, find_file, load_functions, make_nic
from netloom.lab import processes
from netloom.lab.hosts import PHYSNET, make_cable
from netloom.lab.hosts import make_nic as make_port
from netloom.lab.namespaces import make_namespace
from netloom.lab.shell import LabError, run, succeeds, wait_for
from netloom.lab.state import DIRECT, MACVTAP, Host, Instance, Lab, Place, with_instance

PF, PF_SLOT = "ens1", "0000:03:00.0"
MOST = 32
MADE_S = 10.0
VENDOR = "8086:154c"
"""What the PCI device says it is; Nova puts it into the profile."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A function as it is now, and the instance that has it ("": nobody)."""

    host: str
    slot: str
    device: str
    owner: str
    held: Function


def list_slots(host: Host) -> dict[str, str]:
    """By PCI slot, the name of each function's own device; numbered as the kernel does."""
    return {f"0000:03:{0x10 + number // 8:02x}.{number % 8}": f"{PF}v{number}" for number in range(host.functions)}


def make_functions(lab: Lab, place: Place, host: Host) -> None:
    """The host's NIC with its functions, its switch running."""
    inside, netns = lab.nic_netns(host.name), lab.host_netns(host.name)
    make_namespace(inside, place.directory)
    make_port(lab.underlay, f"n{host.number}", "provider", inside, "wire")
    make_cable(inside, "pf", netns, PF)
    for number, device in enumerate(list_slots(host).values()):
        make_cable(inside, f"vf{number}", netns, device)
        run("ip", "netns", "exec", netns, "ethtool", "-K", device, "tx", "off")
    make_nic(place.sysfs(host.name), PF, PF_SLOT, list_slots(host))
    path = find_file(place.sysfs(host.name), PF)
    path.with_name("pf-address").write_text(read_address(netns, PF))
    command = (sys.executable, "-m", "netloom.lab.nic_switch", str(path), str(host.functions))
    processes.start(command, place.directory, place.host(host.name) / "nic.log", inside)


def read_address(netns: str, device: str) -> str:
    found = re.search(r"link/ether (\S+)", run("ip", "-n", netns, "link", "show", "dev", device))
    if found is None:
        raise LabError(f"{device} in {netns} has no MAC address")
    return found[1]


def render_options(place: Place, host: Host) -> str:
    """The agent's section for it."""
    if not host.functions:
        return ""
    return f"""
[sriov_nic]
physical_device_mappings = {PHYSNET}:{PF}
sysfs = {place.sysfs(host.name)}
"""


# -- whose a function is ----------------------------------------------------------------------------------------------


def take_function(place: Place, name: str, vnic_type: str) -> Instance:
    """The instance with the first free function of its host. Raises LabError: there is none."""

    def take(lab: Lab) -> Lab:
        instance = lab.instances[name]
        return with_instance(lab, replace(instance, vnic_type=vnic_type, slot=find_free(lab, lab.hosts[instance.host])))

    return place.change(take).instances[name]


def find_free(lab: Lab, host: Host) -> str:
    """The PCI slot of the first function that no instance has. Raises LabError."""
    if host.bridges:
        raise LabError(f"{host.name} switches with Linux bridges, and has no NIC with virtual functions")
    if not host.functions:
        raise LabError(
            f"{host.name} has no NIC with virtual functions: `netloom lab up --nic-functions 4` gives it one"
        )
    owners = find_owners(lab, host)
    free = [slot for slot in list_slots(host) if slot not in owners]
    if not free:
        names = ", ".join(owners.values())
        raise LabError(
            f"no virtual function of {host.name} is free: of {host.functions} on {PF} all are taken, by {names}"
        )
    return free[0]


def find_owners(lab: Lab, host: Host) -> dict[str, str]:
    """By PCI slot, the instance that has the function."""
    taken = (one for one in lab.instances.values() if one.host == host.name and one.slot)
    return {one.slot: one.name for one in taken}


def make_profile(instance: Instance) -> dict[str, str]:
    """What Nova says of the function in the port's binding profile."""
    return {"pci_slot": instance.slot, "physical_network": PHYSNET, "pci_vendor_info": VENDOR}


def read_functions(lab: Lab, place: Place, host: Host) -> Iterator[Shown]:
    """All of a host. Raises LabError, if the tree cannot be read."""
    try:
        held = load_functions(find_file(place.sysfs(host.name), PF)) if host.functions else []
    except OSError as error:
        raise LabError(str(error)) from None
    owners = find_owners(lab, host)
    for (slot, device), one in zip(list_slots(host).items(), held, strict=True):
        yield Shown(host.name, slot, device, owners.get(slot, ""), one)


# -- the instance's NIC -----------------------------------------------------------------------------------------------


def plug_function(lab: Lab, place: Place, instance: Instance, mtu: int) -> None:
    """eth0 of the instance: the function itself, or a TAP behind a macvtap device on it."""
    if instance.vnic_type == MACVTAP:
        make_macvtap(lab, place, instance, mtu)
    else:
        move_in(lab, place, instance, mtu)


def move_in(lab: Lab, place: Place, instance: Instance, mtu: int) -> None:
    """The function's own device leaves the host, and its place in the tree with it."""
    host, netns = lab.host_netns(instance.host), lab.instance_netns(instance.name)
    device = find_device(lab, instance)
    run("ip", "-n", host, "link", "set", device, "down")
    run("ip", "-n", host, "link", "set", device, "netns", netns, "name", "eth0")
    run("ip", "-n", netns, "link", "set", "eth0", "address", instance.mac, "mtu", str(mtu))
    shutil.rmtree(device_folder(lab, place, instance))


def make_macvtap(lab: Lab, place: Place, instance: Instance, mtu: int) -> None:
    """As libvirt makes it; the agent gives it the port's MAC, the network's MTU, and switches it on.

    It hears the groups that the host joined, which are not the instance's: without allmulticast no neighbour
    solicitation of IPv6 comes through (libvirt: trustGuestRxFilters).
    """
    host, netns = lab.host_netns(instance.host), lab.instance_netns(instance.name)
    device = find_device(lab, instance)
    run("ip", "-n", host, "link", "add", "link", device, "name", instance.device, "type", "macvtap", "mode", "passthru")
    run("ip", "-n", host, "link", "set", instance.device, "allmulticast", "on")
    path = place.instance(instance.name) / "macvtap"
    shown = run("ip", "netns", "exec", host, "sh", "-c", f"cat /sys/class/net/{instance.device}/macvtap/tap*/dev")
    major, minor = shown.strip().split(":")
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(int(major), int(minor)))
    log = place.instance(instance.name) / "relay.log"
    processes.start((sys.executable, "-m", "netloom.lab.tap_relay", str(path), "eth0"), place.directory, log, netns)
    wait_for(f"eth0 in {instance.name}", lambda: succeeds("ip", "-n", netns, "link", "show", "eth0"), MADE_S,
             lambda: log.read_text().strip()[-300:])  # fmt: skip
    run("ip", "-n", netns, "link", "set", "eth0", "address", instance.mac, "mtu", str(mtu))


def unplug_function(lab: Lab, place: Place, instance: Instance) -> None:
    """The other way, also where half of it is gone. The function is whole again for the next."""
    host, netns = lab.host_netns(instance.host), lab.instance_netns(instance.name)
    if instance.vnic_type == MACVTAP:
        succeeds("ip", "-n", host, "link", "del", instance.device)
        return
    if instance.vnic_type == DIRECT and not device_folder(lab, place, instance).exists():
        device = find_device(lab, instance)
        succeeds("ip", "-n", netns, "link", "set", "eth0", "down")
        succeeds("ip", "-n", netns, "link", "set", "eth0", "netns", host, "name", device)
        device_folder(lab, place, instance).mkdir(parents=True)
        succeeds("ip", "-n", host, "link", "set", device, "up")


def find_device(lab: Lab, instance: Instance) -> str:
    return list_slots(lab.hosts[instance.host])[instance.slot]


def device_folder(lab: Lab, place: Place, instance: Instance) -> Path:
    tree = place.sysfs(instance.host) / "devices/pci0000:00" / instance.slot / "net"
    return tree / find_device(lab, instance)
