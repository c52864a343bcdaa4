"""Floating IPs: which address they get, where they lead, and what may not go while they do."""

from __future__ import annotations

import pytest

from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError
from netloom.intent.l2.port_status import acknowledge
from netloom.intent.l3.floatingip_parts import put_status
from netloom.intent.schema import Doc, parse_create
from tests.unit.intent.floatingip_kit import OTHER, Outside
from tests.unit.intent.intent_kit import MISSING, World, refused


@pytest.fixture
def w() -> Outside:
    return Outside()


def find_floating_port(w: World, fip: Doc) -> Doc:
    port = w.snapshot.get("port", fip["floating_port_id"])
    assert port is not None
    return port


# -- create ------------------------------------------------------------------------------------------------------------


def test_a_floating_ip_is_an_address_of_the_external_network(w: Outside) -> None:
    """A new floating IP leads nowhere, and has the network's next free address."""
    fip = w.floatingip(description="spare", tags=["web"])
    assert fip["floating_ip_address"].startswith("203.0.113.")
    assert (fip["port_id"], fip["router_id"], fip["fixed_ip_address"], fip["port_details"]) == (None,) * 4
    assert (fip["status"], fip["port_forwardings"], fip["project_id"]) == ("DOWN", [], "p1")
    assert (fip["description"], fip["tags"], fip["revision_number"]) == ("spare", ["web"], 1)


def test_its_port_belongs_to_no_project(w: Outside) -> None:
    """The port that holds the address is nobody's, and no host waits for it."""
    fip = w.floatingip()
    port = find_floating_port(w, fip)
    assert (port["device_owner"], port["device_id"], port["project_id"]) == ("network:floatingip", fip["id"], "")
    assert (port["status"], port["waits_for"], port["network_id"]) == ("N/A", "", w.outer["id"])


def test_the_address_can_be_chosen(w: Outside) -> None:
    """The address that is asked for is the one that is given, once."""
    assert w.floatingip(floating_ip_address="203.0.113.77")["floating_ip_address"] == "203.0.113.77"
    with refused(409, "IpAddressAlreadyAllocated", "203.0.113.77"):
        w.floatingip(floating_ip_address="203.0.113.77")
    with refused(400, "InvalidIpForNetwork"):
        w.floatingip(floating_ip_address="198.51.100.1")


def test_the_subnet_can_be_chosen(w: Outside) -> None:
    """A floating IP from a pool is in the pool's prefix."""
    second = w.subnet(w.outer, "198.51.100.0/24")
    assert w.floatingip(subnet_id=second["id"])["floating_ip_address"].startswith("198.51.100.")
    with refused(400, "InvalidIpForSubnet"):
        w.floatingip(subnet_id=second["id"], floating_ip_address="203.0.113.9")
    with refused(404, "SubnetNotFound"):
        w.floatingip(subnet_id=MISSING)


def test_only_an_external_network_gives_floating_ips(w: Outside) -> None:
    """A network that is not external, or has no IPv4 subnet, is refused."""
    with refused(400, "BadRequest", "is not a valid external network"):
        w.floatingip(floating_network_id=w.inner["id"])
    bare = w.network(router__external=True)
    w.subnet(bare, "2001:db8::/64")
    with refused(400, "BadRequest", "does not contain any IPv4 subnet"):
        w.floatingip(floating_network_id=bare["id"])
    with refused(404, "NetworkNotFound", MISSING):
        w.floatingip(floating_network_id=MISSING)


def test_another_projects_network_is_not_there(w: Outside) -> None:
    """A network that a project may not see answers 404, as one that never was."""
    secret = w.network(project_id=OTHER)
    with refused(404, "NetworkNotFound"):
        w.floatingip(floating_network_id=secret["id"])


