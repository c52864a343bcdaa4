"""Devices of one network on a host with Linux bridges, and where each MAC leads: nothing is flooded that is known.

Law: what the server knows is written down and not learned: local MACs lead to their port, the MACs of other hosts
through the tunnel to just that host, and the tunnel device answers for the addresses behind it. Only a MAC that several
ports may have (address pairs), or a port has on several hosts (copies of routers, a move), and a port without port
security, are learned and flooded to: then also what comes by the tunnel says where a MAC went.
Each function here is of one address, MAC or port, or of what all share: `bridges.network_book` knows which to ask.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping

from netloom.model.bridge import BridgePort, Leads, LinuxBridge, Neighbour, VlanDevice, VxlanDevice
from netloom.model.plan import Thing
from netloom.model.slices import HostRow, PlaceRow, SubnetRow
from netloom.model.why import Why
from netloom.render.answers.scope import SERVER_MAC
from netloom.render.bridges.scene import BridgeScene, find_macs, tap_name
from netloom.render.scene import Plugged

SERVER = "network:dhcp"
ROUTERS = ("network:router_interface", "network:ha_router_replicated_interface")
"""Owners of ports in whose namespaces the metadata service may be answered (metadata_path = namespace)."""
SERVICE, SERVICE6 = "169.254.169.254", "fe80::a9fe:a9fe"

EVERYBODY = "00:00:00:00:00:00"
"""In a tunnel's table: broadcast, multicast, and unicast to unknown addresses."""


def explain(scene: BridgeScene, by: str, *ids: str, revision: int = 0) -> Why:
    return Why(revision or scene.network.revision, (*ids, f"network/{scene.network.id}"), f"bridges.{by}")


def explain_place(scene: BridgeScene, by: str, place: PlaceRow) -> Why:
    return explain(scene, by, f"port/{place.id}", revision=place.revision)


# -- devices -----------------------------------------------------------------------------------------------------------


def render_devices(scene: BridgeScene, known: bool) -> Iterator[Thing]:
    """`known`: every address of the network is one that the server gave. Where a port may have others (address pairs,
    port security off), one must be able to ask for them: a tunnel device that answers lets no question through."""
    why, segment = explain(scene, "render_devices"), scene.segment
    yield Thing(("brq", scene.bridge), LinuxBridge(scene.network.mtu), why)
    if scene.tunnelled:
        device = VxlanDevice(segment.segmentation_id, scene.tunnel_ip, scene.network.mtu, scene.plain, proxy=known)
        yield Thing(("vxlan", scene.uplink), device, why)
    if segment.network_type == "vlan":
        yield Thing(("vlan", scene.uplink), VlanDevice(scene.nic, segment.segmentation_id), why)


def is_loose(place: PlaceRow | None) -> bool:
    """Whether the port may have addresses that the server does not know."""
    return place is not None and (place.open or bool(place.pairs))


def render_uplink(scene: BridgeScene, flood: bool, door: str) -> Iterator[Thing]:
    """The device that leads out of the host."""
    if scene.uplink:
        port = BridgePort(scene.bridge, learning=flood, flood=flood, answers=scene.uplink == door)
        yield Thing(("bridge_port", scene.uplink), port, explain(scene, "render_uplink"))


def render_port(scene: BridgeScene, plugged: Plugged, shared: Container[str], door: str) -> Iterator[Thing]:
    """An instance's device, and its MAC. `shared`: the MACs that are learned."""
    row, tap = plugged.port, tap_name(plugged.port.id)
    loose = not row.port_security or any(mac in shared or mac != row.mac for mac in find_macs(row))
    why = explain(scene, "render_port", f"port/{row.id}", revision=row.revision)
    port = BridgePort(scene.bridge, scene.network.mtu, learning=loose, flood=loose, answers=tap == door)
    yield Thing(("bridge_port", tap), port, why)
    if row.mac not in shared:
        yield Thing(("bridge_fdb", tap, row.mac), Leads(), why)


# -- where MACs lead: what a tunnel knows. A physical network has switches of its own that know more than we do --------


