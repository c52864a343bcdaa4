"""Instances as a user asks for them: a port through the API, a NIC on a host, addresses off the wire.

Law: a boot that fails leaves neither port nor namespace behind, unless it was asked to.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any

from netloom.lab import addressing, instances, vm
from netloom.lab.client import Client, Doc, open_client
from netloom.lab.functions import make_profile, take_function
from netloom.lab.plugs import attach
from netloom.lab.shell import LabError, Say, wait_for
from netloom.lab.state import (
    DIRECT,
    MACVTAP,
    NORMAL,
    Instance,
    Lab,
    Place,
    check_name,
    choose_host,
    with_instance,
    without_instance,
)

ACTIVE_S = 30.0
KINDS = ("namespace", "vm")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for an instance. Without `host`: on the one with the fewest. `keep`: also what failed.

    kind: "namespace", or "vm" for a machine with a kernel of its own. address: the one to ask for, of either family.
    port: one that is there, instead of a network. vnic_type: of the port that is made, "" being normal.
    """

    name: str
    network: str = ""
    host: str = ""
    subnet: str = ""
    use_dhcp: bool = True
    keep: bool = False
    kind: str = "namespace"
    address: str = ""
    port: str = ""
    vnic_type: str = ""


def boot(place: Place, asked: Asked, say: Say) -> Instance:
    """The instance, with every address that the API has given its port. Raises LabError."""
    check_name(asked.name)
    if asked.kind not in KINDS:
        raise LabError(f"--kind {asked.kind}: there are {' and '.join(KINDS)}")
    if bool(asked.network) == bool(asked.port):
        raise LabError("an instance is booted on a --network, or with a --port that is there: say one of them")
    instance = reserve(place, asked)
    try:
        with open_client(place.clouds) as client:
            instance = choose_plug(place, client, asked, instance)
            return start(place.require(), place, client, asked, instance, say)
    except BaseException as error:
        undo(place, asked, error)
        raise


def undo(place: Place, asked: Asked, error: BaseException) -> None:
    """Remove what was made, unless it is to be looked at. What then goes wrong as well is added to `error`."""
    if asked.keep:
        error.add_note(f"kept as it is; `netloom lab delete {asked.name}` removes it")
        return
    try:
        delete(place, asked.name)
    except LabError as second:
        error.add_note(f"and not all of it could be removed: {second}")


def reserve(place: Place, asked: Asked) -> Instance:
    """Write the instance down, on its host, before anything of it is made."""

    def add(lab: Lab) -> Lab:
        if asked.name in lab.instances:
            raise LabError(f"there is an instance '{asked.name}' already")
        host = choose_host(lab, asked.host)
        return with_instance(
            lab,
            Instance(asked.name, host, asked.network, str(uuid.uuid4()), kind=asked.kind, given=bool(asked.port)),
        )

    return place.change(add).instances[asked.name]


def choose_plug(place: Place, client: Client, asked: Asked, instance: Instance) -> Instance:
    """The instance with a virtual function, where its port's vnic_type asks for one. Raises LabError."""
    there = client.find("ports", asked.port)["binding:vnic_type"] if asked.port else ""
    if asked.vnic_type and there and asked.vnic_type != there:
        raise LabError(f"port {asked.port} is of vnic_type {there}, not {asked.vnic_type}")
    vnic_type = asked.vnic_type or there or NORMAL
    if vnic_type not in (NORMAL, DIRECT, MACVTAP):
        raise LabError(f"the lab plugs ports of vnic_type {NORMAL}, {DIRECT} and {MACVTAP}, not {vnic_type}")
    if vnic_type == NORMAL:
        return instance
    if asked.kind == "vm":
        raise LabError(f"--kind vm is plugged into a switch: not with vnic_type {vnic_type}")
    return take_function(place, asked.name, vnic_type)


def start(lab: Lab, place: Place, client: Client, asked: Asked, instance: Instance, say: Say) -> Instance:
    port = bind_port(client, asked, instance) if asked.port else create_port(client, asked, instance)
    network = client.get(f"networks/{port['network_id']}")["network"]
    instance = replace(
        instance, network=network["name"] or network["id"], port_id=port["id"], mac=port["mac_address"],
        addresses=tuple(fixed["ip_address"] for fixed in port["fixed_ips"]),
        hybrid=bool(port["binding:vif_details"].get("ovs_hybrid_plug")),
    )  # fmt: skip
    place.change(lambda lab: with_instance(lab, instance))
    if port["binding:vif_type"] == "binding_failed":
        raise LabError(f"the server could not bind the port to {instance.host}: {port.get('waits_for') or 'no reason'}")
    say(f"port {port['id']} on {instance.host}: {', '.join(instance.addresses) or 'no address'}")
    place.instance(instance.name).mkdir(parents=True, exist_ok=True)
    if instance.kind == "vm":
        return start_machine(lab, place, client, asked, instance, say)
    say(f"its NIC, {describe_plug(lab, instance)}")
    instances.make_instance(lab, place, instance, network["mtu"])
    say("the port turns ACTIVE")
    wait_active(client, port["id"])
    subnets = client.list("subnets", network_id=network["id"])
    wanted = hear(lab, instance, addressing.find_wanted(port, subnets, asked.use_dhcp))
    say(f"addresses by {', '.join(sorted({address.how for address in wanted})) or 'nobody'}")
    addressing.configure(lab.instance_netns(instance.name), place.instance(instance.name), place.directory, wanted)
    return instance


