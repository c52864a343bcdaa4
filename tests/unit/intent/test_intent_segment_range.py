"""Network segment ranges: whose numbers a new network gets, what a range shows, and what may not change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from netloom.intent.catalog import CATALOG
from netloom.intent.l2.segment_choice import leave_out
from netloom.intent.l2.segment_range import MAX_LISTED
from netloom.intent.operation import Requester
from netloom.intent.schema import Doc, parse_create, parse_update
from tests.unit.intent.intent_kit import MISSING, SETTINGS, World, refused

KIND = "network_segment_range"
RANGES = replace(SETTINGS, vni_ranges={"vxlan": ((1, 20),)})
VLAN = {"network_type": "vlan", "physical_network": "physnet1"}


class Ranges(World):
    def __init__(self, **more: Any) -> None:
        super().__init__(replace(RANGES, **more))

    def range(self, first: int, last: int, **body: Any) -> Doc:
        given = {"network_type": "vxlan", "minimum": first, "maximum": last, **body}
        return self.create(KIND, given)[0]

    def own(self, project: str, first: int, last: int, **body: Any) -> Doc:
        return self.range(first, last, shared=False, project_id=project, **body)

    def show(self, id: str | None = None) -> list[Doc]:
        derive = CATALOG[KIND].derive
        assert derive is not None
        return list(derive(self.snapshot, self.settings, Requester(), id))

    def number(self, project: str, **body: Any) -> int:
        found: int = self.network(project_id=project, **body)["provider:segmentation_id"]
        return found


def test_own_range_first() -> None:
    """A project's networks are numbered from its own range, and from what all share when that is full."""
    world = Ranges()
    world.own("p2", 10, 11)
    assert [world.number("p2") for _ in range(4)] == [10, 11, 1, 2]


def test_what_is_set_aside_is_left_to_its_project() -> None:
    """No other project gets a number that is set aside, even when nothing else is left; naming it is allowed."""
    world = Ranges(vni_ranges={"vxlan": ((1, 4),)})
    world.own("p2", 2, 3)
    assert [world.number("p1") for _ in range(2)] == [1, 4]
    with refused(503, "NoNetworkAvailable"):
        world.network()
    assert world.number("p1", provider__network_type="vxlan", provider__segmentation_id=3) == 3
    assert world.number("p2") == 2


def test_shared_ranges_add_to_the_configuration() -> None:
    """What an administrator shares is used after the configured numbers, on physical networks that were not known."""
    world = Ranges(vni_ranges={"vxlan": ((1, 1),)})
    shared = world.range(50, 51)
    assert (shared["shared"], shared["project_id"], shared["default"]) == (True, None, False)
    assert [world.number("p1") for _ in range(3)] == [1, 50, 51]
    new = {"provider__network_type": "vlan", "provider__physical_network": "physnet9"}
    with refused(400, "InvalidInput", "'physnet9' unknown"):
        world.network(**new)
    world.range(7, 9, network_type="vlan", physical_network="physnet9")
    assert world.number("p1", **new) == 7


def test_physical_networks_are_told_apart() -> None:
    """A range of VLANs is of one physical network."""
    world = Ranges(tenant_network_types=("vlan",))
    world.own("p2", 100, 149, **VLAN)
    assert world.number("p1") == 150
    assert world.number("p2") == 100
    assert world.number("p1", provider__network_type="vlan", provider__physical_network="physnet2") == 5


def test_what_a_range_shows() -> None:
    """A range lists its numbers in use with the projects that have them, and those that are free."""
    world = Ranges()
    made = world.own("p2", 10, 13, name="mine")
    assert (made["used"], made["available"], made["name"]) == ({}, [10, 11, 12, 13], "mine")
    world.number("p2")
    world.number("p1", provider__network_type="vxlan", provider__segmentation_id=12)
    (shown,) = world.show(made["id"])
    assert (shown["used"], shown["available"]) == ({"10": "p2", "12": "p1"}, [11, 13])
    assert "used" not in world.get(KIND, made)
    assert world.update(KIND, made, name="yours")["available"] == [11, 13]


def test_ranges_of_the_configuration() -> None:
    """The configured ranges are shown as default ones that every project shares, and nothing changes them."""
    world = Ranges(vni_ranges={"vxlan": ((1, 2**24 - 1),)})
    shown = {(doc["network_type"], doc["physical_network"], doc["minimum"]): doc for doc in world.show()}
    assert set(shown) == {("vlan", "physnet1", 100), ("vlan", "physnet2", 5), ("vxlan", "", 1)}
    wide = shown["vxlan", "", 1]
    assert (wide["default"], wide["shared"], len(wide["available"])) == (True, True, MAX_LISTED)
    assert world.show(wide["id"]) == [wide]
    assert set(wide) == set(CATALOG[KIND].by_name)
    with refused(400, "NetworkSegmentRangeDefaultReadOnly", wide["id"]):
        world.update(KIND, wide, name="x")
    with refused(400, "NetworkSegmentRangeDefaultReadOnly", wide["id"]):
        world.delete(KIND, wide)
    with refused(404, "NetworkSegmentRangeNotFound", MISSING):
        world.delete(KIND, {"id": MISSING})


