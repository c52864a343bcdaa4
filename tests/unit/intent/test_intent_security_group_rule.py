"""Rules of security groups and their templates: what they may say, what contradicts itself, what is there already."""

from __future__ import annotations

from typing import Any

import pytest

from netloom.intent.quota import make_quota_update
from netloom.intent.schema import Doc, parse_create
from netloom.intent.security.default_security_group_rule import DEFAULT_SECURITY_GROUP_RULE, INITIAL, run_settle
from netloom.intent.security.security_group_rule import SECURITY_GROUP_RULE
from netloom.intent.security.security_group_values import PROTOCOLS, same_key
from tests.unit.intent.intent_kit import MISSING, World, refused
from tests.unit.intent.test_intent_security_group import group

KIND, TEMPLATE = "security_group_rule", "default_security_group_rule"


def rule(world: World, of: Doc, **body: Any) -> Doc:
    return world.create(KIND, {"security_group_id": of["id"], "direction": "ingress", **body})[0]


def template(world: World, **body: Any) -> Doc:
    uses = {"used_in_default_sg": False, "used_in_non_default_sg": True}
    return world.create(TEMPLATE, {"direction": "ingress", **uses, **body})[0]


def test_defaults() -> None:
    """A rule that only names its group and direction is for all of IPv4."""
    world = World()
    web = group(world)
    made = rule(world, web)
    given = {"direction": "ingress", "ethertype": "IPv4", "project_id": "p1", "security_group_id": web["id"]}
    assert {name: made[name] for name in given} == given
    nothing = (
        "protocol", "port_range_min", "port_range_max", "remote_ip_prefix", "normalized_cidr", "remote_group_id",
        "remote_address_group_id",
    )  # fmt: skip
    assert [made[name] for name in nothing] == [None] * len(nothing)
    assert (made["belongs_to_default_sg"], made["description"], made["revision_number"]) == (False, "", 1)
    assert "tags" not in made


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_protocols(name: str) -> None:
    """Every protocol goes by name and by number, where its ethertype has it."""
    world = World()
    web = group(world)
    ethertype = "IPv6" if name.startswith("ipv6-") or name == "icmpv6" else "IPv4"
    made = rule(world, web, protocol=name.upper(), ethertype=ethertype.lower())
    assert made["protocol"] == ("ipv6-icmp" if name == "icmpv6" else name)
    assert made["ethertype"] == ethertype
    other = group(world)
    assert rule(world, other, protocol=PROTOCOLS[name], ethertype=ethertype)["protocol"] == str(PROTOCOLS[name])


