"""Security groups: the default one of a project, what new ones start with, what refuses their change and deletion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from netloom.intent.operation import Context
from netloom.intent.quota import make_quota_update
from netloom.intent.schema import Doc, parse_create
from netloom.intent.security.security_group import SECURITY_GROUP
from netloom.intent.security.security_group_rule import ENSURE_DEFAULT_GROUP
from tests.unit.intent.intent_kit import MISSING, World, refused


class Admin(World):
    """A world in which an administrator asks."""

    def context(self) -> Context:
        context = super().context()
        return replace(context, requester=replace(context.requester, is_admin=True))


def group(world: World, **body: Any) -> Doc:
    return world.create("security_group", body)[0]


def find_default(world: World, project: str = "p1") -> Doc:
    found = world.snapshot.lookup("security_group", "default", project)
    assert found is not None
    return found


def shape(rules: list[Mapping[str, Any]]) -> list[tuple[str, str, str | None]]:
    return sorted((rule["direction"], rule["ethertype"], rule["remote_group_id"]) for rule in rules)


def count_default(world: World, project: str = "p1") -> int:
    return sum(g["is_default"] and g["project_id"] == project for g in world.snapshot.docs("security_group"))


def test_default_group_comes_with_the_first_network() -> None:
    """A project's first network or port brings its default group: all may leave, its members may come in."""
    world = World()
    network = world.network()
    default = find_default(world)
    assert (default["name"], default["description"], default["stateful"]) == ("default", "Default security group", True)
    id = default["id"]
    assert shape(default["security_group_rules"]) == [
        ("egress", "IPv4", None), ("egress", "IPv6", None), ("ingress", "IPv4", id), ("ingress", "IPv6", id),
    ]  # fmt: skip
    assert all(rule["belongs_to_default_sg"] for rule in default["security_group_rules"])
    world.network()
    assert world.port(network)["security_groups"] == [id]
    assert count_default(world) == 1
    world.project = "p2"
    world.create("port", {"network_id": network["id"]})
    assert find_default(world, "p2")["id"] != id


def test_looking_brings_the_default_group() -> None:
    """Who lists groups finds the default one; asking a second time makes nothing."""
    world = World()
    requester = world.context().requester
    assert ENSURE_DEFAULT_GROUP.needed(world.snapshot, requester, None)
    world.take(ENSURE_DEFAULT_GROUP.run(world.snapshot, world.context(), None))
    assert not ENSURE_DEFAULT_GROUP.needed(world.snapshot, requester, None)
    assert ENSURE_DEFAULT_GROUP.run(world.snapshot, world.context(), None).changes == ()
    nobody = replace(requester, project_id="")
    assert not ENSURE_DEFAULT_GROUP.needed(world.snapshot, nobody, None)


def test_a_new_group_lets_all_out_and_none_in() -> None:
    """A group starts with the rules of the templates, after the project's default group."""
    world = World()
    made = group(world, name="web", description="d", tags=["a"])
    assert shape(made["security_group_rules"]) == [("egress", "IPv4", None), ("egress", "IPv6", None)]
    assert (made["shared"], made["stateful"], made["tags"], made["revision_number"]) == (False, True, ["a"], 1)
    assert count_default(world) == 1
    shown = made["security_group_rules"][0]
    stored = world.snapshot.get("security_group_rule", shown["id"])
    assert stored is not None and shown == {**stored, "tenant_id": "p1"}
    assert not shown["belongs_to_default_sg"]


@pytest.mark.parametrize(
    ("body", "status", "type", "words"),
    [
        ({"name": "default"}, 409, "SecurityGroupDefaultAlreadyExists", "already exists"),
        ({"name": "Default"}, 409, "SecurityGroupDefaultAlreadyExists", "already exists"),
        ({"name": True}, 400, "HTTPBadRequest", "'True' is not a valid string"),
        ({"name": "x" * 256}, 400, "HTTPBadRequest", "exceeds maximum length of 255"),
        ({"stateful": "maybe"}, 400, "InvalidInput", "stateful: 'maybe' cannot be converted to boolean"),
        ({"shared": True}, 400, "HTTPBadRequest", "'shared'"),
        ({"security_group_rules": []}, 400, "HTTPBadRequest", "'security_group_rules'"),
        ({"is_default": True}, 400, "HTTPBadRequest", "'is_default'"),
        ({"description": 5}, 400, "HTTPBadRequest", "description"),
    ],
)
def test_bad_groups(body: dict[str, Any], status: int, type: str, words: str) -> None:
    """A malformed group is refused with the attribute named; a second default one is a conflict."""
    with refused(status, type, words):
        parse_create(SECURITY_GROUP, body)