def test_an_exhausted_network_says_so(w: Outside) -> None:
    """No address left is a conflict; an address of IPv6 only is none."""
    tiny = w.network(router__external=True)
    w.subnet(tiny, "192.0.2.0/30", gateway_ip=None, enable_dhcp=False)
    six = w.subnet(tiny, "2001:db8:1::/64", enable_dhcp=False)
    with refused(400, "ExternalIpAddressExhausted", tiny["id"]):
        w.floatingip(floating_network_id=tiny["id"], subnet_id=six["id"])
    for _ in range(2):
        w.floatingip(floating_network_id=tiny["id"])
    with refused(409, "IpAddressGenerationFailure"):
        w.floatingip(floating_network_id=tiny["id"], floating_ip_address=None)


def test_bulk_is_all_or_nothing(w: Outside) -> None:
    """One bad floating IP in a list: none is made, and no port is left behind."""
    good = {"floating_network_id": w.outer["id"]}
    ports = w.snapshot.count("port")
    with refused(404, "PortNotFound"):
        w.create("floatingip", good, {**good, "port_id": MISSING})
    assert (w.snapshot.count("floatingip"), w.snapshot.count("port")) == (0, ports)
    found = w.create("floatingip", good, good)
    assert len({fip["floating_ip_address"] for fip in found}) == 2


def test_the_quota_counts(w: Outside) -> None:
    """A project has no more floating IPs than its quota; the floating port counts for no project."""
    body = {"floating_network_id": w.outer["id"]}
    w.create("floatingip", *[body] * 50)
    with refused(409, "OverQuota", "floatingip"):
        w.floatingip()
    assert w.snapshot.count_in("port", "project_id", "p1") == 1  # the router's interface


@pytest.mark.parametrize("given", [{"dns_name": "www"}, {"dns_domain": "example.org."}])
def test_a_name_has_both_halves(w: Outside, given: dict[str, str]) -> None:
    """A host name without a domain, or a domain without a name, is refused."""
    with refused(400, "BadRequest", "cannot be specified without"):
        w.floatingip(None, **given)
    fip = w.floatingip(dns_name="www", dns_domain="example.org.")
    assert (fip["dns_name"], fip["dns_domain"]) == ("www", "example.org.")


# -- association -------------------------------------------------------------------------------------------------------


def test_it_leads_to_a_port_through_the_router_between(w: Outside) -> None:
    """The port's only IPv4 address and the router that reaches both networks are found."""
    port = w.port(w.inner, name="vm")
    fip = w.floatingip(port)
    assert (fip["port_id"], fip["router_id"]) == (port["id"], w.router["id"])
    assert fip["fixed_ip_address"] == port["fixed_ips"][0]["ip_address"]
    assert fip["port_details"] == {
        "name": "vm", "network_id": w.inner["id"], "mac_address": port["mac_address"], "admin_state_up": True,
        "status": "DOWN", "device_id": "", "device_owner": "",
    }  # fmt: skip


def test_it_can_be_led_to_another_port_and_to_none(w: Outside) -> None:
    """An update changes where it leads; a null port, or an empty update, lets go."""
    first, second = w.port(w.inner), w.port(w.inner)
    fip = w.update("floatingip", w.floatingip(first), port_id=second["id"])
    assert (fip["port_id"], fip["fixed_ip_address"]) == (second["id"], second["fixed_ips"][0]["ip_address"])
    gone = w.update("floatingip", fip, port_id=None)
    assert (gone["port_id"], gone["router_id"], gone["fixed_ip_address"], gone["port_details"]) == (None,) * 4
    assert gone["revision_number"] == fip["revision_number"] + 1
    again = w.update("floatingip", gone, port_id=first["id"])
    assert w.update("floatingip", again)["port_id"] is None


def test_other_changes_leave_it_where_it_leads(w: Outside) -> None:
    """New words do not touch the association, even where the port has several addresses."""
    port = w.port(w.inner, fixed_ips=[{"ip_address": "10.0.0.50"}, {"ip_address": "10.0.0.51"}])
    fip = w.floatingip(port, fixed_ip_address="10.0.0.51")
    changed = w.update("floatingip", fip, description="new")
    assert (changed["port_id"], changed["fixed_ip_address"]) == (port["id"], "10.0.0.51")


