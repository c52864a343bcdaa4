"""Each row as hosts get it: what it says of an object, when it is there, and what a missing thing means."""

from __future__ import annotations

from typing import Any

import pytest

from netloom.intent.catalog import CATALOG
from netloom.intent.l3.router_copies import report_copies
from netloom.intent.operations import make_action
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Change, Snapshot
from netloom.model.slices import (
    Address,
    AddressPair,
    DhcpOption,
    FloatingRow,
    FollowRow,
    GroupRow,
    HostRow,
    InterfaceRow,
    MemberRow,
    NetworkRow,
    PlaceRow,
    PortRow,
    PrefixRow,
    Route,
    RouterHost,
    RouterRow,
    Row,
    RuleRow,
    Segment,
    SubnetRow,
)
from netloom.resolve.group_rows import find_protocol
from netloom.resolve.router_rows import read_range
from netloom.resolve.rows import find_hostname, resolve_row
from netloom.resolve.slices import SliceBook, resolve_slice
from tests.unit.intent.intent_kit import MISSING, World


@pytest.fixture
def world() -> World:
    made = World()
    made.host("h1")
    made.host("h2", tunneling_ip="192.0.2.2")
    return made


def rows(world: World, name: str) -> dict[str, Row]:
    found = resolve_slice(world.snapshot, name)
    return dict(found.rows) if found else {}


def keys(world: World, name: str, kind: str) -> set[str]:
    return {key.partition("/")[2] for key in rows(world, name) if key.startswith(f"{kind}/")}


def act(world: World, kind: str, doc: Doc, name: str, body: dict[str, Any]) -> None:
    resource = CATALOG[kind]
    action = next(action for action in resource.actions if action.name == name)
    world.run(make_action(resource, action, doc["id"], action.parse(body)))


def router_with(world: World, subnet: Doc, **body: Any) -> Doc:
    (router,) = world.create("router", body)
    act(world, "router", router, "add_router_interface", {"subnet_id": subnet["id"]})
    return router


# -- the network's slice -----------------------------------------------------------------------------------------------


def test_a_network_tells_how_its_frames_travel(world: World) -> None:
    """Its number, MTU and segments; an absent physical network or tag is empty and 0."""
    net = world.network(name="blue", mtu=1400)
    row = rows(world, f"network/{net['id']}")[f"network/{net['id']}"]
    assert isinstance(row, NetworkRow)
    assert (row.name, row.mtu, row.admin_state_up, row.external) == ("blue", 1400, True, False)
    assert row.number == world.get("network", net)["number"] > 0
    (segment,) = row.segments
    assert segment == Segment("vxlan", "", net["provider:segmentation_id"], segment.id)
    flat = world.network(**{"provider:network_type": "vlan", "provider:physical_network": "physnet1"})
    found = rows(world, f"network/{flat['id']}")[f"network/{flat['id']}"]
    assert isinstance(found, NetworkRow)
    assert found.segments[0].physical_network == "physnet1" and 100 <= found.segments[0].segmentation_id <= 199


def test_a_network_that_is_not_there_has_no_slice(world: World) -> None:
    """Whoever follows it hears that it is gone; a host has a slice by whatever name."""
    assert resolve_slice(world.snapshot, f"network/{MISSING}") is None
    assert resolve_slice(world.snapshot, "nonsense/x") is None
    found = resolve_slice(world.snapshot, "host/never-seen")
    assert found is not None and not found.rows and found.revision == 0


def test_a_subnet_says_nothing_where_nothing_is_set(world: World) -> None:
    """No gateway and no modes are empty texts; DNS servers and routes keep their order."""
    net = world.network()
    bare = world.subnet(net, "10.0.0.0/24", gateway_ip=None, enable_dhcp=False)
    full = world.subnet(
        net, "2001:db8::/64", gateway_ip="2001:db8::1", ipv6_ra_mode="slaac", ipv6_address_mode="slaac",
        dns_nameservers=["2001:db8::54", "2001:db8::53"],
        host_routes=[{"destination": "2001:db8:1::/64", "nexthop": "2001:db8::9"}],
    )  # fmt: skip
    found = rows(world, f"network/{net['id']}")
    assert found[f"subnet/{bare['id']}"] == SubnetRow(bare["id"], net["id"], "10.0.0.0/24", 4, "", False)
    assert found[f"subnet/{full['id']}"] == SubnetRow(
        full["id"], net["id"], "2001:db8::/64", 6, "2001:db8::1", True, ("2001:db8::54", "2001:db8::53"),
        (Route("2001:db8:1::/64", "2001:db8::9"),), "slaac", "slaac",
    )  # fmt: skip


