"""A router's namespace as values: what it translates, rule by rule; its devices, addresses and routes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netloom.model.facts import HostFacts
from netloom.model.netns import Namespace, Path, Rule, Veth
from netloom.model.slices import (
    Address,
    FloatingRow,
    ForwardingRow,
    HelperRow,
    InterfaceRow,
    NeighbourRow,
    Route,
    RouterHost,
    SubnetRow,
)
from netloom.render.space import SpaceBook
from netloom.render.space_nat import RULESET
from netloom.render.space_scopes import scope_number
from tests.unit.render.space_kit import (
    FACTS,
    INSIDE,
    OTHER,
    OUTSIDE,
    QG,
    QG2,
    QR,
    ROUTER,
    SUBNETS,
    find_addresses,
    find_elements,
    find_routes,
    make_slices,
    render,
)

FIP = FloatingRow("f1", "ext", "203.0.113.9", "fa:16:3e:00:00:09", "10.1.0.5", "p1")
PLAIN = {f"outer: {QG}", "loop: ipv4 : 203.0.113.2"}
HIDING = PLAIN | {f"hide: {QG} : 203.0.113.2"}


# -- what is translated ------------------------------------------------------------------------------------------------


def test_without_a_gateway_nothing_is_translated() -> None:
    """East–west traffic keeps its addresses."""
    assert find_elements(render(ROUTER, INSIDE)) == set()


def test_a_gateway_hides_what_is_inside() -> None:
    """One element for the gateway, whatever there is inside."""
    assert find_elements(render(ROUTER, INSIDE, OUTSIDE)) == HIDING


def test_a_gateway_may_hide_nothing() -> None:
    """enable_snat false: packets leave with the addresses that they have."""
    assert find_elements(render(replace(ROUTER, enable_snat=False), INSIDE, OUTSIDE)) == PLAIN


def test_a_gateway_of_ipv6_alone_hides_nothing() -> None:
    """There is no translation of IPv6."""
    leg = replace(OUTSIDE, addresses=(Address("2001:db8::2", "s6"),))
    assert find_elements(render(ROUTER, INSIDE, leg)) == {f"outer: {QG}"}


def test_a_floating_ip_is_one_element_each_way() -> None:
    """Also where the gateway hides nothing else."""
    both = {"inward: 203.0.113.9 : 10.1.0.5", "outward: 10.1.0.5 : 203.0.113.9"}
    assert find_elements(render(ROUTER, INSIDE, OUTSIDE, FIP)) == HIDING | both
    assert find_elements(render(replace(ROUTER, enable_snat=False), INSIDE, OUTSIDE, FIP)) == PLAIN | both


def test_a_floating_ip_of_a_network_without_a_gateway_here_is_not_there() -> None:
    """Missing is a value: the rest works without it."""
    assert find_elements(render(ROUTER, INSIDE, OUTSIDE, replace(FIP, network_id="ext9"))) == HIDING


def test_a_floating_ip_of_another_gateway_goes_out_by_that() -> None:
    """And the first gateway goes on hiding the address that it leads to."""
    row = replace(FIP, network_id="ext2", floating_ip="198.51.100.9")
    found = find_elements(render(ROUTER, INSIDE, OUTSIDE, OTHER, row))
    assert found == HIDING | {
        f"outer: {QG2}", f"others: {QG2}", f"gates: {QG2} : 1", f"hide: {QG2} : 198.51.100.2",
        "inward: 198.51.100.9 : 10.1.0.5", f"outward_by: {QG2} . 10.1.0.5 : 198.51.100.9",
    }  # fmt: skip


def forward(protocol: str, outer: tuple[int, int], inner: tuple[int, int]) -> ForwardingRow:
    return ForwardingRow("w1", "f1", "203.0.113.9", protocol, *outer, "10.1.0.5", *inner)


@pytest.mark.parametrize(
    ("row", "elements"),
    [
        (forward("tcp", (2222, 2222), (22, 22)), {"shifted: 203.0.113.9 . tcp . 2222 : 10.1.0.5 . 22"}),
        (forward("udp", (53, 53), (53, 53)), {"shifted: 203.0.113.9 . udp . 53 : 10.1.0.5 . 53"}),
        (forward("tcp", (80, 90), (80, 90)), {"kept: 203.0.113.9 . tcp . 80-90 : 10.1.0.5"}),
        (forward("tcp", (80, 90), (8080, 8080)), {"shifted: 203.0.113.9 . tcp . 80-90 : 10.1.0.5 . 8080"}),
        (forward("sctp", (5, 6), (15, 16)), {f"shifted: 203.0.113.9 . sctp . {n} : 10.1.0.5 . 1{n}" for n in (5, 6)}),
        (forward("icmp", (1, 1), (1, 1)), set()),
        (forward("tcp", (0, 0), (0, 0)), set()),
    ],
    ids=["one port", "the same port", "a range", "a range to one port", "a range moved", "no ports", "nothing said"],
)  # fmt: skip
def test_port_forwardings(row: ForwardingRow, elements: set[str]) -> None:
    """As few elements as nft can say it with; its floating IP is answered for outside."""
    bare = replace(FIP, fixed_ip="", port_id="")
    things = render(ROUTER, INSIDE, OUTSIDE, bare, row)
    assert find_elements(things) == HIDING | elements
    assert f"{QG} 203.0.113.9/32" in find_addresses(things)


def test_addresses_answered_for_are_all_that_may_be_met() -> None:
    """NDP proxy: the gateway answers for them, and new connections from outside reach no other."""
    proxying = replace(ROUTER, enable_ndp_proxy=True)
    rows = (INSIDE, OUTSIDE, NeighbourRow("n1", "2001:db8:1::5"))
    things = render(proxying, *rows)
    assert find_elements(things) == HIDING | {f"guarded: {QG}", "proxied: 2001:db8:1::5"}
    assert [thing.key for thing in things if thing.kind == "proxy"] == [("proxy", "qrouter-r1", QG, "2001:db8:1::5")]
    assert find_elements(render(ROUTER, *rows)) == HIDING, "not while the router does not"


# -- address scopes ----------------------------------------------------------------------------------------------------

RED = InterfaceRow("rrrrrrrrrrrr-1", "red", "fa:16:3e:00:00:04", "internal", (Address("10.2.0.1", "s2"),), "h1")
QRED = "qr-rrrrrrrrrrr"


def within(protocol: str, device: str, scope: str) -> set[str]:
    """The elements by which a device is in a scope."""
    number = scope_number(scope)
    return {f"scopes: {protocol} . {device} : {number}", f"reached: {protocol} . {device} . {number}"}


def find_scope_elements(snat: bool = True, **scopes: tuple[str, str]) -> set[str]:
    router = replace(ROUTER, enable_snat=snat)
    found = find_elements(render(router, INSIDE, RED, OUTSIDE, scopes=scopes))
    return {text for text in found if text.partition(":")[0] in ("scopes", "reached", "unhidden")}


def test_without_address_scopes_all_networks_meet() -> None:
    """Nothing is asked of packets where no network is in a scope."""
    assert find_scope_elements() == set()


def test_an_address_scope_ends_at_a_network_of_none() -> None:
    """Each device says which scope it is in, those of no scope too; the gateway hides what crosses."""
    assert find_scope_elements(blue=("A", "")) == (
        within("ipv4", QR, "A") | within("ipv4", QRED, "") | within("ipv4", QG, "")
    )


def test_the_scope_of_the_outside_is_not_hidden_from_it() -> None:
    """Addresses of the outside's own scope leave as they are; without source NAT there is nothing to say of it."""
    both = within("ipv4", QR, "A") | within("ipv4", QRED, "B") | within("ipv4", QG, "A")
    for snat, bare in ((True, {f"unhidden: {QG} . {scope_number('A')}"}), (False, set())):
        assert find_scope_elements(snat, blue=("A", ""), red=("B", ""), ext=("A", "")) == both | bare


