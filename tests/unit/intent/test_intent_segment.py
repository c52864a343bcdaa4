"""Segments one by one, routed networks, and the addresses of ports on them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from netloom.intent.catalog import CATALOG
from netloom.intent.schema import Doc, parse_create
from tests.unit.intent.intent_kit import MISSING, SETTINGS, World, addresses, refused

ROUTED = replace(SETTINGS, network_vlan_ranges={"physnet1": ((100, 199),), "physnet2": ((100, 199),)})


class Segments(World):
    """A network of one VLAN segment on physnet1, and hosts of each physical network."""

    def __init__(self) -> None:
        super().__init__(ROUTED)
        self.net = self.network(provider__network_type="vlan", provider__physical_network="physnet1")
        self.first = next(self.snapshot.find("segment", "network_id", self.net["id"]))

    def segment(self, network: Doc | None = None, **body: Any) -> Doc:
        given = {"network_type": "vlan", "physical_network": "physnet2", **body}
        return self.create("segment", {"network_id": (network or self.net)["id"], **given})[0]

    def hosts(self) -> None:
        self.host("h1", bridge_mappings={"physnet1": "br-1"})
        self.host("h2", bridge_mappings={"physnet2": "br-2"})

    def routed(self) -> tuple[Doc, Doc, Doc]:
        """(the second segment, a subnet on each)"""
        second = self.segment()
        self.hosts()
        return (
            second,
            self.subnet(self.net, "10.0.1.0/24", segment_id=self.first["id"]),
            self.subnet(self.net, "10.0.2.0/24", segment_id=second["id"]),
        )


def destinations(subnet: Doc) -> list[tuple[str, str]]:
    return [(route["destination"], route["nexthop"]) for route in subnet["host_routes"]]


# -- segments ----------------------------------------------------------------------------------------------------------


def test_a_second_segment_and_back() -> None:
    """A network of two segments shows them as a list, and as provider attributes again when one is left."""
    world = Segments()
    second = world.segment(name="edge", description="rack 2")
    assert (second["segmentation_id"], second["position"], second["name"]) == (100, 1, "edge")
    assert (second["revision_number"], second["description"]) == (1, "rack 2")
    assert "tags" not in second
    network = world.get("network", world.net)
    assert "provider:network_type" not in network
    assert [s["provider:physical_network"] for s in network["segments"]] == ["physnet1", "physnet2"]
    assert world.update("segment", second, name=None)["name"] is None
    with refused(400, "InvalidInput", "single segment"):
        world.update("network", network, provider__segmentation_id=7)
    world.delete("segment", world.first)
    network = world.get("network", world.net)
    assert (network["provider:physical_network"], network["provider:segmentation_id"]) == ("physnet2", 100)
    assert "segments" not in network
    world.delete("segment", second)
    network = world.get("network", world.net)
    assert (network["provider:network_type"], network["provider:segmentation_id"]) == (None, None)
    assert world.segment(segmentation_id=150)["position"] == 0


@pytest.mark.parametrize(
    ("body", "status", "type", "words"),
    [
        ({"segmentation_id": 4095}, 400, "InvalidInput", "out of range"),
        ({"physical_network": "moon"}, 400, "InvalidInput", "'moon' unknown"),
        ({"network_type": "moon"}, 400, "InvalidInput", "'moon' not supported"),
        ({"network_type": "vxlan"}, 400, "InvalidInput", "physical_network specified for vxlan"),
        ({"network_id": MISSING}, 404, "NetworkNotFound", MISSING),
        ({"physical_network": "physnet1", "segmentation_id": 100}, 409, "VlanIdInUse", "VLAN 100"),
        ({"network_type": "vxlan", "physical_network": ""}, 400, "InvalidInput", "MTU is too big, maximum is 1450"),
        ({"physical_network": None}, 400, "HTTPBadRequest", "'None' is not a valid string"),
        ({"segmentation_id": None}, 400, "InvalidInput", "'None' is not an integer"),
    ],
)
def test_segments_that_cannot_be(body: dict[str, Any], status: int, type: str, words: str) -> None:
    """A segment that no network could have is refused, and so is one that carries less than the network's MTU."""
    with refused(status, type, words):
        Segments().segment(**body)


