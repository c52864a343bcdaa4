"""QoS policies and their rules: what may stand together, who may use a policy, and when it may go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from netloom.intent.catalog import CATALOG
from netloom.intent.operation import Context, Requester
from netloom.intent.operations import make_create, make_delete, make_update
from netloom.intent.qos.qos_rules import TYPES
from netloom.intent.schema import Doc, parse_create, parse_update
from tests.unit.intent.intent_kit import MISSING, World, plain, refused


class Admin(World):
    """A world whose requester is an administrator until `project` says otherwise."""

    admin = True

    def context(self) -> Context:
        context = super().context()
        requester = Requester(project_id=self.project, is_admin=self.admin)
        return Context(requester, context.now, self.new_id, self.new_mac, self.settings)

    def become(self, project: str, admin: bool = False) -> None:
        self.project, self.admin = project, admin

    def policy(self, **body: Any) -> Doc:
        return self.create("policy", {"name": "gold", **body})[0]

    def rule(self, policy: Doc, type: str, /, **body: Any) -> Doc:
        """As the API does it: the policy's id comes from the URL."""
        resource = CATALOG[f"{type}_rule"]
        parsed = {**parse_create(resource, body), "qos_policy_id": policy["id"]}
        return self.run(make_create(resource, [parsed]))[0]

    def grant(self, policy: Doc, target: str) -> Doc:
        body = {"object_type": "qos_policy", "object_id": policy["id"], "action": "access_as_shared"}
        return self.create("rbac_policy", {**body, "target_tenant": target})[0]


P2 = "22222222222222222222222222222222"


# -- policies ----------------------------------------------------------------------------------------------------------


def test_a_new_policy_is_empty_and_private() -> None:
    """A policy has no rules, is nobody's default and is its project's own until somebody says otherwise."""
    policy = Admin().policy(description="fast")
    assert (policy["rules"], policy["shared"], policy["is_default"], policy["description"]) == (
        [],
        False,
        False,
        "fast",
    )
    assert policy["revision_number"] == 1


def test_one_default_of_a_project() -> None:
    """A project's second default is refused; another project may have its own."""
    world = Admin()
    first, second = world.policy(is_default=True), world.policy()
    with refused(409, "QoSPolicyDefaultAlreadyExists", "project p1"):
        world.policy(is_default=True)
    with refused(409, "QoSPolicyDefaultAlreadyExists"):
        world.update("policy", second, is_default=True)
    assert world.policy(is_default=True, project_id="p2")["is_default"]
    world.update("policy", first, is_default=False)
    assert world.update("policy", second, is_default=True)["is_default"]


def test_new_networks_have_the_default_policy() -> None:
    """A network that names no policy has its project's default; one that names another has that."""
    world = Admin()
    default, other = world.policy(is_default=True), world.policy()
    assert world.network()["qos_policy_id"] == default["id"]
    assert world.network(qos_policy_id=None)["qos_policy_id"] == default["id"]
    assert world.network(qos_policy_id=other["id"])["qos_policy_id"] == other["id"]
    assert world.network(project_id="p2")["qos_policy_id"] is None


@pytest.mark.parametrize("kind", ["port", "network"])
def test_a_policy_in_use_stays(kind: str) -> None:
    """A policy that a port or a network has cannot be deleted, and the answer names who has it."""
    world = Admin()
    policy = world.policy()
    network = world.network()
    user = network if kind == "network" else world.port(network)
    world.update(kind, user, qos_policy_id=policy["id"])
    with refused(409, "QosPolicyInUse", f"{kind} {user['id']}"):
        world.delete("policy", policy)
    world.update(kind, user, qos_policy_id=None)
    world.delete("policy", policy)
    assert world.snapshot.get("policy", policy["id"]) is None


def test_policies_of_floating_ips_and_gateways() -> None:
    """A floating IP and a router's gateway have a policy of their own, which is in use for as long as they have it."""
    world = Admin()
    policy, hidden = world.policy(), world.policy(project_id="p9")
    outside = world.network(router__external=True)
    world.subnet(outside, "192.0.2.0/24")
    info = {"network_id": outside["id"], "qos_policy_id": policy["id"]}
    router = world.create("router", {"external_gateway_info": info})[0]
    assert router["external_gateway_info"]["qos_policy_id"] == policy["id"]
    with refused(409, "QosPolicyInUse", f"router {router['id']}"):
        world.delete("policy", policy)
    floating = world.create("floatingip", {"floating_network_id": outside["id"], "qos_policy_id": policy["id"]})[0]
    world.update("router", router, external_gateway_info=None)
    with refused(409, "QosPolicyInUse", f"fip {floating['id']}"):
        world.delete("policy", policy)
    assert world.update("floatingip", floating, qos_policy_id=None)["qos_policy_id"] is None
    world.delete("policy", policy)
    world.become("p1")
    with refused(404, "QosPolicyNotFound"):
        world.update("floatingip", world.get("floatingip", floating), qos_policy_id=hidden["id"])
    with refused(404, "QosPolicyNotFound"):
        world.create("router", {"external_gateway_info": {**info, "qos_policy_id": hidden["id"]}})


