"""Law 6 for distributed routers: who routes into a network, and who translates a floating IP, as slices keep it."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.intent.agents.agent import mark_alive, report_host
from netloom.intent.catalog import CATALOG
from netloom.intent.operations import make_action
from tests.examples import count_examples
from tests.property.test_law_6_groups_and_routers import Step, act, follow_story, make_world, pick
from tests.property.test_law_6_slices import HOSTS, TOLD, Recorder, attempt

hosts = st.sampled_from((*HOSTS, ""))
CARRYING = {**TOLD, "bridge_mappings": {"physnet": "br-ex"}}

steps: st.SearchStrategy[Step] = st.one_of(
    st.builds(
        lambda n, h: lambda w: w.create("port", {"network_id": w.nth("network", n), "binding:host_id": h}), pick, hosts
    ),
    st.builds(lambda n, h: lambda w: w.change("port", n, {"binding:host_id": h}), st.integers(0, 9), hosts),
    st.builds(lambda n: lambda w: w.remove("port", n), st.integers(0, 9)),
    st.builds(
        lambda n, s: lambda w: act(w, "router", n, "add_router_interface", {"subnet_id": w.nth("subnet", s)}),
        pick, pick,
    ),
    st.builds(
        lambda n, s: lambda w: act(w, "router", n, "remove_router_interface", {"subnet_id": w.nth("subnet", s)}),
        pick, pick,
    ),
    st.builds(
        lambda n, g: lambda w: w.change(
            "router", n, {"external_gateway_info": {"network_id": w.nth("network", 0)} if g else None}
        ),
        pick, st.booleans(),
    ),
    st.builds(lambda n, d: lambda w: change_form(w, n, d), pick, st.booleans()),
    st.builds(
        lambda n: lambda w: w.create(
            "floatingip", {"floating_network_id": w.nth("network", 0), "port_id": w.nth("port", n)}
        ),
        st.integers(0, 9),
    ),
    st.builds(lambda n: lambda w: w.change("floatingip", n, {"port_id": None}), pick),
    st.builds(lambda h, c: lambda w: tell(w, h, c), st.sampled_from(HOSTS), st.booleans()),
    st.builds(
        lambda h, up: lambda w: w.run(lambda s, c: mark_alive(s, c, h, up)), st.sampled_from(HOSTS), st.booleans()
    ),
    st.builds(lambda n: lambda w: w.remove("agent", n), st.integers(0, 8)),
)  # fmt: skip


def change_form(world: Recorder, n: int, distributed: bool) -> None:
    world.change("router", n, {"admin_state_up": False})
    world.change("router", n, {"distributed": distributed, "admin_state_up": False})


def tell(world: Recorder, host: str, carries: bool) -> None:
    told: dict[str, Any] = CARRYING if carries else TOLD
    world.run(lambda s, c: report_host(s, c, host, told, "nova"))


def make_routed_world() -> Recorder:
    """Two distributed routers: the first with both inner networks and a gateway. Ports on the hosts, one with a
    floating IP."""
    world = make_world()
    outside, *inner = sorted(world.snapshot.records("network"))
    gateway = {"external_gateway_info": {"network_id": outside}}
    (first,) = world.create("router", {"distributed": True, **gateway})
    world.create("router", {"distributed": True, **gateway})
    for network in inner:
        (subnet,) = world.snapshot.find("subnet", "network_id", network)
        attempt(lambda id=subnet["id"]: join(world, first["id"], id))  # type: ignore[misc]
    places = (inner[0], HOSTS[0]), (inner[1], ""), (inner[1], HOSTS[-1])
    ports = [world.create("port", {"network_id": n, "binding:host_id": h})[0] for n, h in places]
    world.create("floatingip", {"floating_network_id": outside, "port_id": ports[0]["id"]})
    return world


def join(world: Recorder, router: str, subnet: str) -> None:
    action = next(action for action in CATALOG["router"].actions if action.name == "add_router_interface")
    world.run(make_action(CATALOG["router"], action, router, action.parse({"subnet_id": subnet})))


@settings(max_examples=count_examples(100), deadline=None)
@given(st.lists(st.tuples(steps, st.booleans()), min_size=8, max_size=30))
def test_law_6_distributed_routers(story: list[tuple[Step, bool]]) -> None:
    """Whatever is asked, and however many commits are taken at once."""
    world = make_routed_world()
    follow_story(world, story)