def test_a_segment_that_a_host_can_carry() -> None:
    """A port that its host could not carry is bound as soon as there is a segment that it can."""
    world = Segments()
    world.hosts()
    port = world.port(world.net, binding__host_id="h2")
    assert port["binding:vif_type"] == "binding_failed"
    second = world.segment()
    bound = world.get("port", port)
    assert (bound["binding:vif_type"], bound["bound_segment"]) == ("ovs", second["id"])


def test_required_attributes() -> None:
    for missing in ("network_id", "network_type"):
        given = {"network_id": MISSING, "network_type": "vlan"}
        del given[missing]
        with refused(400, "HTTPBadRequest", f"'{missing}' not specified"):
            parse_create(CATALOG["segment"], given)
    with refused(400, "HTTPBadRequest", "Unrecognized attribute(s) 'position'"):
        parse_create(CATALOG["segment"], {"network_id": MISSING, "network_type": "vlan", "position": 1})


def test_a_segment_in_use_stays() -> None:
    """A segment with a subnet, or with a bound port, is not deleted; those of DHCP go with it."""
    world = Segments()
    second, _, subnet = world.routed()
    with refused(409, "SegmentInUse", second["id"], subnet["id"]):
        world.delete("segment", second)
    port = world.port(world.get("network", world.net), binding__host_id="h2", fixed_ips=[])
    network = world.get("network", world.net)
    served = world.port(network, binding__host_id="h2", fixed_ips=[], device_owner="network:dhcp")
    world.delete("subnet", world.get("subnet", subnet))
    assert port["bound_segment"] == served["bound_segment"] == second["id"]
    with refused(409, "SegmentInUse", "bound with 2 port(s)"):
        world.delete("segment", second)
    world.delete("port", port)
    world.delete("segment", second)
    assert world.snapshot.get("port", served["id"]) is None
    world.delete("network", world.get("network", world.net))
    assert not list(world.snapshot.docs("segment"))


def test_bulk_is_all_or_nothing() -> None:
    world = Segments()
    one = {"network_id": world.net["id"], "network_type": "vlan", "physical_network": "physnet2"}
    before = world.snapshot
    with refused(409, "VlanIdInUse"):
        world.create("segment", one, {**one, "segmentation_id": 100})
    assert world.snapshot is before
    assert [s["position"] for s in world.create("segment", one, one)] == [1, 2]


# -- subnets on segments -----------------------------------------------------------------------------------------------


def test_all_subnets_or_none() -> None:
    """The subnets of a network are all on segments or none is, but for those that lead into it from outside."""
    world = Segments()
    world.subnet(world.net, "10.0.1.0/24", segment_id=world.first["id"])
    assert world.get("network", world.net)["l2_adjacency"] is False
    with refused(400, "SubnetsNotAllAssociatedWithSegments", world.net["id"]):
        world.subnet(world.get("network", world.net), "10.0.2.0/24")
    world.subnet(world.get("network", world.net), "10.0.3.0/24", service_types=["network:routed"])
    other = world.network()
    world.subnet(other, "10.0.1.0/24")
    segment = next(world.snapshot.find("segment", "network_id", other["id"]))
    with refused(400, "SubnetsNotAllAssociatedWithSegments", other["id"]):
        world.subnet(world.get("network", other), "10.0.2.0/24", segment_id=segment["id"])
    with refused(404, "SegmentNotFound", MISSING):
        world.subnet(world.network(), "10.0.2.0/24", segment_id=MISSING)
    with refused(400, "NetworkIdsDontMatch", world.first["id"]):
        world.subnet(world.network(), "10.0.2.0/24", segment_id=world.first["id"])


def test_a_subnet_is_put_on_its_segment_later() -> None:
    """The one subnet of a network of one segment may be put on it, and is not taken off again."""
    world = Segments()
    subnet = world.subnet(world.net, "10.0.1.0/24")
    assert world.get("network", world.net)["l2_adjacency"] is True
    with refused(404, "SegmentNotFound"):
        world.update("subnet", subnet, segment_id=MISSING)
    subnet = world.update("subnet", subnet, segment_id=world.first["id"])
    assert world.get("network", world.net)["l2_adjacency"] is False
    assert world.update("subnet", subnet, segment_id=world.first["id"]) == subnet
    with refused(400, "SubnetSegmentAssociationChangeNotAllowed"):
        world.update("subnet", subnet, segment_id=None)
    world.delete("subnet", subnet)
    assert world.get("network", world.net)["l2_adjacency"] is True