def test_deleting_takes_rules_and_grants() -> None:
    """With a policy go its rules and the grants for it."""
    world = Admin()
    policy = world.policy(shared=True)
    world.rule(policy, "dscp_marking", dscp_mark=46)
    world.grant(policy, P2)
    world.delete("policy", world.get("policy", policy))
    assert [world.snapshot.count(kind) for kind in ("policy", "dscp_marking_rule", "rbac_policy")] == [0, 0, 0]


# -- who may use a policy ----------------------------------------------------------------------------------------------


def test_private_policies_are_not_for_others() -> None:
    """To another project's network or port, a policy that is not shared with it does not exist."""
    world = Admin()
    policy = world.policy()
    world.become("p2")
    network = world.network()
    asked: tuple[Callable[[], Doc], ...] = (
        lambda: world.network(qos_policy_id=policy["id"]),
        lambda: world.port(network, qos_policy_id=policy["id"]),
        lambda: world.update("network", network, qos_policy_id=policy["id"]),
        lambda: world.port(network, qos_policy_id=MISSING),
    )
    for ask in asked:
        with refused(404, "QosPolicyNotFound"):
            ask()


def test_shared_policies_are_for_those_they_are_shared_with() -> None:
    """A grant to everyone or to the project opens a policy."""
    world = Admin()
    everyone, granted = world.policy(shared=True), world.policy()
    world.grant(granted, P2)
    world.become(P2)
    for policy in (everyone, granted):
        assert world.network(qos_policy_id=policy["id"])["qos_policy_id"] == policy["id"]


def test_a_policy_put_by_an_administrator_is_theirs_to_take() -> None:
    """A member cannot take away a policy that they may not use, until it is shared with them."""
    world = Admin()
    policy, network = world.policy(), world.network(project_id="p2")
    port = world.port(network, project_id="p2")
    for kind, user in (("network", network), ("port", port)):
        world.update(kind, user, qos_policy_id=policy["id"])
    world.become("p2")
    for kind, user in (("network", network), ("port", port)):
        with refused(403, "PolicyRemoveAuthorizationError", policy["id"]):
            world.update(kind, world.get(kind, user), qos_policy_id=None)
        world.update(kind, world.get(kind, user), name="still allowed")
    world.become("p1", admin=True)
    world.update("policy", policy, shared=True)
    world.become("p2")
    assert world.update("network", world.get("network", network), qos_policy_id=None)["qos_policy_id"] is None


def test_a_policy_that_others_use_stays_shared() -> None:
    """Neither `shared` nor a grant is withdrawn from a project that uses the policy by it."""
    world = Admin()
    policy, own = world.policy(shared=True), world.policy()
    grant = world.grant(own, P2)
    world.become(P2)
    world.network(qos_policy_id=policy["id"])
    network = world.network(qos_policy_id=own["id"])
    world.become("p1", admin=True)
    with refused(409, "RbacPolicyInUse", P2):
        world.update("policy", policy, shared=False)
    with refused(409, "RbacPolicyInUse"):
        world.delete("rbac_policy", grant)
    with refused(409, "RbacPolicyInUse"):
        world.update("rbac_policy", grant, target_tenant="3" * 32)
    second = world.grant(policy, P2)
    assert world.update("policy", world.get("policy", policy), shared=False)["shared"] is False
    assert world.snapshot.get("rbac_policy", second["id"]) is not None
    world.update("network", network, qos_policy_id=None)
    world.delete("rbac_policy", grant)


# -- rules -------------------------------------------------------------------------------------------------------------


def test_rules_and_the_policy_that_shows_them() -> None:
    """A policy shows its rules with their types, in one order, and each change of a rule is a revision of it."""
    world = Admin()
    policy = world.policy()
    rate = world.rule(policy, "packet_rate_limit", max_kpps=5)
    limit = world.rule(policy, "bandwidth_limit", max_kbps="1000")
    assert {k: v for k, v in limit.items() if k not in ("id", "qos_policy_id", "project_id")} == {
        "max_kbps": 1000,
        "max_burst_kbps": 0,
        "direction": "egress",
    }
    shown = world.get("policy", policy)
    assert [(r["type"], r["id"]) for r in shown["rules"]] == [
        ("bandwidth_limit", limit["id"]),
        ("packet_rate_limit", rate["id"]),
    ]
    assert shown["rules"][0]["qos_policy_id"] == policy["id"]
    assert shown["revision_number"] == 3
    world.update("bandwidth_limit_rule", limit, max_kbps=2000, direction="ingress")
    assert world.get("policy", policy)["rules"][0]["max_kbps"] == 2000
    world.delete("bandwidth_limit_rule", world.get("bandwidth_limit_rule", limit))
    assert [r["type"] for r in world.get("policy", policy)["rules"]] == ["packet_rate_limit"]


VALUES: dict[str, dict[str, Any]] = {
    "bandwidth_limit": {"max_kbps": 10},
    "dscp_marking": {"dscp_mark": 8},
    "minimum_bandwidth": {"min_kbps": 10},
    "minimum_packet_rate": {"min_kpps": 10},
    "packet_rate_limit": {"max_kpps": 10},
}


