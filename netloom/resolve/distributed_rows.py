"""Who else takes part in a network, by way of distributed routers: hosts that route into it, and who has a floating IP.

Law: a host with a port on a network routes by itself to all that distributed routers tie to it, so it is one of the
hosts of each; a floating IP is translated by one host: that of its port where that carries the external network, else
the first that the router is on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netloom.intent.l2.binding import HOST, SWITCH_AGENTS, find_switch, is_bound, refuse_segment
from netloom.intent.l2.segments import find_segments
from netloom.intent.l3.router_find import DVR_INTERFACE, GATEWAY
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Snapshot

RowKey = tuple[str, str]
L3_AGENT = "L3 agent"


# -- what distributed routers tie together -----------------------------------------------------------------------------


def find_tied(snapshot: Snapshot, network: str) -> tuple[set[str], set[str]]:
    """(networks, routers): all that distributed routers tie to the network, step by step; the network is among them."""
    networks, routers, waiting = {network}, set[str](), [network]
    while waiting:
        for port in snapshot.find("port", "network_owner", (waiting.pop(), DVR_INTERFACE)):
            if port["device_id"] in routers:
                continue
            routers.add(port["device_id"])
            for other in find_interfaces(snapshot, port["device_id"]):
                if other["network_id"] not in networks:
                    networks.add(other["network_id"])
                    waiting.append(other["network_id"])
    return networks, routers


def find_interfaces(snapshot: Snapshot, router: str) -> Iterator[Doc]:
    return (port for port in snapshot.find("port", "device_id", router) if port["device_owner"] == DVR_INTERFACE)


def find_gateways(snapshot: Snapshot, router: str) -> set[str]:
    """The external networks of a router."""
    ports = snapshot.find("port", "device_id", router)
    return {port["network_id"] for port in ports if port["device_owner"] == GATEWAY}


def find_centres(snapshot: Snapshot, router: Doc) -> list[str]:
    """The hosts that the router is on, in the order in which its agents were given it."""
    agents = (snapshot.get("agent", one["agent_id"]) for one in router["l3_agents"])
    return [agent["host"] for agent in agents if agent is not None]


def find_hosted(snapshot: Snapshot, host: str) -> Iterator[Doc]:
    """The distributed routers that are on a host."""
    agent = snapshot.lookup("agent", "host_type", (host, L3_AGENT))
    for id in snapshot.find_ids("router", "l3_agents", agent["id"]) if agent is not None else ():
        router = snapshot.get("router", id)
        if router is not None and router["distributed"]:
            yield router


# -- hosts that route into a network -----------------------------------------------------------------------------------


def is_routed(snapshot: Snapshot, network: str, host: str) -> bool:
    """Whether the host takes part in the network by routing into it."""
    networks, routers = find_tied(snapshot, network)
    if any(True for other in networks for _ in snapshot.find_ids("port", "network_host", (other, host))):
        return True
    on_host = list(find_hosted(snapshot, host))
    if any(router["id"] in routers for router in on_host):
        return True
    if not is_external(snapshot, network):
        return False
    return any(network in find_gateways(snapshot, router["id"]) for router in on_host) or any(
        fip["floating_network_id"] == network and find_fip_host(snapshot, fip) == host
        for fip in find_fips_of(snapshot, host)
    )


def is_external(snapshot: Snapshot, network: str) -> bool:
    doc = snapshot.get("network", network)
    return doc is not None and bool(doc["router:external"])


def find_routed_hosts(snapshot: Snapshot, network: str) -> Iterator[str]:
    """Every host for which `is_routed` may say yes."""
    networks, routers = find_tied(snapshot, network)
    if len(networks) > 1:
        for other in networks:
            yield from find_bound_hosts(snapshot, other)
    if is_external(snapshot, network):
        routers = routers | {port["device_id"] for port in snapshot.find("port", "network_owner", (network, GATEWAY))}
        for fip in snapshot.find("floatingip", "floating_network_id", network):
            yield find_fip_host(snapshot, fip)
    for id in routers:
        router = snapshot.get("router", id)
        if router is not None and router["distributed"]:
            yield from find_centres(snapshot, router)


def find_bound_hosts(snapshot: Snapshot, network: str) -> Iterator[str]:
    return (port[HOST] for port in snapshot.find("port", "network_id", network) if is_bound(port))


def find_routed_networks(snapshot: Snapshot, host: str) -> set[str]:
    """The networks that the host takes part in by routing into them."""
    found: set[str] = set()
    for network in {port["network_id"] for port in snapshot.find("port", HOST, host) if is_bound(port)}:
        found |= find_tied(snapshot, network)[0]
    for router in find_hosted(snapshot, host):
        for port in find_interfaces(snapshot, router["id"]):
            found |= find_tied(snapshot, port["network_id"])[0]
        found |= find_gateways(snapshot, router["id"])
    found |= {fip["floating_network_id"] for fip in find_fips_of(snapshot, host)}
    return found


# -- where a floating IP is translated ---------------------------------------------------------------------------------


def find_fips_of(snapshot: Snapshot, host: str) -> Iterator[Doc]:
    """Floating IPs of ports on the host."""
    for port in snapshot.find("port", HOST, host):
        yield from snapshot.find("floatingip", "port_id", port["id"])


def find_fip_host(snapshot: Snapshot, fip: Doc) -> str:
    """The host that translates a floating IP of a distributed router; empty where none does, or another form does."""
    router = snapshot.get("router", fip["router_id"]) if fip["router_id"] else None
    if router is None or not router["distributed"]:
        return ""
    port = snapshot.get("port", fip["port_id"]) if fip["port_id"] else None
    if port is not None and is_bound(port) and carries(snapshot, port[HOST], fip["floating_network_id"]):
        return str(port[HOST])
    return next(iter(find_centres(snapshot, router)), "")


def carries(snapshot: Snapshot, host: str, network: str) -> bool:
    """Whether the host can carry the network, by what it says of itself."""
    agent = find_switch(snapshot.lookup, host)
    if agent is None:
        return False
    return any(not refuse_segment(segment, agent) for segment in find_segments(snapshot, network))


# -- which rows an object touches --------------------------------------------------------------------------------------


def touch_bound(snapshot: Snapshot, port: Doc) -> Iterator[RowKey]:
    """Of a port on a host: that host in every network that is tied to the port's."""
    for network in find_tied(snapshot, port["network_id"])[0]:
        yield f"network/{network}", f"host/{port[HOST]}"


