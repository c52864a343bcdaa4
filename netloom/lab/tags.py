"""Instances that tag their own frames: a device for each VLAN, with the MAC and addresses of the subport that it is.

Law: as inside a guest that knows its trunk: the device is made by the instance's kernel where that has VLAN devices,
and by a small program otherwise (lab/tagger.py).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from netloom.lab import addressing, processes
from netloom.lab.client import Client, open_client
from netloom.lab.instances import find_inside, find_instance
from netloom.lab.shell import LabError, Say, run, succeeds, wait_for
from netloom.lab.state import Instance, Lab, Place

NIC, MAX_VLAN, MADE_S = "eth0", 4094, 10.0


def device_name(vlan: int) -> str:
    return f"{NIC}.{vlan}"


def add_tag(place: Place, name: str, vlan: int, address: str, say: Say) -> tuple[str, ...]:
    """The addresses that the instance has in that VLAN: those of its trunk's subport, or the one given. Raises
    LabError, also when there is such a device already."""
    if not 1 <= vlan <= MAX_VLAN:
        raise LabError(f"a VLAN is 1 to {MAX_VLAN}, not {vlan}")
    lab = place.require()
    instance = find_instance(lab, name)
    netns = find_inside(lab, name)
    if succeeds("ip", "-n", netns, "link", "show", device_name(vlan)):
        raise LabError(f"{name} has {device_name(vlan)} already: `netloom lab untag {name} {vlan}` removes it")
    with open_client(place.clouds) as client:
        port = find_subport(client, instance, vlan)
        whose = f"subport {port['id']}" if port else "no subport of its trunk has this tag"
        say(f"{device_name(vlan)}: {whose}")
        make_device(lab, place, instance, vlan, port)
        if address:
            run("ip", "-n", netns, "addr", "add", address, "dev", device_name(vlan))
            return (address,)
        return take_addresses(place, client, netns, instance, vlan, port, say) if port else ()


def find_subport(client: Client, instance: Instance, vlan: int) -> Mapping[str, Any] | None:
    """The port that its trunk, if it has one, has under this tag."""
    details = client.get(f"ports/{instance.port_id}")["port"].get("trunk_details") or {}
    for subport in details.get("sub_ports", ()):
        if subport["segmentation_id"] == vlan:
            found: Mapping[str, Any] = client.get(f"ports/{subport['port_id']}")["port"]
            return found
    return None


def make_device(lab: Lab, place: Place, instance: Instance, vlan: int, port: Mapping[str, Any] | None) -> None:
    netns, device = lab.instance_netns(instance.name), device_name(vlan)
    if not succeeds("ip", "-n", netns, "link", "add", "link", NIC, "name", device, "type", "vlan", "id", str(vlan)):
        command = (sys.executable, "-m", "netloom.lab.tagger", NIC, str(vlan), device)
        log = place.instance(instance.name) / f"tagger-{vlan}.log"
        processes.start(command, place.directory, log, netns)
        wait_for(f"{device} in {instance.name}", lambda: succeeds("ip", "-n", netns, "link", "show", device), MADE_S,
                 lambda: log.read_text().strip()[-300:])  # fmt: skip
    run("ip", "-n", netns, "link", "set", device, "address", str(port["mac_address"]) if port else instance.mac, "up")


def take_addresses(
    place: Place, client: Client, netns: str, instance: Instance, vlan: int, port: Mapping[str, Any], say: Say
) -> tuple[str, ...]:
    """By DHCP and router advertisements under the tag, as on a NIC."""
    subnets = client.list("subnets", network_id=port["network_id"])
    wanted = addressing.find_wanted(port, subnets, use_dhcp=True)
    say(f"addresses by {', '.join(sorted({one.how for one in wanted})) or 'nobody'}")
    directory = place.instance(instance.name) / device_name(vlan)
    directory.mkdir(parents=True, exist_ok=True)
    addressing.configure(netns, directory, place.directory, wanted, device=device_name(vlan))
    return tuple(one.ip for one in wanted)


def remove_tag(place: Place, name: str, vlan: int) -> None:
    """The device, and the program behind it. Raises LabError: there is none."""
    lab = place.require()
    netns = find_inside(lab, name)
    if not succeeds("ip", "-n", netns, "link", "show", device_name(vlan)):
        raise LabError(f"{name} has no {device_name(vlan)}")
    words = {f"netloom.lab.tagger {NIC} {vlan} ", f"-i {device_name(vlan)} ", f" {device_name(vlan)}"}
    inside = processes.find_in_netns(netns)
    owned = processes.find_owned(place.directory)
    processes.stop({pid for pid in inside if any(word in owned.get(pid, "") for word in words)}, place.directory)
    succeeds("ip", "-n", netns, "link", "del", device_name(vlan))
