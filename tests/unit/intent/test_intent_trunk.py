"""Trunks: what may be a parent and a subport, tags, the copies that ports show, and what follows from a binding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from netloom.intent.catalog import CATALOG
from netloom.intent.l2.port_status import acknowledge
from netloom.intent.operations import make_action
from netloom.intent.schema import Doc, parse_create
from tests.unit.intent.intent_kit import MISSING, SETTINGS, World, refused

ACTIONS = {action.name: action for action in CATALOG["trunk"].actions}


class Trunks(World):
    """A network, a port on it for each letter, and the verbs of trunks."""

    def __init__(self, **more: Any) -> None:
        super().__init__(replace(SETTINGS, **more))
        self.net = self.network()
        self.subnet(self.net, "10.0.0.0/24")

    def ports(self, count: int, **body: Any) -> list[Doc]:
        return [self.port(self.net, **body) for _ in range(count)]

    def trunk(self, parent: Doc, *subports: dict[str, Any], **body: Any) -> Doc:
        return self.create("trunk", {"port_id": parent["id"], "sub_ports": list(subports), **body})[0]

    def act(self, name: str, trunk: Doc, body: Any) -> Doc:
        action = ACTIONS[name]
        return self.run(make_action(CATALOG["trunk"], action, trunk["id"], action.parse(body)))[0]

    def acknowledge(self, *ports: Doc) -> None:
        self.take(acknowledge(self.snapshot, self.context(), "h1", [port["id"] for port in ports], {}))


def tagged(port: Doc, tag: Any) -> dict[str, Any]:
    return {"port_id": port["id"], "segmentation_type": "vlan", "segmentation_id": tag}


def test_a_trunk_and_what_its_parent_shows() -> None:
    """A trunk starts DOWN; its parent names it with the MAC of each subport; other ports show nothing of the kind."""
    world = Trunks()
    parent, sub, other = world.ports(3)
    trunk = world.trunk(parent, tagged(sub, 5), name="t")
    assert (trunk["status"], trunk["admin_state_up"], trunk["name"]) == ("DOWN", True, "t")
    assert trunk["sub_ports"] == [tagged(sub, 5)]
    shown = {"trunk_id": trunk["id"], "sub_ports": [{**tagged(sub, 5), "mac_address": sub["mac_address"]}]}
    assert world.get("port", parent)["trunk_details"] == shown
    assert all("trunk_details" not in world.get("port", port) for port in (sub, other))
    changed = world.update("port", world.get("port", sub), mac_address="fa:16:3e:aa:bb:cc")
    details = world.get("port", parent)["trunk_details"]
    assert details["sub_ports"][0]["mac_address"] == changed["mac_address"] == "fa:16:3e:aa:bb:cc"
    world.delete("trunk", trunk)
    assert "trunk_details" not in world.get("port", parent)
    world.delete("port", sub)
    world.delete("port", parent)


def test_subports_come_and_go() -> None:
    """Subports keep their order; one that is taken out is a port like any other, and may be in another trunk."""
    world = Trunks()
    parent, first, second, third = world.ports(4)
    trunk = world.trunk(parent, tagged(first, 2))
    trunk = world.act("add_subports", trunk, {"sub_ports": [tagged(second, 3), tagged(third, "4")]})
    assert trunk["sub_ports"] == [tagged(first, 2), tagged(second, 3), tagged(third, 4)]
    assert trunk["revision_number"] == 2
    trunk = world.act("remove_subports", trunk, {"sub_ports": [{"port_id": second["id"]}]})
    assert trunk["sub_ports"] == [tagged(first, 2), tagged(third, 4)]
    assert world.act("get_subports", trunk, {}) == {"sub_ports": trunk["sub_ports"]}
    assert len(world.get("port", parent)["trunk_details"]["sub_ports"]) == 2
    with refused(404, "SubPortNotFound", second["id"], trunk["id"]):
        world.act("remove_subports", trunk, {"sub_ports": [{"port_id": second["id"]}]})
    world.delete("port", second)


def test_a_port_is_in_one_trunk() -> None:
    """A parent is no subport and a subport no parent, of this trunk or another; neither can be deleted."""
    world = Trunks()
    parent, sub, other = world.ports(3)
    trunk = world.trunk(parent, tagged(sub, 5))
    with refused(409, "ParentPortInUse", parent["id"]):
        world.trunk(parent)
    with refused(409, "TrunkPortInUse", sub["id"]):
        world.trunk(sub)
    with refused(409, "ParentPortInUse", parent["id"]):
        world.trunk(other, tagged(parent, 1))
    with refused(409, "TrunkPortInUse", sub["id"]):
        world.trunk(other, tagged(sub, 1))
    with refused(409, "ParentPortInUse", other["id"]):
        world.trunk(other, tagged(other, 1))
    with refused(409, "ParentPortInUse", parent["id"]):
        world.act("add_subports", trunk, {"sub_ports": [tagged(parent, 1)]})
    with refused(409, "PortInUseAsSubPort", trunk["id"]):
        world.delete("port", world.get("port", sub))
    with refused(409, "PortInUseAsTrunkParent", trunk["id"]):
        world.delete("port", world.get("port", parent))


def test_what_is_in_use_or_not_there() -> None:
    """A port that is on a host is no parent, one that belongs to a device no subport; what is not there is 404."""
    world = Trunks()
    world.host("h1")
    parent, device = world.ports(1)[0], world.port(world.net, device_id="vm")
    with refused(409, "ParentPortInUse"):
        world.trunk(world.port(world.net, binding__host_id="h1"))
    with refused(409, "PortInUse", device["id"], "vm"):
        world.trunk(parent, tagged(device, 1))
    with refused(404, "PortNotFound", MISSING):
        world.trunk({"id": MISSING})
    with refused(404, "PortNotFound", MISSING):
        world.trunk(parent, tagged({"id": MISSING}, 1))
    world.project = "p2"
    with refused(404, "PortNotFound", parent["id"]):
        world.trunk(parent)


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ({"segmentation_type": "vxlan", "segmentation_id": 5}, "Unknown segmentation_type 'vxlan'"),
        ({"segmentation_type": "vlan", "segmentation_id": 0}, "'0' is not in range"),
        ({"segmentation_type": "vlan", "segmentation_id": 4095}, "'4095' is not in range"),
        ({"segmentation_type": "vlan", "segmentation_id": "x"}, "'x' is not an integer"),
        ({"segmentation_type": "inherit"}, "Unknown segmentation_type 'vxlan'"),
        ({}, "missing segmentation information"),
    ],
)
def test_tags_that_cannot_be(tag: dict[str, Any], words: str) -> None:
    """A tag that no VLAN has is refused, in a new trunk and in an old one."""
    world = Trunks()
    parent, sub = world.ports(2)
    with refused(400, "InvalidInput", words):
        world.trunk(parent, {"port_id": sub["id"], **tag})
    trunk = world.trunk(parent)
    with refused(400, "InvalidInput", words):
        world.act("add_subports", trunk, {"sub_ports": [{"port_id": sub["id"], **tag}]})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "'None' is not a list"),
        ([1], "'1' is not a dict"),
        ([{}], "A valid port UUID must be specified"),
        ([{"port_id": 7}], "Invalid UUID for subport: '7'"),
        ([{"port_id": MISSING}, {"port_id": MISSING}], "Non unique UUID"),
        ([{"port_id": MISSING, "segmentation_id": 5}], "missing segmentation information"),
        ([{"port_id": MISSING, "segmentation_type": "vlan"}], "missing segmentation information"),
        ([tagged({"id": MISSING}, 5), tagged({"id": MISSING.replace("9", "8")}, 5)], "is not unique"),
        ([tagged({"id": MISSING}, {"a": 1}), tagged({"id": MISSING.replace("9", "8")}, {"a": 1})], "is not unique"),
    ],
)
def test_subports_that_cannot_be_read(value: Any, words: str) -> None:
    """Subports of the wrong form are refused with the reason, in a create and in an action."""
    with refused(400, "HTTPBadRequest", "Invalid input for sub_ports", words):
        parse_create(CATALOG["trunk"], {"port_id": MISSING, "sub_ports": value})
    with refused(400, "InvalidInput", words):
        ACTIONS["add_subports"].parse({"sub_ports": value})


def test_tags_are_told_apart() -> None:
    """A tag that the trunk has already is refused, written as a number or as text."""
    world = Trunks()
    parent, first, second = world.ports(3)
    trunk = world.trunk(parent, tagged(first, 5))
    with refused(409, "DuplicateSubPort", "segmentation_id 5", trunk["id"]):
        world.act("add_subports", trunk, {"sub_ports": [tagged(second, 5)]})
    with refused(409, "DuplicateSubPort"):
        world.act("add_subports", trunk, {"sub_ports": [tagged(second, "5")]})


def test_inherited_tags() -> None:
    """inherit takes the VLAN of the subport's own network."""
    world = Trunks()
    vlan = world.network(provider__network_type="vlan", provider__physical_network="physnet1")
    above = world.network(provider__network_type="vlan", provider__physical_network="physnet1")
    sub = world.port(vlan)
    trunk = world.trunk(world.port(above), {"port_id": sub["id"], "segmentation_type": "inherit"})
    assert trunk["sub_ports"] == [tagged(sub, 100)]


