"""Law 6, of prefixes: what is free of a pool follows from its subnets, whatever came and went before."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.intent.blocks import subtract
from netloom.intent.errors import ApiError
from netloom.intent.schema import Doc
from netloom.testing.consistency import check_snapshot
from tests.examples import count_examples
from tests.unit.intent.test_intent_subnetpool import PoolWorld

PREFIXES = ["10.0.0.0/27", "10.0.0.64/26", "10.0.1.0/28"]
lengths = st.integers(26, 29)
places = st.integers(0, 5)
cidrs = st.tuples(st.integers(0, 15), lengths).map(lambda pair: f"10.0.0.{pair[0] * 8}/{pair[1]}")
steps = st.one_of(
    st.tuples(st.just("cut"), places, lengths),
    st.tuples(st.just("cut"), places, lengths),
    st.tuples(st.just("name"), places, cidrs),
    st.tuples(st.just("plain"), places, cidrs),
    st.tuples(st.just("drop"), places, st.integers(0, 20)),
    st.tuples(st.just("drop network"), places, st.just(0)),
    st.tuples(st.just("onboard"), places, st.just(0)),
    st.tuples(st.just("scope"), places, st.booleans()),
    st.tuples(st.just("remove_prefixes"), places, cidrs),
    st.tuples(st.just("add_prefixes"), places, cidrs),
)


def take(world: PoolWorld, pools: list[Doc], networks: list[Doc], scope: Doc, step: tuple[str, int, Any]) -> None:
    """One request, which may be refused."""
    verb, place, given = step
    pool, network = pools[place % 2], networks[place]
    subnets = sorted(subnet["id"] for subnet in world.snapshot.docs("subnet"))
    if verb == "cut":
        wanted = best_fit(world, pool, given)
        subnet = world.cut(pool, network, prefixlen=given, enable_dhcp=False)
        assert subnet["cidr"] == wanted
    elif verb == "name":
        world.cut(pool, network, cidr=given, enable_dhcp=False)
    elif verb == "plain":
        world.subnet(network, given, enable_dhcp=False)
    elif verb == "drop" and subnets:
        world.delete("subnet", {"id": subnets[given % len(subnets)]})
    elif verb == "drop network":
        networks[place] = world.network()
        world.delete("network", network)
    elif verb == "onboard":
        world.act(pool, "onboard_network_subnets", {"network_id": network["id"]})
    elif verb == "scope":
        world.update("subnetpool", pool, address_scope_id=scope["id"] if given else None)
    elif verb.endswith("prefixes"):
        world.act(pool, verb, {"prefixes": [given]})


def best_fit(world: PoolWorld, pool: Doc, length: int) -> str:
    """The prefix to be given, found by looking at all that is left: of the smallest gaps that will do, the lowest."""
    taken = [subnet["cidr"] for subnet in world.snapshot.find("subnet", "subnetpool_id", pool["id"])]
    left = subtract(world.get("subnetpool", pool)["prefixes"], taken)
    fitting = [cidr for cidr in left if int(cidr.partition("/")[2]) <= length]
    chosen = max(fitting, key=lambda cidr: int(cidr.partition("/")[2]), default="none/")
    return f"{chosen.partition('/')[0]}/{length}"


@settings(max_examples=count_examples(60), deadline=None)
@given(st.lists(steps, min_size=8, max_size=30))
def test_pools_give_what_is_free(todo: list[tuple[str, int, Any]]) -> None:
    """No address is in two subnets of a pool, none is outside it, and the smallest gap that fits is the one used."""
    world = PoolWorld()
    scope = world.scope()
    pools = [world.pool(*PREFIXES, min_prefixlen=24), world.pool("10.0.0.0/23", min_prefixlen=24)]
    networks = [world.network() for _ in range(6)]
    for step in todo:
        with suppress(ApiError):
            take(world, pools, networks, scope, step)
        assert check_snapshot(world.snapshot) == []
