"""What a swarm is filled with, and what its hosts are compared with."""

from __future__ import annotations

import asyncio

import pytest

from netloom.intent.catalog import CATALOG
from netloom.lab.swarm_check import Resolved, find_differences
from netloom.lab.swarm_fill import fill_store
from netloom.lab.swarm_host import Device, Plugs, find_moments
from netloom.lab.swarm_plan import Shape, plan_cloud
from netloom.model.plan import Thing
from netloom.model.slices import Slice
from netloom.reconcile.desired import merge_groups
from netloom.render.host import render_host
from netloom.store.engine import open_reader
from netloom.store.load import load_snapshot


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('swarm')}/netloom.db"
    asyncio.run(fill_store(url, plan_cloud(Shape(hosts=6, ports=120, spread=3))))
    return url


def resolve(store: str) -> Resolved:
    opened = open_reader(store)
    try:
        return Resolved(load_snapshot(opened, CATALOG))
    finally:
        opened.close()


def hold(store: str, host: str) -> tuple[dict[str, Slice], Plugs, Device]:
    """What the host should hold."""
    slices = dict(resolve(store).follow(host))
    plugs, device = Plugs(host, "10.0.0.1"), Device()
    device.held = dict(merge_groups(render_host(slices, plugs.plug(slices)))[0])
    return slices, plugs, device


def test_a_filled_store_is_what_was_planned(store: str) -> None:
    """Every port is bound to the host that the plan names, and one port of each host is in the operator's group."""
    opened = open_reader(store)
    snapshot = load_snapshot(opened, CATALOG)
    opened.close()
    bound = [port for port in snapshot.docs("port") if port["device_owner"] == "compute:nova"]
    assert len(bound) == 120
    assert all(port["binding:vif_type"] == "ovs" for port in bound)
    common = next(group for group in snapshot.docs("security_group") if group["name"] == "swarm-common")
    inside = [port for port in bound if common["id"] in port["security_groups"]]
    assert len({port["binding:host_id"] for port in inside}) == len(inside) == 6


def test_a_host_that_holds_what_it_should_is_left_alone(store: str) -> None:
    """The comparison has nothing to say of it."""
    assert find_differences(store, {"h00001": hold(store, "h00001")}) == []


def test_a_host_that_lost_a_flow_or_a_row_is_named(store: str) -> None:
    """Whatever is missing, too much or different is told."""
    slices, plugs, device = hold(store, "h00002")
    key = next(key for key in device.held if key[0] == "flow")
    del device.held[key]
    name = next(name for name in slices if name.startswith("network/"))
    slices[name] = Slice(name, 1, {})
    found = find_differences(store, {"h00002": (slices, plugs, device)})
    assert len(found) == 2
    assert all(words.startswith("h00002: ") for words in found)


def test_a_changed_value_is_named_as_well(store: str) -> None:
    """A thing with the right key and another value is no more right than one that is missing."""
    slices, plugs, device = hold(store, "h00003")
    key = next(key for key in device.held if key[0] == "flow")
    device.held[key] = Thing(key, "something else")
    assert find_differences(store, {"h00003": (slices, plugs, device)}) == [f"h00003: {key[:4]} differs"]


def test_a_moment_is_the_first_one_after_the_question() -> None:
    """An acknowledgement of something older does not count."""
    heard, acknowledged = [(5, 1.0), (6, 2.0), (7, 3.0)], [(5, 2.1), (6, 2.2), (7, 3.1)]
    assert find_moments(heard, acknowledged, 1.5) == (2.0, 2.2)
    assert find_moments(heard, acknowledged, 2.5) == (3.0, 3.1)
    assert find_moments(heard, acknowledged, 3.5) == (0.0, 0.0)
