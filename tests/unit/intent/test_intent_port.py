"""Ports: MACs and addresses in every form that the API allows, and the attributes that hang on them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from netloom.intent.l2.network import NETWORK
from netloom.intent.schema import Doc
from tests.unit.intent.intent_kit import MISSING, SETTINGS, World, addresses, refused


def dual(world: World) -> tuple[Doc, Doc, Doc]:
    network = world.network()
    return network, world.subnet(network, "10.0.0.0/24"), world.subnet(network, "fd00::/64")


def test_defaults() -> None:
    """A port that only names its network gets a MAC and one address of each IP version, and is unbound and DOWN."""
    world = World()
    network, v4, v6 = dual(world)
    port = world.port(network)
    assert port["mac_address"] == "fa:16:3e:00:00:01"
    assert port["fixed_ips"] == [
        {"subnet_id": v4["id"], "ip_address": "10.0.0.2"},
        {"subnet_id": v6["id"], "ip_address": "fd00::1"},
    ]
    assert (port["status"], port["binding:vif_type"], port["binding:host_id"]) == ("DOWN", "unbound", "")
    assert (port["port_security_enabled"], port["ip_allocation"]) == (True, "immediate")
    assert (port["device_id"], port["device_owner"], port["allowed_address_pairs"]) == ("", "", [])


def test_every_form_of_fixed_ips() -> None:
    """fixed_ips may name an address, a subnet, both, several, or nothing at all."""
    world = World()
    network, v4, v6 = dual(world)
    assert addresses(world.port(network, fixed_ips=[])) == []
    assert addresses(world.port(network, fixed_ips=[{"subnet_id": v6["id"]}])) == ["fd00::1"]
    assert addresses(world.port(network, fixed_ips=[{"ip_address": "10.0.0.2"}])) == ["10.0.0.2"]
    both = {"subnet_id": v4["id"], "ip_address": "10.0.0.3"}
    assert world.port(network, fixed_ips=[both])["fixed_ips"] == [both]
    several = [{"subnet_id": v4["id"]}, {"subnet_id": v4["id"]}, {"ip_address": "10.0.0.4"}]
    assert sorted(addresses(world.port(network, fixed_ips=several))) == ["10.0.0.4", "10.0.0.5", "10.0.0.6"]
    assert world.port(network, fixed_ips=[])["ip_allocation"] == "none"
    assert addresses(world.port(network, fixed_ips=[{"ip_address": "FD00:0:0::99"}])) == ["fd00::99"]


def test_fixed_ips_that_cannot_be() -> None:
    """An address that is taken, foreign or no host's is refused by its own error type."""
    world = World()
    network, v4, v6 = dual(world)
    other = world.network()
    foreign = world.subnet(other, "10.0.0.0/24")
    world.port(network, fixed_ips=[{"ip_address": "10.0.0.9"}])
    with refused(409, "IpAddressAlreadyAllocated", f"10.0.0.9 already allocated in subnet {v4['id']}"):
        world.port(network, fixed_ips=[{"ip_address": "10.0.0.9"}])
    world.port(other, fixed_ips=[{"ip_address": "10.0.0.9"}])
    with refused(400, "InvalidIpForNetwork", "192.0.2.1 is not a valid IP for any of the subnets"):
        world.port(network, fixed_ips=[{"ip_address": "192.0.2.1"}])
    for ip in ("10.0.0.0", "10.0.0.255"):
        with refused(400, "InvalidIpForNetwork"):
            world.port(network, fixed_ips=[{"ip_address": ip}])
    with refused(400, "InvalidIpForSubnet", "10.0.0.1"):
        world.port(network, fixed_ips=[{"subnet_id": v6["id"], "ip_address": "10.0.0.1"}])
    with refused(404, "SubnetNotFound", MISSING):
        world.port(network, fixed_ips=[{"subnet_id": MISSING}])
    with refused(400, "InvalidInput", "included invalid subnet", foreign["id"]):
        world.port(network, fixed_ips=[{"subnet_id": foreign["id"]}])
    with refused(400, "InvalidInput", "IP allocation requires subnet_id or ip_address"):
        world.port(network, fixed_ips=[{}])
    with refused(400, "InvalidInput", "IP allocation requires subnets for network"):
        world.port(world.network(), fixed_ips=[{"ip_address": "10.0.0.1"}])
    with refused(400, "InvalidInput", "Exceeded maximum amount of fixed ips"):
        world.port(network, fixed_ips=[{"subnet_id": v4["id"]}] * 6)
    assert addresses(world.port(world.network())) == []


def test_addresses_run_out_and_come_back() -> None:
    """The last address goes to one port; a deleted port's is given again; a second subnet takes over."""
    world = World()
    network = world.network()
    world.subnet(network, "10.0.0.0/30")
    port = world.port(network)
    with refused(409, "IpAddressGenerationFailure", "No more IP addresses available", network["id"]):
        world.port(network)
    world.delete("port", port)
    assert addresses(world.port(network)) == ["10.0.0.2"]
    world.subnet(network, "10.0.1.0/24")
    assert addresses(world.port(network)) == ["10.0.1.2"]


