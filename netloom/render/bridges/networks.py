"""Devices of one network on a host with Linux bridges, and where each MAC leads: nothing is flooded that is known.

Law: what the server knows is written down and not learned: local MACs lead to their port, the MACs of other hosts
through the tunnel to just that host, and the tunnel device answers for the addresses behind it. Only a MAC that several
ports may have (address pairs), or a port has on several hosts (copies of routers, a move), and a port without port
security, are learned and flooded to: then also what comes by the tunnel says where a MAC went.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from netloom.model.address import ip_version
from netloom.model.bridge import BridgePort, Leads, LinuxBridge, Neighbour, VlanDevice, VxlanDevice
from netloom.model.facts import HostFacts
from netloom.model.plan import Thing
from netloom.model.slices import PlaceRow, SubnetRow
from netloom.model.why import Why
from netloom.render.answers import server_address
from netloom.render.answers.scope import SERVER_MAC
from netloom.render.bridges.scene import BridgeScene, find_macs, tap_name

SERVER = "network:dhcp"
ROUTERS = ("network:router_interface", "network:ha_router_replicated_interface")
"""Owners of ports in whose namespaces the metadata service may be answered (metadata_path = namespace)."""
SERVICE, SERVICE6 = "169.254.169.254", "fe80::a9fe:a9fe"

EVERYBODY = "00:00:00:00:00:00"
"""In a tunnel's table: broadcast, multicast, and unicast to unknown addresses."""


def render_network(scene: BridgeScene, facts: HostFacts) -> tuple[Thing, ...]:
    """All things of the network but its filter."""
    return (*render_devices(scene, facts), *render_ports(scene), *render_local(scene), *render_remote(scene))


def explain(scene: BridgeScene, by: str, *ids: str, revision: int = 0) -> Why:
    return Why(revision or scene.network.revision, (*ids, f"network/{scene.network.id}"), f"bridges.{by}")


# -- devices -----------------------------------------------------------------------------------------------------------


def render_devices(scene: BridgeScene, facts: HostFacts) -> Iterator[Thing]:
    why, segment = explain(scene, "render_devices"), scene.segment
    yield Thing(("brq", scene.bridge), LinuxBridge(scene.network.mtu), why)
    if segment.network_type == "vxlan":
        plain = facts.datapath_type == "netdev"
        device = VxlanDevice(
            segment.segmentation_id, facts.tunnel_ip, scene.network.mtu, plain, proxy=is_all_known(scene)
        )
        yield Thing(("vxlan", scene.uplink), device, why)
    if segment.network_type == "vlan":
        yield Thing(("vlan", scene.uplink), VlanDevice(scene.nic, segment.segmentation_id), why)


def is_all_known(scene: BridgeScene) -> bool:
    """Whether every address of the network is one that the server gave. Where a port may have others (address pairs,
    port security off), one must be able to ask for them: a tunnel device that answers lets no question through."""
    return not any(place.open or place.pairs for place in scene.places)


def render_ports(scene: BridgeScene) -> Iterator[Thing]:
    """Instances' devices, and the one that leads out of the host."""
    shared = find_shared(scene)
    if scene.uplink:
        away = scene.segment.network_type != "vxlan"
        flood = away or any(place.open for place in find_remote(scene)) or bool(shared)
        answers = not away and not is_all_known(scene) and bool(find_servers(scene))
        port = BridgePort(scene.bridge, learning=flood, flood=flood, answers=answers)
        yield Thing(("bridge_port", scene.uplink), port, explain(scene, "render_ports"))
    for plugged in scene.plugged:
        row = plugged.port
        loose = not row.port_security or any(mac in shared or mac != row.mac for mac in find_macs(row))
        why = explain(scene, "render_ports", f"port/{row.id}", revision=row.revision)
        port = BridgePort(scene.bridge, scene.network.mtu, learning=loose, flood=loose)
        yield Thing(("bridge_port", tap_name(row.id)), port, why)


# -- where MACs lead ---------------------------------------------------------------------------------------------------