def test_update() -> None:
    """Name, description and statefulness change; the default group keeps its name."""
    world = World()
    made = group(world, name="a")
    changed = world.update("security_group", made, name="b", description="d", stateful=False)
    assert (changed["name"], changed["description"], changed["stateful"]) == ("b", "d", False)
    assert changed["revision_number"] == 2
    with refused(409, "SecurityGroupDefaultAlreadyExists"):
        world.update("security_group", made, name="default")
    default = find_default(world)
    with refused(409, "SecurityGroupCannotUpdateDefault"):
        world.update("security_group", default, name="test")
    assert world.update("security_group", default, description="ours")["description"] == "ours"


def test_a_group_in_use_stays_as_it_is() -> None:
    """A group that ports are in is not deleted and does not change its statefulness."""
    world = World()
    made = group(world)
    port = world.port(world.network(), security_groups=[made["id"]])
    with refused(409, "SecurityGroupInUse", f"Security Group {made['id']} in use."):
        world.delete("security_group", made)
    with refused(409, "SecurityGroupInUse"):
        world.update("security_group", made, stateful=False)
    assert world.update("security_group", made, stateful=True)["revision_number"] == 1
    world.delete("port", port)
    world.delete("security_group", made)
    assert world.snapshot.get("security_group", made["id"]) is None


def test_the_default_group_is_its_projects() -> None:
    """A member cannot delete the default group; an administrator can, and it comes back when it is needed."""
    world = World()
    network = world.network()
    with refused(409, "SecurityGroupCannotRemoveDefault"):
        world.delete("security_group", find_default(world))
    port = world.port(network, security_groups=[])
    admin = Admin()
    admin.snapshot, admin.ids, old = world.snapshot, world.ids, find_default(world)
    admin.delete("security_group", old)
    world.snapshot = admin.snapshot
    assert list(world.snapshot.find_ids("security_group_rule", "security_group_id", old["id"])) == []
    assert world.update("port", port, name="update")["security_groups"] == []
    assert find_default(world)["id"] != old["id"]


def test_deleting_takes_the_rules_that_name_it() -> None:
    """The rules of other groups that let a group's ports in go with it, and those groups show it."""
    world = World()
    one, two = group(world), group(world)
    world.create("security_group_rule", {
        "security_group_id": one["id"], "direction": "ingress", "remote_group_id": two["id"],
    })  # fmt: skip
    assert len(world.get("security_group", one)["security_group_rules"]) == 3
    world.delete("security_group", two)
    left = world.get("security_group", one)
    assert len(left["security_group_rules"]) == 2
    assert left["revision_number"] == 3
    assert world.snapshot.count_in("security_group_rule", "remote_group_id", two["id"]) == 0


def test_quotas() -> None:
    """Groups and the rules they start with count; without room for the rules there is no group."""
    world = World()
    world.network()
    world.run(make_quota_update("p1", {"security_group": 2}))
    group(world)
    with refused(409, "OverQuota", "security_group"):
        group(world)
    world.run(make_quota_update("p1", {"security_group": -1, "security_group_rule": 6, "force": True}))
    with refused(409, "OverQuota", "security_group_rule"):
        group(world)
    world.run(make_quota_update("p1", {"security_group_rule": 8, "force": True}))
    group(world)


def test_bulk_is_whole_or_nothing() -> None:
    """Two groups in one request are both made, or, where one is too many, neither."""
    world = World()
    made = world.create("security_group", {"name": "a"}, {"name": "b"})
    assert [one["name"] for one in made] == ["a", "b"]
    assert count_default(world) == 1
    before = world.snapshot
    world.run(make_quota_update("p1", {"security_group": 4}))
    with refused(409, "OverQuota"):
        world.create("security_group", {}, {})
    assert world.snapshot.count("security_group") == before.count("security_group") == 3


def test_statefulness_where_nothing_is_said() -> None:
    """A project's own setting decides, then the cloud's; a default group is stateful whatever they say."""
    world = World()
    kind = "security_groups_default_statefulness"
    cloud = world.create(kind, {"project_id": None, "stateful": False})[0]
    assert group(world)["stateful"] is False
    assert find_default(world)["stateful"] is True
    own = world.create(kind, {"project_id": "p1"})[0]
    assert (own["project_id"], own["stateful"]) == ("p1", True)
    assert group(world)["stateful"] is True
    assert world.update(kind, own, stateful=False)["stateful"] is False
    assert group(world)["stateful"] is False
    with refused(409, "SecurityGroupDefaultStatefulnessAlreadyExists", "'p1'"):
        world.create(kind, {"project_id": "p1"})
    with refused(409, "SecurityGroupDefaultStatefulnessAlreadyExists", "system-wide"):
        world.create(kind, {"project_id": None})
    world.delete(kind, own)
    world.delete(kind, cloud)
    assert group(world)["stateful"] is True
    with refused(404, "SecurityGroupDefaultStatefulnessNotFound"):
        world.delete(kind, {"id": MISSING})
