"""Router advertisements as an instance sees them."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from netloom.model.address import link_local
from netloom.model.slices import Address, PlaceRow
from netloom.render.answers import Scope, advert_frame, answer_frame, is_advert_due, news_frames
from netloom.render.answers.frames import Packet, parse_frame
from netloom.render.answers.scope import SERVER_LINK_LOCAL
from tests.unit.answers.answers_kit import LINK_LOCAL, MAC, PORT, SETTINGS, SUBNET, SUBNET6, scope_of, solicit_router

ROUTER_MAC = "fa:16:3e:aa:aa:aa"
ROUTER = PlaceRow("r", ROUTER_MAC, addresses=(Address("2001:db8::1", "s6"),), device_owner="network:router_interface")


def in_mode(mode: str, *places: PlaceRow) -> Scope:
    return scope_of(SUBNET, replace(SUBNET6, ipv6_ra_mode=mode, ipv6_address_mode=mode), places=places)


def solicited(scope: Scope, frame: bytes | None = None) -> Packet:
    reply = answer_frame(frame or solicit_router(), PORT, scope, SETTINGS)
    assert reply is not None
    return parse_frame(reply)


def options_of(packet: Packet) -> dict[int, bytes]:
    data, at, out = packet.payload, 16, {}
    while at < len(data):
        out[data[at]] = data[at + 2 : at + data[at + 1] * 8]
        at += data[at + 1] * 8
    return out


@pytest.mark.parametrize(
    ("mode", "router", "prefix"),
    [("slaac", 0, 0xC0), ("dhcpv6-stateless", 0x40, 0xC0), ("dhcpv6-stateful", 0xC0, 0x80)],
)
def test_the_flags_say_where_addresses_come_from(mode: str, router: int, prefix: int) -> None:
    """M and O of the router, L and A of the prefix, by ipv6_ra_mode."""
    packet = solicited(in_mode(mode))
    assert packet.payload[5] == router
    assert options_of(packet)[3][:2] == bytes((64, prefix))


def test_an_advertisement_is_what_the_wire_has() -> None:
    """The whole message: source, MTU, prefix, resolver and search list."""
    packet = solicited(in_mode("slaac"))
    assert (packet.eth_dst, packet.ip_dst, packet.ip_src, packet.hop_limit) == (MAC, LINK_LOCAL, SERVER_LINK_LOCAL, 255)
    want = bytes.fromhex(
        "40000000" "00000000" "00000000"
        "0101024e4c000001"
        "05010000000005aa"
        "030440c0" "00015180" "00003840" "00000000" "20010db8000000000000000000000000"
        "19030000" "0000012c" "20010db8000000000000000000000053"
        "1f030000" "0000012c" "0e6f70656e737461636b6c6f63616c00"
    )  # fmt: skip
    assert packet.payload[:2] == b"\x86\0"
    assert packet.payload[4:] == want


def test_nobody_is_a_router_until_there_is_one() -> None:
    """Without a router's port the lifetime is 0; with one the advertisement is that router's."""
    alone = solicited(in_mode("slaac"))
    assert struct.unpack(">H", alone.payload[6:8]) == (0,)
    routed = solicited(in_mode("slaac", ROUTER))
    assert struct.unpack(">H", routed.payload[6:8]) == (1800,)
    assert (routed.eth_src, routed.ip_src) == (ROUTER_MAC, link_local(ROUTER_MAC))
    stranger = replace(ROUTER, addresses=(Address("10.0.0.1", "s4"),))
    assert struct.unpack(">H", solicited(in_mode("slaac", stranger)).payload[6:8]) == (0,)


def test_a_client_without_an_address_is_answered_by_multicast() -> None:
    """A solicitation from :: is answered to all nodes."""
    packet = solicited(in_mode("slaac"), solicit_router(src="::"))
    assert (packet.ip_dst, packet.eth_dst) == ("ff02::1", "33:33:00:00:00:01")


@pytest.mark.parametrize(
    "frame",
    [
        solicit_router(hop_limit=64),
        solicit_router(body=b"\1\0" + bytes(6)),
        solicit_router(src="::", body=b"\1\1" + bytes(6)),
        solicit_router()[:-1] + b"\1",
    ],
    ids=["hop-limit", "empty-option", "source-from-nowhere", "checksum"],
)
def test_a_bad_solicitation_is_dropped(frame: bytes) -> None:
    """RFC 4861, 6.1.1."""
    assert answer_frame(frame, PORT, in_mode("slaac"), SETTINGS) is None


def test_no_ra_mode_no_advertisement() -> None:
    """An external router's network, or one without IPv6, is left alone."""
    for scope in (scope_of(SUBNET), in_mode("")):
        assert answer_frame(solicit_router(), PORT, scope, SETTINGS) is None
        assert advert_frame(scope, SETTINGS) is None


def test_an_unasked_advertisement_goes_to_all_nodes() -> None:
    """What is sent now and then says the same as an answer."""
    frame = advert_frame(in_mode("slaac"), SETTINGS)
    assert frame is not None
    assert parse_frame(frame).payload == solicited(in_mode("slaac"), solicit_router(src="::")).payload


def test_turns_come_once_in_an_interval_and_not_all_at_once() -> None:
    """Each port has one turn in 100 seconds, however the clock is cut; a thousand ports spread over them."""
    ports = [f"port-{n}" for n in range(1000)]
    for port in ports[:50]:
        assert sum(is_advert_due(port, t, t + 1, SETTINGS) for t in range(5000, 5100)) == 1
    busiest = max(sum(is_advert_due(port, t, t + 1, SETTINGS) for port in ports) for t in range(100))
    assert busiest < 40


def test_a_change_is_said_at_once_and_nothing_else() -> None:
    """A router that comes, and an MTU that changes, are news; one more instance is none."""
    alone, routed = in_mode("slaac"), in_mode("slaac", ROUTER)
    (said,) = news_frames(alone, routed, SETTINGS)
    assert parse_frame(said).eth_src == ROUTER_MAC
    smaller = replace(routed, network=replace(routed.network, mtu=1280))
    (said,) = news_frames(routed, smaller, SETTINGS)
    assert options_of(parse_frame(said))[5][2:] == struct.pack(">I", 1280)
    assert news_frames(routed, replace(routed, taken={"10.0.0.9": 1}), SETTINGS) == ()


def test_a_router_that_goes_takes_its_route_along() -> None:
    """Its own farewell, a lifetime of 0, comes before what is so now; also where nothing is advertised any more."""
    frames = news_frames(in_mode("slaac", ROUTER), in_mode("slaac"), SETTINGS)
    farewell, now = (parse_frame(frame) for frame in frames)
    assert (farewell.ip_src, farewell.payload[6:8]) == (link_local(ROUTER_MAC), b"\0\0")
    assert now.ip_src == SERVER_LINK_LOCAL
    (farewell_alone,) = news_frames(in_mode("slaac", ROUTER), in_mode("", ROUTER), SETTINGS)
    assert farewell_alone == frames[0]
    other = replace(ROUTER, mac="fa:16:3e:bb:bb:bb")
    assert [
        parse_frame(frame).eth_src for frame in news_frames(in_mode("slaac", ROUTER), in_mode("slaac", other), SETTINGS)
    ] == [ROUTER_MAC, other.mac]