def test_later_is_too_late() -> None:
    """With a second segment or a second subnet it is not clear any more what would become of the ports."""
    world = Segments()
    subnet = world.subnet(world.net, "10.0.1.0/24")
    second = world.segment()
    with refused(400, "NoUpdateSubnetWhenMultipleSegmentsOnNetwork"):
        world.update("subnet", subnet, segment_id=world.first["id"])
    world.delete("segment", second)
    world.subnet(world.get("network", world.net), "10.0.2.0/24")
    with refused(400, "SubnetsNotAllAssociatedWithSegments"):
        world.update("subnet", subnet, segment_id=world.first["id"])


def test_routes_to_peers() -> None:
    """The subnets of a routed network have routes to each other, which follow gateways and go with the subnet."""
    world = Segments()
    second, one, two = world.routed()
    one = world.get("subnet", one)
    assert destinations(one) == [("10.0.2.0/24", "10.0.1.1")]
    assert destinations(two) == [("10.0.1.0/24", "10.0.2.1")]
    beside = world.subnet(world.get("network", world.net), "10.0.9.0/24", segment_id=second["id"])
    assert destinations(beside) == [("10.0.1.0/24", "10.0.9.1")]
    assert destinations(world.get("subnet", one)) == [("10.0.2.0/24", "10.0.1.1"), ("10.0.9.0/24", "10.0.1.1")]
    assert len(destinations(world.get("subnet", two))) == 1
    pools = [{"start": "10.0.1.10", "end": "10.0.1.20"}]
    one = world.update("subnet", world.get("subnet", one), gateway_ip="10.0.1.254", allocation_pools=pools)
    assert destinations(one) == [("10.0.2.0/24", "10.0.1.254"), ("10.0.9.0/24", "10.0.1.254")]
    world.delete("subnet", world.get("subnet", beside))
    one = world.get("subnet", one)
    assert destinations(one) == [("10.0.2.0/24", "10.0.1.254")]
    wide = [{"destination": "10.0.0.0/16", "nexthop": "10.0.1.7"}]
    one = world.update("subnet", one, host_routes=wide)
    assert one["host_routes"] == wide
    one = world.update("subnet", one, host_routes=[])
    assert destinations(one) == [("10.0.2.0/24", "10.0.1.254")]
    assert world.update("subnet", one, gateway_ip=None)["host_routes"] == []


def test_routes_of_one_version() -> None:
    """A subnet of IPv6 has routes to those of IPv6."""
    world = Segments()
    second, one, _ = world.routed()
    v6 = world.subnet(world.get("network", world.net), "2001:db8:2::/64", segment_id=second["id"])
    assert v6["host_routes"] == []
    other = world.subnet(world.get("network", world.net), "2001:db8:1::/64", segment_id=world.first["id"])
    assert destinations(other) == [("2001:db8:2::/64", "2001:db8:1::")]
    assert destinations(world.get("subnet", v6)) == [("2001:db8:1::/64", "2001:db8:2::")]
    assert len(destinations(world.get("subnet", one))) == 1


# -- ports on routed networks ------------------------------------------------------------------------------------------


def test_addresses_where_the_host_is() -> None:
    """A port gets an address of the segment that its host reaches, and is bound to that segment."""
    world = Segments()
    second, *_ = world.routed()
    ports = [world.port(world.get("network", world.net), binding__host_id=host) for host in ("h1", "h2")]
    assert [addresses(port) for port in ports] == [["10.0.1.2"], ["10.0.2.2"]]
    assert [port["bound_segment"] for port in ports] == [world.first["id"], second["id"]]
    assert {port["ip_allocation"] for port in ports} == {"immediate"}
    world.host("h3", bridge_mappings={"physnet9": "br-9"})
    for host in ("h3", "nowhere"):
        with refused(409, "HostNotConnectedToAnySegment", host, world.net["id"]):
            world.port(world.get("network", world.net), binding__host_id=host)