@pytest.mark.parametrize(
    ("given", "ethertype", "stored"),
    [
        (17, "IPv4", "17"), ("017", "IPv4", "17"), ("any", "IPv4", None), ("ANY", "IPv4", None), (None, "IPv4", None),
        (0, "IPv4", "0"), (255, "IPv4", "255"), ("icmp", "IPv6", "ipv6-icmp"), ("icmpv6", "IPv6", "ipv6-icmp"),
        (1, "IPv6", "58"), (58, "IPv6", "58"), ("icmp", "IPv4", "icmp"),
    ],
)  # fmt: skip
def test_canonical_protocols(given: Any, ethertype: str, stored: str | None) -> None:
    """A protocol is stored in one form; ICMP of IPv6 goes by its own name."""
    world = World()
    assert rule(world, group(world), protocol=given, ethertype=ethertype)["protocol"] == stored


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"protocol": "moon"}, "SecurityGroupRuleInvalidProtocol", "protocol moon not supported"),
    ({"protocol": 256}, "SecurityGroupRuleInvalidProtocol", "[0 to 255]"),
    ({"protocol": -1}, "SecurityGroupRuleInvalidProtocol", "-1"),
    ({"protocol": True}, "SecurityGroupRuleInvalidProtocol", "True"),
    ({"protocol": ["tcp"]}, "SecurityGroupRuleInvalidProtocol", "tcp"),
    ({"protocol": 6.5}, "SecurityGroupRuleInvalidProtocol", "6.5"),
    ({"ethertype": "IPv5"}, "SecurityGroupRuleInvalidEtherType", "'IPv5' not supported"),
    ({"ethertype": None}, "SecurityGroupRuleInvalidEtherType", "None"),
    ({"direction": "up"}, "HTTPBadRequest", "direction"),
    ({"protocol": "tcp", "port_range_min": -16, "port_range_max": 80}, "SecurityGroupInvalidPortValue", "port -16"),
    ({"protocol": "tcp", "port_range_min": 80, "port_range_max": 65536}, "SecurityGroupInvalidPortValue", "65536"),
    ({"protocol": "tcp", "port_range_min": "x"}, "SecurityGroupInvalidPortValue", "x"),
    ({"protocol": "tcp", "port_range_min": 0, "port_range_max": 80}, "SecurityGroupInvalidPortValue", "port 0"),
    (
        {"protocol": "tcp", "port_range_min": 80, "port_range_max": 79},
        "SecurityGroupInvalidPortRange",
        "port_range_min must be <= port_range_max",
    ),
    ({"protocol": "udp", "port_range_max": 6}, "SecurityGroupInvalidPortRange", "port_range_min must be <="),
    ({"protocol": "sctp", "port_range_min": 6}, "SecurityGroupInvalidPortRange", "port_range_min must be <="),
    ({"port_range_min": 1, "port_range_max": 2}, "SecurityGroupProtocolRequiredWithPorts", "protocol"),
    ({"protocol": "icmp", "port_range_min": 1, "port_range_max": 256}, "SecurityGroupInvalidIcmpValue", "ICMP code"),
    ({"protocol": "icmp", "port_range_min": 300, "port_range_max": 1}, "SecurityGroupInvalidIcmpValue", "ICMP type"),
    ({"protocol": 1, "port_range_max": 6}, "SecurityGroupMissingIcmpType", "ICMP type (port-range-min) is missing"),
    (
        {"protocol": "gre", "port_range_min": 1, "port_range_max": 2},
        "SecurityGroupInvalidProtocolForPort",
        "for DCCP, SCTP, TCP, UDP, UDPLITE",
    ),
    ({"protocol": "ipv6-icmp"}, "SecurityGroupEthertypeConflictWithProtocol", "IPv4 for protocol ipv6-icmp"),
    ({"protocol": "icmpv6"}, "SecurityGroupEthertypeConflictWithProtocol", "icmpv6"),
    ({"protocol": 43}, "SecurityGroupEthertypeConflictWithProtocol", "43"),
    ({"remote_ip_prefix": "10.0.0.0/33"}, "InvalidCIDR", "Invalid CIDR 10.0.0.0/33 given as IP prefix"),
    ({"remote_ip_prefix": "256"}, "InvalidCIDR", "256"),
    ({"remote_ip_prefix": "fe80::1%eth0"}, "InvalidCIDR", "eth0"),
    ({"remote_ip_prefix": 5}, "InvalidCIDR", "5"),
    ({"remote_ip_prefix": "fd00::/64"}, "SecurityGroupRuleParameterConflict", "Conflicting value ethertype IPv4"),
    (
        {"remote_ip_prefix": "10.0.0.0/8", "ethertype": "IPv6"},
        "SecurityGroupRuleParameterConflict",
        "Conflicting value ethertype IPv6 for CIDR 10.0.0.0/8",
    ),
    ({"remote_ip_prefix": "10.0.0.0/8", "remote_group_id": MISSING}, "SecurityGroupMultipleRemoteEntites", "Only one"),
    (
        {"remote_address_group_id": MISSING, "remote_group_id": MISSING},
        "SecurityGroupMultipleRemoteEntites",
        "remote_ip_prefix or remote_group_id or remote_address_group_id",
    ),
    ({"normalized_cidr": "10.0.0.0/8"}, "HTTPBadRequest", "'normalized_cidr'"),
    ({"belongs_to_default_sg": True}, "HTTPBadRequest", "'belongs_to_default_sg'"),
]


@pytest.mark.parametrize(("body", "type", "words"), BAD)
def test_bad_rules(body: dict[str, Any], type: str, words: str) -> None:
    """A rule that is malformed or contradicts itself is refused by an error of its own."""
    world = World()
    web = group(world)
    with refused(400, type, words):
        rule(world, web, **body)
    if "normalized_cidr" not in body and "belongs_to_default_sg" not in body:
        with refused(400, type, words):
            template(world, **body)


def test_missing_attributes() -> None:
    """A rule names its group and its direction."""
    for body, name in (({"direction": "ingress"}, "security_group_id"), ({"security_group_id": "x"}, "direction")):
        with refused(400, "HTTPBadRequest", f"Required attribute '{name}' not specified"):
            parse_create(SECURITY_GROUP_RULE, body)
    with refused(400, "HTTPBadRequest", "used_in_default_sg"):
        parse_create(DEFAULT_SECURITY_GROUP_RULE, {"direction": "ingress"})


