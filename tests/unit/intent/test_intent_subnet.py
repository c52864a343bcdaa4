"""Subnets: what a prefix, a pool, a gateway and the IPv6 modes may be, and when a subnet may go."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.intent.intent_kit import MISSING, World, addresses, refused


@pytest.mark.parametrize(
    ("cidr", "gateway", "pools"),
    [
        ("10.0.0.0/24", "10.0.0.1", [("10.0.0.2", "10.0.0.254")]),
        ("10.0.0.77/24", "10.0.0.1", [("10.0.0.2", "10.0.0.254")]),
        ("10.0.0.0/30", "10.0.0.1", [("10.0.0.2", "10.0.0.2")]),
        ("2001:db8::/64", "2001:db8::", [("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff")]),
        ("2001:DB8:0::5/126", "2001:db8::4", [("2001:db8::5", "2001:db8::7")]),
    ],
)
def test_defaults(cidr: str, gateway: str, pools: list[tuple[str, str]]) -> None:
    """A prefix alone makes a subnet: its gateway is the first address, its pool is the rest."""
    world = World()
    subnet = world.subnet(world.network(), cidr)
    assert subnet["gateway_ip"] == gateway
    assert [(p["start"], p["end"]) for p in subnet["allocation_pools"]] == pools
    assert subnet["enable_dhcp"] is True
    assert "prefixlen" not in subnet


def test_network_shows_its_subnets() -> None:
    """A network lists its subnets in the order in which they were made, and its revision grows with each."""
    world = World()
    network = world.network()
    one, two = world.subnet(network, "10.0.0.0/24"), world.subnet(network, "10.0.1.0/24")
    assert world.get("network", network)["subnets"] == [one["id"], two["id"]]
    assert world.get("network", network)["revision_number"] == 3
    world.delete("subnet", one)
    assert world.get("network", network)["subnets"] == [two["id"]]


def test_gateway_given_null_and_in_the_middle() -> None:
    """No gateway frees its address; one in the middle splits the pool; one outside the prefix is allowed."""
    world = World()
    network = world.network()
    none = world.subnet(network, "10.0.0.0/29", gateway_ip=None)
    assert (none["gateway_ip"], none["allocation_pools"]) == (None, [{"start": "10.0.0.1", "end": "10.0.0.6"}])
    middle = world.subnet(network, "10.0.1.0/29", gateway_ip="10.0.1.3")
    assert [p["end"] for p in middle["allocation_pools"]] == ["10.0.1.2", "10.0.1.6"]
    outside = world.subnet(network, "10.0.2.0/29", gateway_ip="10.9.9.9")
    assert outside["allocation_pools"] == [{"start": "10.0.2.1", "end": "10.0.2.6"}]
    for bad in ("10.0.3.0", "10.0.3.255"):
        with refused(400, "InvalidInput", "Gateway is not valid on subnet"):
            world.subnet(network, "10.0.3.0/24", gateway_ip=bad)
    with refused(400, "InvalidInput", "gateway_ip 'fe80::1' does not match the ip_version '4'"):
        world.subnet(network, "10.0.3.0/24", gateway_ip="fe80::1")


POOL_FAULTS = [
    ([{"start": "10.0.0.9", "end": "10.0.0.5"}], 400, "InvalidAllocationPool"),
    ([{"start": "fd00::1", "end": "fd00::2"}], 400, "InvalidAllocationPool"),
    ([{"start": "10.0.0.200", "end": "10.0.1.5"}], 400, "OutOfBoundsAllocationPool"),
    ([{"start": "10.0.0.0", "end": "10.0.0.5"}], 400, "OutOfBoundsAllocationPool"),
    (
        [{"start": "10.0.0.20", "end": "10.0.0.30"}, {"start": "10.0.0.10", "end": "10.0.0.20"}],
        409,
        "OverlappingAllocationPools",
    ),
    ([{"start": "10.0.0.1", "end": "10.0.0.9"}], 409, "GatewayConflictWithAllocationPools"),
]


@pytest.mark.parametrize(("pools", "status", "type"), POOL_FAULTS)
def test_pools_that_cannot_be(pools: list[dict[str, str]], status: int, type: str) -> None:
    """A pool that does not fit is refused at creation and at update alike."""
    world = World()
    network = world.network()
    with refused(status, type):
        world.subnet(network, "10.0.0.0/24", allocation_pools=pools)
    subnet = world.subnet(network, "10.0.0.0/24")
    with refused(status, type):
        world.update("subnet", subnet, allocation_pools=pools)


def test_pools_limit_what_is_handed_out_not_what_may_be_asked() -> None:
    """Ports get addresses of the pools; one outside them may be asked for by name."""
    world = World()
    network = world.network()
    world.subnet(network, "10.0.0.0/24", allocation_pools=[{"start": "10.0.0.9", "end": "10.0.0.9"}])
    assert addresses(world.port(network)) == ["10.0.0.9"]
    with refused(409, "IpAddressGenerationFailure", network["id"]):
        world.port(network)
    assert addresses(world.port(network, fixed_ips=[{"ip_address": "10.0.0.200"}])) == ["10.0.0.200"]


FAULTS: list[tuple[str, dict[str, Any], str]] = [
    ("10.0.0.0/24", {"ip_version": 6}, "cidr '10.0.0.0/24' does not match the ip_version '6'"),
    ("0.0.0.0/0", {"enable_dhcp": False}, "0 is not allowed as CIDR prefix length"),
    ("::/64", {}, "IPv6 subnet '::' is not supported"),
    ("10.0.0.0/31", {}, "incompatible with DHCP"),
    ("2001:db8::/127", {}, "incompatible with DHCP"),
    ("224.0.0.0/24", {}, "Multicast IP subnet"),
    ("127.0.0.0/24", {}, "Loopback IP subnet"),
    ("10.0.0.0/24", {"ipv6_ra_mode": "slaac"}, "ipv6_ra_mode is not valid when ip_version is 4"),
    ("10.0.0.0/24", {"ipv6_address_mode": "slaac"}, "ipv6_address_mode is not valid when ip_version is 4"),
    ("fd00::/64", {"ipv6_ra_mode": "slaac", "enable_dhcp": False}, "cannot be set when enable_dhcp is set to False"),
    ("fd00::/64", {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "dhcpv6-stateful"}, "they must be the same value"),
    ("fd00::/80", {"ipv6_address_mode": "slaac"}, "requires the prefix to be /64"),
    ("10.0.0.0/24", {"dns_nameservers": ["fd00::1"]}, "dns_nameserver 'fd00::1' does not match"),
    ("10.0.0.0/24", {"host_routes": [{"destination": "10.1.0.0/16", "nexthop": "fd00::1"}]}, "nexthop 'fd00::1'"),
]


@pytest.mark.parametrize(("cidr", "body", "words"), FAULTS)
def test_subnets_that_cannot_be(cidr: str, body: dict[str, Any], words: str) -> None:
    """A subnet whose parts do not go together is refused in Neutron's words."""
    world = World()
    network = world.network()
    with refused(400, "InvalidInput", words):
        world.subnet(network, cidr, **body)
    assert not world.snapshot.count("subnet")