def test_a_place_says_where_a_port_is_and_whether_any_mac_may_be_behind_it(world: World) -> None:
    """Unbound ports are known without a host; without port security the place is open."""
    net = world.network()
    world.subnet(net, "10.0.0.0/24")
    here = world.port(net, binding__host_id="h1", device_owner="compute:nova")
    nowhere = world.port(net, port_security_enabled=False, security_groups=[])
    found = rows(world, f"network/{net['id']}")
    subnet = here["fixed_ips"][0]["subnet_id"]
    assert found[f"place/{here['id']}"] == PlaceRow(
        here["id"], here["mac_address"], "h1", (Address("10.0.0.2", subnet),), (), "compute:nova"
    )
    place = found[f"place/{nowhere['id']}"]
    assert isinstance(place, PlaceRow) and (place.host, place.open) == ("", True)
    assert keys(world, f"network/{net['id']}", "host") == {"h1"}


def test_a_host_is_in_a_network_while_a_port_is_bound_there(world: World) -> None:
    """With its tunnel end; with its last port it goes; a binding that failed does not count."""
    net = world.network()
    first, second = (world.port(net, binding__host_id="h2") for _ in range(2))
    failed = world.port(net, binding__host_id="no-such-host")
    name = f"network/{net['id']}"
    assert rows(world, name)["host/h2"] == HostRow("h2", "192.0.2.2", ("vxlan",))
    assert keys(world, name, "host") == {"h2"}
    place = rows(world, name)[f"place/{failed['id']}"]
    assert isinstance(place, PlaceRow) and place.host == ""
    world.delete("port", first)
    assert keys(world, name, "host") == {"h2"}
    world.delete("port", second)
    assert keys(world, name, "host") == set()


def test_a_host_whose_agent_was_forgotten_has_no_tunnel_end(world: World) -> None:
    """The row stays, for a port is bound there, and leads nowhere (law 4)."""
    net = world.network()
    world.port(net, binding__host_id="h2")
    agent = next(doc for doc in world.snapshot.find("agent", "host", "h2") if doc["agent_type"].startswith("Open v"))
    world.delete("agent", agent)
    assert rows(world, f"network/{net['id']}")["host/h2"] == HostRow("h2")


# -- the host's slice --------------------------------------------------------------------------------------------------


def test_a_port_is_told_whole_to_its_own_host(world: World) -> None:
    """Addresses, pairs with the port's MAC where they have none, DHCP options; and to no other host."""
    net = world.network()
    subnet = world.subnet(net, "10.0.0.0/24")
    port = world.port(
        net, binding__host_id="h1", name="web", device_id="vm", device_owner="compute:nova",
        allowed_address_pairs=[{"ip_address": "10.7.0.0/16"},
                               {"ip_address": "10.0.0.99", "mac_address": "fa:16:3e:00:00:99"}],
        extra_dhcp_opts=[{"opt_name": "mtu", "opt_value": "1300"},
                         {"opt_name": "domain-name", "opt_value": "x.org", "ip_version": 6}],
    )  # fmt: skip
    row = rows(world, "host/h1")[f"port/{port['id']}"]
    assert isinstance(row, PortRow)
    assert row.addresses == (Address("10.0.0.2", subnet["id"]),)
    assert row.pairs == (
        AddressPair("10.7.0.0/16", port["mac_address"]), AddressPair("10.0.0.99", "fa:16:3e:00:00:99"),
    )  # fmt: skip
    assert set(row.dhcp_options) == {DhcpOption("mtu", "1300"), DhcpOption("domain-name", "x.org", 6)}
    assert (row.name, row.device_id, row.port_security, row.vnic_type) == ("web", "vm", True, "normal")
    assert rows(world, "host/h2") == {}
    assert resolve_row(world.snapshot, "host/h2", f"port/{port['id']}") is None


