"""Law 1: what a port shows of its network, its policies, its trust and its bindings depends on the state alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.intent.catalog import CATALOG
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError
from netloom.intent.l2.binding import PROFILE
from netloom.intent.l2.port_binding_part import ACTIVE, make_binding
from netloom.intent.operations import make_action, make_create
from netloom.intent.qos.qos_placement import make_request
from netloom.intent.qos.qos_rules import TYPES, show_rule
from netloom.intent.schema import Doc, parse_create
from tests.unit.intent.test_intent_qos import VALUES, Admin

STEPS = (
    "rule",
    "change",
    "change",
    "unrule",
    "policy",
    "network policy",
    "vnic",
    "pvlan",
    "trust",
    "bind",
    "activate",
    "host",
)
Step = tuple[str, int, int]


def start() -> Admin:
    """Two hosts, two policies that guarantee something, and two networks: one of servers' ports, one of instances'."""
    world = Admin()
    for host in ("h1", "h2"):
        world.host(host)
    for n, owner in enumerate(("", "compute:nova")):
        policy = world.policy()
        world.rule(policy, "minimum_bandwidth", min_kbps=n)
        network = world.network(qos_policy_id=None if owner else policy["id"])
        for _ in range(2):
            world.port(network, device_owner=owner, binding__host_id="h1")
    bind(world, 2, 1)
    return world


def pick(world: Admin, kind: str, number: int) -> Doc | None:
    found = sorted(world.snapshot.docs(kind), key=lambda doc: str(doc["id"]))
    return found[number % len(found)] if found else None


def take(world: Admin, step: Step) -> None:
    name, n, m = step
    try:
        ACTIONS[name](world, n, m)
    except ApiError:
        pass


def rule(world: Admin, n: int, m: int) -> None:
    type = list(TYPES)[m % len(TYPES)]
    directions = TYPES[type].directions
    more = {"direction": directions[n // 2 % len(directions)]} if directions else {}
    world.rule(need(world, "policy", n), type, **VALUES[type], **more)


def need(world: Admin, kind: str, number: int) -> Doc:
    doc = pick(world, kind, number)
    if doc is None:
        raise ApiError(404, "Missing", "nothing there")
    return doc


def change_rule(world: Admin, n: int, m: int) -> None:
    kind = f"{list(TYPES)[m % len(TYPES)]}_rule"
    doc = need(world, kind, n)
    rate = TYPES[kind.removesuffix("_rule")].rate
    world.update(kind, doc, **{rate: 8 * (n % 5)})


def drop_rule(world: Admin, n: int, m: int) -> None:
    kind = f"{list(TYPES)[m % len(TYPES)]}_rule"
    world.delete(kind, need(world, kind, n))


def policy_or_none(world: Admin, m: int) -> Any:
    return None if m % 3 == 2 else need(world, "policy", m)["id"]


def bind(world: Admin, n: int, m: int) -> None:
    resource = CATALOG["binding"]
    body = {**parse_create(resource, {"host": f"h{m % 2 + 1}", "profile": {"n": n}})}
    world.run(make_create(resource, [{**body, "port_id": need(world, "port", n)["id"]}]))


def activate(world: Admin, n: int, m: int) -> None:
    resource = CATALOG["binding"]
    world.run(make_action(resource, resource.actions[0], need(world, "binding", n)["id"], {}))


def change(kind: str, attribute: str, values: Callable[[Admin, int], Any]) -> Callable[[Admin, int, int], None]:
    def act(world: Admin, n: int, m: int) -> None:
        world.update(kind, need(world, kind, n), **{attribute: values(world, m)})

    return act


ACTIONS: dict[str, Callable[[Admin, int, int], None]] = {
    "rule": rule,
    "change": change_rule,
    "unrule": drop_rule,
    "policy": change("port", "qos_policy_id", policy_or_none),
    "network policy": change("network", "qos_policy_id", policy_or_none),
    "vnic": change("port", "binding:vnic_type", lambda world, m: ("normal", "direct", "macvtap")[m % 3]),
    "pvlan": change("network", "pvlan", lambda world, m: m % 2 == 0),
    "trust": change("port", "trusted", lambda world, m: m % 2 == 0),
    "bind": bind,
    "activate": activate,
    "agent": lambda world, n, m: world.host(f"h{m % 2 + 1}", tunnel_types=["vxlan"] * (n % 2)),
    "host": change("port", "binding:host_id", lambda world, m: ("h1", "h2", "")[m % 3]),
}


def check(world: Admin) -> None:
    snapshot = world.snapshot
    draft = Draft(snapshot, world.context())
    for port in snapshot.docs("port"):
        network = snapshot.get("network", port["network_id"]) or {}
        assert port["qos_network_policy_id"] == network["qos_policy_id"]
        in_force = snapshot.get("policy", port["qos_policy_id"] or port["qos_network_policy_id"] or "")
        assert port["resource_request"] == make_request(draft, port, in_force)
        assert bool(port["pvlan_type"]) == network["pvlan"]
        assert bool(port["pvlan_community"]) == (port["pvlan_type"] == "community")
        assert port["trusted"] is None or port[PROFILE]["trusted"] is port["trusted"]
        active = [b for b in snapshot.find("binding", "port_id", port["id"]) if b["status"] == ACTIVE]
        assert active in ([], [make_binding(port, ACTIVE)])
    for policy in snapshot.docs("policy"):
        stored = {
            doc["id"]: show_rule(kind, doc)
            for kind in TYPES.values()
            for doc in snapshot.find(kind.kind, "qos_policy_id", policy["id"])
        }
        assert {shown["id"]: shown for shown in policy["rules"]} == stored


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 11), st.integers(0, 11)), max_size=12))
def test_ports_show_what_is(steps: list[Step]) -> None:
    """After any requests, refused ones among them, a port says of others what they are."""
    world = start()
    for step in steps:
        take(world, step)
    check(world)
