"""DHCP as an instance sees it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netloom.model.slices import Address, AddressPair, DhcpOption, PlaceRow, PortRow, Route, SubnetRow
from netloom.render.answers import Scope, Settings, answer_frame
from netloom.render.answers.scope import SERVER_MAC
from tests.unit.answers.answers_kit import MAC, NET, PORT, SETTINGS, SUBNET, SUBNET6, dhcp4, option, read4, scope_of

SCOPE = scope_of()
SERVER = bytes((10, 0, 0, 1))
IP = bytes((10, 0, 0, 5))
CHOSEN = (option(54, SERVER), option(50, IP))
DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM = range(1, 9)


def ask(
    frame: bytes, port: PortRow = PORT, scope: Scope = SCOPE, settings: Settings = SETTINGS
) -> tuple[str, dict[int, bytes]] | None:
    """Where the answer goes, and its options; yiaddr as option 0."""
    reply = answer_frame(frame, port, scope, settings)
    if reply is None:
        return None
    packet, options = read4(reply)
    return packet.ip_dst, {0: packet.payload[16:20], **options}


def options_of(
    frame: bytes, port: PortRow = PORT, scope: Scope = SCOPE, settings: Settings = SETTINGS
) -> dict[int, bytes]:
    found = ask(frame, port, scope, settings)
    assert found is not None
    return found[1]


def extra(name: str, value: str) -> PortRow:
    return replace(PORT, dhcp_options=(DhcpOption(name, value),))


def test_an_offer_is_what_the_wire_has() -> None:
    """The whole offer to a client with a short list, against bytes made by hand."""
    reply = answer_frame(dhcp4(DISCOVER, option(55, b"\3\6")), PORT, SCOPE, SETTINGS)
    assert reply is not None
    packet, _ = read4(reply)
    assert (packet.eth_src, packet.eth_dst) == (SERVER_MAC, MAC)
    assert (packet.ip_src, packet.ip_dst, packet.sport, packet.dport) == ("10.0.0.1", "10.0.0.5", 67, 68)
    head = "02010600deadbeef00000000000000000a0000050000000000000000fa163e000005"
    options = (
        "63825363" "350102" "36040a000001" "330400015180" "3a040000a8c0" "3b0400012750" "0104ffffff00" "1a0205aa"
        "03040a000001" "0608" "09090909" "01010101" "ff"
    )  # fmt: skip
    want = bytes.fromhex(head) + bytes(10 + 192) + bytes.fromhex(options)
    assert packet.payload == want.ljust(300, b"\0")


def test_a_client_without_a_list_gets_everything() -> None:
    """Name, domain, broadcast address and all the rest, but Microsoft's route option only on demand."""
    got = options_of(dhcp4(DISCOVER))
    assert got[12] == b"host-10-0-0-5"
    assert got[15] == b"openstacklocal"
    assert got[28] == bytes((10, 0, 0, 255))
    assert 249 not in got and 121 not in got


@pytest.mark.parametrize(
    ("frame", "kind", "to"),
    [
        (dhcp4(REQUEST, *CHOSEN), ACK, "10.0.0.5"),
        (dhcp4(REQUEST, option(50, IP)), ACK, "10.0.0.5"),
        (dhcp4(REQUEST, option(50, bytes((10, 0, 0, 9)))), NAK, "255.255.255.255"),
        (dhcp4(REQUEST, option(50, bytes((192, 168, 0, 9)))), NAK, "255.255.255.255"),
        (dhcp4(REQUEST, ciaddr="10.0.0.5", src="10.0.0.5", dst="10.0.0.1"), ACK, "10.0.0.5"),
        (dhcp4(REQUEST, ciaddr="10.0.0.5", src="10.0.0.5"), ACK, "10.0.0.5"),
        (dhcp4(REQUEST, ciaddr="10.0.0.8", src="10.0.0.8"), NAK, "255.255.255.255"),
        (dhcp4(DISCOVER, flags=0x8000), OFFER, "255.255.255.255"),
        (dhcp4(DISCOVER, giaddr=b"\7\7\7\7"), OFFER, "10.0.0.5"),
    ],
    ids=[
        "selecting",
        "reboot",
        "reboot-wrong",
        "reboot-foreign",
        "renewing",
        "rebinding",
        "renew-wrong",
        "broadcast",
        "relay",
    ],
)
def test_each_state_of_a_client_gets_its_answer(frame: bytes, kind: int, to: str) -> None:
    """A client that selects, reboots, renews, rebinds or only asks for options is answered as RFC 2131, 4.3 says."""
    found = ask(frame)
    assert found is not None
    assert (found[0], found[1][53]) == (to, bytes((kind,)))
    assert found[1][0] == (bytes(4) if kind == NAK else IP)