def test_a_host_follows_what_its_ports_lead_to_and_no_more(world: World) -> None:
    """The network and the groups of its own ports; when the last of them goes, so does the way there."""
    here, elsewhere = world.network(), world.network()
    port = world.port(here, binding__host_id="h1")
    world.port(elsewhere, binding__host_id="h2")
    world.port(elsewhere)
    group = port["security_groups"][0]
    assert keys(world, "host/h1", "follow") == {f"network/{here['id']}", f"group/{group}"}
    world.update("port", port, None, binding__host_id="h2")
    assert rows(world, "host/h1") == {}
    assert f"network/{here['id']}" in keys(world, "host/h2", "follow")


@pytest.mark.parametrize(
    ("doc", "name"),
    [
        ({"dns_name": "web", "fixed_ips": [{"ip_address": "10.0.0.5"}]}, "web"),
        ({"dns_name": "", "fixed_ips": [{"ip_address": "10.0.0.5"}]}, "host-10-0-0-5"),
        ({"fixed_ips": [{"ip_address": "2001:db8::5"}, {"ip_address": "10.0.0.5"}]}, "host-2001-db8--5"),
        ({"fixed_ips": []}, ""),
    ],
)
def test_the_name_that_a_client_is_told(doc: Doc, name: str) -> None:
    """The port's own, else one made of its first address; none without an address."""
    assert find_hostname(doc) == name


# -- security groups ---------------------------------------------------------------------------------------------------


def make_rule(world: World, group: Doc, **body: Any) -> Doc:
    return world.create("security_group_rule", {"security_group_id": group["id"], "direction": "ingress", **body})[0]


def test_rules_are_numbers_and_what_is_open_is_any(world: World) -> None:
    """Protocols by number, -1 where a rule does not say; a prefix, or the set that holds the other end."""
    (group,) = world.create("security_group", {"name": "web", "stateful": False})
    (set_,) = world.create("address_group", {"addresses": ["10.1.0.0/16", "10.2.0.0/16"]})
    tcp = make_rule(world, group, protocol="tcp", port_range_min=80, port_range_max=90, remote_ip_prefix="10.9.0.0/16")
    any_ = make_rule(world, group, ethertype="IPv6")
    mates = make_rule(world, group, protocol="icmp", port_range_min=8, remote_group_id=group["id"])
    listed = make_rule(world, group, protocol="udp", remote_address_group_id=set_["id"])
    found = rows(world, f"group/{group['id']}")
    assert found[f"group/{group['id']}"] == GroupRow(group["id"], stateful=False)
    assert found[f"rule/{tcp['id']}"] == RuleRow(tcp["id"], "ingress", 4, 6, 80, 90, "10.9.0.0/16")
    assert found[f"rule/{any_['id']}"] == RuleRow(any_["id"], "ingress", 6)
    assert found[f"rule/{mates['id']}"] == RuleRow(mates["id"], "ingress", 4, 1, 8, -1, "", f"members/{group['id']}")
    assert found[f"rule/{listed['id']}"] == RuleRow(
        listed["id"], "ingress", 4, 17, -1, -1, "", f"addresses/{set_['id']}"
    )
    leads = {f"members/{group['id']}", f"addresses/{set_['id']}"}
    assert keys(world, f"group/{group['id']}", "follow") == leads
    assert rows(world, f"addresses/{set_['id']}") == {
        f"prefix/{prefix}": PrefixRow(prefix) for prefix in ("10.1.0.0/16", "10.2.0.0/16")
    }
    world.delete("security_group_rule", mates)
    assert keys(world, f"group/{group['id']}", "follow") == {f"addresses/{set_['id']}"}


@pytest.mark.parametrize(("name", "number"), [(None, -1), ("ip", -1), ("0", -1), ("tcp", 6), ("icmp", 1), ("89", 89)])
def test_a_protocol_has_a_number(name: str | None, number: int) -> None:
    """Names and numbers alike; nothing, "ip" and 0 are any."""
    assert find_protocol(name) == number


