"""QoS on ports: which policy is in force, what is asked of Placement for it, and what hosts cannot enforce."""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from typing import Any
from uuid import UUID, uuid5

import pytest

from netloom.intent.catalog import CATALOG
from netloom.intent.l2.binding import VIF_TYPE
from netloom.intent.operations import make_action, make_create
from netloom.intent.qos.qos_use import check_supported
from netloom.intent.schema import Doc, parse_create
from tests.unit.intent.intent_kit import refused
from tests.unit.intent.test_intent_qos import Admin

VLAN: dict[str, Any] = {"provider__network_type": "vlan", "provider__physical_network": "physnet1"}


def guaranteed(world: Admin, **more: int) -> Doc:
    """A policy that guarantees bandwidth in both directions, and packets where asked."""
    policy = world.policy(shared=True)
    world.rule(policy, "minimum_bandwidth", min_kbps=1000)
    world.rule(policy, "minimum_bandwidth", min_kbps=2000, direction="ingress")
    if "kpps" in more:
        world.rule(policy, "minimum_packet_rate", min_kpps=more["kpps"], direction="any")
    return world.get("policy", policy)


def group_id(port: Doc, policy: Doc, type: str) -> str:
    return str(uuid5(UUID(port["id"]), ":".join(r["id"] for r in policy["rules"] if r["type"] == type)))


def test_the_policy_in_force() -> None:
    """A port shows its own policy and its network's; a change of the network's reaches every port of it at once."""
    world = Admin()
    first, second = world.policy(), world.policy()
    network = world.network(qos_policy_id=first["id"])
    plain, own = world.port(network), world.port(network, qos_policy_id=second["id"])
    assert (plain["qos_policy_id"], plain["qos_network_policy_id"]) == (None, first["id"])
    assert (own["qos_policy_id"], own["qos_network_policy_id"]) == (second["id"], first["id"])
    world.update("network", network, qos_policy_id=second["id"])
    for port in (plain, own):
        assert world.get("port", port)["qos_network_policy_id"] == second["id"]
        assert world.get("port", port)["revision_number"] == port["revision_number"]


def test_what_is_asked_of_placement() -> None:
    """A guarantee becomes resources and traits: in groups, with ids that Nova finds again in the allocation."""
    world = Admin()
    policy = guaranteed(world, kpps=5)
    port = world.port(world.network(**VLAN), qos_policy_id=policy["id"])
    bandwidth, packets = (group_id(port, policy, t) for t in ("minimum_bandwidth", "minimum_packet_rate"))
    assert port["resource_request"] == {
        "request_groups": [
            {
                "id": bandwidth,
                "required": ["CUSTOM_PHYSNET_PHYSNET1", "CUSTOM_VNIC_TYPE_NORMAL"],
                "resources": {"NET_BW_EGR_KILOBIT_PER_SEC": 1000, "NET_BW_IGR_KILOBIT_PER_SEC": 2000},
            },
            {
                "id": packets,
                "required": ["CUSTOM_VNIC_TYPE_NORMAL"],
                "resources": {"NET_PACKET_RATE_KILOPACKET_PER_SEC": 5},
            },
        ],
        "same_subtree": [bandwidth, packets],
    }


def test_tunnels_and_vnic_types_are_traits() -> None:
    """On a tunnelled network bandwidth is asked of the tunnels; the way of plugging is asked for by its name."""
    world = Admin()
    policy = guaranteed(world)
    port = world.port(world.network(), qos_policy_id=policy["id"])
    required = [group["required"] for group in port["resource_request"]["request_groups"]]
    assert required == [["CUSTOM_NETWORK_TUNNEL_PROVIDER", "CUSTOM_VNIC_TYPE_NORMAL"]]
    port = world.update("port", port, binding__vnic_type="direct")
    assert port["resource_request"]["request_groups"][0]["required"][1] == "CUSTOM_VNIC_TYPE_DIRECT"


def test_requests_follow_segments() -> None:
    """When the first segment of a network goes, its ports ask for bandwidth of the next."""
    world = Admin()
    policy = guaranteed(world)
    network = world.network()
    port = world.port(network, qos_policy_id=policy["id"])
    body = {"network_id": network["id"], "network_type": "vlan", "physical_network": "physnet1"}
    world.create("segment", body)
    assert world.get("port", port)["resource_request"] == port["resource_request"]
    world.delete("segment", next(s for s in world.snapshot.docs("segment") if s["network_type"] == "vxlan"))
    required = world.get("port", port)["resource_request"]["request_groups"][0]["required"]
    assert required == ["CUSTOM_PHYSNET_PHYSNET1", "CUSTOM_VNIC_TYPE_NORMAL"]


