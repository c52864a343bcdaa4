"""Law 6 for security groups: whatever is asked in whatever order, groups show their rules and ports have their groups.

And no value of a request about them breaks anything: the answer is a document or a refusal in the API's words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.intent.catalog import CATALOG
from netloom.intent.errors import ApiError
from netloom.intent.operation import Context
from netloom.intent.operations import make_create
from netloom.intent.schema import Doc, parse_create
from netloom.testing.consistency import check_snapshot, strip_times
from tests.examples import count_examples
from tests.property.test_intent_hostile import check_documents, check_refusal, values
from tests.unit.intent.intent_kit import SETTINGS, World

SMALL = replace(SETTINGS, quotas={"security_group": 4, "security_group_rule": 14, "port": 6})
PROJECTS = ("p1", "p2")
Step = Callable[[World], object]
pick = st.integers(0, 5)


class Cloud(World):
    """A world where steps may ask as an administrator."""

    is_admin = False

    def context(self) -> Context:
        context = super().context()
        return replace(context, requester=replace(context.requester, is_admin=self.is_admin))


def nth(world: World, kind: str, n: int) -> Doc:
    docs = sorted(world.snapshot.docs(kind), key=lambda doc: str(doc["id"]))
    return docs[n % len(docs)] if docs else {"id": "00000000-0000-4000-8000-ffffffffffff"}


def step_group(project: str, stateful: bool) -> Step:
    return lambda world: world.create("security_group", {"project_id": project, "stateful": stateful})


def step_rules(n: int, remote: int | None, addresses: int | None, ports: list[int]) -> Step:
    def step(world: World) -> object:
        group = nth(world, "security_group", n)
        body: dict[str, Any] = {"security_group_id": group["id"], "direction": "ingress", "protocol": "tcp"}
        body["project_id"] = group.get("project_id", "p1")
        if remote is not None:
            body["remote_group_id"] = nth(world, "security_group", remote)["id"]
        if addresses is not None:
            body["remote_address_group_id"] = nth(world, "address_group", addresses)["id"]
        return world.create("security_group_rule", *({**body, **dict.fromkeys(ENDS, port)} for port in ports))

    return step


ENDS = ("port_range_min", "port_range_max")


def step_port(project: str, groups: list[int] | None, secure: bool) -> Step:
    def step(world: World) -> object:
        body: dict[str, Any] = {"network_id": nth(world, "network", 0)["id"], "project_id": project}
        if groups is not None:
            body["security_groups"] = [nth(world, "security_group", n)["id"] for n in groups]
        return world.create("port", {**body, "port_security_enabled": secure})

    return step


def step_update_port(n: int, groups: list[int], secure: bool) -> Step:
    return lambda world: world.update(
        "port",
        nth(world, "port", n),
        security_groups=[nth(world, "security_group", g)["id"] for g in groups],
        port_security_enabled=secure,
    )


def step_template(port: int, default: bool, others: bool, remote: int | None) -> Step:
    def step(world: World) -> object:
        body = {"direction": "ingress", "protocol": "udp", "port_range_min": port, "port_range_max": port}
        uses = {"used_in_default_sg": default, "used_in_non_default_sg": others}
        named = "PARENT" if remote is None else nth(world, "security_group", remote)["id"]
        return world.create("default_security_group_rule", {**body, **uses, "remote_group_id": named})

    return step


def step_delete(kind: str, n: int) -> Step:
    return lambda world: world.delete(kind, nth(world, kind, n))


def as_admin(step: Step) -> Step:
    def asked(world: World) -> object:
        assert isinstance(world, Cloud)
        world.is_admin = True
        try:
            return step(world)
        finally:
            world.is_admin = False

    return asked


some = st.lists(pick, max_size=3)
plain = st.one_of(
    st.builds(step_group, st.sampled_from(PROJECTS), st.booleans()),
    st.builds(step_rules, pick, st.none() | pick, st.none() | pick, st.lists(st.integers(1, 3), max_size=3)),
    st.builds(step_port, st.sampled_from(PROJECTS), st.none() | some, st.booleans()),
    st.builds(step_update_port, pick, some, st.booleans()),
    st.builds(step_template, st.integers(1, 2), st.booleans(), st.booleans(), st.none() | pick),
    st.just(lambda world: world.create("address_group", {"addresses": ["10.0.0.0/8"]})),
    st.builds(
        step_delete,
        st.sampled_from(
            ["security_group", "security_group_rule", "port", "address_group", "default_security_group_rule"]
        ),
        pick,
    ),
)
steps = plain | st.builds(as_admin, plain)


def attempt(world: World, step: Step) -> None:
    try:
        step(world)
    except ApiError as error:
        assert error.status in (400, 404, 409)


@settings(deadline=None, max_examples=count_examples(60))
@given(st.lists(steps, min_size=3, max_size=12))
def test_any_sequence_keeps_groups_whole(sequence: list[Step]) -> None:
    """After any requests each group shows its rules, no rule or port names a group that is gone, indexes are right."""
    world = Cloud(SMALL)
    network = world.network()
    web = world.create("security_group", {})[0]
    world.port(network, security_groups=[web["id"]])
    for step in sequence:
        attempt(world, step)
        assert check_snapshot(world.snapshot) == []
    for project in PROJECTS:
        own = [g for g in world.snapshot.docs("security_group") if g["project_id"] == project and g["is_default"]]
        assert len(own) <= 1


@settings(deadline=None, max_examples=count_examples(40))
@given(st.lists(st.tuples(st.integers(1, 5), st.sampled_from(["tcp", "udp"])), min_size=1, max_size=5, unique=True))
def test_rules_in_bulk_are_rules_one_by_one(wanted: list[tuple[int, str]]) -> None:
    """A bulk request of rules makes what its bodies would make one by one, but for the revision of the group."""
    one, many = World(), World()
    for world in (one, many):
        world.create("security_group", {})
    bodies = [
        {"security_group_id": nth(one, "security_group", 0)["id"], "direction": "ingress", "protocol": protocol,
         "port_range_min": port, "port_range_max": port}
        for port, protocol in wanted
    ]  # fmt: skip
    for body in bodies:
        one.create("security_group_rule", body)
    many.create("security_group_rule", *bodies)
    left, right = (
        [strip_times(world.snapshot.get("security_group_rule", doc["id"]) or {}) for doc in docs]
        for world, docs in (
            (w, sorted(w.snapshot.docs("security_group_rule"), key=lambda doc: str(doc["id"]))) for w in (one, many)
        )
    )
    assert left == right
    assert nth(many, "security_group", 0)["revision_number"] == 2


WORLD = World()
WORLD.network()
GROUP = WORLD.create("security_group", {})[0]
SOUND: dict[str, dict[str, Any]] = {
    "security_group": {},
    "security_group_rule": {"security_group_id": GROUP["id"], "direction": "egress"},
    "default_security_group_rule": {
        "direction": "egress", "used_in_default_sg": False, "used_in_non_default_sg": False,
    },
    "address_group": {},
    "security_groups_default_statefulness": {},
}  # fmt: skip


@settings(deadline=None, max_examples=count_examples(250))
@given(st.data())
def test_no_value_breaks_a_request(data: st.DataObject) -> None:
    """No attribute of a group, a rule or a template takes anything that it cannot answer for."""
    name = data.draw(st.sampled_from(sorted(SOUND)))
    resource = CATALOG[name]
    names = st.sampled_from(sorted(resource.postable))
    body = {**SOUND[name], **data.draw(st.dictionaries(names, values, min_size=1, max_size=3))}
    try:
        outcome = make_create(resource, [parse_create(resource, body)])(WORLD.snapshot, WORLD.context())
    except ApiError as error:
        check_refusal(error)
        return
    check_documents(outcome.answer)
    assert check_snapshot(WORLD.snapshot.apply(outcome.changes, 99)) == []
