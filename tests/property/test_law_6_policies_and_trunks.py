"""Law 6 for QoS policies, trunks and bindings: every slice, kept current, is what it would be if computed whole."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.intent.agents.agent import report_host
from netloom.intent.catalog import CATALOG
from netloom.intent.operations import make_create
from netloom.intent.schema import parse_create
from netloom.model.slices import PlaceRow, PortRow, Slice, find_reached
from netloom.resolve.slices import SliceBook, resolve_slice
from tests.property.test_law_6_groups_and_routers import Step, act, check, find_names, follow_story
from tests.property.test_law_6_slices import HOSTS, TOLD, Recorder

pick = st.integers(0, 3)
host = st.sampled_from((*HOSTS, ""))


def seat(world: Recorder, n: int, tag: int) -> list[dict[str, Any]]:
    return [{"port_id": world.nth("port", n), "segmentation_type": "vlan", "segmentation_id": tag}]


def create_below(world: Recorder, kind: str, parent: str, body: dict[str, Any]) -> None:
    """As the shell does: what a request says of the object above it is in its path."""
    resource = CATALOG[kind]
    world.run(make_create(resource, [{**parse_create(resource, body), resource.parent_key: parent}]))


def limit(world: Recorder, n: int, kbps: int) -> None:
    create_below(world, "bandwidth_limit_rule", world.nth("policy", n), {"max_kbps": kbps})


def bind(world: Recorder, n: int, name: str) -> None:
    create_below(world, "binding", world.nth("port", n), {"host": name})


steps: st.SearchStrategy[Step] = st.one_of(
    st.builds(
        lambda h: (
            lambda w: w.create(
                "port", {"network_id": w.nth("network", 1), "binding:host_id": h, "device_owner": "compute:nova"}
            )
        ),
        host,
    ),
    st.builds(lambda n, h: lambda w: w.change("port", n, {"binding:host_id": h}), pick, host),
    st.builds(lambda n, p: lambda w: w.change("port", n, {"qos_policy_id": w.nth("policy", p)}), pick, pick),
    st.builds(lambda n: lambda w: w.change("port", n, {"qos_policy_id": None}), pick),
    st.builds(lambda n: lambda w: w.change("port", n, {"device_owner": "network:dhcp"}), pick),
    st.builds(lambda n: lambda w: w.remove("port", n), pick),
    st.builds(lambda n, p: lambda w: w.change("network", n, {"qos_policy_id": w.nth("policy", p)}), pick, pick),
    st.builds(lambda n: lambda w: w.change("network", n, {"qos_policy_id": None}), pick),
    st.builds(lambda: lambda w: w.create("policy", {"name": "p"})),
    st.builds(lambda n: lambda w: w.remove("policy", n), pick),
    st.builds(lambda n, k: lambda w: limit(w, n, 1000 + k), pick, pick),
    st.builds(lambda n, k: lambda w: w.change("bandwidth_limit_rule", n, {"max_kbps": 2000 + k}), pick, pick),
    st.builds(lambda n: lambda w: w.remove("bandwidth_limit_rule", n), pick),
    st.builds(lambda p, s: lambda w: w.create("trunk", {"port_id": w.nth("port", p), "sub_ports": seat(w, s, 7)}),
              pick, pick),
    st.builds(lambda n, s, t: lambda w: act(w, "trunk", n, "add_subports", {"sub_ports": seat(w, s, t)}),
              pick, pick, st.integers(1, 5)),
    st.builds(lambda n, s: lambda w: act(w, "trunk", n, "remove_subports", {"sub_ports": seat(w, s, 7)}), pick, pick),
    st.builds(lambda n: lambda w: w.remove("trunk", n), pick),
    st.builds(lambda n, h: lambda w: bind(w, n, h), pick, st.sampled_from(HOSTS)),
    st.builds(lambda n: lambda w: act(w, "binding", n, "activate", {}), pick),
    st.builds(lambda n: lambda w: w.remove("binding", n), pick),
    st.builds(
        lambda p: (
            lambda w: w.create(
                "router",
                {"external_gateway_info": {"network_id": w.nth("network", 0), "qos_policy_id": w.nth("policy", p)}},
            )
        ),
        pick,
    ),
    st.builds(
        lambda p: (
            lambda w: w.create(
                "floatingip", {"floating_network_id": w.nth("network", 0), "qos_policy_id": w.nth("policy", p)}
            )
        ),
        pick,
    ),
    st.builds(lambda n, p: lambda w: w.change("floatingip", n, {"port_id": w.nth("port", p)}), pick, pick),
    st.builds(lambda n: lambda w: w.change("floatingip", n, {"qos_policy_id": None}), pick),
)  # fmt: skip


def make_world() -> Recorder:
    """Two hosts, an external network (the first by id) and an inner one; a trunk with a subport and another port, all
    on h1; then a policy, and a router between the networks."""
    world = Recorder()
    for name in HOSTS:
        world.run(lambda s, c, name=name: report_host(s, c, name, TOLD, "nova"))  # type: ignore[misc]
    world.create("network", {"router:external": True})
    world.create("network", {})
    for n, id in enumerate(sorted(world.snapshot.records("network"))):
        world.create("subnet", {"network_id": id, "cidr": f"10.{n}.0.0/24", "ip_version": 4})
    compute = {"network_id": world.nth("network", 1), "device_owner": "compute:nova"}
    for name in ("", "", "h1"):
        world.create("port", {**compute, "binding:host_id": name, **({} if name else {"device_owner": ""})})
    world.create("trunk", {"port_id": world.nth("port", 0), "sub_ports": seat(world, 1, 7)})
    world.change("port", 0, {"binding:host_id": "h1", "device_owner": "compute:nova"})
    world.create("policy", {"name": "first"})
    world.create("router", {"external_gateway_info": {"network_id": world.nth("network", 0)}})
    act(world, "router", 0, "add_router_interface", {"subnet_id": world.nth("subnet", 1)})
    return world


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(steps, st.booleans()), min_size=5, max_size=30))
def test_law_6_policies_and_trunks(story: list[tuple[Step, bool]]) -> None:
    """Whatever is asked, and however many commits are taken at once."""
    world = make_world()
    follow_story(world, story)


STORY: tuple[Step, ...] = (
    lambda w: bind(w, 0, "h2"),
    lambda w: w.change("port", 0, {"qos_policy_id": w.nth("policy", 0)}),
    lambda w: act(w, "trunk", 0, "add_subports", {"sub_ports": seat(w, -1, 8)}),
    lambda w: w.change("port", 1, {"qos_policy_id": w.nth("policy", 0)}),
    lambda w: act(w, "binding", 1, "activate", {}),
    lambda w: w.remove("binding", 0),
    lambda w: bind(w, 2, "h2"),
    lambda w: w.change("network", 1, {"qos_policy_id": w.nth("policy", 0)}),
    lambda w: limit(w, 0, 1000),
    lambda w: w.remove("binding", 2),
    lambda w: w.create("floatingip", {"floating_network_id": w.nth("network", 0), "port_id": w.nth("port", 2)}),
    lambda w: w.change("floatingip", 0, {"qos_policy_id": w.nth("policy", 0)}),
    lambda w: w.change("floatingip", 0, {"qos_policy_id": None}),
    lambda w: w.change("router", 0, {"external_gateway_info": {"network_id": w.nth("network", 0),
                                                               "qos_policy_id": w.nth("policy", 0)}}),
    lambda w: w.change("router", 0, {"external_gateway_info": {"network_id": w.nth("network", 0),
                                                               "qos_policy_id": None}}),
)  # fmt: skip


def test_law_6_a_trunk_that_migrates_under_a_policy() -> None:
    """A story in which every kind of row comes, changes and goes; each step is taken, and each is a commit."""
    world = make_world()
    world.create("port", {"network_id": world.nth("network", 1), "device_owner": ""})
    book, held = SliceBook(world.snapshot), dict[str, Slice | None]()
    for name in find_names(world):
        held[name] = book.follow(name)
    for number, step in enumerate(STORY):
        world.changes.clear()
        step(world)
        assert world.changes, number
        check(world, book, held, book.advance(world.changes, world.snapshot))


def test_a_host_that_expects_a_port_is_led_to_all_that_it_needs() -> None:
    """Before the instance arrives: the port, its network, its groups and its policy; and the others send there too."""
    world = make_world()
    network = world.nth("network", 1)
    (port,) = world.create(
        "port",
        {
            "network_id": network,
            "binding:host_id": "h1",
            "device_owner": "compute:nova",
            "qos_policy_id": world.nth("policy", 0),
        },
    )
    bind(world, sorted(world.snapshot.records("port")).index(port["id"]), "h2")
    book = SliceBook(world.snapshot)

    def leads(name: str) -> frozenset[str]:
        book.follow(name)
        return book.leads(name)

    reached = {name: set(find_reached(f"host/{name}", leads)) - {f"host/{name}"} for name in HOSTS}
    assert reached["h2"] >= {f"network/{network}", f"policy/{world.nth('policy', 0)}"}
    carried = {f"router/{id}" for id in world.snapshot.records("router")}
    carried |= {f"network/{id}" for id in world.snapshot.records("network")}
    assert reached["h2"] <= reached["h1"] <= reached["h2"] | carried, "and what the router needs that is on h1"
    own = resolve_slice(world.snapshot, "host/h2")
    row = own.rows[f"port/{port['id']}"] if own else None
    assert isinstance(row, PortRow) and row.expected
    found = resolve_slice(world.snapshot, f"network/{network}")
    place = found.rows[f"place/{port['id']}"] if found else None
    assert isinstance(place, PlaceRow) and (place.host, place.also) == ("h1", ("h2",))
    assert found is not None and "host/h2" in found.rows
    act(world, "binding", 1, "activate", {})
    own = resolve_slice(world.snapshot, "host/h1")
    assert own is not None and not {f"port/{port['id']}", f"follow/policy/{port['qos_policy_id']}"} & set(own.rows)
