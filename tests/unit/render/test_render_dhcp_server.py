"""A network's DHCP server as values: its namespace, and every line that dnsmasq is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netloom.model.facts import HostFacts
from netloom.model.netns import DhcpServer, Held, Path, Veth
from netloom.model.slices import (
    Address,
    DhcpOption,
    FollowRow,
    NetworkRow,
    PlaceRow,
    PortRow,
    Route,
    Row,
    Segment,
    Slice,
    Slices,
    SubnetRow,
)
from netloom.render.answers.scope import Settings
from netloom.render.dhcp_files import render_extra
from netloom.render.dhcp_server import DhcpBook

FACTS = HostFacts("h1", datapath_type="netdev")
SERVER = PortRow(
    "0123456789abcdef", "n1", "fa:16:3e:00:00:02", device_owner="network:dhcp", device_id="dhcpxyz-n1",
    addresses=(Address("10.0.0.2", "s4"), Address("2001:db8::2", "s6")),
)  # fmt: skip
NETWORK = NetworkRow("n1", 7, mtu=1450, segments=(Segment("vxlan", "", 100),))
S4 = SubnetRow("s4", "n1", "10.0.0.0/24", 4, "10.0.0.1", True, ("9.9.9.9",), (Route("10.7.0.0/16", "10.0.0.7"),))
S6 = SubnetRow("s6", "n1", "2001:db8::/64", 6, "2001:db8::1", ipv6_address_mode="dhcpv6-stateful")
OWN = PlaceRow(SERVER.id, SERVER.mac, "h1", SERVER.addresses, device_owner="network:dhcp")
WEB = PlaceRow(
    "web", "fa:16:3e:00:00:05", "h2", (Address("10.0.0.5", "s4"), Address("2001:db8::5", "s6")), hostname="web",
    dhcp_options=(DhcpOption("ntp-server", "10.0.0.9"),),
)  # fmt: skip
ANY = PlaceRow("any", "fa:16:3e:00:00:06", "h2", (Address("10.0.0.6", "s4"),))


def make_slices(*rows: Row, server: PortRow = SERVER) -> Slices:
    own: dict[str, Row] = {f"port/{server.id}": server, "follow/network/n1": FollowRow("network/n1")}
    kinds = {NetworkRow: "network", SubnetRow: "subnet", PlaceRow: "place"}
    network = {f"{kinds[type(row)]}/{row.id}": row for row in rows}  # type: ignore[union-attr]
    return {"host/h1": Slice("host/h1", 1, own), "network/n1": Slice("network/n1", 1, network)}


def render(*rows: Row, settings: Settings | None = None, server: PortRow = SERVER) -> dict[tuple[object, ...], object]:
    groups = DhcpBook(settings or Settings()).render(make_slices(*rows, server=server), FACTS)
    return {thing.key: thing.value for things in groups.values() for thing in things}


def render_files(*rows: Row, settings: Settings | None = None) -> DhcpServer:
    found = render(*rows, settings=settings)["dhcp_server", "qdhcp-n1"]
    assert isinstance(found, DhcpServer)
    return found


def test_a_server_has_a_namespace_as_operators_know_it() -> None:
    """qdhcp-<network> with one device that has the port's MAC and addresses, a way out, and no way through."""
    held = render(NETWORK, S4, S6, OWN, WEB)
    assert held["veth", "tap0123456789a"] == Veth("qdhcp-n1", "ns-0123456789a", SERVER.mac, 1450, True)
    assert held["address", "qdhcp-n1", "ns-0123456789a", "10.0.0.2/24"] == Held()
    assert held["address", "qdhcp-n1", "ns-0123456789a", "2001:db8::2/64"] == Held()
    assert held["route", "qdhcp-n1", 254, "0.0.0.0/0"] == Path((("10.0.0.1", "ns-0123456789a"),))
    assert ("ruleset", "qdhcp-n1", "netloom") in held


def test_each_address_is_handed_to_its_mac_alone() -> None:
    """Lines for v4 and for stateful v6; never a tag, which would be the end of dnsmasq."""
    assert render_files(NETWORK, S4, S6, OWN, WEB, ANY).hosts.splitlines() == [
        "fa:16:3e:00:00:02,host-10-0-0-2.openstacklocal,10.0.0.2",
        "fa:16:3e:00:00:02,tag:dhcpv6,host-2001-db8--2.openstacklocal,[2001:db8::2]",
        "fa:16:3e:00:00:06,host-10-0-0-6.openstacklocal,10.0.0.6",
        "fa:16:3e:00:00:05,web.openstacklocal,10.0.0.5",
        "fa:16:3e:00:00:05,tag:dhcpv6,web.openstacklocal,[2001:db8::5]",
    ]


def test_what_a_port_asks_for_is_told_by_its_mac() -> None:
    """extra_dhcp_opts: the MAC has a tag in the configuration, the tag an option in the list."""
    files = render_files(NETWORK, S4, OWN, WEB, ANY)
    assert "dhcp-mac=set:port-web,fa:16:3e:00:00:05" in files.config.splitlines()
    assert "tag:port-web,42,10.0.0.9" in files.options.splitlines()
    assert "port-any" not in files.config + files.options