def test_limits_ask_nothing() -> None:
    """A policy without guarantees asks nothing of Placement."""
    world = Admin()
    policy = world.policy()
    world.rule(policy, "bandwidth_limit", max_kbps=1)
    assert world.port(world.network(), qos_policy_id=policy["id"])["resource_request"] is None


def test_requests_follow_rules_and_policies() -> None:
    """A new guarantee, another policy and another policy of the network all change what a port asks for."""
    world = Admin()
    policy = world.policy()
    network = world.network()
    own, inherits = world.port(network, qos_policy_id=policy["id"]), world.port(network)
    assert own["resource_request"] is None
    rule = world.rule(policy, "minimum_bandwidth", min_kbps=7)
    world.update("network", network, qos_policy_id=policy["id"])
    for port in (own, inherits):
        groups = world.get("port", port)["resource_request"]["request_groups"]
        assert groups[0]["resources"] == {"NET_BW_EGR_KILOBIT_PER_SEC": 7}
    world.update("minimum_bandwidth_rule", rule, min_kbps=8)
    groups = world.get("port", inherits)["resource_request"]["request_groups"]
    assert groups[0]["resources"] == {"NET_BW_EGR_KILOBIT_PER_SEC": 8}
    assert world.update("port", world.get("port", own), qos_policy_id=None)["resource_request"] is not None
    world.update("network", world.get("network", network), qos_policy_id=None)
    assert world.get("port", own)["resource_request"] is None
    assert world.get("port", inherits)["resource_request"] is None


def test_a_limit_rewrites_no_port() -> None:
    """What a new rule writes grows with what changes: nothing of the ports for a limit, each port for a guarantee."""
    world = Admin()
    policy, network = world.policy(), world.network()
    for _ in range(20):
        world.port(network, qos_policy_id=policy["id"])
    for type, values, ports in (("bandwidth_limit", {"max_kbps": 9}, 0), ("minimum_bandwidth", {"min_kbps": 9}, 20)):
        resource = CATALOG[f"{type}_rule"]
        operation = make_create(resource, [{**parse_create(resource, values), "qos_policy_id": policy["id"]}])
        kinds = Counter(change.kind for change in operation(world.snapshot, world.context()).changes)
        assert kinds == Counter({f"{type}_rule": 1, "policy": 1, "port": ports})


def test_what_no_host_enforces_is_refused() -> None:
    """A rule on a port that Open vSwitch does not plug is refused, from whichever side it comes."""
    world = Admin()
    empty, limited = world.policy(), world.policy()
    world.rule(limited, "bandwidth_limit", max_kbps=1)
    network = world.network()
    port = world.port(network, binding__vnic_type="macvtap", qos_policy_id=empty["id"])
    with refused(409, "QosRuleNotSupported", "bandwidth_limit", port["id"]):
        world.rule(empty, "bandwidth_limit", max_kbps=1)
    with refused(409, "QosRuleNotSupported"):
        world.update("port", port, qos_policy_id=limited["id"])
    with refused(409, "QosRuleNotSupported"):
        world.port(network, binding__vnic_type="macvtap", qos_policy_id=limited["id"])
    world.update("port", port, qos_policy_id=None)
    with refused(409, "QosRuleNotSupported"):
        world.update("network", network, qos_policy_id=limited["id"])
    assert world.get("port", port)["qos_network_policy_id"] is None


def test_guarantees_of_instances_are_placed_not_changed() -> None:
    """Guarantees cannot change under a running instance: Placement has counted them. Limits can."""
    world = Admin()
    policy = guaranteed(world)
    world.port(world.network(), device_owner="compute:nova", qos_policy_id=policy["id"])
    rule = {"id": policy["rules"][0]["id"]}
    with refused(501, "NotImplementedError", "Placement"):
        world.update("minimum_bandwidth_rule", rule, min_kbps=1)
    with refused(501, "NotImplementedError"):
        world.delete("minimum_bandwidth_rule", rule)
    with refused(501, "NotImplementedError"):
        world.rule(policy, "minimum_packet_rate", min_kpps=1)
    assert world.rule(policy, "bandwidth_limit", max_kbps=5000)["max_kbps"] == 5000