def test_members_are_the_addresses_of_ports_and_of_their_pairs(world: World) -> None:
    """Each once, wherever the port is; a port that leaves the group is no member."""
    net = world.network()
    world.subnet(net, "10.0.0.0/24")
    (group,) = world.create("security_group", {"name": "web"})
    port = world.port(
        net, security_groups=[group["id"]],
        allowed_address_pairs=[{"ip_address": "10.7.0.0/16"}, {"ip_address": "10.0.0.2"}],
    )  # fmt: skip
    name = f"members/{group['id']}"
    assert rows(world, name) == {f"member/{port['id']}": MemberRow(port["id"], ("10.0.0.2", "10.7.0.0/16"))}
    world.update("port", port, None, security_groups=[])
    assert rows(world, name) == {}


# -- routers -----------------------------------------------------------------------------------------------------------


def test_a_router_leads_to_its_networks_and_they_to_it(world: World) -> None:
    """By its ports: with the last port on a network the way is gone, from both ends. A network leads only to those
    that each of its hosts routes for."""
    net = world.network()
    subnet = world.subnet(net, "10.0.0.0/24")
    router = router_with(world, subnet, name="r")
    assert keys(world, f"network/{net['id']}", "follow") == set()
    world.update("router", router, admin_state_up=False)
    router = world.update("router", router, distributed=True)
    row = rows(world, f"router/{router['id']}")[f"router/{router['id']}"]
    assert isinstance(row, RouterRow)
    assert (row.name, row.gateway_port_id, row.routes, row.ha) == ("r", "", (), False)
    assert row.hosts == (RouterHost("h1"),), "the first host that routes was given it"
    (interface,) = [row for row in rows(world, f"router/{router['id']}").values() if isinstance(row, InterfaceRow)]
    assert (interface.kind, interface.network_id, interface.host) == ("internal", net["id"], "")
    assert interface.addresses == (Address("10.0.0.1", subnet["id"]),)
    assert keys(world, f"router/{router['id']}", "follow") == {f"network/{net['id']}"}
    assert keys(world, f"network/{net['id']}", "follow") == {f"router/{router['id']}"}
    act(world, "router", router, "remove_router_interface", {"subnet_id": subnet["id"]})
    assert keys(world, f"router/{router['id']}", "follow") == set()
    assert keys(world, f"network/{net['id']}", "follow") == set()


def test_of_a_routers_copies_one_is_active(world: World) -> None:
    """The one that said so last: who was active before it may be gone and say nothing more."""
    (router,) = world.create("router", {"ha": True})
    for host in ("h1", "h2"):
        world.take(report_copies(world.snapshot, world.context(), host, {router["id"]: "active"}))
    row = rows(world, f"router/{router['id']}")[f"router/{router['id']}"]
    assert isinstance(row, RouterRow)
    assert row.hosts == (RouterHost("h1", "standby"), RouterHost("h2", "active"))


def test_a_floating_ip_is_in_the_router_that_carries_it(world: World) -> None:
    """With the MAC of its own port and what it leads to; taken off its port, it is in no router."""
    outside, inside = world.network(router__external=True), world.network()
    world.subnet(outside, "198.51.100.0/24")
    subnet = world.subnet(inside, "10.0.0.0/24")
    router = router_with(world, subnet, external_gateway_info={"network_id": outside["id"]})
    port = world.port(inside)
    (fip,) = world.create("floatingip", {"floating_network_id": outside["id"], "port_id": port["id"]})
    row = rows(world, f"router/{router['id']}")[f"floating/{fip['id']}"]
    own = next(doc for doc in world.snapshot.find("port", "device_id", fip["id"]))
    assert row == FloatingRow(
        fip["id"], outside["id"], fip["floating_ip_address"], own["mac_address"], "10.0.0.2", port["id"]
    )
    world.update("floatingip", fip, None, port_id=None)
    assert keys(world, f"router/{router['id']}", "floating") == set()


