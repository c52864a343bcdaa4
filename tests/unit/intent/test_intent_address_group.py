"""Address groups: prefixes, the two actions on them, and the rules that keep a group from going."""

from __future__ import annotations

from typing import Any

import pytest

from netloom.intent.operations import make_action
from netloom.intent.schema import Doc, parse_create, parse_update
from netloom.intent.security.address_group import ADDRESS_GROUP_RESOURCE, parse_action
from tests.unit.intent.intent_kit import World, refused
from tests.unit.intent.test_intent_security_group import group

ACTIONS = {action.name: action for action in ADDRESS_GROUP_RESOURCE.actions}


def make(world: World, *addresses: str, **body: Any) -> Doc:
    return world.create("address_group", {"addresses": list(addresses), **body})[0]


def act(world: World, name: str, doc: Doc, *addresses: Any) -> list[str]:
    action = ACTIONS[name]
    given = action.parse({"addresses": list(addresses)})
    shown: list[str] = world.run(make_action(ADDRESS_GROUP_RESOURCE, action, doc["id"], given))[0]["addresses"]
    return shown


def test_life() -> None:
    """Prefixes lose their host bits; name and description change, the addresses only by the actions."""
    world = World()
    made = make(world, "10.10.10.3/32", "192.168.0.10/24", "2001:db8::f00/64", name="ag", description="d")
    assert made["addresses"] == ["10.10.10.3/32", "192.168.0.0/24", "2001:db8::/64"]
    changed = world.update("address_group", made, name="new")
    assert (changed["name"], changed["description"], changed["revision_number"]) == ("new", "d", 2)
    with refused(400, "HTTPBadRequest", "read-only attribute addresses"):
        parse_update(ADDRESS_GROUP_RESOURCE, {"addresses": []})
    world.delete("address_group", made)
    with refused(404, "AddressGroupNotFound", made["id"]):
        world.delete("address_group", made)
    assert world.create("address_group", {})[0]["addresses"] == []
    assert world.create("address_group", {"addresses": None})[0]["addresses"] == []


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (["10.20.30.40"], "'10.20.30.40' is not a valid IP subnet"),
        (["moon"], "'moon' is not a valid IP subnet"),
        (["10.0.0.0/33"], "not a valid IP subnet"),
        (["10.0.0.0 /8"], "not a valid IP subnet"),
        (["fe80::1%e/64"], "not a valid IP subnet"),
        ([5], "'5' is not a valid IP subnet"),
        ("10.0.0.0/8", "is not a list"),
        (["10.0.0.0/8", "10.0.0.0/8"], "Duplicate items in the list: '10.0.0.0/8'"),
    ],
)
def test_bad_addresses(value: Any, words: str) -> None:
    """A prefix that is none is refused, and named."""
    with refused(400, "HTTPBadRequest", "addresses", words):
        parse_create(ADDRESS_GROUP_RESOURCE, {"addresses": value})


def test_adding_and_removing() -> None:
    """All of the addresses of an action, or none; a plain address stands for itself alone."""
    world = World()
    made = make(world, "10.0.0.0/24")
    assert act(world, "add_addresses", made, "10.1.0.9/24", "fd00::1") == ["10.0.0.0/24", "10.1.0.0/24", "fd00::1/128"]
    with refused(400, "AddressesAlreadyExist", "['10.0.0.0/24']", made["id"]):
        act(world, "add_addresses", made, "10.0.0.77/24", "10.2.0.0/24")
    with refused(404, "AddressesNotFound", "['10.200.200.200/32']", made["id"]):
        act(world, "remove_addresses", made, "10.200.200.200", "10.0.0.0/24")
    assert act(world, "remove_addresses", made, "10.0.0.0/24", "fd00::1") == ["10.1.0.0/24"]
    assert world.get("address_group", made)["revision_number"] == 3


@pytest.mark.parametrize(
    ("body", "type", "words"),
    [
        ({"addresses": ["this is bad"]}, "AddrFormatError", "invalid IPNetwork this is bad"),
        ({"addresses": [None]}, "AddrFormatError", "None"),
        ({"addresses": "10.0.0.0/8"}, "HTTPBadRequest", "is not a list"),
        ({}, "HTTPBadRequest", "addresses"),
        ({"addresses": [], "moon": 1}, "HTTPBadRequest", "Unrecognized attribute(s) 'moon'"),
    ],
)
def test_bad_actions(body: dict[str, Any], type: str, words: str) -> None:
    """The body of an action holds addresses, and nothing else."""
    with refused(400, type, words):
        parse_action(body)


def test_a_group_that_rules_refer_to_stays() -> None:
    """An address group is not deleted while a rule refers to it."""
    world = World()
    made, web = make(world, "10.0.0.0/8"), group(world)
    rule = world.create("security_group_rule", {
        "security_group_id": web["id"], "direction": "egress", "remote_address_group_id": made["id"],
    })[0]  # fmt: skip
    with refused(409, "AddressGroupInUse", made["id"]):
        world.delete("address_group", made)
    assert list(world.snapshot.find_ids("security_group_rule", "remote_address_group_id", made["id"])) == [rule["id"]]
    world.delete("security_group_rule", rule)
    world.delete("address_group", made)