@pytest.mark.parametrize("of_network", [False, True])
def test_an_allocation_moves_to_an_equal_policy(of_network: bool) -> None:
    """Another policy with the same guarantees takes the allocation over; with other guarantees it is refused."""
    world = Admin()
    old, new, more = guaranteed(world), guaranteed(world), guaranteed(world, kpps=1)
    extra = world.policy()
    world.rule(extra, "minimum_bandwidth", min_kbps=1)
    network = world.network(**VLAN, **({"qos_policy_id": old["id"]} if of_network else {}))
    port = world.port(network, device_owner="compute:nova", device_id="vm", qos_policy_id=None)
    if not of_network:
        port = world.update("port", port, qos_policy_id=old["id"])
    profile = {"allocation": {group_id(port, old, "minimum_bandwidth"): "rp1"}}
    world.update("port", port, binding__profile=profile)
    kind, changed = ("network", network) if of_network else ("port", port)
    with refused(409, "QosPlacementAllocationUpdateConflict", "NET_BW_EGR_KILOBIT_PER_SEC", "vm"):
        world.update(kind, changed, qos_policy_id=extra["id"])
    for policy in (new, more):
        world.update(kind, changed, qos_policy_id=policy["id"])
        found = world.get("port", port)["binding:profile"]["allocation"]
        assert found == {group_id(port, policy, "minimum_bandwidth"): "rp1"}


@pytest.mark.parametrize(
    ("vif_type", "type", "values", "carried"),
    [
        ("bridge", "bandwidth_limit", {"max_kbps": 9, "direction": "ingress"}, True),
        ("bridge", "packet_rate_limit", {"max_kpps": 9}, True),
        ("hw_veb", "bandwidth_limit", {"max_kbps": 9, "direction": "egress"}, True),
        ("hw_veb", "bandwidth_limit", {"max_kbps": 9, "direction": "ingress"}, False),
        ("hw_veb", "dscp_marking", {"dscp_mark": 26}, False),
    ],
)
def test_a_rule_is_refused_where_nobody_would_enforce_it(
    vif_type: str, type: str, values: dict[str, Any], carried: bool
) -> None:
    """Linux bridges enforce what Open vSwitch does; a NIC limits what its functions send, and no more."""
    port = {"id": "p", VIF_TYPE: vif_type}
    with nullcontext() if carried else refused(409, "QosRuleNotSupported", type):
        check_supported({"rules": [{"type": type, **values}]}, port)


# -- what a host has left ----------------------------------------------------------------------------------------------


def tell_bandwidth(world: Admin, egress: int | None, **defaults: float) -> None:
    world.host(
        bridge_mappings={"physnet1": "br-ex"},
        resource_provider_bandwidths={"br-ex": {"egress": egress, "ingress": None}, "rp_tunnelled": {"egress": 1}},
        resource_provider_inventory_defaults=defaults,
    )


def bind(world: Admin, network: Doc, policy: Doc, **more: Any) -> Doc:
    return world.port(network, qos_policy_id=policy["id"], binding__host_id="h1", **more)


def test_a_host_promises_no_more_than_it_has() -> None:
    """Of 2,500 kbit/s two ports get 1,000 each and the third is not bound, in words; when one of them goes, or the host
    has more, it is."""
    world = Admin()
    tell_bandwidth(world, 2500)
    policy, network = guaranteed(world), world.network(**VLAN)
    first, second, third = (bind(world, network, policy) for _ in range(3))
    assert [port[VIF_TYPE] for port in (first, second, third)] == ["ovs", "ovs", "binding_failed"]
    words = "host h1 has 500 of 2500 kbit/s left to guarantee on physical network physnet1 (egress), and the port needs"
    assert f"{words} 1000" in third["waits_for"]
    world.delete("port", first)
    assert world.update("port", third, name="again")[VIF_TYPE] == "ovs"
    fourth = bind(world, network, policy)
    assert fourth[VIF_TYPE] == "binding_failed"
    tell_bandwidth(world, 3000)
    assert world.get("port", fourth)[VIF_TYPE] == "ovs"