def test_a_port_with_several_addresses_asks_which(w: Outside) -> None:
    """One of several IPv4 addresses has to be named, and be one of the port's."""
    port = w.port(w.inner, fixed_ips=[{"ip_address": "10.0.0.50"}, {"ip_address": "10.0.0.51"}])
    with refused(400, "BadRequest", "multiple fixed IPv4 addresses"):
        w.floatingip(port)
    with refused(400, "BadRequest", "does not have fixed ip 10.0.0.99"):
        w.floatingip(port, fixed_ip_address="10.0.0.99")
    with refused(400, "BadRequest", "not an IPv4 address"):
        w.floatingip(port, fixed_ip_address="2001:db8::1")
    fip = w.floatingip(port, fixed_ip_address="10.0.0.50")
    moved = w.update("floatingip", fip, port_id=port["id"], fixed_ip_address="10.0.0.51")
    assert moved["fixed_ip_address"] == "10.0.0.51"


def test_a_port_without_ipv4_is_refused(w: Outside) -> None:
    """There is nothing to translate to on a port without IPv4."""
    with refused(400, "BadRequest", "no fixed IPv4 addresses"):
        w.floatingip(w.port(w.inner, fixed_ips=[]))


def test_a_fixed_address_needs_its_port(w: Outside) -> None:
    """fixed_ip_address alone says nothing, on create and on update."""
    with refused(400, "BadRequest", "fixed_ip_address cannot be specified without a port_id"):
        w.floatingip(fixed_ip_address="10.0.0.5")
    fip = w.floatingip(w.port(w.inner))
    with refused(400, "BadRequest", "fixed_ip_address cannot be specified without a port_id"):
        w.update("floatingip", fip, fixed_ip_address="10.0.0.5")


def test_an_address_has_one_floating_ip_of_a_network(w: Outside) -> None:
    """A second floating IP of the same network is refused; one of another external network is not."""
    port = w.port(w.inner)
    w.floatingip(port)
    spare = w.floatingip()
    with refused(409, "FloatingIPPortAlreadyAssociated", spare["floating_ip_address"], port["id"]):
        w.update("floatingip", spare, port_id=port["id"])
    with refused(409, "FloatingIPPortAlreadyAssociated"):
        w.floatingip(port)
    other = w.network(router__external=True)
    w.subnet(other, "198.51.100.0/24")
    third = w.subnet(w.inner, "10.0.9.0/24")
    both = w.make_router(third, outer=other)
    w.act(both, "remove_router_interface", subnet_id=third["id"])
    way = w.port(w.inner, fixed_ips=[{"ip_address": "10.0.0.200"}])
    w.act(both, "add_router_interface", port_id=way["id"])
    assert w.floatingip(port, floating_network_id=other["id"])["router_id"] == both["id"]


def test_a_port_that_no_router_reaches_is_refused(w: Outside) -> None:
    """No router between the port's subnet and the external network: 404, as in Neutron."""
    alone = w.network()
    subnet = w.subnet(alone, "10.5.0.0/24")
    with refused(404, "ExternalGatewayForFloatingIPNotFound", subnet["id"], w.outer["id"]):
        w.floatingip(w.port(alone))


def test_the_router_can_be_named(w: Outside) -> None:
    """A router with a gateway on the floating network may be named, though it has no leg on the port's subnet."""
    far = w.make_router()
    port = w.port(w.inner)
    fip = w.floatingip(port, router_id=far["id"])
    assert fip["router_id"] == far["id"]
    back = w.update("floatingip", fip, router_id=w.router["id"])
    assert (back["router_id"], back["port_id"]) == (w.router["id"], port["id"])
    bare = w.create("router", {})[0]
    with refused(409, "Conflict", "has no external gateway on network"):
        w.update("floatingip", fip, router_id=bare["id"])
    with refused(404, "RouterNotFound"):
        w.update("floatingip", fip, router_id=MISSING)


