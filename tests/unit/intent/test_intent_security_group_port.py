"""The security groups of a port: which it gets, which it may have, and what goes with port security."""

from __future__ import annotations

from typing import Any

import pytest

from netloom.intent.draft import Draft
from netloom.intent.operation import Outcome
from netloom.intent.rbac import share_with_all
from netloom.intent.schema import Doc
from netloom.intent.stamp import make_updated
from tests.unit.intent.intent_kit import MISSING, World, refused
from tests.unit.intent.test_intent_security_group import find_default, group


def make_cloud() -> tuple[World, Doc, Doc]:
    world = World()
    return world, world.network(), group(world, name="web")


def foreign(world: World) -> Doc:
    """A group of another project."""
    world.project = "p2"
    made = group(world)
    world.project = "p1"
    return made


def test_what_a_new_port_gets() -> None:
    """Nothing said: the default group. [] or null: none. A service of the network: none, whatever is said."""
    world, network, web = make_cloud()
    default = find_default(world)["id"]
    assert world.port(network)["security_groups"] == [default]
    assert world.port(network, security_groups=[])["security_groups"] == []
    assert world.port(network, security_groups=None)["security_groups"] == []
    assert world.port(network, security_groups=[web["id"], default])["security_groups"] == [web["id"], default]
    for owner in ("network:dhcp", "network:router_interface"):
        assert world.port(network, device_owner=owner)["security_groups"] == []
        assert world.port(network, device_owner=owner, security_groups=[web["id"]])["security_groups"] == []
    assert world.port(network, device_owner="compute:nova")["security_groups"] == [default]


def test_groups_that_cannot_be() -> None:
    """A group that is not there or not for the project is not found; stateful and stateless ones do not mix."""
    world, network, web = make_cloud()
    theirs = foreign(world)
    for id in (MISSING, theirs["id"]):
        with refused(404, "SecurityGroupNotFound", id):
            world.port(network, security_groups=[web["id"], id])
    stateless = group(world, stateful=False)
    mixed = [web["id"], stateless["id"]]
    with refused(409, "SecurityGroupConflict", "stateful and stateless"):
        world.port(network, security_groups=mixed)
    port = world.port(network, security_groups=[web["id"]])
    for ids, status, type in (
        (mixed, 409, "SecurityGroupConflict"), ([MISSING], 404, "SecurityGroupNotFound"),
    ):  # fmt: skip
        with refused(status, type):
            world.update("port", port, security_groups=ids)
    assert world.get("port", port)["security_groups"] == [web["id"]]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("x", "'x' is not a list"),
        (["x"], "'x' is not a valid UUID"),
        ([MISSING, MISSING], "Duplicate items"),
        ([5], "5"),
    ],
)
def test_bad_values(value: Any, words: str) -> None:
    """security_groups is a list of ids, each once."""
    world, network, _ = make_cloud()
    with refused(400, "HTTPBadRequest", "security_groups", words):
        world.port(network, security_groups=value)


def test_shared_groups_are_for_others_too() -> None:
    """A group that is shared with everyone may be used by every project."""
    world, network, _ = make_cloud()
    theirs = foreign(world)
    context = world.context()
    draft = Draft(world.snapshot, context)
    share_with_all(draft, "security_group", theirs)
    draft.put("security_group", make_updated(theirs, {"shared": True}, context))
    outcome: Outcome = draft.finish()
    world.take(outcome)
    assert world.port(network, security_groups=[theirs["id"]])["security_groups"] == [theirs["id"]]


def test_without_port_security_there_are_no_groups() -> None:
    """Port security off and groups exclude each other, at creation and later."""
    world, network, web = make_cloud()
    assert world.port(network, port_security_enabled=False)["security_groups"] == []
    assert world.port(world.network(port_security_enabled=False))["security_groups"] == []
    with refused(400, "PortSecurityAndIPRequiredForSecurityGroups"):
        world.port(network, port_security_enabled=False, security_groups=[web["id"]])
    port = world.port(network)
    with refused(409, "PortSecurityPortHasSecurityGroup", "Port has security group associated"):
        world.update("port", port, port_security_enabled=False)
    with refused(400, "PortSecurityAndIPRequiredForSecurityGroups"):
        world.update("port", port, port_security_enabled=False, security_groups=[web["id"]])
    off = world.update("port", port, port_security_enabled=False, security_groups=[])
    assert (off["port_security_enabled"], off["security_groups"]) == (False, [])
    with refused(400, "PortSecurityAndIPRequiredForSecurityGroups"):
        world.update("port", port, security_groups=[web["id"]])
    on = world.update("port", port, port_security_enabled=True, security_groups=[web["id"]])
    assert (on["port_security_enabled"], on["security_groups"]) == (True, [web["id"]])


def test_update() -> None:
    """An update gives the groups as they are to be; the same ones in another order are no change."""
    world, network, web = make_cloud()
    default = find_default(world)["id"]
    port = world.port(network, security_groups=[default, web["id"]])
    assert world.update("port", port, security_groups=[web["id"], default])["revision_number"] == 1
    assert world.update("port", port, name="x")["security_groups"] == [default, web["id"]]
    assert world.update("port", port, security_groups=None)["security_groups"] == []


def test_ports_of_a_group_are_found() -> None:
    """The index of groups names each port once per group, and forgets one that left."""
    world, network, web = make_cloud()
    one, two = (world.port(network, security_groups=[web["id"]]) for _ in range(2))
    assert set(world.snapshot.find_ids("port", "security_groups", web["id"])) == {one["id"], two["id"]}
    world.update("port", one, security_groups=[])
    assert set(world.snapshot.find_ids("port", "security_groups", web["id"])) == {two["id"]}


def test_a_port_costs_one_change() -> None:
    """With the default group there, a new port changes the port and nothing else."""
    world, network, _ = make_cloud()
    before = world.snapshot
    world.port(network)
    assert {
        k for k in ("security_group", "security_group_rule") if world.snapshot.records(k) is not before.records(k)
    } == set()