@pytest.mark.parametrize(
    ("doc", "given"),
    [
        ({"external_port": 80}, (80, 80)),
        ({"external_port_range": "80:90"}, (80, 90)),
        ({"external_port_range": "80"}, (80, 80)),
        ({"external_port": None, "external_port_range": None}, (0, 0)),
        ({}, (0, 0)),
    ],
)
def test_a_range_of_ports(doc: Doc, given: tuple[int, int]) -> None:
    """One port is a range of one; none is 0 to 0, which is any."""
    assert read_range(doc, "external") == given


# -- slices that are followed ------------------------------------------------------------------------------------------


def test_a_slice_is_kept_as_long_as_somebody_follows_it(world: World) -> None:
    """Two hosts follow a network: it is kept current until both have gone, and costs nothing afterwards."""
    net = world.network()
    book, name = SliceBook(world.snapshot), f"network/{net['id']}"
    book.follow(name)
    book.follow(name)
    book.unfollow(name)
    before = world.snapshot
    world.update("network", net, None, mtu=1300)
    assert set(book.advance(make_changes(before, world), world.snapshot)) == {name}
    book.unfollow(name)
    book.unfollow(name)  # once too often is nothing
    before = world.snapshot
    world.update("network", net, None, mtu=1400)
    assert book.advance(make_changes(before, world), world.snapshot) == {}
    found = book.slice(name)
    row = found.rows[name] if found else None
    assert isinstance(row, NetworkRow) and row.mtu == 1400


def test_a_slice_may_be_followed_before_it_is_there(world: World) -> None:
    """A host that asked early is told the whole as soon as there is something to tell."""
    book = SliceBook(world.snapshot)
    coming = "00000000-0000-4000-8000-0000000000aa"
    world.new_id = lambda: coming  # type: ignore[method-assign]
    assert book.follow(f"network/{coming}") is None
    before = world.snapshot
    world.network()
    delta = book.advance(make_changes(before, world), world.snapshot)[f"network/{coming}"]
    assert delta.whole and f"network/{coming}" in delta.put


def test_a_slice_that_cannot_be_worked_out_holds_up_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands still, whatever else changes meanwhile, and goes on whole with the first commit that it can."""
    bad, good = world.network(), world.network()
    names = [f"network/{doc['id']}" for doc in (bad, good)]
    book = SliceBook(world.snapshot)
    before = [book.follow(name) for name in names]

    def stumble(snapshot: Snapshot, name: str, key: str) -> Row | None:
        if name == names[0]:
            raise KeyError("segments")
        return resolve_row(snapshot, name, key)

    monkeypatch.setattr("netloom.resolve.slices.resolve_row", stumble)
    start = world.snapshot
    world.update("network", bad, None, mtu=1300)
    assert book.advance(make_changes(start, world), world.snapshot) == {}
    middle = world.snapshot
    world.update("network", good, None, mtu=1301)
    deltas = book.advance(make_changes(middle, world), world.snapshot)
    assert (list(deltas), list(book.failed)) == ([names[1]], [names[0]])
    assert book.slice(names[0]) == before[0]
    monkeypatch.undo()
    deltas = book.advance((), world.snapshot)
    assert (list(deltas), book.failed) == ([names[0]], {})
    held = book.slice(names[0])
    assert deltas[names[0]].whole and held is not None and dict(held.rows) == rows(world, names[0])


def test_nothing_is_told_of_what_changed_nothing(world: World) -> None:
    """A description is no concern of hosts: no delta, and the slice is the same object."""
    net = world.network()
    book, name = SliceBook(world.snapshot), f"network/{net['id']}"
    held, before = book.follow(name), world.snapshot
    world.update("network", net, None, description="x")
    assert book.advance(make_changes(before, world), world.snapshot) == {}
    assert book.slice(name) is held


def test_follow_rows_carry_no_revision_into_equality() -> None:
    """A port more on a network does not make its host's way there another row."""
    assert FollowRow("network/n", 3) == FollowRow("network/n", 9)


def make_changes(before: Snapshot, world: World) -> list[Change]:
    """What differs between a snapshot and the world now, as the writer would have passed it on."""
    found = ((kind, before.records(kind), world.snapshot.records(kind)) for kind in CATALOG)
    return [
        Change(kind, id, new[id].doc if id in new else None)
        for kind, old, new in found
        for id in {*old, *new}
        if old.get(id) is not new.get(id)
    ]