def test_another_projects_port_is_refused(w: Outside) -> None:
    """A port of another project on the own network is refused; one on a network that is not seen is not there."""
    guest = w.port(w.inner, project_id=OTHER)
    with refused(400, "BadRequest", "owned by a different project"):
        w.floatingip(guest)
    far = w.network(project_id=OTHER)
    w.subnet(far, "10.7.0.0/24")
    with refused(404, "PortNotFound"):
        w.floatingip(w.port(far, project_id=OTHER))
    w.admin = True
    assert w.floatingip(guest)["port_id"] == guest["id"]


def test_a_dhcp_port_gets_none(w: Outside) -> None:
    """The network's own DHCP port is not for floating IPs."""
    with refused(400, "BadRequest", "unable to be assigned"):
        w.floatingip(w.port(w.inner, device_owner="network:dhcp"))


def test_a_distributed_router_asks_for_a_port_that_a_bridge_carries(w: Outside) -> None:
    """A distributed router translates where the port is: a port that bypasses the bridge is refused."""
    net = w.network()
    subnet = w.subnet(net, "10.8.0.0/24")
    router = w.make_router(subnet, distributed=True)
    with refused(400, "BadRequest", "VNIC type"):
        w.floatingip(w.port(net, binding__vnic_type="direct"))
    assert w.floatingip(w.port(net))["router_id"] == router["id"]


# -- what may not go, and what follows ---------------------------------------------------------------------------------


def test_its_port_is_not_deleted_as_a_port(w: Outside) -> None:
    """The port that holds the address goes with the floating IP, and only so."""
    fip = w.floatingip()
    port = find_floating_port(w, fip)
    with refused(409, "ServicePortInUse", port["id"], "network:floatingip"):
        w.delete("port", port)
    w.delete("floatingip", fip)
    assert w.snapshot.get("port", port["id"]) is None
    assert w.floatingip()["floating_ip_address"] == fip["floating_ip_address"]


def test_a_deleted_port_is_let_go_of(w: Outside) -> None:
    """When an instance goes, its floating IP stays and leads nowhere."""
    port = w.port(w.inner)
    fip = w.floatingip(port)
    w.delete("port", port)
    left = w.get("floatingip", fip)
    assert (left["port_id"], left["router_id"], left["fixed_ip_address"], left["status"]) == (None, None, None, "DOWN")
    assert left["revision_number"] == fip["revision_number"] + 1


def test_a_port_with_a_floating_ip_of_an_administrator_stays(w: Outside) -> None:
    """What an administrator tied to a port, its project does not untie by deleting the port; a service may."""
    port = w.port(w.inner)
    w.admin, w.project = True, "adm"
    fip = w.floatingip(port)
    w.admin, w.project = False, "p1"
    with refused(409, "FipAssociated", port["id"]):
        w.delete("port", port)
    w.roles = ("service",)
    w.delete("port", port)
    assert w.get("floatingip", fip)["port_id"] is None


def test_a_port_keeps_the_address_that_it_leads_to(w: Outside) -> None:
    """The address under a floating IP is not taken away; other addresses come and go."""
    port = w.port(w.inner)
    w.floatingip(port)
    own = port["fixed_ips"][0]
    with refused(400, "BadRequest", "associated to a floating ip"):
        w.update("port", port, fixed_ips=[{"ip_address": "10.0.0.123"}])
    wider = w.update("port", port, fixed_ips=[own, {"ip_address": "10.0.0.123"}])
    assert len(wider["fixed_ips"]) == 2