def test_address_scopes_of_each_ip_version_are_apart() -> None:
    """Networks of one IPv6 scope may be of any IPv4 scope."""
    assert find_scope_elements(blue=("", "S"), red=("", "S")) == (
        within("ipv6", QR, "S") | within("ipv6", QRED, "S") | within("ipv6", QG, "")
    )


def test_what_is_translated_may_cross_and_what_is_not_stays_in_its_scope() -> None:
    """In the ruleset: floating IPs first, then the outside's own scope as it is, then hiding; at last who may pass."""
    lines = [line.strip() for line in RULESET.text.splitlines()]
    order = [
        "meta mark set meta nfproto . iifname map @scopes", "snat ip to ip saddr map @outward",
        "oifname . meta mark @unhidden return", "snat ip to oifname map @hide",
        "ct status & ( snat | dnat ) != 0 accept",
        "meta mark != 0 meta nfproto . oifname . meta mark != @reached drop",
    ]  # fmt: skip
    assert [line for line in lines if line in order] == order


def test_each_helper_is_a_table_of_its_own() -> None:
    """A kernel that has not got one of them refuses that table, follows the others, and translates all the same."""
    rows = (HelperRow("c1", "tcp", 21, "ftp"), HelperRow("c2", "tcp", 2121, "ftp"), HelperRow("c3", "udp", 69, "tftp"))
    texts = {thing.key[2]: thing.value.text for thing in render(ROUTER, INSIDE, *rows) if thing.kind == "ruleset"}
    assert texts.keys() == {"netloom", "netloom_helper_ftp_tcp", "netloom_helper_tftp_udp"}
    assert texts["netloom_helper_ftp_tcp"].splitlines() == [
        ' ct helper follow { type "ftp" protocol tcp; l3proto ip; }',
        " chain help { type filter hook prerouting priority filter; policy accept;",
        '  tcp dport 21 ct helper set "follow"', '  tcp dport 2121 ct helper set "follow"', " }",
    ]  # fmt: skip


