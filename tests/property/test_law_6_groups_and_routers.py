"""Law 6 for security groups and routers: every slice there is, kept current, is what it would be if computed whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.intent.agents.agent import report_host
from netloom.intent.catalog import CATALOG
from netloom.intent.operations import make_action
from netloom.model.delta import SliceDelta, apply_delta
from netloom.model.slices import Slice, find_leads, find_reached
from netloom.resolve.rows import KEYS, SOURCES
from netloom.resolve.slices import SliceBook, resolve_slice
from tests.property.test_law_6_slices import HOSTS, TOLD, Recorder, attempt, same

Step = Callable[[Recorder], object]
pick = st.integers(0, 3)


def act(world: Recorder, kind: str, n: int, name: str, body: dict[str, Any]) -> None:
    resource = CATALOG[kind]
    action = next(action for action in resource.actions if action.name == name)
    world.run(make_action(resource, action, world.nth(kind, n), action.parse(body)))


def rule(world: Recorder, n: int, port: int, remote: dict[str, Any]) -> None:
    body = {"security_group_id": world.nth("security_group", n), "direction": "ingress", "protocol": "tcp",
            "port_range_min": port, "port_range_max": port, **remote}  # fmt: skip
    world.create("security_group_rule", body)


steps: st.SearchStrategy[Step] = st.one_of(
    st.builds(
        lambda n, h, g: (
            lambda w: w.create(
                "port",
                {
                    "network_id": w.nth("network", n),
                    "binding:host_id": h,
                    "security_groups": [w.nth("security_group", g)],
                },
            )
        ),
        pick,
        st.sampled_from((*HOSTS, "")),
        pick,
    ),
    st.builds(lambda n, h: lambda w: w.change("port", n, {"binding:host_id": h}), pick, st.sampled_from((*HOSTS, ""))),
    st.builds(
        lambda n, g: lambda w: w.change("port", n, {"security_groups": [w.nth("security_group", g)]}), pick, pick
    ),
    st.builds(
        lambda n: lambda w: w.change("port", n, {"allowed_address_pairs": [{"ip_address": "10.9.0.0/24"}]}), pick
    ),
    st.builds(lambda n: lambda w: w.remove("port", n), pick),
    st.builds(lambda: lambda w: w.create("security_group", {"name": "g"})),
    st.builds(lambda n: lambda w: w.remove("security_group", n), pick),
    st.builds(
        lambda n, p, r: lambda w: rule(w, n, p, {"remote_group_id": w.nth("security_group", r)}), pick, pick, pick
    ),
    st.builds(
        lambda n, p, r: lambda w: rule(w, n, p, {"remote_address_group_id": w.nth("address_group", r)}),
        pick,
        pick,
        pick,
    ),
    st.builds(lambda n: lambda w: w.remove("security_group_rule", n), st.integers(0, 20)),
    st.builds(lambda n: lambda w: w.create("address_group", {"addresses": [f"10.{n}.0.0/16"]}), pick),
    st.builds(
        lambda n, m: lambda w: act(w, "address_group", n, "add_addresses", {"addresses": [f"10.{m}.0.0/16"]}),
        pick,
        pick,
    ),
    st.builds(lambda n: lambda w: w.remove("address_group", n), pick),
    st.builds(
        lambda d, g: (
            lambda w: w.create(
                "router", {**d, **({"external_gateway_info": {"network_id": w.nth("network", 0)}} if g else {})}
            )
        ),
        st.sampled_from(({}, {"distributed": True}, {"ha": True})),
        st.booleans(),
    ),
    st.builds(
        lambda n, s: lambda w: act(w, "router", n, "add_router_interface", {"subnet_id": w.nth("subnet", s)}),
        pick,
        pick,
    ),
    st.builds(
        lambda n, s: lambda w: act(w, "router", n, "remove_router_interface", {"subnet_id": w.nth("subnet", s)}),
        pick,
        pick,
    ),
    st.builds(
        lambda n: lambda w: w.change("router", n, {"external_gateway_info": {"network_id": w.nth("network", 0)}}), pick
    ),
    st.builds(lambda n: lambda w: w.change("router", n, {"external_gateway_info": None}), pick),
    st.builds(lambda n: lambda w: w.change("router", n, {"admin_state_up": False}), pick),
    st.builds(lambda n: lambda w: w.remove("router", n), pick),
    st.builds(
        lambda n: (
            lambda w: w.create("floatingip", {"floating_network_id": w.nth("network", 0), "port_id": w.nth("port", n)})
        ),
        pick,
    ),
    st.builds(lambda n: lambda w: w.change("floatingip", n, {"port_id": None}), pick),
    st.builds(lambda n: lambda w: w.remove("floatingip", n), pick),
    st.builds(lambda n: lambda w: w.remove("agent", n), st.integers(0, 8)),
)


def make_world() -> Recorder:
    """Two hosts, an external network (the first) and two inner ones with a subnet each."""
    world = Recorder()
    for host in HOSTS:
        world.run(lambda s, c, host=host: report_host(s, c, host, TOLD, "nova"))  # type: ignore[misc]
    world.create("network", {"router:external": True})
    for _ in range(2):
        world.create("network", {})
    for n, id in enumerate(sorted(world.snapshot.records("network"))):
        world.create("subnet", {"network_id": id, "cidr": f"10.{n}.0.0/24", "ip_version": 4})
    return world


def find_names(world: Recorder) -> set[str]:
    """Every slice that could be followed."""
    named = {f"{kind}/{id}" for kind, source in SOURCES.items() for id in world.snapshot.records(source)}
    assert {name.partition("/")[0] for name in named} | {"host"} <= set(KEYS)
    return named | {f"host/{host}" for host in HOSTS}


def follow_story(world: Recorder, story: Iterable[tuple[Step, bool]], followed: Iterable[str] = ()) -> None:
    """Take each step, and at each commit all changes since the last one; every slice is followed once it is there."""
    book, held = SliceBook(world.snapshot), dict[str, Slice | None]()
    world.changes.clear()
    for name in followed:
        held[name] = book.follow(name)
    for step, commit in story:
        attempt(lambda step=step: step(world))  # type: ignore[misc]
        if commit:
            deltas = book.advance(world.changes, world.snapshot)
            world.changes.clear()
            check(world, book, held, deltas)
            for name in find_names(world) - held.keys():
                held[name] = book.follow(name)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(steps, st.booleans()), min_size=5, max_size=30))
def test_law_6_groups_and_routers(story: list[tuple[Step, bool]]) -> None:
    """Whatever is asked, and however many commits are taken at once."""
    world = make_world()
    follow_story(world, story)


def check(world: Recorder, book: SliceBook, held: dict[str, Slice | None], deltas: Any) -> None:
    for name, delta in deltas.items():
        assert isinstance(delta, SliceDelta)
        held[name] = apply_delta(held[name], delta)
    for name, kept in held.items():
        whole = resolve_slice(world.snapshot, name)
        assert same(book.slice(name), whole), name
        assert same(kept, whole), name
        assert book.leads(name) == find_leads(whole.rows if whole else {}), name


@pytest.mark.parametrize("form", [{"distributed": True}, {"distributed": True, "ha": True}, {}, {"ha": True}])
def test_a_host_is_led_to_what_it_routes_to(form: dict[str, Any]) -> None:
    """From a port to its network, its groups and their members; to a distributed router and its other networks, and no
    further behind a router that another host forwards for."""
    world = make_world()
    world.create("router", form)
    ids = sorted(world.snapshot.records("network"))
    for n in (1, 2):
        subnet = next(iter(world.snapshot.find("subnet", "network_id", ids[n])))
        act(world, "router", 0, "add_router_interface", {"subnet_id": subnet["id"]})
    for host in ("h3", "h9"):  # a router with copies is on three hosts
        world.run(lambda s, c, host=host: report_host(s, c, host, TOLD, "nova"))  # type: ignore[misc]
    (port,) = world.create("port", {"network_id": ids[1], "binding:host_id": "h9"})
    group, router = port["security_groups"][0], world.nth("router", 0)
    book = SliceBook(world.snapshot)

    def leads(name: str) -> frozenset[str]:
        book.follow(name)
        return book.leads(name)

    behind = {f"router/{router}", f"network/{ids[2]}"} if form.get("distributed") else set()
    own = {"host/h9", f"network/{ids[1]}", f"group/{group}", f"members/{group}"}
    assert set(find_reached("host/h9", leads)) == own | behind
    assert set(find_reached("host/h8", leads)) == {"host/h8"}