def touch_ties(snapshot: Snapshot, network: str) -> Iterator[RowKey]:
    """Of an interface on the network: every host of what is tied together, in each network of it."""
    networks, routers = find_tied(snapshot, network)
    hosts = {host for other in networks for host in find_bound_hosts(snapshot, other)}
    for id in routers:
        router = snapshot.get("router", id)
        hosts |= set(find_centres(snapshot, router)) if router is not None else set()
    for other in networks:
        for host in hosts:
            yield f"network/{other}", f"host/{host}"


def touch_router(snapshot: Snapshot, router: Doc) -> Iterator[RowKey]:
    """Of a router that is, or was, distributed: its hosts in all its networks, and its floating IPs."""
    ports = list(snapshot.find("port", "device_id", router["id"]))
    for network in {port["network_id"] for port in ports if port["device_owner"] == DVR_INTERFACE}:
        yield from touch_ties(snapshot, network)
    for network in {port["network_id"] for port in ports if port["device_owner"] == GATEWAY}:
        for host in find_centres(snapshot, router):
            yield f"network/{network}", f"host/{host}"
    for fip in snapshot.find("floatingip", "router_id", router["id"]):
        yield from touch_fip(snapshot, fip)


def touch_gateway(snapshot: Snapshot, port: Doc) -> Iterator[RowKey]:
    router = snapshot.get("router", port["device_id"])
    for host in find_centres(snapshot, router) if router is not None else ():
        yield f"network/{port['network_id']}", f"host/{host}"


def touch_fip(snapshot: Snapshot, fip: Doc) -> Iterator[RowKey]:
    """Its row, its place on the external network, and its host there."""
    network = f"network/{fip['floating_network_id']}"
    if fip["router_id"]:
        yield f"router/{fip['router_id']}", f"floating/{fip['id']}"
    if fip["floating_port_id"]:
        yield network, f"place/{fip['floating_port_id']}"
    if host := find_fip_host(snapshot, fip):
        yield network, f"host/{host}"


def touch_port(snapshot: Snapshot, port: Doc) -> Iterator[RowKey]:
    if is_bound(port):
        yield from touch_bound(snapshot, port)
    if port["device_owner"] == DVR_INTERFACE:
        yield from touch_ties(snapshot, port["network_id"])
    elif port["device_owner"] == GATEWAY:
        yield from touch_gateway(snapshot, port)
    yield from touch_fips(snapshot, snapshot.find("floatingip", "port_id", port["id"]))


def touch_fips(snapshot: Snapshot, fips: Iterable[Doc]) -> Iterator[RowKey]:
    return (key for fip in fips for key in touch_fip(snapshot, fip))


def touch_external(snapshot: Snapshot, network: str) -> Iterator[RowKey]:
    """Of an external network whose segments change: who can carry it, so where its floating IPs are translated."""
    yield from touch_fips(snapshot, snapshot.find("floatingip", "floating_network_id", network))


def touch_agent(snapshot: Snapshot, agent: Doc) -> Iterator[RowKey]:
    """Of a host: what stands of it in networks that it routes into, and the floating IPs of its ports."""
    for network in find_routed_networks(snapshot, agent["host"]):
        yield f"network/{network}", f"host/{agent['host']}"
    if agent["agent_type"] in SWITCH_AGENTS:
        yield from touch_fips(snapshot, find_fips_of(snapshot, agent["host"]))
    else:
        for router in find_hosted(snapshot, agent["host"]):
            yield from touch_router(snapshot, router)