def test_the_ruleset_is_one_for_all_routers() -> None:
    """So no change of a router ever replaces it, and nothing leaves untranslated while one is made."""
    rich = render(replace(ROUTER, enable_ndp_proxy=True), INSIDE, OUTSIDE, OTHER, FIP)
    for things in (render(ROUTER, INSIDE), rich):
        assert [thing.value for thing in things if thing.kind == "ruleset"] == [RULESET]


# -- devices and addresses ---------------------------------------------------------------------------------------------


def test_devices_are_called_as_operators_know_them() -> None:
    """The namespace, its ends of the pairs, and the ends on the switch, which carry the port's id."""
    things = {thing.key: thing.value for thing in render(ROUTER, INSIDE, OUTSIDE, mtu=1450)}
    assert things["netns", "qrouter-r1"] == Namespace()
    assert things["veth", "tapiiiiiiiiiii"] == Veth("qrouter-r1", QR, "fa:16:3e:00:00:01", 1450)
    port = things["switch_port", "br-int", "tapggggggggggg"]
    assert dict(port.external_ids)["iface-id"] == "gggggggggggg-1" and port.type == "system"


def test_the_kernels_own_switch_needs_no_plain_checksums() -> None:
    """Checksums are left to devices where no switch in user space looks at frames."""
    things = render(ROUTER, INSIDE, facts=HostFacts("h1"))
    assert [thing.value.plain for thing in things if thing.kind == "veth"] == [False]


@pytest.mark.parametrize(
    "router", [replace(ROUTER, hosts=(RouterHost("h2"),)), replace(ROUTER, admin_state_up=False),
               replace(ROUTER, distributed=True)],
    ids=["elsewhere", "off", "distributed"],
)  # fmt: skip
def test_routers_without_a_namespace_here(router: object) -> None:
    """Of a router that is elsewhere, off or distributed nothing is here."""
    assert render(router, INSIDE, OUTSIDE) == []  # type: ignore[arg-type]


def test_a_leg_that_is_not_bound_here_is_missing_and_the_others_work() -> None:
    """As where the host has no bridge to the physical network."""
    things = render(ROUTER, INSIDE, replace(OUTSIDE, host=""))
    assert find_addresses(things) == {f"{QR} 10.1.0.1/24"} and find_routes(things) == {}