@pytest.mark.parametrize(
    "frame",
    [
        dhcp4(REQUEST, option(54, bytes((10, 0, 0, 2))), option(50, IP)),
        dhcp4(REQUEST),
        dhcp4(DECLINE, *CHOSEN),
        dhcp4(RELEASE, option(54, SERVER), ciaddr="10.0.0.5"),
        dhcp4(DISCOVER, mac="fa:16:3e:00:00:99"),
        dhcp4(OFFER),
        dhcp4(77),
    ],
    ids=["other-server", "no-address", "decline", "release", "other-mac", "not-a-client", "unknown"],
)
def test_silence_where_silence_is_due(frame: bytes) -> None:
    """Another server's client, a release, a decline, a foreign MAC and nonsense get no answer."""
    assert ask(frame) is None


def test_an_inform_gives_options_and_no_lease() -> None:
    """A client with an address of its own gets neither an address nor times."""
    got = options_of(dhcp4(INFORM, ciaddr="10.0.0.5"))
    assert not {51, 58, 59} & got.keys()
    assert got[53] == bytes((ACK,)) and got[0] == bytes(4) and got[26] == (1450).to_bytes(2, "big")


def test_a_subnet_without_dhcp_stays_silent() -> None:
    """enable_dhcp false means no answer, also when the network has another subnet."""
    off = replace(SUBNET, enable_dhcp=False)
    assert ask(dhcp4(DISCOVER), scope=scope_of(off, SUBNET6)) is None
    both = replace(PORT, addresses=(Address("10.0.0.5", "s4"), Address("10.2.0.5", "t4")))
    other = SubnetRow("t4", "net-1", "10.2.0.0/24", 4, gateway_ip="10.2.0.1")
    assert options_of(dhcp4(DISCOVER), both, scope_of(off, other))[0] == bytes((10, 2, 0, 5))


def test_a_port_with_two_addresses_keeps_the_one_it_has() -> None:
    """The first address is offered; a client that already holds the second renews it."""
    port = replace(PORT, addresses=(Address("10.0.0.5", "s4"), Address("10.0.0.6", "s4")))
    second = bytes((10, 0, 0, 6))
    assert options_of(dhcp4(DISCOVER), port)[0] == IP
    assert options_of(dhcp4(REQUEST, option(50, second)), port)[0] == second


def test_no_gateway_no_router_option() -> None:
    """A null gateway offers no router; the server then is the first address that no port has."""
    places = (PlaceRow("p", "m", addresses=(Address("10.0.0.1"),)),)
    got = options_of(dhcp4(DISCOVER), scope=scope_of(replace(SUBNET, gateway_ip=""), places=places))
    assert 3 not in got
    assert got[54] == bytes((10, 0, 0, 2))


def test_host_routes_come_with_the_default_route() -> None:
    """RFC 3442: a client that takes option 121 ignores option 3, so the default route is in both."""
    subnet = replace(SUBNET, host_routes=(Route("10.9.0.0/17", "10.0.0.9"), Route("192.168.0.1/32", "10.0.0.8")))
    got = options_of(dhcp4(DISCOVER, option(55, bytes((3, 121, 249)))), scope=scope_of(subnet))
    want = bytes.fromhex("110a09000a00000920c0a800010a000008000a000001")
    assert got[121] == got[249] == want
    assert got[3] == SERVER


METADATA_ON_LINK = bytes.fromhex("20a9fea9fe00000000")