@pytest.mark.parametrize(
    ("body", "low", "high"),
    [
        ({"protocol": "tcp", "port_range_min": "77", "port_range_max": 77}, 77, 77),
        ({"protocol": "tcp", "port_range_min": 1, "port_range_max": 65535}, None, None),
        ({"protocol": 6, "port_range_min": 1, "port_range_max": 65534}, 1, 65534),
        ({"protocol": "icmp", "port_range_min": 3, "port_range_max": 2}, 3, 2),
        ({"protocol": "icmp", "port_range_min": 0, "port_range_max": 0}, 0, 0),
        ({"protocol": "icmp", "port_range_min": 11}, 11, None),
        ({"protocol": "ipv6-icmp", "ethertype": "IPv6", "port_range_min": 255, "port_range_max": 255}, 255, 255),
        ({"protocol": "udplite", "port_range_min": 5, "port_range_max": 6}, 5, 6),
    ],
)
def test_ports_and_types(body: dict[str, Any], low: int | None, high: int | None) -> None:
    """Ports of protocols that have them, types and codes of ICMP; all ports are no range."""
    world = World()
    made = rule(world, group(world), **body)
    assert (made["port_range_min"], made["port_range_max"]) == (low, high)


@pytest.mark.parametrize(
    ("given", "stored", "normalized"),
    [
        ("10.0.0.34/24", "10.0.0.34/24", "10.0.0.0/24"),
        ("10.0.0.34", "10.0.0.34/32", "10.0.0.34/32"),
        ("FD00::F00/64", "fd00::f00/64", "fd00::/64"),
        ("fd00::1", "fd00::1/128", "fd00::1/128"),
        ("0.0.0.0/0", "0.0.0.0/0", "0.0.0.0/0"),
        ("", None, None),
    ],
)
def test_prefixes(given: str, stored: str | None, normalized: str | None) -> None:
    """A prefix stays as it was given, and is shown without host bits beside that."""
    world = World()
    made = rule(world, group(world), remote_ip_prefix=given, ethertype="IPv6" if ":" in given else "IPv4")
    assert (made["remote_ip_prefix"], made["normalized_cidr"]) == (stored, normalized)


def test_what_a_rule_names_must_be_there() -> None:
    """The group, the remote group and the remote address group are there and are the project's to name."""
    world = World()
    web = group(world)
    world.project = "p2"
    theirs = group(world)
    addresses = world.create("address_group", {})[0]
    world.project = "p1"
    for id in (MISSING, "bad_group_id", theirs["id"]):
        with refused(404, "SecurityGroupNotFound", id):
            rule(world, web, remote_group_id=id)
        with refused(404, "SecurityGroupNotFound", id):
            rule(world, {"id": id})
    for id in (MISSING, "x", addresses["id"]):
        with refused(404, "AddressGroupNotFound", id):
            rule(world, web, remote_address_group_id=id)
    own = world.create("address_group", {})[0]
    assert rule(world, web, remote_address_group_id=own["id"])["remote_address_group_id"] == own["id"]
    assert rule(world, web, remote_group_id=web["id"])["remote_group_id"] == web["id"]