def test_numbers_in_use_stay() -> None:
    """A range grows and shrinks around the numbers in use, and goes when there are none."""
    world = Ranges()
    made = world.own("p2", 10, 15)
    network = world.network(project_id="p2")
    for first, last in ((11, 15), (11, 30), (5, 9)):
        with refused(409, "NetworkSegmentRangeReferencedByProject", made["id"]):
            world.update(KIND, made, minimum=first, maximum=last)
    made = world.update(KIND, made, minimum=10, maximum=10)
    made = world.update(KIND, made, minimum=5, maximum=30)
    with refused(409, "NetworkSegmentRangeReferencedByProject", made["id"]):
        world.delete(KIND, made)
    world.delete("network", network)
    world.delete(KIND, made)
    assert world.snapshot.get(KIND, made["id"]) is None


def test_ranges_do_not_overlap() -> None:
    """No number is in two ranges that were made, of one type and physical network; nor does an update lead there."""
    world = Ranges()
    low, high = world.range(1, 5), world.own("p2", 8, 9)
    with refused(409, "NetworkSegmentRangeOverlaps", low["id"]):
        world.range(5, 6)
    with refused(409, "NetworkSegmentRangeOverlaps", high["id"]):
        world.update(KIND, low, maximum=8)
    world.range(1, 5, network_type="gre")
    world.range(1, 5, **VLAN)
    world.range(1, 5, network_type="vlan", physical_network="physnet2")
    assert world.update(KIND, low, maximum=7)["available"] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("body", "type", "words"),
    [
        ({"minimum": 9, "maximum": 8}, "NetworkTunnelRangeError", "less than start"),
        ({"maximum": 2**24}, "NetworkTunnelRangeError", f"{2**24} is not a valid vxlan identifier"),
        ({**VLAN, "maximum": 4095}, "NetworkVlanRangeError", "4095 is not a valid vlan identifier"),
        ({"network_type": "vlan"}, "BadRequest", "requires 'physical_network'"),
        ({"shared": False, "project_id": ""}, "InvalidInput", "needs a project_id"),
        ({"network_type": "gre"}, "NetworkSegmentRangeNetTypeNotSupported", "gre"),
    ],
)
def test_ranges_that_cannot_be(body: dict[str, Any], type: str, words: str) -> None:
    """A range of numbers that no network could have is refused."""
    with refused(400, type, words):
        Ranges(type_drivers=("vlan", "vxlan")).range(**{"first": 1, "last": 5, **body})


@pytest.mark.parametrize(
    ("body", "type", "words"),
    [
        ({"network_type": "flat"}, "HTTPBadRequest", "'flat' is not in"),
        ({"minimum": 0}, "HTTPBadRequest", "too small - must be at least '1'"),
        ({"maximum": 2**32}, "HTTPBadRequest", "too large"),
        ({"minimum": "x"}, "InvalidInput", "'x' is not an integer"),
        ({"physical_network": None}, "HTTPBadRequest", "physical_network"),
        ({"default": True}, "HTTPBadRequest", "'default'"),
        ({"used": {}}, "HTTPBadRequest", "'used'"),
    ],
)
def test_ranges_that_cannot_be_read(body: dict[str, Any], type: str, words: str) -> None:
    with refused(400, type, words):
        parse_create(CATALOG[KIND], {"network_type": "vxlan", "minimum": 1, "maximum": 2, **body})


def test_what_stays_for_life() -> None:
    for name in ("shared", "project_id", "network_type", "physical_network", "default"):
        with refused(400, "HTTPBadRequest", "read-only attribute", name):
            parse_update(CATALOG[KIND], {name: "x"})


def test_bulk_sees_its_own() -> None:
    """Two ranges of one request that overlap are made neither of them."""
    world = Ranges()
    one = {"network_type": "vxlan", "minimum": 1, "maximum": 5}
    with refused(409, "NetworkSegmentRangeOverlaps"):
        world.create(KIND, one, {**one, "minimum": 5})
    assert not list(world.snapshot.docs(KIND))
    assert [r["minimum"] for r in world.create(KIND, one, {**one, "minimum": 6, "maximum": 6})] == [1, 6]


def test_leaving_out() -> None:
    """What is set aside is cut out of a range, wherever it lies."""
    others = [("", 3, 4), ("", 6, 6), ("x", 1, 9), ("", 9, 20), ("", 0, 0)]
    assert list(leave_out(("", 1, 10), others)) == [("", 1, 2), ("", 5, 5), ("", 7, 8)]
    assert list(leave_out(("", 3, 4), others)) == []
    assert list(leave_out(("", 1, 2), [])) == [("", 1, 2)]
