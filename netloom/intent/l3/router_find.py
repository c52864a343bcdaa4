"""How a router's ports are found: they are ordinary ports whose device_id is the router.

Law: who a port of a router belongs to is read from its device_owner, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Snapshot

GATEWAY = "network:router_gateway"
INTERFACE = "network:router_interface"
DVR_INTERFACE = "network:router_interface_distributed"
HA_INTERFACE = "network:ha_router_replicated_interface"
SNAT_INTERFACE = "network:router_centralized_snat"
HA_PORT = "network:router_ha_interface"
FLOATING_IP = "network:floatingip"

INTERFACE_OWNERS = (INTERFACE, DVR_INTERFACE, HA_INTERFACE)
"""What an interface port is called, by the form of its router."""
ROUTER_OWNERS = (*INTERFACE_OWNERS, GATEWAY, SNAT_INTERFACE, HA_PORT)
"""The ports that a router has, and that are its own to change."""

Source = Snapshot | Draft


def interface_owner(router: Mapping[str, object]) -> str:
    """The device_owner of the interfaces of a router of this form."""
    if router["distributed"]:
        return DVR_INTERFACE
    return HA_INTERFACE if router["ha"] else INTERFACE


def find_ports(source: Source, router_id: str, *owners: str) -> list[Doc]:
    """The router's ports of these owners, all of them where none is named; oldest first."""
    ports = source.find("port", "device_id", router_id)
    found = [port for port in ports if port["device_owner"] in (owners or ROUTER_OWNERS)]
    return sorted(found, key=lambda port: (port["created_at"], port["id"]))


def find_interface_ports(source: Source, router_id: str) -> list[Doc]:
    """The ports by which the router's networks reach it, oldest first."""
    return find_ports(source, router_id, *INTERFACE_OWNERS)


def find_gateway_ports(source: Source, router_id: str) -> list[Doc]:
    """Every gateway port of the router, oldest first. Which is the first in rank, gw_port_id of the router says."""
    return find_ports(source, router_id, GATEWAY)


def find_gateway_port(source: Source, router: Doc) -> Doc | None:
    """The port of the router's (first) gateway."""
    return source.get("port", router["gw_port_id"]) if router["gw_port_id"] else None


def find_subnet_ids(port: Doc) -> set[str]:
    return {fixed["subnet_id"] for fixed in port["fixed_ips"]}


def find_routers_of_subnet(source: Source, network_id: str, subnet_id: str) -> Iterator[tuple[str, str]]:
    """(router's id, the address of its interface) for each router that has an interface on the subnet."""
    ports = [port for port in source.find("port", "subnet_id", subnet_id) if port["network_id"] == network_id]
    for port in sorted(ports, key=lambda port: (port["created_at"], port["id"])):
        if port["device_owner"] in INTERFACE_OWNERS:
            for fixed in port["fixed_ips"]:
                if fixed["subnet_id"] == subnet_id:
                    yield port["device_id"], fixed["ip_address"]


def find_router_for_floatingip(
    source: Source, internal_subnet_id: str, external_network_id: str, internal_port: Doc
) -> str:
    """The router that ties the port's subnet to the external network: the one that has the subnet's gateway address
    where there are several. Raises ExternalGatewayForFloatingIPNotFound where there is none."""
    subnet = source.get("subnet", internal_subnet_id)
    gateway_ip = subnet["gateway_ip"] if subnet else None
    first = None
    for router_id, address in find_routers_of_subnet(source, internal_port["network_id"], internal_subnet_id):
        if not any(port["network_id"] == external_network_id for port in find_gateway_ports(source, router_id)):
            continue
        if address == gateway_ip:
            return router_id
        first = first or router_id
    if first is None:
        raise ApiError(
            404,
            "ExternalGatewayForFloatingIPNotFound",
            f"External network {external_network_id} is not reachable from subnet {internal_subnet_id}.  Therefore, "
            f"cannot associate Port {internal_port['id']} with a Floating IP.",
        )
    return first