@pytest.mark.parametrize(
    ("told", "router", "there"),
    [("", False, False), ("isolated", False, True), ("isolated", True, False), ("all", True, True)],
)
def test_an_isolated_subnet_is_told_the_way(told: str, router: bool, there: bool) -> None:
    """enable_isolated_metadata: where no router of ours has the gateway's address; force_metadata: everywhere."""
    owner = "network:router_interface"
    places = (PlaceRow("r", "fa:16:3e:00:00:01", "h1", (Address("10.0.0.1"),), device_owner=owner),) if router else ()
    frame, scope = dhcp4(DISCOVER), scope_of(SUBNET, places=places)
    got = options_of(frame, scope=scope, settings=Settings(metadata_route=told))
    assert (METADATA_ON_LINK in got.get(121, b"")) == there


def test_sibling_subnets_are_on_link() -> None:
    """Instances on two subnets of one network reach each other without a router."""
    other = SubnetRow("t4", "net-1", "10.2.0.0/24", 4)
    got = options_of(dhcp4(DISCOVER), scope=scope_of(SUBNET, other))
    assert got[121] == bytes.fromhex("180a020000000000000a000001")


def test_a_host_route_to_everywhere_is_the_gateway() -> None:
    """Where the gateway is null, a host route to 0.0.0.0/0 stands in."""
    subnet = replace(SUBNET, gateway_ip="", host_routes=(Route("0.0.0.0/0", "10.0.0.77"),))
    assert options_of(dhcp4(DISCOVER), scope=scope_of(subnet))[3] == bytes((10, 0, 0, 77))


def test_a_lease_without_end() -> None:
    """dhcp_lease_duration -1 is infinity on the wire, and no renewal times."""
    got = options_of(dhcp4(REQUEST, *CHOSEN), settings=Settings(lease_s=-1))
    assert got[51] == b"\xff" * 4
    assert not {58, 59} & got.keys()


def test_the_client_id_comes_back() -> None:
    """RFC 6842, in an offer as in a refusal."""
    client = option(61, b"\1abcdef")
    assert options_of(dhcp4(DISCOVER, client))[61] == b"\1abcdef"
    assert options_of(dhcp4(REQUEST, client, option(50, b"\1\1\1\1")))[61] == b"\1abcdef"


def test_names_are_the_clients_business() -> None:
    """RFC 4702: the server says that it updates no DNS, and what the full name is."""
    port = replace(PORT, hostname="web")
    got = options_of(
        dhcp4(DISCOVER, option(81, b"\5\0\0")), port, scope_of(network=replace(NET, dns_domain="corp.example."))
    )
    assert got[81] == b"\x0e\xff\xff\3web\4corp\7example\0"
    assert got[12] == b"web" and got[15] == b"corp.example"


def test_an_allowed_pairs_mac_may_ask() -> None:
    """A client behind an allowed address pair's MAC gets the port's address."""
    mac = "fa:16:3e:00:00:77"
    port = replace(PORT, pairs=(AddressPair("10.0.0.50", mac),))
    assert options_of(dhcp4(DISCOVER, mac=mac), port)[0] == IP


def test_no_dns_when_the_subnet_says_so() -> None:
    """0.0.0.0 as a name server means: offer none, also not the site's own."""
    site = Settings(dns_servers=("8.8.8.8", "2001:db8::8"))
    assert 6 not in options_of(
        dhcp4(DISCOVER), scope=scope_of(replace(SUBNET, dns_nameservers=("0.0.0.0",))), settings=site
    )
    none = scope_of(replace(SUBNET, dns_nameservers=()))
    assert options_of(dhcp4(DISCOVER), scope=none, settings=site)[6] == bytes((8, 8, 8, 8))