def test_an_address_whose_subnet_is_not_known_stands_alone() -> None:
    """Law 4: it has the length that leads nowhere else."""
    assert find_addresses(render(ROUTER, INSIDE, subnets=SUBNETS[1:])) == {f"{QR} 10.1.0.1/32"}


# -- routes ------------------------------------------------------------------------------------------------------------


def test_out_by_the_gateway() -> None:
    """A default route of each IP version that the gateway has; subnets outside that it has no address of are near."""
    subnets = (
        *SUBNETS, SubnetRow("s6", "ext", "2001:db8::/64", 6, "fe80::1"), SubnetRow("side", "ext", "192.0.2.0/24", 4),
    )  # fmt: skip
    leg = replace(OUTSIDE, addresses=(*OUTSIDE.addresses, Address("2001:db8::2", "s6")))
    assert find_routes(render(ROUTER, INSIDE, leg, subnets=subnets)) == {
        "254 0.0.0.0/0": f"203.0.113.1 {QG}", "254 ::/0": f"fe80::1 {QG}", "254 192.0.2.0/24": QG,
    }  # fmt: skip


def test_what_came_by_another_gateway_goes_back_by_it() -> None:
    """A mark leads to a table of its own; all else goes out by the first."""
    things = render(ROUTER, INSIDE, OUTSIDE, OTHER)
    assert find_routes(things) == {
        "254 0.0.0.0/0": f"203.0.113.1 {QG}", "1001 0.0.0.0/0": f"198.51.100.1 {QG2}",
    }  # fmt: skip
    assert [(t.key, t.value) for t in things if t.kind == "rule"] == [(("rule", "qrouter-r1", 4, 1), Rule(1001))]


def test_all_gateways_at_once() -> None:
    """Default routes become one with a hop for each; what came by any of them, the first too, goes back by it."""
    things = render(replace(ROUTER, default_route_ecmp=True), INSIDE, OUTSIDE, OTHER)
    assert find_routes(things) == {
        "254 0.0.0.0/0": f"198.51.100.1 {QG2}, 203.0.113.1 {QG}",
        "1999 0.0.0.0/0": f"203.0.113.1 {QG}", "1001 0.0.0.0/0": f"198.51.100.1 {QG2}",
    }  # fmt: skip
    assert {thing.key[3]: thing.value for thing in things if thing.kind == "rule"} == {999: Rule(1999), 1: Rule(1001)}
    assert {f"gates: {QG} : 999", f"gates: {QG2} : 1"} <= find_elements(things)
    alone = render(replace(ROUTER, default_route_ecmp=True), INSIDE, OUTSIDE)
    assert find_routes(alone) == {"254 0.0.0.0/0": f"203.0.113.1 {QG}"} and find_elements(alone) == HIDING


def test_a_copy_keeps_the_ways_back_too() -> None:
    """Routes of other tables are keepalived's as all others are; the rules that lead there are ours."""
    joint = InterfaceRow("jjjjjjjjjjjj-1", "hanet", "fa:16:3e:00:00:0a", "ha", (Address("169.254.192.3", "sh"),), "h1")
    things = render(replace(ROUTER, ha=True, vr_id=7, default_route_ecmp=True), INSIDE, OUTSIDE, OTHER, joint)
    (config,) = (thing.value.config for thing in things if thing.kind == "keeper")
    assert f"0.0.0.0/0 nexthop via 198.51.100.1 dev {QG2} nexthop via 203.0.113.1 dev {QG}\n" in config
    assert f"0.0.0.0/0 via 198.51.100.1 dev {QG2} onlink table 1001\n" in config
    assert {thing.key[3] for thing in things if thing.kind == "rule"} == {999, 1}


def test_extra_routes_share_traffic_and_leave_out_what_leads_nowhere() -> None:
    """Two of one destination are one with two hops; a next hop on no link of the router is no route."""
    router = replace(
        ROUTER,
        routes=(
            Route("192.168.0.0/16", "10.1.0.8"), Route("192.168.0.0/16", "10.1.0.7"),
            Route("172.16.0.0/12", "10.9.0.1"),
            Route("0.0.0.0/0", "10.1.0.9"),
        ),
    )  # fmt: skip
    assert find_routes(render(router, INSIDE)) == {
        "254 192.168.0.0/16": f"10.1.0.7 {QR}, 10.1.0.8 {QR}", "254 0.0.0.0/0": f"10.1.0.9 {QR}",
    }  # fmt: skip


