"""Where a routed packet arrives, against a plain reading of the API's documents: there, and nowhere else.

Two tenants use the same addresses; ports move, interfaces come and go, routers are switched off and on.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.intent.errors import ApiError
from netloom.model.address import ip_int, mac_int
from netloom.model.flow import IPV4, IPV6, TCP
from netloom.testing.simulator import send
from netloom.testing.story_cloud import Cloud
from tests.examples import count_examples

HOSTS = ("h1", "h2", "h3")
TENANTS = ("x", "y")
CIDRS = {"red": "10.1.0.0/24", "blue": "10.2.0.0/24", "six": "2001:db8:6::/64", "more": "2001:db8:7::/64"}
NETS = [f"{tenant}{color}" for tenant in TENANTS for color in CIDRS]
ROUTERS = [f"{tenant}r{n}" for tenant in TENANTS for n in (1, 2)]
ADDRESSES = ["10.1.0.1", "10.1.0.11", "10.1.0.12", "10.2.0.1", "10.2.0.11", "10.2.0.12", "10.3.0.1",
             "2001:db8:6::b", "2001:db8:7::b", "2001:db8:6::1"]  # fmt: skip

net, router, host = st.sampled_from(NETS), st.sampled_from(ROUTERS), st.sampled_from((*HOSTS, ""))
Step = tuple[str, ...]
steps: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("join"), router, net),
    st.tuples(st.just("leave"), router, net),
    st.tuples(st.just("port"), net, st.sampled_from(("11", "12")), host),
    st.tuples(st.just("move"), net, st.sampled_from(("11", "12")), host),
    st.tuples(st.just("off"), router),
    st.tuples(st.just("on"), router),
)


def make_cloud() -> Cloud:
    cloud = Cloud()
    for name in HOSTS:
        cloud.tell_host(name, [])
    for name in sorted(ROUTERS, key=lambda name: name[-1]):
        cloud.create("router", name, ["distributed=true"])
    for tenant in TENANTS:
        for color, cidr in CIDRS.items():
            cloud.create("network", f"{tenant}{color}", [])
            gateway = str(ip_network(cidr)[1])
            words = [f"network_id={tenant}{color}", f"cidr={cidr}", f'gateway_ip="{gateway}"']
            cloud.create("subnet", f"{tenant}{color}s", words)
        attempt(cloud, ("join", f"{tenant}r1", f"{tenant}red"))
        attempt(cloud, ("join", f"{tenant}r1", f"{tenant}blue"))
        attempt(cloud, ("port", f"{tenant}red", "11", "h1"))
        attempt(cloud, ("port", f"{tenant}blue", "11", "h2"))
    return cloud


def attempt(cloud: Cloud, step: Step) -> None:
    try:
        match step:
            case "join", router, name:
                cloud.do(router, "add_router_interface", [f"subnet_id={name}s"])
            case "leave", router, name:
                cloud.do(router, "remove_router_interface", [f"subnet_id={name}s"])
            case "port", name, low, host:
                make_port(cloud, name, low, host)
            case "move", name, low, host if f"{name}-{low}" in cloud.ports:
                cloud.update(f"{name}-{low}", [f'binding:host_id="{host}"'])
            case "off" | "on" as way, router:
                cloud.update(router, [f"admin_state_up={'true' if way == 'on' else 'false'}"])
    except ApiError:
        pass


def make_port(cloud: Cloud, name: str, low: str, host: str) -> None:
    if f"{name}-{low}" not in cloud.ports:
        ip = str(ip_network(CIDRS[name[1:]])[int(low)])
        words = [f"network_id={name}", f'binding:host_id="{host}"', f'fixed_ips=[{{ip_address: "{ip}"}}]']
        cloud.create("port", f"{name}-{low}", [*words, "port_security_enabled=false"])


@settings(max_examples=count_examples(60), deadline=None)
@given(st.lists(steps, max_size=14))
def test_a_routed_packet_arrives_where_the_documents_say(story: list[Step]) -> None:
    """From each port, by each router on its network, to each address."""
    cloud = make_cloud()
    for step in story:
        attempt(cloud, step)
    hosts = cloud.simulate()
    for name in cloud.ports:
        place = cloud.place(name)
        for router, leg_mac in find_legs(cloud, name):
            for address in ADDRESSES if place else ():
                mine = find_source(cloud, name)
                if ip_address(mine).version == ip_address(address).version:
                    walk = send(hosts, place, f"tap-{name}", make_packet(cloud, name, leg_mac, mine, address))
                    wanted = find_target(cloud, router, address)
                    assert not walk.lost, walk.describe()
                    assert set(walk.devices) == ({f"tap-{wanted}"} if wanted else set()), cloud.say(walk.describe())


def find_source(cloud: Cloud, name: str) -> str:
    return str(cloud.ports[name]["fixed_ips"][0]["ip_address"])


def make_packet(cloud: Cloud, name: str, leg_mac: str, mine: str, address: str) -> dict[str, int]:
    v4 = ip_address(address).version == 4
    source, target = ("ip_src", "ip_dst") if v4 else ("ipv6_src", "ipv6_dst")
    return {
        "eth_src": mac_int(cloud.ports[name]["mac_address"]), "eth_dst": mac_int(leg_mac),
        "eth_type": IPV4 if v4 else IPV6, source: ip_int(mine), target: ip_int(address), "ip_proto": TCP,
        "tcp_src": 40000, "tcp_dst": 80, "tcp_flags": 2, "nw_ttl": 64,
    }  # fmt: skip


# -- the oracle: documents of the API, read plainly --------------------------------------------------------------------


def find_legs(cloud: Cloud, name: str) -> list[tuple[str, str]]:
    """(router, its MAC address) for each router with an interface on the port's network."""
    port = cloud.snapshot.get("port", cloud.names[name][1])
    assert port
    found = cloud.snapshot.find("port", "network_id", port["network_id"])
    return [(p["device_id"], p["mac_address"]) for p in found if p["device_owner"].startswith("network:router_inter")]


def find_target(cloud: Cloud, router: str, address: str) -> str:
    """The port that has the address on the network which the router has it on, where that is on a host; else none."""
    doc = cloud.snapshot.get("router", router)
    assert doc
    if not doc["admin_state_up"]:
        return ""
    for leg in cloud.snapshot.find("port", "device_id", router):
        for fixed in leg["fixed_ips"]:
            subnet = cloud.snapshot.get("subnet", fixed["subnet_id"])
            assert subnet
            if ip_address(address) in ip_network(subnet["cidr"]):
                for name, (kind, id) in cloud.names.items():
                    port = cloud.snapshot.get("port", id) if kind == "port" else None
                    there = port and port["network_id"] == leg["network_id"] and cloud.place(name)
                    if port and there and any(one["ip_address"] == address for one in port["fixed_ips"]):
                        return name
                return ""
    return ""