@pytest.mark.parametrize(
    ("name", "value", "code", "data"),
    [
        ("mtu", "9000", 26, b"\x23\x28"),
        ("26", "9000", 26, b"\x23\x28"),
        ("router", "10.0.0.7", 3, b"\x0a\0\0\7"),
        ("option:dns-server", "8.8.8.8,8.8.4.4", 6, b"\x08\x08\x08\x08\x08\x08\x04\x04"),
        ("tag:blue,option:ntp-server", "10.0.0.3;10.0.0.4", 42, b"\x0a\0\0\3\x0a\0\0\4"),
        ("domain-search", "a.example,b", 119, b"\1a\7example\0\1b\0"),
        ("classless-static-route", "10.0.0.0/8,10.0.0.9", 121, b"\x08\x0a\x0a\0\0\x09"),
        ("tftp-server", "10.0.0.8", 66, b"10.0.0.8"),
        ("bootfile-name", "http://h/a,b?c", 67, b"http://h/a,b?c"),
        ("ip-forward-enable", "1", 19, b"\1"),
        ("T1", "60", 58, b"\0\0\0\x3c"),
        ("time-offset", "-3600", 2, b"\xff\xff\xf1\xf0"),
        ("sip-server", "10.0.0.3", 120, b"\1\x0a\0\0\3"),
        ("sip-server", "sip.example", 120, b"\0\3sip\7example\0"),
        ("224", "10.1.1.1", 224, b"\x0a\1\1\1"),
        ("224", "258", 224, b"\1\2"),
        ("224", "aa:bb:01", 224, b"\xaa\xbb\1"),
        ("224", "hello", 224, b"hello"),
        ("224", '"10"', 224, b"10"),
        ("hostname", "db-1", 12, b"db-1"),
    ],
)
def test_an_extra_option_has_the_last_word(name: str, value: str, code: int, data: bytes) -> None:
    """Each option of a port, by name or number, is on the wire as dnsmasq would have put it there."""
    assert options_of(dhcp4(DISCOVER), extra(name, value))[code] == data


@pytest.mark.parametrize("value", ["x.y", "70000", "1e3"])
def test_an_extra_option_that_makes_no_sense_is_left_out(value: str) -> None:
    """A value that cannot be sent takes nothing else away: the network's own MTU stays."""
    assert options_of(dhcp4(DISCOVER), extra("mtu", value))[26] == (1450).to_bytes(2, "big")
    assert options_of(dhcp4(DISCOVER), extra("no-such-option", value))[0] == IP


def test_an_empty_extra_option_takes_it_away() -> None:
    """An operator may keep the router out of an instance's lease."""
    assert 3 not in options_of(dhcp4(DISCOVER), extra("router", ""))


def test_network_boot_by_fields_and_options() -> None:
    """A ROM finds its boot server and file in the fixed fields (siaddr, sname, file)."""
    port = replace(PORT, dhcp_options=(
        DhcpOption("server-ip-address", "10.0.0.8"), DhcpOption("tftp-server", "10.0.0.8"),
        DhcpOption("bootfile-name", "pxe.0"), DhcpOption("mtu", "1280", 6),
    ))  # fmt: skip
    reply = answer_frame(dhcp4(DISCOVER, option(55, b"\3")), port, SCOPE, SETTINGS)
    assert reply is not None
    packet, options = read4(reply)
    assert packet.payload[20:24] == bytes((10, 0, 0, 8))
    assert packet.payload[44:53] == b"10.0.0.8\0" and packet.payload[108:114] == b"pxe.0\0"
    assert options[26] == (1450).to_bytes(2, "big"), "an option for IPv6 says nothing here"
    assert 67 not in options, "not in the list"


def test_bootp_is_answered() -> None:
    """A client that knows no message types gets its address all the same, in 300 bytes, with no DHCP options."""
    reply = answer_frame(dhcp4(0), PORT, SCOPE, SETTINGS)
    assert reply is not None
    packet, options = read4(reply)
    assert (packet.payload[16:20], len(packet.payload)) == (IP, 300)
    assert options[3] == SERVER and not {51, 53, 54} & options.keys()


def test_a_long_option_is_split_and_a_small_client_spared() -> None:
    """RFC 3396 for values over 255 bytes; a client that takes 576 bytes is not sent more."""
    port = extra("224", "x" * 400)
    large = dhcp4(DISCOVER, option(57, (1500).to_bytes(2, "big")))
    assert options_of(large, port)[224] == b"x" * 400
    small = answer_frame(dhcp4(DISCOVER), port, SCOPE, SETTINGS)
    assert small is not None and len(small) <= 576 + 14
    assert 224 not in read4(small)[1]


def test_a_split_request_option_is_put_together() -> None:
    """A client may split its own list (RFC 3396)."""
    got = options_of(dhcp4(DISCOVER, option(55, b"\3"), option(55, b"\6")))
    assert {3, 6} <= got.keys() and 12 not in got