def test_named_addresses_first() -> None:
    """In one request the named address is kept for the entry that names it; in a bulk one for whoever is first."""
    world = World()
    network = world.network()
    subnet = world.subnet(network, "10.0.0.0/24")
    port = world.port(network, fixed_ips=[{"subnet_id": subnet["id"]}, {"ip_address": "10.0.0.2"}])
    assert addresses(port) == ["10.0.0.2", "10.0.0.3"]
    bodies: list[dict[str, Any]] = [{"network_id": network["id"]} for _ in range(3)]
    assert [addresses(p) for p in world.create("port", *bodies)] == [["10.0.0.4"], ["10.0.0.5"], ["10.0.0.6"]]
    with refused(409, "IpAddressAlreadyAllocated"):
        world.create("port", *bodies, {"network_id": network["id"], "fixed_ips": [{"ip_address": "10.0.0.7"}]})
    assert world.snapshot.count("port") == 4


def test_automatic_addresses() -> None:
    """In a SLAAC subnet a port has the address of its MAC, whatever else it asks for, and no other there."""
    world = World()
    network = world.network()
    subnet = world.slaac(network, "2001:db8::/64", "dhcpv6-stateless")
    world.subnet(network, "10.0.0.0/24")
    assert addresses(world.port(network)) == ["10.0.0.2", "2001:db8::f816:3eff:fe00:1"]
    named = world.port(network, fixed_ips=[{"ip_address": "10.0.0.9"}])
    assert addresses(named) == ["10.0.0.9", "2001:db8::f816:3eff:fe00:2"]
    assert len(world.port(network, fixed_ips=[{"subnet_id": subnet["id"]}])["fixed_ips"]) == 1
    with refused(400, "AllocationOnAutoAddressSubnet", "2001:db8::5 cannot be directly assigned"):
        world.port(network, fixed_ips=[{"ip_address": "2001:db8::5"}])
    router = world.port(network, device_owner="network:router_interface", fixed_ips=[{"ip_address": "2001:db8::"}])
    assert addresses(router) == ["2001:db8::"]


def test_mac() -> None:
    """A MAC is one port's on a network; a made one avoids those that are taken; another network may have the same."""
    world = World()
    network = world.network()
    world.port(network, mac_address="FA-16-3E-00-00-01")
    assert world.port(network)["mac_address"] == "fa:16:3e:00:00:02"
    with refused(409, "MacAddressInUse", "fa:16:3e:00:00:01 is in use", network["id"]):
        world.port(network, mac_address="fa:16:3e:00:00:01")
    assert world.port(world.network(), mac_address="fa:16:3e:00:00:01")["mac_address"] == "fa:16:3e:00:00:01"


def test_no_mac_left() -> None:
    """When every candidate is taken the answer is 503, not a second port with the same MAC."""
    world = World()
    network = world.network()
    world.new_mac = lambda: "fa:16:3e:00:00:01"  # type: ignore[method-assign]
    world.port(network)
    with refused(503, "MacAddressGenerationFailure", network["id"]):
        world.port(network)


def test_update_keeps_what_stays() -> None:
    """An update of fixed_ips keeps the addresses that are still wanted and gives back the others."""
    world = World()
    network, v4, _ = dual(world)
    port = world.port(network)
    same = world.update("port", port, fixed_ips=port["fixed_ips"])
    assert same["revision_number"] == 1
    bare = world.update("port", port, fixed_ips=[{"subnet_id": v4["id"]}])
    assert addresses(bare) == ["10.0.0.2"]
    more = world.update("port", port, fixed_ips=[{"subnet_id": v4["id"]}, {"subnet_id": v4["id"]}])
    assert addresses(more) == ["10.0.0.2", "10.0.0.3"]
    assert addresses(world.update("port", port, fixed_ips=[{"ip_address": "10.0.0.77"}])) == ["10.0.0.77"]
    assert addresses(world.port(network, fixed_ips=[{"subnet_id": v4["id"]}])) == ["10.0.0.2"]
    assert addresses(world.update("port", port, fixed_ips=[])) == []
    with refused(409, "IpAddressAlreadyAllocated"):
        world.update("port", port, fixed_ips=[{"ip_address": "10.0.0.2"}])


def test_update_of_automatic_addresses() -> None:
    """The address of a MAC follows the MAC, and stays when only others are asked for."""
    world = World()
    network = world.network()
    world.slaac(network, "2001:db8::/64")
    world.subnet(network, "10.0.0.0/24")
    port = world.port(network)
    changed = world.update("port", port, fixed_ips=[{"ip_address": "10.0.0.9"}])
    assert sorted(addresses(changed)) == ["10.0.0.9", "2001:db8::f816:3eff:fe00:1"]
    moved = world.update("port", port, mac_address="fa:16:3e:00:00:99")
    assert sorted(addresses(moved)) == ["10.0.0.9", "2001:db8::f816:3eff:fe00:99"]
    made = world.update("port", port, mac_address=None)
    assert made["mac_address"] == "fa:16:3e:00:00:02"