def test_limits() -> None:
    """Too many name servers or routes are refused by their own names."""
    world = World()
    network = world.network()
    with refused(400, "DNSNameServersExhausted", "new subnet", "limit 5"):
        world.subnet(network, "10.0.0.0/24", dns_nameservers=[f"10.0.0.{n}" for n in range(6)])
    routes = [{"destination": f"10.{n}.0.0/16", "nexthop": "10.0.0.9"} for n in range(21)]
    with refused(400, "HostRoutesExhausted", "limit 20"):
        world.subnet(network, "10.0.0.0/24", host_routes=routes)


def test_overlap() -> None:
    """Two subnets of a network share no address; other networks may have the same."""
    world = World()
    network = world.network()
    world.subnet(network, "10.0.0.0/24")
    for cidr in ("10.0.0.0/24", "10.0.0.128/25", "10.0.0.0/16"):
        with refused(400, "InvalidInput", "overlaps with another subnet"):
            world.subnet(network, cidr)
    world.subnet(network, "10.0.1.0/24")
    world.subnet(network, "fd00::/64")
    world.subnet(world.network(), "10.0.0.0/24")


def test_no_prefix() -> None:
    """Without a prefix, and with pools that do not exist, a subnet is refused properly."""
    world = World()
    network = world.network()
    body: dict[str, Any] = {"network_id": network["id"], "ip_version": 4}
    with refused(400, "BadRequest", "a subnetpool must be specified in the absence of a cidr"):
        world.create("subnet", body)
    with refused(400, "BadRequest", "must not be supplied together"):
        world.create("subnet", {**body, "cidr": "10.0.0.0/24", "prefixlen": 24})
    with refused(404, "SubnetPoolNotFound", MISSING):
        world.create("subnet", {**body, "subnetpool_id": MISSING})
    with refused(400, "BadRequest", "Prefix Delegation"):
        world.create("subnet", {**body, "ip_version": 6, "subnetpool_id": "prefix_delegation"})
    with refused(404, "SegmentNotFound", MISSING):
        world.create("subnet", {**body, "cidr": "10.0.0.0/24", "segment_id": MISSING})
    with refused(404, "NetworkNotFound", MISSING):
        world.create("subnet", {**body, "cidr": "10.0.0.0/24", "network_id": MISSING})