# -- copies ------------------------------------------------------------------------------------------------------------


def test_a_copy_is_told_what_to_keep() -> None:
    """Addresses and routes are words for keepalived; what is ours is its own address on the network of copies."""
    copied = replace(ROUTER, ha=True, vr_id=7, hosts=(RouterHost("h2", "active"), RouterHost("h1", "standby")))
    joint = InterfaceRow("jjjjjjjjjjjj-1", "hanet", "fa:16:3e:00:00:0a", "ha", (Address("169.254.192.3", "sh"),), "h1")
    subnets = (*SUBNETS, SubnetRow("sh", "hanet", "169.254.192.0/18", 4))
    legs = (replace(INSIDE, host="h2"), replace(OUTSIDE, host="h2"), joint)
    things = render(copied, *legs, FIP, subnets=subnets)
    assert next(thing.value for thing in things if thing.kind == "netns") == Namespace("keepalived")
    assert find_addresses(things) == {"ha-jjjjjjjjjjj 169.254.192.3/18"} and find_routes(things) == {}
    (keeper,) = (thing.value.config.splitlines() for thing in things if thing.kind == "keeper")
    lines = [line.strip() for line in keeper]
    for line in (
        "vrrp_version 3", "interface ha-jjjjjjjjjjj", "virtual_router_id 7", "advert_int 0.2", "nopreempt",
        "garp_lower_prio_delay 1",
        "169.254.0.7/24 dev ha-jjjjjjjjjjj", f"10.1.0.1/24 dev {QR}", f"203.0.113.2/24 dev {QG}",
        f"203.0.113.9/32 dev {QG}", f"fe80::f816:3eff:fe00:1/64 dev {QR}",
        f"0.0.0.0/0 via 203.0.113.1 dev {QG} onlink",
    ):  # fmt: skip
        assert line in lines, line
    quiet = {thing.value.device: thing.value.quiet for thing in things if thing.kind == "veth"}
    assert quiet == {QR: True, QG: True, "ha-jjjjjjjjjjj": False}


def test_a_copy_without_its_port_to_the_others_keeps_nothing() -> None:
    """Two that do not hear each other would both be active."""
    copied = replace(ROUTER, ha=True, vr_id=7)
    assert not [thing for thing in render(copied, INSIDE, OUTSIDE) if thing.kind in ("keeper", "address", "route")]


# -- what was rendered before ------------------------------------------------------------------------------------------


def test_a_router_whose_slices_are_the_same_is_not_looked_at_again() -> None:
    """Its things are the same objects; one whose slice changed is made anew."""
    book, slices = SpaceBook(), dict(make_slices(ROUTER, INSIDE, OUTSIDE))
    first = book.render(slices, FACTS)
    assert book.render(dict(slices), FACTS)["space/r1"] is first["space/r1"]
    slices["router/r1"] = make_slices(ROUTER, INSIDE, OUTSIDE, FIP)["router/r1"]
    assert len(book.render(slices, FACTS)["space/r1"]) == len(first["space/r1"]) + 3
    assert book.render({}, FACTS) == {}


def test_every_thing_says_why() -> None:
    """Law 10: the router, and the port or floating IP that is the reason."""
    for thing in render(ROUTER, INSIDE, OUTSIDE, FIP, forward("tcp", (1, 1), (1, 1))):
        assert "router/r1" in thing.why.ids and thing.why.by, thing.key


def test_paths_compare_whatever_their_order() -> None:
    """Two hops are one route: rendered in one order."""
    hops = [
        thing.value
        for thing in render(
            replace(ROUTER, routes=(Route("192.168.0.0/16", "10.1.0.9"), Route("192.168.0.0/16", "10.1.0.10"))), INSIDE
        )
        if thing.kind == "route"
    ]
    assert hops == [Path((("10.1.0.10", QR), ("10.1.0.9", QR)))]