SAME: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"protocol": "tcp"}, {"protocol": 6}),
    ({"protocol": "any"}, {"remote_ip_prefix": "0.0.0.0/0"}),
    ({"protocol": "icmp", "ethertype": "IPv6"}, {"protocol": "58", "ethertype": "IPv6"}),
    (
        {"protocol": "tcp", "port_range_min": 66, "port_range_max": 67},
        {"protocol": "tcp", "port_range_min": "66", "port_range_max": "67", "description": "again"},
    ),
    ({"protocol": "tcp", "port_range_min": 1, "port_range_max": 65535}, {"protocol": "tcp"}),
    ({"remote_ip_prefix": "10.0.0.1"}, {"remote_ip_prefix": "10.0.0.1/32"}),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_rule_twice(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Two rules that say the same are one too many, in one request or in two; another group may have it."""
    world = World()
    web = group(world)
    bodies = [{"security_group_id": web["id"], "direction": "ingress", **body} for body in (one, other)]
    with refused(409, "DuplicateSecurityGroupRuleInPost"):
        world.create(KIND, *bodies)
    first = rule(world, web, **one)
    with refused(409, "SecurityGroupRuleExists", f"Rule id is {first['id']}."):
        rule(world, web, **other)
    rule(world, group(world), **other)
    world.delete(KIND, first)
    rule(world, web, **other)


def test_bulk() -> None:
    """Rules of one request are of one group and one project, and are all made or none; the group grows once."""
    world = World()
    web, other = group(world), group(world)
    bodies = [
        {"security_group_id": web["id"], "direction": "ingress", "protocol": "tcp", "port_range_min": n,
         "port_range_max": n}
        for n in (80, 443)
    ]  # fmt: skip
    made = world.create(KIND, *bodies)
    shown = world.get("security_group", web)
    assert [one["id"] for one in shown["security_group_rules"]][2:] == [one["id"] for one in made]
    assert shown["revision_number"] == 2
    with refused(400, "SecurityGroupNotSingleGroupRules"):
        world.create(KIND, bodies[0], {**bodies[1], "security_group_id": other["id"]})
    with refused(400, "SecurityGroupRulesNotSingleProject"):
        world.create(KIND, {**bodies[0], "project_id": "p1"}, {**bodies[1], "project_id": "p2"})
    with refused(409, "SecurityGroupRuleExists"):
        world.create(KIND, {**bodies[0], "port_range_min": 22, "port_range_max": 22}, bodies[1])
    assert world.get("security_group", web) == shown


def test_the_group_shows_its_rules() -> None:
    """Making and deleting a rule changes what its group shows, and the group's revision."""
    world = World()
    web = group(world)
    made = rule(world, web, description="ssh")
    shown = world.get("security_group", web)
    assert (shown["revision_number"], shown["security_group_rules"][-1]) == (2, {**made, "tenant_id": "p1"})
    world.delete(KIND, made)
    left = world.get("security_group", web)
    assert (left["revision_number"], len(left["security_group_rules"])) == (3, 2)
    with refused(404, "SecurityGroupRuleNotFound", "does not exist"):
        world.delete(KIND, made)


def test_quota() -> None:
    """A project has as many rules as it may, and not one more."""
    world = World()
    web = group(world)
    world.run(make_quota_update("p1", {"security_group_rule": 7}))
    rule(world, web)
    with refused(409, "OverQuota", "security_group_rule"):
        rule(world, web, protocol="tcp")


# -- templates ---------------------------------------------------------------------------------------------------------


def starts_with(world: World) -> list[Any]:
    return sorted(str(same_key(one)) for one in group(world)["security_group_rules"])


def test_templates_decide_what_groups_start_with() -> None:
    """A template is a rule of every group that is made after it, of the sort that it is for."""
    world = World()
    made = template(world, protocol="tcp", port_range_min=22, port_range_max=22, description="ssh")
    assert len(list(world.snapshot.docs(TEMPLATE))) == len(INITIAL) + 1
    web = group(world)
    ssh = web["security_group_rules"][-1]
    assert (ssh["protocol"], ssh["port_range_min"], ssh["description"]) == ("tcp", 22, "")
    assert "used_in_default_sg" not in ssh
    default = world.snapshot.lookup("security_group", "default", "p1")
    assert default is not None and len(default["security_group_rules"]) == 4
    world.delete(TEMPLATE, made)
    assert len(group(world)["security_group_rules"]) == 2


def test_without_templates_groups_start_empty() -> None:
    """Where all templates are deleted, new groups have no rules, and the initial ones do not come back."""
    world = World()
    world.take(run_settle(world.snapshot, world.context(), None))
    for doc in list(world.snapshot.docs(TEMPLATE)):
        world.delete(TEMPLATE, doc)
    assert run_settle(world.snapshot, world.context(), None).changes == ()
    assert group(world)["security_group_rules"] == []
    assert world.snapshot.count(KIND) == 0


def test_settling_changes_nothing() -> None:
    """New groups start alike whether the initial templates have been looked at or not."""
    world = World()
    before = starts_with(world)
    world.take(run_settle(world.snapshot, world.context(), None))
    assert starts_with(world) == before


def test_parent_and_what_is_gone() -> None:
    """PARENT is the group that the rule is made in; a template that names a group which is gone makes no rule."""
    world = World()
    web = group(world)
    template(world, remote_group_id="PARENT")
    template(world, remote_group_id=web["id"])
    second = group(world)
    assert [one["remote_group_id"] for one in second["security_group_rules"][2:]] == [second["id"], web["id"]]
    world.delete("security_group", web)
    third = group(world)
    assert [one["remote_group_id"] for one in third["security_group_rules"][2:]] == [third["id"]]


def test_the_same_template_twice() -> None:
    """The same rule may be a template for default groups and one for others, and neither twice."""
    world = World()
    uses = [{"used_in_default_sg": d, "used_in_non_default_sg": o} for d, o in ((True, False), (False, True))]
    one, _ = (template(world, protocol="tcp", **use) for use in uses)
    for use in (*uses, {"used_in_default_sg": True, "used_in_non_default_sg": True}):
        with refused(409, "DefaultSecurityGroupRuleExists", "Rule id is"):
            template(world, protocol=6, **use)
    world.delete(TEMPLATE, one)
    template(world, protocol="tcp", **uses[0])