def hear(lab: Lab, instance: Instance, wanted: tuple[addressing.Wanted, ...]) -> tuple[addressing.Wanted, ...]:
    """The addresses as they come to an instance: past its host's switch it is heard by servers that are programs, and
    hears no router advertisements, which DHCPv6 needs too; what nobody hands out it is told by a config drive."""
    if not instance.slot:
        return wanted
    heard = ("dhcp",) if "dhcp_driver=dnsmasq" in lab.server_options else ()
    return tuple(one if one.how in heard else replace(one, how="static") for one in wanted)


def describe_plug(lab: Lab, instance: Instance) -> str:
    if not instance.slot:
        return f"plugged into {describe_switch(lab, instance)}"
    what = "a macvtap device on the" if instance.vnic_type == MACVTAP else "the"
    return f"{what} virtual function at PCI slot {instance.slot}"


def describe_switch(lab: Lab, instance: Instance) -> str:
    host = lab.hosts[instance.host]
    return (
        "its network's bridge" if host.bridges else "br-int behind a bridge of its own" if instance.hybrid else "br-int"
    )


def start_machine(lab: Lab, place: Place, client: Client, asked: Asked, instance: Instance, say: Say) -> Instance:
    """It boots on its own; what it got is on its console."""
    say(f"a kernel of its own under QEMU, its NIC plugged into {describe_switch(lab, instance)}")
    vm.make_machine(lab, place, instance, asked.use_dhcp)
    attach(lab, place, instance)
    say("the port turns ACTIVE")
    wait_active(client, instance.port_id)
    port = client.get(f"ports/{instance.port_id}")["port"]
    subnets = client.list("subnets", network_id=port["network_id"])
    ways = {address.ip: address.how for address in addressing.find_wanted(port, subnets, asked.use_dhcp)}
    expected = [ip for ip, how in ways.items() if how in ("dhcp", "slaac")]
    say(f"it boots, and gets {' '.join(expected) or 'no address'} and its metadata")
    told = vm.wait_booted(place, instance, expected, "dhcp" in ways.values())
    say(f"it was told: {told or 'nothing'}")
    return instance


def bind_port(client: Client, asked: Asked, instance: Instance) -> Doc:
    """A port that is there, taken by this instance, as Nova does with `--nic port-id=…`. Raises LabError."""
    port = client.find("ports", asked.port)
    if port["device_id"]:
        raise LabError(f"port {asked.port} is used already, by {port['device_owner'] or 'device'} {port['device_id']}")
    body = {
        "device_id": instance.device_id, "device_owner": "compute:nova", **describe_binding(instance),
    }  # fmt: skip
    bound: Doc = client.send("PUT", f"ports/{port['id']}", json={"port": body})["port"]
    return bound


def describe_binding(instance: Instance) -> dict[str, Any]:
    if not instance.slot:
        return {"binding:host_id": instance.host}
    return {
        "binding:host_id": instance.host,
        "binding:vnic_type": instance.vnic_type,
        "binding:profile": make_profile(instance),
    }


def create_port(client: Client, asked: Asked, instance: Instance) -> Doc:
    """As Nova does: the port is bound in the same request."""
    network = client.find("networks", asked.network)
    body: dict[str, Any] = {
        "network_id": network["id"],
        "name": instance.name,
        "device_id": instance.device_id,
        "device_owner": "compute:nova",
        **describe_binding(instance),
    }
    if asked.subnet:
        subnet = client.find("subnets", asked.subnet, network_id=network["id"])
        body["fixed_ips"] = [{"subnet_id": subnet["id"]}]
    if asked.address:
        body["fixed_ips"] = [{**part, "ip_address": asked.address} for part in body.get("fixed_ips", [{}])]
    return client.create("ports", "port", **body)


def wait_active(client: Client, port_id: str) -> None:
    seen: Mapping[str, Any] = {}

    def is_active() -> bool:
        nonlocal seen
        seen = client.get(f"ports/{port_id}")["port"]
        return bool(seen["status"] == "ACTIVE")

    wait_for(f"port {port_id} ACTIVE", is_active, ACTIVE_S, lambda: describe_wait(seen))


def describe_wait(port: Mapping[str, Any]) -> str:
    """Why a port is not ACTIVE, as the API tells."""
    return f"it is {port.get('status')} and waits for: {port.get('waits_for') or 'nothing that the API names'}"


def delete(place: Place, name: str) -> None:
    """Remove the instance and its port; also one that was half made."""
    lab = place.require()
    instance = instances.find_instance(lab, name)
    instances.remove_instance(lab, place, instance)
    try:
        with open_client(place.clouds) as client:
            for port in client.list("ports", device_id=instance.device_id):
                release(client, instance, port["id"])
    finally:
        place.change(lambda lab: without_instance(lab, name))


def release(client: Client, instance: Instance, port_id: str) -> None:
    """A port that was there before the instance stays, bound to no host."""
    if instance.given:
        free: dict[str, Any] = {"device_id": "", "device_owner": "", "binding:host_id": ""}
        free |= {"binding:profile": {}} if instance.slot else {}
        client.send("PUT", f"ports/{port_id}", json={"port": free})
    else:
        client.delete(f"ports/{port_id}")


def choose_address(instance: Instance, family: int = 0) -> str:
    """The address to ping: the first, or the first of a family."""
    fitting = [a for a in instance.addresses if not family or (":" in a) == (family == 6)]
    if not fitting:
        raise LabError(f"{instance.name} has no {f'IPv{family} ' if family else ''}address")
    return fitting[0]


def find_target(lab: Lab, target: str, family: int = 0) -> str:
    """The address that an instance's name, or an address, means. Raises LabError."""
    if target in lab.instances:
        return choose_address(lab.instances[target], family)
    try:
        return str(ip_address(target))
    except ValueError:
        raise LabError(f"'{target}' is neither an instance ({', '.join(lab.instances)}) nor an address") from None
