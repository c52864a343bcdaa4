"""QoS policies of a router's gateway and floating IPs, as queues at either end of the gateway's device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from netloom.model.device import Shape
from netloom.model.plan import Key
from netloom.model.slices import FloatingRow, QosRow, RouterRow, Slice, Slices
from netloom.render.space import SpaceBook
from tests.unit.render.space_kit import FACTS, INSIDE, OTHER, OUTSIDE, QG, ROUTER, make_slices

FIP = FloatingRow("f1", "ext", "203.0.113.9", "fa:16:3e:00:00:09", "10.1.0.5", "p1")
SENT, RECEIVED = ("shape", "qrouter-r1", QG), ("shape", "", "tapggggggggggg")
NONE: Mapping[str, str] = {}


def make_policy(id: str, out: int = 0, into: int = 0) -> Slice:
    rules = (QosRow("o", "bandwidth_limit", "egress", out), QosRow("i", "bandwidth_limit", "ingress", into))
    return Slice(f"policy/{id}", 1, {f"qos/{rule.id}": rule for rule in rules if rule.rate})


def find_slices(router: RouterRow, fip: FloatingRow, *found: Slice, outer: Mapping[str, str] = NONE) -> Slices:
    slices = make_slices(router, INSIDE, OUTSIDE, OTHER, fip, policies=outer)
    return {**slices, **{part.name: part for part in found}}


def find_rates(slices: Slices) -> dict[Key, dict[str, int]]:
    """By queue, address → kbit/s."""
    things = SpaceBook().render(slices, FACTS)["space/r1"]
    shapes: dict[Key, Shape] = {thing.key: thing.value for thing in things if thing.kind == "shape"}
    return {key: {c.source or c.destination: c.rate for c in shape.classes} for key, shape in shapes.items()}


def test_a_floating_ip_is_held_both_ways() -> None:
    """What leaves under it in the namespace, what comes for it before it is there."""
    slices = find_slices(ROUTER, replace(FIP, policy="gold"), make_policy("gold", 20_000, 10_000))
    assert find_rates(slices) == {SENT: {"203.0.113.9": 20_000}, RECEIVED: {"203.0.113.9": 10_000}}


def test_a_gateway_is_held_by_its_own_address() -> None:
    """A floating IP without a policy is not under its gateway's; each gateway has what the router says."""
    slices = find_slices(replace(ROUTER, gateway_policy="gold"), FIP, make_policy("gold", 20_000))
    other = ("shape", "qrouter-r1", "qg-hhhhhhhhhhh")
    assert find_rates(slices) == {SENT: {"203.0.113.2": 20_000}, other: {"198.51.100.2": 20_000}}


def test_an_external_networks_policy_is_for_those_without_one() -> None:
    """Gateway and floating IPs are under it, each by itself, unless they have one of their own."""
    silver, gold = make_policy("silver", 5_000), make_policy("gold", 20_000)
    slices = find_slices(ROUTER, FIP, silver, outer={"ext": "silver"})
    assert find_rates(slices) == {SENT: {"203.0.113.2": 5_000, "203.0.113.9": 5_000}}
    slices = find_slices(ROUTER, replace(FIP, policy="gold"), silver, gold, outer={"ext": "silver"})
    assert find_rates(slices) == {SENT: {"203.0.113.2": 5_000, "203.0.113.9": 20_000}}


def test_a_policy_that_is_not_known_yet_holds_nothing() -> None:
    """Law 4: the router works without it."""
    assert find_rates(find_slices(replace(ROUTER, gateway_policy="gold"), FIP)) == {}


def test_a_rule_that_changes_is_one_router_rendered_anew() -> None:
    """Nothing of the router's own slices changed; the rest of its things are the same."""
    book, router = SpaceBook(), replace(ROUTER, gateway_policy="gold")
    slices = dict(find_slices(router, FIP, make_policy("gold", 20_000)))
    before = book.render(slices, FACTS)["space/r1"]
    assert book.render(dict(slices), FACTS)["space/r1"] is before
    slices["policy/gold"] = make_policy("gold", 30_000)
    after = book.render(slices, FACTS)["space/r1"]
    assert {one.key[1:] for one, two in zip(before, after, strict=True) if one != two} == {
        SENT[1:], ("qrouter-r1", "qg-hhhhhhhhhhh"),
    }  # fmt: skip


def test_each_queue_says_why() -> None:
    """Law 10: the policy, the gateway's port and the router."""
    slices = find_slices(ROUTER, replace(FIP, policy="gold"), make_policy("gold", 20_000))
    (why,) = (thing.why for thing in SpaceBook().render(slices, FACTS)["space/r1"] if thing.kind == "shape")
    assert {"policy/gold", "port/gggggggggggg-1", "router/r1"} <= set(why.ids)