def test_a_subnets_options_are_those_that_hosts_would_answer() -> None:
    """Resolvers, router and routes; the way to the metadata service where nobody else leads there."""
    files = render_files(NETWORK, S4, OWN, settings=Settings(metadata_route="isolated"))
    routes = "10.7.0.0/16,10.0.0.7,169.254.169.254/32,0.0.0.0,0.0.0.0/0,10.0.0.1"
    assert files.options.splitlines() == [
        "tag:subnet-s4,option:dns-server,9.9.9.9",
        "tag:subnet-s4,option:router,10.0.0.1",
        f"tag:subnet-s4,option:classless-static-route,{routes}",
        f"tag:subnet-s4,249,{routes}",
    ]


def test_without_resolvers_the_servers_resolve() -> None:
    """Every server of the network is named; 0.0.0.0 says that there is none."""
    other = replace(OWN, id="other", addresses=(Address("10.0.0.3", "s4"),))
    files = render_files(NETWORK, replace(S4, dns_nameservers=()), OWN, other)
    assert "tag:subnet-s4,option:dns-server,10.0.0.2,10.0.0.3" in files.options.splitlines()
    none = render_files(NETWORK, replace(S4, dns_nameservers=("0.0.0.0",)), OWN, other)
    assert "tag:subnet-s4,option:dns-server" in none.options.splitlines()


@pytest.mark.parametrize(
    ("subnet", "lines"),
    [
        (S4, ["dhcp-range=set:subnet-s4,10.0.0.0,static,255.255.255.0,86400s"]),
        (S6, ["dhcp-range=set:subnet-s6,2001:db8::,static,64,86400s"]),
        (replace(S6, ipv6_address_mode="dhcpv6-stateless"), ["dhcp-range=set:subnet-s6,2001:db8::,static,64,86400s"]),
        (replace(S6, ipv6_address_mode="slaac"), []),
        (replace(S4, enable_dhcp=False), []),
    ],
)
def test_a_range_is_for_known_hosts_alone(subnet: SubnetRow, lines: list[str]) -> None:
    """Static ranges; none for what makes its own address, nor for a subnet without DHCP."""
    config = render_files(NETWORK, subnet, OWN).config.splitlines()
    assert [line for line in config if line.startswith("dhcp-range")] == lines


def test_a_stateless_host_is_told_the_rest() -> None:
    """It has its address from itself, and its resolvers from the server."""
    files = render_files(NETWORK, replace(S6, ipv6_address_mode="dhcpv6-stateless"), OWN, WEB)
    assert "[2001:db8::5]" not in files.hosts
    assert "tag:subnet-s6,option6:dns-server,[2001:db8::2]" in files.options.splitlines()


def test_one_port_more_changes_no_configuration() -> None:
    """What needs a restart stays the same when plain ports come and go."""
    assert render_files(NETWORK, S4, OWN).config == render_files(NETWORK, S4, OWN, ANY).config


def test_no_lease_ends_where_the_option_says_so() -> None:
    """dhcp_lease_duration = -1."""
    config = render_files(NETWORK, S4, OWN, settings=Settings(lease_s=-1)).config
    assert "dhcp-range=set:subnet-s4,10.0.0.0,static,255.255.255.0,infinite" in config


@pytest.mark.parametrize(
    ("option", "line"),
    [
        (DhcpOption("mtu", "1400"), "26,1400"),
        (DhcpOption("26", "1400"), "26,1400"),
        (DhcpOption("tag:ipxe,bootfile-name", "a.ipxe"), "67,a.ipxe"),
        (DhcpOption("server-ip-address", "10.0.0.9"), "option:server-ip-address,10.0.0.9"),
        (DhcpOption("router", ""), "3"),
        (DhcpOption("dns-server", "[2001:db8::1]", 6), "option6:23,[2001:db8::1]"),
        (DhcpOption("no-such-thing", "x"), ""),
        (DhcpOption("bootfile-name", "a\ndhcp-script=/bin/sh"), ""),
    ],
)
def test_an_extra_option_is_one_line(option: DhcpOption, line: str) -> None:
    """Names, numbers and tags as Neutron has them; a value cannot bring a line of its own."""
    assert render_extra(option) == line


@pytest.mark.parametrize(
    "server",
    [
        replace(SERVER, admin_state_up=False),
        replace(SERVER, device_id="reserved_dhcp_port"),
        replace(SERVER, device_owner="compute:nova"),
    ],
)
def test_no_other_port_is_a_server(server: PortRow) -> None:
    """A port that is off, or that somebody else made, starts nothing."""
    assert render(NETWORK, S4, OWN, server=server) == {}


def test_a_network_that_is_not_known_or_off_has_no_server() -> None:
    """Law 4: what is missing gives nothing, and no error."""
    assert render(S4, OWN) == {}
    assert render(replace(NETWORK, admin_state_up=False), S4, OWN) == {}
    assert render_files(NETWORK, OWN).hosts == ""


def test_an_unchanged_server_is_not_rendered_again() -> None:
    """The same slices give the same objects, so that whoever compares need not look inside."""
    book, slices = DhcpBook(Settings()), make_slices(NETWORK, S4, OWN)
    first, second = book.render(slices, FACTS), book.render(slices, FACTS)
    assert all(first[name] is second[name] for name in first)