def test_bound_ports_keep_their_mac() -> None:
    """The MAC of a plugged port is its guest's too, so it stays; a network device's stays always."""
    world = World()
    world.host()
    network = world.network()
    with refused(409, "PortBound", "port is already bound, port type: ovs"):
        world.update("port", world.port(network, binding__host_id="h1"), mac_address="fa:16:3e:00:00:99")
    with refused(409, "UnsupportedPortDeviceOwner", "mac address update"):
        world.update("port", world.port(network, device_owner="network:dhcp"), mac_address="fa:16:3e:00:00:99")


def test_address_pairs() -> None:
    """Address pairs take the port's MAC where they name none, are few, and need port security."""
    world = World()
    network = world.network()
    port = world.port(network, allowed_address_pairs=[{"ip_address": "10.0.0.0/24"}, {"ip_address": "fd00::1"}])
    assert port["allowed_address_pairs"] == [
        {"mac_address": port["mac_address"], "ip_address": "10.0.0.0/24"},
        {"mac_address": port["mac_address"], "ip_address": "fd00::1"},
    ]
    pair = [{"ip_address": "10.0.0.1"}]
    with refused(409, "AddressPairAndPortSecurityRequired"):
        world.port(network, port_security_enabled=False, allowed_address_pairs=pair)
    with refused(409, "AddressPairAndPortSecurityRequired"):
        world.update("port", port, port_security_enabled=False)
    off = {"port_security_enabled": False, "security_groups": [], "allowed_address_pairs": []}
    assert world.update("port", port, **off)["allowed_address_pairs"] == []
    with refused(400, "AllowedAddressPairExhausted", "maximum 10"):
        world.port(network, allowed_address_pairs=[{"ip_address": f"10.0.0.{n}"} for n in range(11)])
    with refused(400, "DuplicateAddressPairInRequest", "10.0.0.1"):
        world.port(network, allowed_address_pairs=pair * 2)
    mine = {"ip_address": "10.0.0.1", "mac_address": "fa:16:3e:aa:aa:aa"}
    with refused(400, "DuplicateAddressPairInRequest"):
        world.port(network, mac_address="fa:16:3e:aa:aa:aa", allowed_address_pairs=[*pair, mine])
    with refused(400, "AllowedAddressPairsMissingIP"):
        world.port(network, allowed_address_pairs=[{"mac_address": "fa:16:3e:aa:aa:aa"}])


def test_port_security_is_the_networks() -> None:
    """A port that says nothing has its network's port security."""
    world = World()
    assert world.port(world.network(port_security_enabled=False))["port_security_enabled"] is False
    assert world.port(world.network(port_security_enabled=False), port_security_enabled=True)["port_security_enabled"]
    assert NETWORK.by_name["port_security_enabled"].default is True


def test_dhcp_options() -> None:
    """Extra DHCP options are merged by name and IP version; a null value takes one away."""
    world = World()
    network = world.network()
    option = {"opt_name": "bootfile-name", "opt_value": "pxe.0"}
    port = world.port(network, extra_dhcp_opts=[option, {**option, "ip_version": 6}])
    assert [o["ip_version"] for o in port["extra_dhcp_opts"]] == [4, 6]
    changed = world.update(
        "port", port, extra_dhcp_opts=[{"opt_name": "router", "opt_value": ""}, {**option, "opt_value": None}]
    )
    assert [(o["opt_name"], o["opt_value"], o["ip_version"]) for o in changed["extra_dhcp_opts"]] == [
        ("bootfile-name", "pxe.0", 6),
        ("router", "", 4),
    ]
    for bad in ({"opt_name": "x"}, {**option, "opt_value": ""}, {**option, "ip_version": 5}, {**option, "more": 1}):
        with refused(400, "InvalidInput", "extra_dhcp_opts: No valid key specs matched for"):
            world.port(network, extra_dhcp_opts=[bad])


def test_names() -> None:
    """Each address has a name: the port's, or one made of the address, in the cloud's domain."""
    world = World(replace(SETTINGS, dns_domain="cloud.example."))
    network = world.network()
    world.subnet(network, "10.0.0.0/24")
    assert world.port(network)["dns_assignment"] == [
        {"ip_address": "10.0.0.2", "hostname": "host-10-0-0-2", "fqdn": "host-10-0-0-2.cloud.example."}
    ]
    port = world.port(network, dns_name="WEB")
    assert (port["dns_name"], port["dns_assignment"][0]["fqdn"]) == ("web", "web.cloud.example.")
    assert world.update("port", port, dns_name="db")["dns_assignment"][0]["hostname"] == "db"


@pytest.mark.parametrize("cidr", ["10.0.0.0/8", "fd00::/64"])
def test_next_address_is_found_beyond_many(cidr: str) -> None:
    """The next free address is the lowest, also after thousands and after a gap is made among them."""
    world = World(replace(SETTINGS, quotas={"port": -1}))
    network = world.network()
    world.subnet(network, cidr)
    bodies = [{"network_id": network["id"]}] * 1200
    ports = world.create("port", *bodies, *bodies)
    assert len({ip for p in ports for ip in addresses(p)}) == 2400
    world.delete("port", ports[1500])
    assert addresses(world.port(network)) == addresses(ports[1500])
