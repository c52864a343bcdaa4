"""DHCPv6 as an instance sees it."""

from __future__ import annotations

import struct
from dataclasses import replace
from hashlib import sha256

import pytest

from netloom.model.slices import Address, DhcpOption, PortRow, SubnetRow
from netloom.render.answers import Scope, Settings, answer_frame
from netloom.render.answers.frames import parse_frame
from netloom.render.answers.scope import SERVER_LINK_LOCAL, SERVER_MAC
from tests.unit.answers.answers_kit import (
    CLIENT_ID,
    LINK_LOCAL,
    MAC,
    PORT,
    SETTINGS,
    SUBNET,
    SUBNET6,
    dhcp6,
    ia_na,
    option6,
    read6,
    scope_of,
    split6,
)

SCOPE = scope_of()
DUID = b"\0\4" + sha256(b"net-1").digest()[:16]
SERVER_ID = option6(2, DUID)
SOLICIT, ADVERTISE, REQUEST, CONFIRM, RENEW, REBIND, REPLY, RELEASE, DECLINE = range(1, 10)
INFORMATION = 11
OURS = bytes.fromhex("20010db8000000000000000000000005")
LEASED = [(5, OURS + struct.pack(">II", 86400, 86400))]


def ask(
    frame: bytes, port: PortRow = PORT, scope: Scope = SCOPE, settings: Settings = SETTINGS
) -> tuple[int, dict[int, bytes]] | None:
    reply = answer_frame(frame, port, scope, settings)
    return None if reply is None else read6(reply)


def stateless() -> Scope:
    return scope_of(replace(SUBNET6, ipv6_ra_mode="dhcpv6-stateless", ipv6_address_mode="dhcpv6-stateless"))


def test_a_solicitation_is_advertised_the_ports_address() -> None:
    """Address, lifetimes, DNS and domain, from one server to the client's link-local address."""
    frame = dhcp6(SOLICIT, CLIENT_ID, ia_na())
    reply = answer_frame(frame, PORT, SCOPE, SETTINGS)
    assert reply is not None
    packet = parse_frame(reply)
    assert (packet.eth_src, packet.eth_dst) == (SERVER_MAC, MAC)
    assert (packet.ip_src, packet.ip_dst, packet.sport, packet.dport) == (SERVER_LINK_LOCAL, LINK_LOCAL, 547, 546)
    kind, options = read6(reply)
    assert kind == ADVERTISE
    assert (options[1], options[2]) == (CLIENT_ID[4:], DUID)
    assert options[3][:12] == b"\0\0\0\1" + struct.pack(">II", 43200, 75600)
    assert split6(options[3][12:]) == LEASED
    assert options[23] == bytes.fromhex("20010db8000000000000000000000053")
    assert options[24] == b"\x0eopenstacklocal\0"


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (SOLICIT, (CLIENT_ID, option6(14, b""), ia_na())),
        (REQUEST, (CLIENT_ID, SERVER_ID, ia_na("2001:db8::5"))),
        (RENEW, (CLIENT_ID, SERVER_ID, ia_na("2001:db8::5"))),
        (REBIND, (CLIENT_ID, ia_na("2001:db8::5"))),
    ],
    ids=["rapid", "request", "renew", "rebind"],
)
def test_every_way_to_a_lease_leads_to_the_ports_address(kind: int, options: tuple[bytes, ...]) -> None:
    """Rapid commit, request, renew and rebind all reply with the one address."""
    found = ask(dhcp6(kind, *options))
    assert found is not None and found[0] == REPLY
    assert split6(found[1][3][12:]) == LEASED
    assert (14 in found[1]) == (kind == SOLICIT)


@pytest.mark.parametrize(
    "frame",
    [
        dhcp6(REQUEST, CLIENT_ID, ia_na()),
        dhcp6(REQUEST, CLIENT_ID, option6(2, b"\0\1other"), ia_na()),
        dhcp6(SOLICIT, CLIENT_ID, SERVER_ID, ia_na()),
        dhcp6(SOLICIT, ia_na()),
        dhcp6(CONFIRM, CLIENT_ID, ia_na()),
        dhcp6(INFORMATION, CLIENT_ID, ia_na()),
        dhcp6(12, CLIENT_ID),
        dhcp6(SOLICIT, CLIENT_ID, ia_na(), mac="fa:16:3e:00:00:99"),
        dhcp6(SOLICIT, CLIENT_ID, ia_na(), src="::"),
    ],
    ids=[
        "no-server",
        "other-server",
        "named-server",
        "no-client",
        "empty-confirm",
        "asks-address",
        "relay",
        "other-mac",
        "no-source",
    ],
)
def test_silence_where_silence_is_due(frame: bytes) -> None:
    """RFC 8415, 16: messages with the wrong ids are dropped, as are those of others."""
    assert ask(frame) is None


def test_an_address_that_was_is_ended() -> None:
    """After the port's address changed, a renewing client is told to stop using the old one."""
    found = ask(dhcp6(RENEW, CLIENT_ID, SERVER_ID, ia_na("2001:db8::9")))
    assert found is not None
    old = (5, bytes.fromhex("20010db8000000000000000000000009") + bytes(8))
    assert split6(found[1][3][12:]) == [*LEASED, old]


