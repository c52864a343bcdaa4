"""Law 6 for routers with copies: every slice kept current is what it would be if computed whole."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.intent.agents.agent import mark_alive, report_host
from netloom.intent.catalog import CATALOG
from netloom.intent.l3.router_copies import move_routers, report_copies
from netloom.intent.operations import make_relation
from tests.property.test_law_6_groups_and_routers import act, find_names, follow_story, make_world
from tests.property.test_law_6_slices import Recorder

Step = Callable[[Recorder], object]
HOSTS = ("h1", "h2", "h3")
pick = st.integers(0, 3)
hosts = st.sampled_from(HOSTS)


def relate(world: Recorder, host: str, n: int, add: bool) -> None:
    """Give a router to a host's L3 agent, or take it away."""
    linked = next(one for one in CATALOG["agent"].linked if one.path == "l3-routers")
    agent = world.snapshot.lookup("agent", "host_type", (host, "L3 agent"))
    work = linked.add if add else linked.remove
    assert work is not None
    if agent is not None:
        world.run(make_relation(CATALOG["agent"], work, agent["id"], world.nth("router", n)))


def report(world: Recorder, host: str, n: int) -> None:
    told = {"tunneling_ip": f"192.0.2.{n + 1}", "tunnel_types": ["vxlan"]}
    world.run(lambda s, c: report_host(s, c, host, told, "nova"))


steps: st.SearchStrategy[Step] = st.one_of(
    st.builds(
        lambda ha, g: (
            lambda w: w.create(
                "router", {"ha": ha, **({"external_gateway_info": {"network_id": w.nth("network", 0)}} if g else {})}
            )
        ),
        st.booleans(),
        st.booleans(),
    ),
    st.builds(
        lambda n, s, add: (
            lambda w: act(
                w, "router", n, f"{'add' if add else 'remove'}_router_interface", {"subnet_id": w.nth("subnet", s)}
            )
        ),
        pick,
        pick,
        st.booleans(),
    ),
    st.builds(
        lambda n, form: lambda w: w.change("router", n, form),
        pick,
        st.sampled_from(({"admin_state_up": False}, {"admin_state_up": False, "ha": True}, {"ha": False})),
    ),
    st.builds(lambda n: lambda w: w.remove("router", n), pick),
    st.builds(lambda h, n, add: lambda w: relate(w, h, n, add), hosts, pick, st.booleans()),
    st.builds(
        lambda h, n, state: lambda w: w.run(lambda s, c: report_copies(s, c, h, {w.nth("router", n): state})),
        hosts,
        pick,
        st.sampled_from(("active", "standby")),
    ),
    st.builds(lambda h, up: lambda w: w.run(lambda s, c: mark_alive(s, c, h, up)), hosts, st.booleans()),
    st.builds(lambda h: lambda w: w.run(lambda s, c: move_routers(s, c, h)), hosts),
    st.builds(lambda h, n: lambda w: report(w, h, n), hosts, pick),
    st.builds(lambda n: lambda w: w.remove("agent", n), st.integers(0, 11)),
    st.builds(
        lambda n, h: lambda w: w.create("port", {"network_id": w.nth("network", n), "binding:host_id": h}), pick, hosts
    ),
)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(steps, st.booleans()), min_size=5, max_size=25))
def test_law_6_copies(story: list[tuple[Step, bool]]) -> None:
    """Whatever is asked and whatever hosts say, however many commits are taken at once."""
    world = make_world()
    report(world, "h3", 2)
    follow_story(world, story, (*find_names(world), "host/h3"))