def test_an_interface_and_a_gateway_in_use_stay(w: Outside) -> None:
    """The router keeps its leg and its gateway as long as a floating IP goes through them."""
    fip = w.floatingip(w.port(w.inner))
    with refused(409, "RouterInterfaceInUseByFloatingIP", w.inner_subnet["id"], w.router["id"]):
        w.act(w.router, "remove_router_interface", subnet_id=w.inner_subnet["id"])
    with refused(409, "RouterExternalGatewayInUseByFloatingIp", w.outer["id"]):
        w.update("router", w.router, external_gateway_info=None)
    w.update("floatingip", fip, port_id=None)
    w.act(w.router, "remove_router_interface", subnet_id=w.inner_subnet["id"])
    assert w.update("router", w.router, external_gateway_info=None)["external_gateway_info"] is None


def test_port_details_follow_the_port(w: Outside) -> None:
    """A floating IP shows its port as it is now, and has no revision of its own for that."""
    w.host("h1")
    port = w.port(w.inner)
    fip = w.floatingip(port)
    w.update("port", port, name="db", device_id="vm-1", device_owner="compute:nova", binding__host_id="h1")
    seen = w.get("floatingip", fip)
    assert (seen["port_details"]["name"], seen["port_details"]["device_id"]) == ("db", "vm-1")
    w.take(acknowledge(w.snapshot, w.context(), "h1", [port["id"]], {}))
    seen = w.get("floatingip", fip)
    assert seen["port_details"]["status"] == "ACTIVE"
    assert seen["revision_number"] == fip["revision_number"]


def test_an_external_network_goes_with_its_spare_floating_ips(w: Outside) -> None:
    """Floating IPs that lead nowhere do not hold their network; one that leads somewhere does."""
    lone = w.network(router__external=True)
    w.subnet(lone, "198.51.100.0/24")
    fip = w.floatingip(floating_network_id=lone["id"])
    w.delete("network", lone)
    assert w.snapshot.get("floatingip", fip["id"]) is None
    w.floatingip(w.port(w.inner))
    with refused(409, "NetworkInUse"):
        w.delete("network", w.outer)


def test_the_status_is_what_hosts_carry(w: Outside) -> None:
    """ACTIVE is said of a floating IP that a router translates, and of no other."""
    used, spare = w.floatingip(w.port(w.inner)), w.floatingip()
    draft = Draft(w.snapshot, w.context())
    assert put_status(draft, used, True)["status"] == "ACTIVE"
    assert put_status(draft, spare, True)["status"] == "DOWN"
    w.take(draft.finish())
    active = w.get("floatingip", used)
    assert active["revision_number"] == used["revision_number"] + 1
    assert w.update("floatingip", active, port_id=None)["status"] == "DOWN"


# -- parsing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body, words",
    [
        ({}, "'floating_network_id' not specified"),
        ({"floating_network_id": "x"}, "'x' is not a valid UUID"),
        ({"floating_network_id": MISSING, "floating_ip_address": "1.2.3"}, "'1.2.3' is not a valid IP address"),
        ({"floating_network_id": MISSING, "status": "ACTIVE"}, "Attribute 'status' not allowed in POST"),
        ({"floating_network_id": MISSING, "floating_port_id": MISSING}, "Unrecognized attribute(s) 'floating_port_id'"),
    ],
)
def test_bad_bodies(w: Outside, body: dict[str, str], words: str) -> None:
    """A body that cannot be a floating IP is refused with the attribute and the reason."""
    resource = w.snapshot.catalog["floatingip"]
    with pytest.raises(ApiError) as error:
        parse_create(resource, body)
    assert error.value.status == 400
    assert words in error.value.message


def test_it_is_found_by_port_router_network_and_address(w: Outside) -> None:
    """What a host has to translate is found without looking at all floating IPs."""
    port = w.port(w.inner)
    fip = w.floatingip(port)
    w.floatingip()
    for index, key in (
        ("port_id", port["id"]), ("router_id", w.router["id"]), ("floating_ip_address", fip["floating_ip_address"]),
    ):  # fmt: skip
        assert list(w.snapshot.find_ids("floatingip", index, key)) == [fip["id"]]
    assert w.snapshot.count_in("floatingip", "floating_network_id", w.outer["id"]) == 2