@pytest.mark.parametrize(
    ("egress", "defaults", "fits"),
    [
        (1000, {}, True),
        (999, {}, False),
        (1000, {"reserved": 1}, False),
        (500, {"allocation_ratio": 2.0}, True),
        (None, {}, True),
    ],
)
def test_what_a_host_has_is_what_placement_would_count(
    egress: int | None, defaults: dict[str, float], fits: bool
) -> None:
    """The total less what is reserved, times the ratio; nothing said, nothing refused."""
    world = Admin()
    tell_bandwidth(world, egress, **defaults)
    port = bind(world, world.network(**VLAN), guaranteed(world))
    assert (port[VIF_TYPE] == "ovs") is fits


def test_what_was_promised_is_not_taken_away() -> None:
    """More was promised by policies put on ports that are bound: an update leaves them where they are, and a move to
    another host that is full does not."""
    world = Admin()
    tell_bandwidth(world, 1000)
    policy, network = guaranteed(world), world.network(**VLAN)
    ports = [world.port(network, binding__host_id="h1") for _ in range(2)]
    ports = [world.update("port", port, qos_policy_id=policy["id"]) for port in ports]
    for port in ports:
        assert world.update("port", port, binding__profile={"seen": "yes"})[VIF_TYPE] == "ovs"
    world.host("h2", bridge_mappings={"physnet1": "br-ex"}, resource_provider_bandwidths={"br-ex": {"egress": 999}})
    assert world.update("port", ports[0], binding__host_id="h2")[VIF_TYPE] == "binding_failed"


def test_less_than_was_promised_is_not_refused() -> None:
    """Two ports are on a host that has room for neither, by policies that came later: one that needs less stays bound,
    and one that needs more does not."""
    world = Admin()
    tell_bandwidth(world, 10)
    policies = [world.policy(shared=True) for _ in range(3)]
    for policy, least in zip(policies, (500, 1000, 2000), strict=True):
        world.rule(policy, "minimum_bandwidth", min_kbps=least)
    less, much, more = policies
    network = world.network(**VLAN)
    ports = [world.port(network, binding__host_id="h1") for _ in range(2)]
    first, second = (world.update("port", port, qos_policy_id=much["id"]) for port in ports)
    kept = world.update("port", first, qos_policy_id=less["id"], binding__profile={"seen": "yes"})
    assert kept[VIF_TYPE] == "ovs"
    lost = world.update("port", second, qos_policy_id=more["id"], binding__profile={"seen": "yes"})
    assert lost[VIF_TYPE] == "binding_failed"


def test_an_instance_that_arrives_finds_what_it_was_promised() -> None:
    """While it is on its way another port is not given the bandwidth that waits for it; when it has arrived it is not
    refused, though the host has less by then; and whoever goes elsewhere leaves what waited."""
    world = Admin()
    tell_bandwidth(world, 1500)
    world.host("h2", bridge_mappings={"physnet1": "br-ex"})
    policy, network = guaranteed(world), world.network(**VLAN)
    moving = world.port(network, qos_policy_id=policy["id"], binding__host_id="h2", device_owner="compute:nova")
    resource = CATALOG["binding"]
    body = {**parse_create(resource, {"host": "h1"}), "port_id": moving["id"]}
    (waiting,) = world.run(make_create(resource, [body]))
    other = bind(world, network, policy)
    assert other[VIF_TYPE] == "binding_failed"
    tell_bandwidth(world, 900)
    world.run(make_action(resource, resource.actions[0], waiting["id"], {}))
    arrived = world.get("port", moving)
    assert (arrived["binding:host_id"], arrived[VIF_TYPE]) == ("h1", "ovs")
    tell_bandwidth(world, 1500)
    assert world.get("port", other)[VIF_TYPE] == "binding_failed"
    assert world.update("port", arrived, binding__host_id="h2")[VIF_TYPE] == "ovs"
    assert world.update("port", other, name="again")[VIF_TYPE] == "ovs"


def test_who_is_not_counted() -> None:
    """A port that Placement has placed, one without a guarantee, and one in a tunnel, where nobody keeps any."""
    world = Admin()
    tell_bandwidth(world, 10)
    policy, network = guaranteed(world), world.network(**VLAN)
    placed = {"allocation": {"11111111-1111-4111-8111-111111111111": "22222222-2222-4222-8222-222222222222"}}
    assert bind(world, network, policy, binding__profile=placed)[VIF_TYPE] == "ovs"
    assert bind(world, network, world.policy())[VIF_TYPE] == "ovs"
    assert bind(world, world.network(), policy)[VIF_TYPE] == "ovs"