def is_shared(owners: list[PlaceRow]) -> bool:
    """Whether more than one port of the network, or one on several hosts, may have a MAC: who has it now is learned."""
    return len(owners) > 1 or any(place.also for place in owners)


def render_end(scene: BridgeScene, end: str) -> Iterator[Thing]:
    """What is for all goes to this host too."""
    yield Thing(("tunnel_fdb", scene.uplink, EVERYBODY, end), Leads(), explain(scene, "render_end"))


def render_way(scene: BridgeScene, mac: str, place: PlaceRow, remotes: Mapping[str, HostRow]) -> Iterator[Thing]:
    """To a MAC that one port has, where that is on another host."""
    if place.host in remotes:
        why = explain_place(scene, "render_way", place)
        yield Thing(("bridge_fdb", scene.uplink, mac), Leads(), why)
        yield Thing(("tunnel_fdb", scene.uplink, mac, remotes[place.host].tunnel_ip), Leads(), why)


def render_neighbour(scene: BridgeScene, ip: str, holders: Iterable[PlaceRow]) -> Iterator[Thing]:
    """Who has an address: of several ports elsewhere the first by id. `holders`: those on other hosts."""
    for place in holders:
        why = explain_place(scene, "render_neighbour", place)
        yield Thing(("neighbour", scene.uplink, ip), Neighbour(place.mac), why)
        return


def may_serve(place: PlaceRow | None) -> bool:
    """Whether the metadata service may be answered in the port's namespace."""
    return place is not None and (place.device_owner == SERVER or place.device_owner in ROUTERS)


def find_services(serving: Iterable[PlaceRow], remotes: Mapping[str, HostRow]) -> list[tuple[str, PlaceRow]]:
    """Who answers for the metadata service on the link where that is done in namespaces of other hosts: a DHCP server,
    and by IPv6 a router before it. Where this host answers, a question for it leaves by no device."""
    by_id = sorted(serving, key=lambda place: place.id)
    servers = [place for place in by_id if place.device_owner == SERVER]
    routers = [place for place in by_id if place.device_owner in ROUTERS]
    asked = ((SERVICE, servers), (SERVICE6, routers or servers[:1]))
    return [(ip, found[0]) for ip, found in asked if found and all(place.host in remotes for place in found)]


def render_services(scene: BridgeScene, services: Iterable[tuple[str, PlaceRow]]) -> Iterator[Thing]:
    for ip, place in services:
        why = explain_place(scene, "render_services", place)
        yield Thing(("neighbour", scene.uplink, ip), Neighbour(place.mac), why)


# -- the DHCP server's address -----------------------------------------------------------------------------------------


def has_server(scene: BridgeScene, subnet: SubnetRow) -> bool:
    """Whether hosts answer for the subnet's DHCP server: not on a physical network, where the gateway is a machine of
    its own."""
    return subnet.ip_version == 4 and subnet.enable_dhcp and scene.segment.network_type not in ("flat", "vlan")


def render_servers(
    scene: BridgeScene, subnets: Iterable[SubnetRow], servers: Mapping[str, str], door: str
) -> Iterator[Thing]:
    """A client renews its lease by unicast (RFC 2131, 4.4.5), so somebody must have the server's address: the tunnel
    device, or, where that answers nothing or there is none, the bridge. It does so if the MAC leads somewhere; nothing
    is sent there. `servers`: by subnet, where no port has it.
    """
    device = scene.bridge if door else scene.uplink
    for subnet in subnets if device else ():
        if ip := servers.get(subnet.id):
            why = explain(scene, "render_servers", f"subnet/{subnet.id}", revision=subnet.revision)
            yield Thing(("neighbour", device, ip), Neighbour(str(SERVER_MAC)), why)
    if door:
        yield Thing(("bridge_fdb", door, str(SERVER_MAC)), Leads(), explain(scene, "render_servers"))


def find_door(scene: BridgeScene, plugged: Iterable[Plugged], known: bool) -> str:
    """The port of the bridge where the DHCP server's MAC leads, so that the bridge answers for it; empty: the tunnel
    device answers. On a network of this host alone it is an instance's, for there is no other."""
    if scene.uplink:
        return "" if known else scene.uplink
    return min((tap_name(one.port.id) for one in plugged), default="")