def test_mtu_of_subports() -> None:
    """A subport's packets must fit into the trunk's."""
    world = Trunks()
    wide = world.network(provider__network_type="vlan", provider__physical_network="physnet1")
    narrow_port, wide_port = world.port(world.net), world.port(wide)
    world.trunk(wide_port, tagged(narrow_port, 5))
    parent, sub = world.port(world.net), world.port(wide)
    with refused(409, "SubPortMtuGreaterThanTrunkPortMtu", "MTU 1500", "MTU 1450"):
        world.trunk(parent, tagged(sub, 5))


def test_an_inherited_tag_makes_no_room_for_longer_packets() -> None:
    """Added to a trunk that is there it is refused as any other, in Neutron's words, until its network's MTU fits."""
    world = Trunks()
    wide = world.network(provider__network_type="vlan", provider__physical_network="physnet1")
    parent, sub = world.port(world.net), world.port(wide)
    trunk, given = world.trunk(parent), {"sub_ports": [{"port_id": sub["id"], "segmentation_type": "inherit"}]}
    words = f"MTU 1500 of subport {sub['id']} cannot be greater than MTU 1450 of trunk {parent['id']}."
    with refused(409, "SubPortMtuGreaterThanTrunkPortMtu", words):
        world.act("add_subports", trunk, given)
    world.update("network", wide, mtu=1450)
    world.act("add_subports", trunk, given)
    assert world.get("trunk", trunk)["sub_ports"] == [tagged(sub, 100)]