def find_remote(scene: BridgeScene) -> tuple[PlaceRow, ...]:
    """Places on other hosts that this one has a tunnel to."""
    there = {remote.name for remote in scene.remotes}
    return tuple(place for place in scene.places if place.host in there)


def find_shared(scene: BridgeScene) -> frozenset[str]:
    """MACs that more than one port of the network, or one on several hosts, may have: who has one now is learned."""
    count = Counter(mac for place in scene.places for mac in find_macs(place))
    spread = {mac for place in scene.places if place.also for mac in find_macs(place)}
    return frozenset(mac for mac, owners in count.items() if owners > 1) | spread


def render_local(scene: BridgeScene) -> Iterator[Thing]:
    shared = find_shared(scene)
    for plugged in scene.plugged:
        row = plugged.port
        if row.mac not in shared:
            why = explain(scene, "render_local", f"port/{row.id}", revision=row.revision)
            yield Thing(("bridge_fdb", tap_name(row.id), row.mac), Leads(), why)


def render_remote(scene: BridgeScene) -> Iterator[Thing]:
    """What a tunnel device knows. A physical network has switches of its own that know more than we do."""
    if scene.segment.network_type != "vxlan":
        return
    device, ends = scene.uplink, {remote.name: remote.tunnel_ip for remote in scene.remotes}
    for end in dict.fromkeys(ends.values()):
        yield Thing(("tunnel_fdb", device, EVERYBODY, end), Leads(), explain(scene, "render_remote"))
    shared = find_shared(scene)
    for place in find_remote(scene):
        why = explain(scene, "render_remote", f"port/{place.id}", revision=place.revision)
        for mac in find_macs(place):
            if mac not in shared:
                yield Thing(("bridge_fdb", device, mac), Leads(), why)
                yield Thing(("tunnel_fdb", device, mac, ends[place.host]), Leads(), why)
        for address in place.addresses:
            yield Thing(("neighbour", device, address.ip), Neighbour(place.mac), why)
    yield from render_server(scene)
    yield from render_service(scene)


def render_service(scene: BridgeScene) -> Iterator[Thing]:
    """Who answers for the metadata service on the link where that is done in namespaces of other hosts: a DHCP server,
    and by IPv6 a router before it. Where this host answers, a question for it leaves by no device."""
    servers = sorted((place for place in scene.places if place.device_owner == SERVER), key=lambda place: place.id)
    routers = sorted((place for place in scene.places if place.device_owner in ROUTERS), key=lambda place: place.id)
    remote = {place.id for place in find_remote(scene)}
    for ip, found in ((SERVICE, servers), (SERVICE6, routers or servers[:1])):
        if found and all(place.id in remote for place in found):
            why = explain(scene, "render_service", f"port/{found[0].id}", revision=found[0].revision)
            yield Thing(("neighbour", scene.uplink, ip), Neighbour(found[0].mac), why)


def render_server(scene: BridgeScene) -> Iterator[Thing]:
    """A client renews its lease by unicast (RFC 2131, 4.4.5), so somebody must have the server's address: the tunnel
    device, or, where that answers nothing, the bridge. It does so if the MAC leads somewhere; nothing is sent there.
    """
    known, servers = is_all_known(scene), find_servers(scene)
    for subnet, ip in servers:
        why = explain(scene, "render_server", f"subnet/{subnet.id}", revision=subnet.revision)
        yield Thing(("neighbour", scene.uplink if known else scene.bridge, ip), Neighbour(str(SERVER_MAC)), why)
    if servers and not known:
        yield Thing(("bridge_fdb", scene.uplink, str(SERVER_MAC)), Leads(), explain(scene, "render_server"))


def find_servers(scene: BridgeScene) -> list[tuple[SubnetRow, str]]:
    """Subnets with the DHCP server's address, where hosts answer for it and no port has it."""
    taken = frozenset(address.ip for place in scene.places for address in place.addresses)
    served = [subnet for subnet in scene.subnets if subnet.ip_version == 4 and subnet.enable_dhcp]
    found = ((subnet, server_address(subnet, taken)) for subnet in served)
    return [(subnet, ip) for subnet, ip in found if ip and ip not in taken and ip_version(ip) == 4]
