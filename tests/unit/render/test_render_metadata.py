"""What a host holds for the metadata service, as values."""

from __future__ import annotations

from netloom.model.facts import HostFacts
from netloom.model.netns import Namespace, Path
from netloom.model.slices import Address, PortRow
from netloom.render.metadata import (
    HOST_END,
    MOST_ADDRESSES,
    caller_address,
    caller_number,
    find_sources,
    render_service,
    render_way,
)
from netloom.render.scene import Plugged

PORT = PortRow("p", "n", "fa:16:3e:00:00:05", addresses=(Address("10.0.0.5"), Address("2001:db8::5")))


def test_a_host_that_is_told_not_to_holds_nothing_of_it() -> None:
    """metadata_path = off: no namespace, no device, no flow."""
    assert render_service(HostFacts("h1")) == ()


def test_the_way_opens_when_the_switch_has_opened_the_device() -> None:
    """First the namespace and its device; flows once the device has a number."""
    first = render_service(HostFacts("h1", metadata=True))
    assert {thing.kind for thing in first} == {"netns", "veth", "switch_port", "alias", "route"}
    second = render_service(HostFacts("h1", metadata=True, ofports={("br-int", HOST_END): 5}))
    assert {thing.kind for thing in second} - {thing.kind for thing in first} == {"flow"}
    assert all(thing.why.by for thing in second)


def test_the_namespace_answers_by_one_next_hop() -> None:
    """Whatever the number of callers, there is one route for each IP version."""
    held = {thing.key: thing.value for thing in render_service(HostFacts("h1", metadata=True))}
    assert held["netns", "qmeta"] == Namespace()
    assert held["route", "qmeta", 254, "10.0.0.0/8"] == Path((("169.254.169.253", "meta0"),))


def test_each_port_and_address_is_a_caller_of_its_own() -> None:
    """Port 3's second address is another caller than its first, and than port 4's."""
    found = {caller_address(4, caller_number(port, index)) for port in (3, 4, 0xFEFF) for index in (0, 1, 255)}
    assert len(found) == 9
    assert caller_address(4, caller_number(3, 1)) == "10.0.3.1"
    assert caller_address(6, caller_number(3, 1)) == "fd00:a9fe:1::301"


def test_an_instance_asks_from_each_address_of_its_own() -> None:
    """Its fixed addresses, and for IPv6 its link-local one; so many and no more."""
    assert find_sources(PORT, 4) == ("10.0.0.5",)
    assert find_sources(PORT, 6) == ("fe80::f816:3eff:fe00:5", "2001:db8::5")
    many = PortRow("p", "n", PORT.mac, addresses=tuple(Address(f"10.0.{n >> 8}.{n & 255}") for n in range(1, 400)))
    assert len(find_sources(many, 4)) == MOST_ADDRESSES


def test_what_belongs_to_the_network_is_no_instance() -> None:
    """Routers and DHCP servers have no metadata."""
    router = PortRow("p", "n", PORT.mac, device_owner="network:router_interface", addresses=PORT.addresses)
    assert render_way(Plugged(router, 3), 5, "br-int", "h1") == ()
    assert len(render_way(Plugged(PORT, 3), 5, "br-int", "h1")) == 6