def test_a_trunk_that_is_off() -> None:
    """A trunk that is switched off keeps its subports as they are, and itself."""
    world = Trunks()
    parent, sub, late = world.ports(3)
    trunk = world.trunk(parent, tagged(sub, 5))
    trunk = world.update("trunk", trunk, admin_state_up=False, name="off", description="d")
    assert (trunk["admin_state_up"], trunk["name"], trunk["description"]) == (False, "off", "d")
    for name in ("add_subports", "remove_subports"):
        with refused(409, "TrunkDisabled", trunk["id"]):
            world.act(name, trunk, {"sub_ports": [tagged(late, 6)]})
    with refused(409, "TrunkDisabled"):
        world.delete("trunk", trunk)
    world.delete("trunk", world.update("trunk", trunk, admin_state_up=True))


def test_subports_follow_their_parent() -> None:
    """The subports are on the host that the parent is on, and the trunk is ACTIVE once all of them are."""
    world = Trunks()
    world.host("h1")
    parent, sub, late = world.ports(3)
    trunk = world.trunk(parent, tagged(sub, 5))
    world.update("port", world.get("port", parent), binding__host_id="h1")
    followed = world.get("port", sub)
    assert (followed["binding:host_id"], followed["device_owner"]) == ("h1", "trunk:subport")
    assert (followed["binding:vif_type"], world.get("trunk", trunk)["status"]) == ("ovs", "DOWN")
    world.acknowledge(parent)
    assert world.get("trunk", trunk)["status"] == "BUILD"
    world.acknowledge(sub)
    assert world.get("trunk", trunk)["status"] == "ACTIVE"
    with refused(409, "TrunkInUse", trunk["id"]):
        world.delete("trunk", trunk)
    assert world.act("add_subports", trunk, {"sub_ports": [tagged(late, 6)]})["status"] == "BUILD"
    assert world.get("port", late)["binding:host_id"] == "h1"
    assert world.act("remove_subports", trunk, {"sub_ports": [{"port_id": late["id"]}]})["status"] == "ACTIVE"
    left = world.get("port", late)
    assert (left["binding:host_id"], left["device_owner"], left["binding:vif_type"]) == ("", "", "unbound")
    world.update("port", world.get("port", parent), binding__host_id="")
    assert world.get("port", sub)["binding:host_id"] == ""
    assert world.get("trunk", trunk)["status"] == "DOWN"
    world.delete("trunk", trunk)