@pytest.mark.parametrize(("ip", "status"), [("2001:db8::77", 0), ("2001:db9::5", 4)])
def test_confirm_tells_whether_the_link_is_the_same(ip: str, status: int) -> None:
    """An instance that was moved to another network learns that its address is not on-link."""
    found = ask(dhcp6(CONFIRM, CLIENT_ID, ia_na(ip)))
    assert found is not None and found[1][13][:2] == struct.pack(">H", status)


@pytest.mark.parametrize("kind", [RELEASE, DECLINE])
def test_release_and_decline_are_acknowledged(kind: int) -> None:
    """The client may forget its address; the port keeps it."""
    found = ask(dhcp6(kind, CLIENT_ID, SERVER_ID, ia_na("2001:db8::5")))
    assert found is not None and (found[0], found[1][13]) == (REPLY, b"\0\0")


def test_stateless_gives_configuration_only() -> None:
    """dhcpv6-stateless answers an information request, and has no address for a solicitation."""
    found = ask(dhcp6(INFORMATION, option6(6, b"\0\x17")), scope=stateless())
    assert found is not None and found[0] == REPLY
    assert 23 in found[1] and 24 not in found[1] and 1 not in found[1]
    solicited = ask(dhcp6(SOLICIT, CLIENT_ID, ia_na()), scope=stateless())
    assert solicited is not None and solicited[1][13][:2] == b"\0\2"
    assert split6(solicited[1][3][12:])[0][1][:2] == b"\0\2"


def test_slaac_and_v4_networks_stay_silent() -> None:
    """Without a DHCPv6 address mode nobody answers."""
    slaac = scope_of(replace(SUBNET6, ipv6_ra_mode="slaac", ipv6_address_mode="slaac"))
    for scope in (slaac, scope_of(SUBNET), scope_of(replace(SUBNET6, enable_dhcp=False))):
        assert ask(dhcp6(SOLICIT, CLIENT_ID, ia_na()), scope=scope) is None
        assert ask(dhcp6(INFORMATION), scope=scope) is None


def test_prefixes_and_a_second_association_get_a_status() -> None:
    """No prefix delegation, no temporary address, and the addresses go to the first association only."""
    ia_pd = option6(25, b"\0\0\0\7" + bytes(8))
    reply = answer_frame(
        dhcp6(SOLICIT, CLIENT_ID, ia_pd, option6(4, b"\0\0\0\x08"), ia_na(), ia_na(iaid=b"\0\0\0\2")),
        PORT,
        SCOPE,
        SETTINGS,
    )
    assert reply is not None
    options = split6(parse_frame(reply).payload[4:])
    statuses = [split6(data[4 if code == 4 else 12 :])[0] for code, data in options if code in (3, 4, 25)]
    assert [(code, data[:2]) for code, data in statuses] == [(13, b"\0\6"), (13, b"\0\2"), (5, OURS[:2]), (13, b"\0\2")]


def test_a_port_with_two_addresses_gets_both() -> None:
    """Every stateful address of the port is in the lease."""
    other = SubnetRow("t6", "net-1", "2001:db8:1::/64", 6, ipv6_address_mode="dhcpv6-stateful")
    port = replace(PORT, addresses=(*PORT.addresses, Address("2001:db8:1::5", "t6")))
    found = ask(dhcp6(SOLICIT, CLIENT_ID, ia_na()), port, scope_of(SUBNET6, other))
    assert found is not None and len(split6(found[1][3][12:])) == 2


def test_extra_options_and_names() -> None:
    """A port's IPv6 extra options and its full name are sent; its IPv4 ones are not."""
    port = replace(PORT, hostname="web", dhcp_options=(
        DhcpOption("dns-server", "[2001:db8::1]", 6), DhcpOption("bootfile-url", "tftp://[::1]/f,x", 6),
        DhcpOption("ntp-server", "ntp.example", 6), DhcpOption("dns-server", "1.1.1.1", 4),
    ))  # fmt: skip
    found = ask(dhcp6(REQUEST, CLIENT_ID, SERVER_ID, ia_na(), option6(39, b"\1\3web\0")), port)
    assert found is not None
    assert found[1][23] == bytes.fromhex("20010db8000000000000000000000001")
    assert found[1][59] == b"tftp://[::1]/f,x"
    assert found[1][56] == b"\0\3\0\x0d\3ntp\7example\0"
    assert found[1][39] == b"\6\3web\x0eopenstacklocal\0"


def test_a_lease_without_end() -> None:
    """-1 is infinity for address and times."""
    found = ask(dhcp6(SOLICIT, CLIENT_ID, ia_na()), settings=Settings(lease_s=-1))
    assert found is not None and found[1][3][4:12] == b"\xff" * 8
    assert split6(found[1][3][12:])[0][1][16:] == b"\xff" * 8


def test_unicast_is_sent_back_to_multicast() -> None:
    """RFC 8415, 18.4: the server never offered unicast."""
    found = ask(dhcp6(RENEW, CLIENT_ID, SERVER_ID, ia_na(), dst=SERVER_LINK_LOCAL))
    assert found is not None and found[1][13][:2] == b"\0\5"