def test_a_host_of_both_segments() -> None:
    """On a host that reaches two segments a port is bound to the one that its address is on."""
    world = Segments()
    second, _, two = world.routed()
    world.host("both", bridge_mappings={"physnet1": "br-1", "physnet2": "br-2"})
    fixed = [{"subnet_id": two["id"]}]
    port = world.port(world.get("network", world.net), binding__host_id="both", fixed_ips=fixed)
    assert (addresses(port), port["bound_segment"]) == (["10.0.2.2"], second["id"])


@pytest.mark.parametrize("more", [{}, {"device_owner": "compute:nova", "device_id": "vm"}])
def test_addresses_once_the_host_is_known(more: dict[str, str]) -> None:
    """A port without a host has deferred addresses, and gets them with the host."""
    world = Segments()
    world.routed()
    port = world.port(world.get("network", world.net))
    assert (port["fixed_ips"], port["ip_allocation"]) == ([], "deferred")
    assert world.port(world.get("network", world.net), fixed_ips=[])["ip_allocation"] == "none"
    port = world.update("port", port, binding__host_id="h2", **more)
    assert addresses(port) == ["10.0.2.2"]
    assert [one["ip_address"] for one in port["dns_assignment"]] == ["10.0.2.2"]
    assert port["binding:vif_type"] == "ovs"


def test_a_port_does_not_leave_its_segment() -> None:
    """A port with addresses moves only to hosts of their segment, unless it is given others."""
    world = Segments()
    _, one, two = world.routed()
    port = world.port(world.get("network", world.net), fixed_ips=[{"subnet_id": one["id"]}])
    assert addresses(port) == ["10.0.1.2"]
    with refused(409, "HostNotCompatibleWithFixedIps", "h2", port["id"]):
        world.update("port", port, binding__host_id="h2")
    port = world.update("port", port, binding__host_id="h1")
    with refused(409, "HostNotCompatibleWithFixedIps", "h2"):
        world.update("port", port, binding__host_id="h2")
    port = world.update("port", port, binding__host_id="h2", fixed_ips=[{"subnet_id": two["id"]}])
    assert addresses(port) == ["10.0.2.2"]
    with refused(400, "InvalidInput", "included invalid subnet", one["id"]):
        world.update("port", port, fixed_ips=[{"subnet_id": one["id"]}])


def test_addresses_of_one_segment() -> None:
    """Without a host the addresses that are asked for must lie on one segment."""
    world = Segments()
    _, one, two = world.routed()
    with refused(400, "FixedIpsSubnetsNotOnSameSegment"):
        world.port(world.get("network", world.net), fixed_ips=[{"subnet_id": one["id"]}, {"ip_address": "10.0.2.9"}])
    both = [{"ip_address": "10.0.2.9"}, {"subnet_id": two["id"]}]
    assert addresses(world.port(world.get("network", world.net), fixed_ips=both)) == ["10.0.2.9", "10.0.2.2"]
    with refused(400, "InvalidIpForNetwork", "10.9.9.9"):
        world.port(world.get("network", world.net), fixed_ips=[{"ip_address": "10.9.9.9"}])


def test_automatic_addresses_of_a_segment() -> None:
    """A new SLAAC subnet gives addresses to the ports of its own segment; the last ones keep it."""
    world = Segments()
    second, _, _ = world.routed()
    near = world.port(world.get("network", world.net), binding__host_id="h2")
    far = world.port(world.get("network", world.net), binding__host_id="h1")
    nowhere = world.port(world.get("network", world.net))
    auto = {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac", "segment_id": second["id"]}
    subnet = world.subnet(world.get("network", world.net), "2001:db8::/64", **auto)
    assert [len(world.get("port", port)["fixed_ips"]) for port in (near, far, nowhere)] == [2, 1, 0]
    world.update("port", world.get("port", near), fixed_ips=[{"subnet_id": subnet["id"]}])
    with refused(409, "SubnetInUse", subnet["id"]):
        world.delete("subnet", subnet)
    world.delete("port", near)
    world.delete("subnet", subnet)


def test_plain_networks_are_as_they_were() -> None:
    """Where no subnet names a segment, hosts that are not known yet change nothing."""
    world = World()
    network = world.network()
    assert world.port(network)["ip_allocation"] == "immediate"
    world.subnet(network, "10.0.0.0/24")
    port = world.port(world.get("network", network), binding__host_id="nowhere")
    assert addresses(world.update("port", port, binding__host_id="elsewhere")) == ["10.0.0.2"]
