"""Metadata in namespaces of routers and DHCP servers, as values: who asks where."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netloom.model.facts import HostFacts
from netloom.model.slices import (
    Address,
    CallerRow,
    FollowRow,
    InterfaceRow,
    NetworkRow,
    PlaceRow,
    PortRow,
    RouterHost,
    RouterRow,
    Row,
    Slice,
    Slices,
)
from netloom.render.metadata_space import RULESET, find_space_callers, render_redirects

FACTS = HostFacts("h1", metadata_redirect=True)
SERVER = PortRow("0123456789abcdef", "n1", "fa:16:3e:00:00:02", device_owner="network:dhcp", device_id="dhcpx-n1")


def make_slices() -> Slices:
    """Network n1 with a server here; router r1 on the first subnets of n1 and n2. Both networks use the same range."""
    rows: dict[str, dict[str, Row]] = {
        "host/h1": {"port/s": SERVER, "follow/router/r1": FollowRow("router/r1")},
        "network/n1": {"network/n1": NetworkRow("n1", 1)},
        "network/n2": {"network/n2": NetworkRow("n2", 2)},
        "callers/n1": {
            "caller/a": CallerRow("a", "vm-a", "t1", (Address("10.0.0.5", "s1"), Address("10.9.0.5", "s9"))),
        },
        "callers/n2": {"caller/b": CallerRow("b", "vm-b", "t1", (Address("10.9.0.5", "s2"),))},
        "router/r1": {
            "router/r1": RouterRow("r1", hosts=(RouterHost("h1"),)),
            "interface/i1": InterfaceRow("i1", "n1", "m", "internal", (Address("10.0.0.1", "s1"),), "h1"),
            "interface/i2": InterfaceRow("i2", "n2", "m", "internal", (Address("10.9.0.1", "s2"),), "h1"),
            "interface/g": InterfaceRow("g", "n3", "m", "gateway", (Address("203.0.113.2", "s3"),), "h1"),
        },
    }
    return {name: Slice(name, 1, held) for name, held in rows.items()}


def test_a_router_knows_those_on_its_own_subnets() -> None:
    """Of two ports with one address the one whose subnet the router is on; the server's network knows its own."""
    found = find_space_callers(make_slices(), FACTS)
    assert {ip: caller.device_id for ip, caller in found["qrouter-r1"].items()} == {
        "10.0.0.5": "vm-a", "10.9.0.5": "vm-b",
    }  # fmt: skip
    assert {ip: caller.device_id for ip, caller in found["qdhcp-n1"].items()} == {
        "10.0.0.5": "vm-a", "10.9.0.5": "vm-a",
    }  # fmt: skip


def test_what_is_redirected_is_where_the_namespaces_are() -> None:
    """One table in each, and in the server's the address that instances ask for on their link."""
    held = {thing.key: thing.value for thing in render_redirects(make_slices(), FACTS)}
    assert held["ruleset", "qrouter-r1", "metadata"] == RULESET
    assert held["ruleset", "qdhcp-n1", "metadata"] == RULESET
    assert ("alias", "qdhcp-n1", "ns-0123456789a", "169.254.169.254/32") in held
    assert {key[1:3] for key in held if key[-1] == "fe80::a9fe:a9fe/128"} == {
        ("qrouter-r1", "qr-i1"), ("qrouter-r1", "qr-i2"), ("qdhcp-n1", "ns-0123456789a"),
    }  # fmt: skip
    assert len(held) == 6


def place(id: str, owner: str) -> PlaceRow:
    return PlaceRow(id, "fa:16:3e:00:00:09", device_owner=owner)


@pytest.mark.parametrize(
    ("other", "answers"),
    [
        (place("1", "network:router_interface"), False), (place("1", "network:ha_router_replicated_interface"), False),
        (place("00", "network:dhcp"), False), (place("1", "network:dhcp"), True),
        (place("1", "network:router_interface_distributed"), True), (place("00", "compute:nova"), True),
    ],
    ids=["a router", "one with copies", "an earlier server", "a later server", "a distributed router", "an instance"],
)  # fmt: skip
def test_one_answers_by_ipv6_on_each_link(other: PlaceRow, answers: bool) -> None:
    """The address is the same everywhere, so of several only one has it: a router before a server of DHCP."""
    slices = dict(make_slices())
    part = slices["network/n1"]
    slices["network/n1"] = replace(part, rows={**part.rows, f"place/{other.id}": other})
    keys = {thing.key for thing in render_redirects(slices, FACTS)}
    assert (("alias", "qdhcp-n1", "ns-0123456789a", "fe80::a9fe:a9fe/128") in keys) == answers


def test_who_asks_by_ipv6_is_told_by_its_address_on_the_link() -> None:
    """The one that its MAC gives; one MAC on two networks of a router is nobody's there."""
    slices = dict(make_slices())
    mac, near = "fa:16:3e:00:00:05", "fe80::f816:3eff:fe00:5"
    slices["callers/n1"] = Slice("callers/n1", 1, {"caller/a": CallerRow("a", "vm-a", "t1", (), mac)})
    found = find_space_callers(slices, FACTS)
    assert found["qrouter-r1"][near].device_id == found["qdhcp-n1"][near].device_id == "vm-a"
    slices["callers/n2"] = Slice("callers/n2", 1, {"caller/b": CallerRow("b", "vm-b", "t1", (), mac)})
    found = find_space_callers(slices, FACTS)
    assert near not in found["qrouter-r1"] and found["qdhcp-n1"][near].device_id == "vm-a"


def test_other_ways_need_none_of_it() -> None:
    """metadata_path = host or off, another host's router, slices that are not there: nothing, and no error."""
    assert render_redirects(make_slices(), HostFacts("h1")) == ()
    assert find_space_callers(make_slices(), HostFacts("h1")) == {}
    assert render_redirects(make_slices(), replace(FACTS, host="h2")) == ()
    partial = {name: found for name, found in make_slices().items() if not name.startswith("callers/")}
    assert find_space_callers(partial, FACTS) == {"qrouter-r1": {}, "qdhcp-n1": {}}