@pytest.mark.parametrize("type", list(TYPES))
def test_one_rule_of_a_type_and_direction(type: str) -> None:
    """A second rule of the same type in the same direction is refused; the other direction is free."""
    world = Admin()
    policy = world.policy()
    first = world.rule(policy, type, **VALUES[type])
    with refused(409, "QoSRulesConflict", type, first["id"], policy["id"]):
        world.rule(policy, type, **VALUES[type])
    if not TYPES[type].directions:
        return
    second = world.rule(policy, type, **VALUES[type], direction="ingress")
    with refused(409, "QoSRulesConflict"):
        world.update(f"{type}_rule", second, direction="egress")


def test_guarantees_within_limits() -> None:
    """No bandwidth is guaranteed beyond the limit of its direction, whichever comes first."""
    world = Admin()
    policy = world.policy()
    limit = world.rule(policy, "bandwidth_limit", max_kbps=100)
    with refused(409, "QoSRuleParameterConflict", "200", "bandwidth_limit", "100"):
        world.rule(policy, "minimum_bandwidth", min_kbps=200)
    least = world.rule(policy, "minimum_bandwidth", min_kbps=100)
    with refused(409, "QoSRuleParameterConflict", "minimum_bandwidth"):
        world.update("bandwidth_limit_rule", limit, max_kbps=99)
    with refused(409, "QoSRuleParameterConflict"):
        world.update("minimum_bandwidth_rule", least, min_kbps=101)
    assert world.rule(policy, "minimum_bandwidth", min_kbps=200, direction="ingress")["min_kbps"] == 200


def test_packet_rates_for_each_direction_or_for_both() -> None:
    """A guaranteed packet rate without direction does not stand beside one with a direction."""
    world = Admin()
    policy = world.policy()
    rule = world.rule(policy, "minimum_packet_rate", min_kpps=1, direction="any")
    with refused(409, "QoSRuleParameterConflict", "egress", "any"):
        world.rule(policy, "minimum_packet_rate", min_kpps=1)
    assert world.update("minimum_packet_rate_rule", rule, direction="ingress")["direction"] == "ingress"
    other = world.rule(policy, "minimum_packet_rate", min_kpps=1)
    with refused(409, "QoSRuleParameterConflict"):
        world.update("minimum_packet_rate_rule", other, direction="any")


def test_rules_of_a_policy_that_is_not_there() -> None:
    """No rule without a policy that the requester may use."""
    world = Admin()
    with refused(404, "QosPolicyNotFound", MISSING):
        world.rule({"id": MISSING}, "dscp_marking", dscp_mark=0)


@pytest.mark.parametrize(
    ("type", "body", "words"),
    [
        ("bandwidth_limit", {}, "Required attribute 'max_kbps' not specified"),
        ("bandwidth_limit", {"max_kbps": -1}, "should be non-negative"),
        ("bandwidth_limit", {"max_kbps": 2**31}, "is too large"),
        ("bandwidth_limit", {"max_kbps": 1, "direction": "any"}, "is not in ['ingress', 'egress']"),
        ("dscp_marking", {"dscp_mark": 42}, "is not in [0, 8, 10"),
        ("minimum_packet_rate", {"min_kpps": 1, "direction": "up"}, "is not in ['any', 'ingress', 'egress']"),
        ("packet_rate_limit", {"max_kbps": 1}, "Unrecognized attribute(s) 'max_kbps'"),
    ],
)
def test_what_a_rule_may_not_say(type: str, body: dict[str, Any], words: str) -> None:
    """A bad rule is refused with the attribute and what it may be."""
    with refused(400, "HTTPBadRequest", words):
        parse_create(CATALOG[f"{type}_rule"], body)


def test_aliases_change_the_same_rules() -> None:
    """A rule changed or deleted by its own id alone is the policy's rule."""
    world = Admin()
    policy = world.policy()
    rule = world.rule(policy, "dscp_marking", dscp_mark=8)
    alias = CATALOG["alias_dscp_marking_rule"]
    changed = world.run(make_update(alias, rule["id"], parse_update(alias, {"dscp_mark": "46"})))[0]
    assert changed["dscp_mark"] == 46
    assert world.get("policy", policy)["rules"][0]["dscp_mark"] == 46
    world.run(make_delete(alias, rule["id"]))
    assert world.get("policy", policy)["rules"] == []


def test_bulk_is_all_or_none() -> None:
    """Of several rules in one request either all are made or none."""
    world = Admin()
    policy = world.policy()
    resource = CATALOG["dscp_marking_rule"]
    bodies = [{**parse_create(resource, {"dscp_mark": mark}), "qos_policy_id": policy["id"]} for mark in (8, 10)]
    with refused(409, "QoSRulesConflict"):
        world.run(make_create(resource, bodies))
    assert world.snapshot.count("dscp_marking_rule") == 0
    assert plain(world.get("policy", policy))["rules"] == []