def test_update() -> None:
    """What may change of a subnet changes, and a router's gateway stays."""
    world = World()
    network = world.network()
    subnet = world.subnet(network, "10.0.0.0/24")
    world.update("subnet", subnet, enable_dhcp=False, dns_nameservers=["9.9.9.9"])
    router = world.port(network, fixed_ips=[{"ip_address": "10.0.0.1"}], device_owner="network:router_interface")
    with refused(409, "GatewayIpInUse", "10.0.0.1", router["id"]):
        world.update("subnet", subnet, gateway_ip=None)
    world.delete("port", router)
    with refused(409, "GatewayConflictWithAllocationPools"):
        world.update("subnet", subnet, gateway_ip="10.0.0.9")
    pools = [{"start": "10.0.0.10", "end": "10.0.0.20"}]
    changed = world.update("subnet", subnet, gateway_ip="10.0.0.9", allocation_pools=pools)
    assert (changed["gateway_ip"], changed["allocation_pools"]) == ("10.0.0.9", pools)


def test_modes_keep_dhcp_on() -> None:
    """A subnet with IPv6 modes cannot lose DHCP."""
    world = World()
    subnet = world.slaac(world.network(), "fd00::/64")
    with refused(400, "InvalidInput", "Cannot disable enable_dhcp with ipv6 attributes set"):
        world.update("subnet", subnet, enable_dhcp=False)


def test_delete_in_use() -> None:
    """A subnet with a user's port is in use; a DHCP port loses its address instead."""
    world = World()
    network = world.network()
    subnet = world.subnet(network, "10.0.0.0/24")
    dhcp, user = world.port(network, device_owner="network:dhcp"), world.port(network)
    with refused(409, "SubnetInUse", subnet["id"], "One or more ports have an IP allocation from this subnet"):
        world.delete("subnet", subnet)
    world.delete("port", user)
    world.delete("subnet", subnet)
    assert addresses(world.get("port", dhcp)) == []


def test_automatic_subnets_come_and_go() -> None:
    """Ports get the address of a new SLAAC subnet and lose it with the subnet; a router's port keeps the subnet."""
    world = World()
    network = world.network()
    world.subnet(network, "10.0.0.0/24")
    port = world.port(network)
    subnet = world.slaac(network, "fd00::/64")
    assert addresses(world.get("port", port)) == ["10.0.0.2", "fd00::f816:3eff:fe00:1"]
    router = world.port(
        network,
        device_owner="network:router_interface",
        fixed_ips=[{"subnet_id": subnet["id"], "ip_address": "fd00::1"}],
    )
    with refused(409, "SubnetInUse"):
        world.delete("subnet", subnet)
    world.delete("port", router)
    world.delete("subnet", subnet)
    assert addresses(world.get("port", port)) == ["10.0.0.2"]


def test_service_types() -> None:
    """A subnet for some owners gives addresses to their ports first, and to no others."""
    world = World()
    network = world.network()
    world.subnet(network, "10.0.0.0/24", service_types=["compute:nova"])
    assert addresses(world.port(network, device_owner="compute:nova")) == ["10.0.0.2"]
    with refused(409, "IpAddressGenerationFailureNoMatchingSubnet"):
        world.port(network, device_owner="compute:other")
    world.subnet(network, "10.0.1.0/24")
    assert addresses(world.port(network, device_owner="compute:other")) == ["10.0.1.2"]
    assert addresses(world.port(network, device_owner="compute:nova")) == ["10.0.0.3"]
    for given, type in (
        (["sun"], "InvalidSubnetServiceType"),
        ([5], "InvalidInputSubnetServiceType"),
        ("compute:nova", "HTTPBadRequest"),
        (["compute:a", "compute:a"], "HTTPBadRequest"),
    ):
        with refused(400, type):
            world.subnet(network, "10.0.2.0/24", service_types=given)
    subnet = world.subnet(network, "10.0.2.0/24", service_types=["test:type_1", "network:distributed"])
    assert world.update("subnet", subnet, service_types=None)["service_types"] == []