def test_a_subport_that_cannot_be_bound() -> None:
    """A trunk with a subport that its host cannot carry is in ERROR, takes no more, and heals when that one leaves."""
    world = Trunks()
    world.host("h1")
    flat = world.network(provider__network_type="flat", provider__physical_network="elsewhere", mtu=1400)
    parent, sub, late = world.port(world.net), world.port(flat), world.port(world.net)
    trunk = world.trunk(parent, tagged(sub, 5))
    world.update("port", world.get("port", parent), binding__host_id="h1")
    assert world.get("trunk", trunk)["status"] == "ERROR"
    with refused(409, "TrunkInErrorState", trunk["id"]):
        world.act("add_subports", trunk, {"sub_ports": [tagged(late, 6)]})
    world.acknowledge(parent)
    assert world.act("remove_subports", trunk, {"sub_ports": [{"port_id": sub["id"]}]})["status"] == "ACTIVE"


def test_a_host_that_learns_to_carry_a_subport() -> None:
    """A trunk in ERROR heals when the host's agent can carry the subport after all."""
    world = Trunks()
    world.host("h1")
    flat = world.network(provider__network_type="flat", provider__physical_network="physnet2", mtu=1400)
    parent, sub = world.port(world.net), world.port(flat)
    trunk = world.trunk(parent, tagged(sub, 5))
    world.update("port", world.get("port", parent), binding__host_id="h1")
    assert world.get("trunk", trunk)["status"] == "ERROR"
    world.host("h1", bridge_mappings={"physnet2": "br-2"})
    assert world.get("trunk", trunk)["status"] == "DOWN"


def test_bulk_is_all_or_nothing() -> None:
    """Two trunks that want the same subport are made neither of them; a quota counts them."""
    world = Trunks(quotas={"trunk": 1})
    parent, second, sub = world.ports(3)
    before = world.snapshot
    with refused(409, "OverQuota", "trunk"):
        world.create("trunk", {"port_id": parent["id"]}, {"port_id": second["id"]})
    world.settings = SETTINGS
    with refused(409, "TrunkPortInUse", sub["id"]):
        world.create(
            "trunk",
            {"port_id": parent["id"], "sub_ports": [tagged(sub, 1)]},
            {"port_id": second["id"], "sub_ports": [tagged(sub, 2)]},
        )
    assert world.snapshot is before
    one, two = world.create("trunk", {"port_id": parent["id"]}, {"port_id": second["id"]})
    assert one["sub_ports"] == two["sub_ports"] == []
