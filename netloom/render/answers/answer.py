"""One frame from an instance in, at most one frame out: which local service it asks, and its answer.

Any bytes are a valid input. Nothing an instance sends raises here, and what it gets depends on nothing but the
frame, its own port, the port's network and the settings; so it is the same with the server gone.
"""

from __future__ import annotations

from netloom.model.flow import ICMPV6, UDP
from netloom.model.slices import PortRow
from netloom.render.answers.dhcp4 import answer_dhcp4
from netloom.render.answers.dhcp6 import answer_dhcp6
from netloom.render.answers.frames import Malformed, Packet, parse_frame, render_frame
from netloom.render.answers.ra import SOLICITATION, answer_solicitation, make_advert, make_news
from netloom.render.answers.scope import Scope, Settings

VLAN_ID = 0x0FFF


def answer_packet(packet: Packet, port: PortRow, scope: Scope, settings: Settings) -> Packet | None:
    """The answer of the service that the packet asks; None when it asks none. Raises Malformed."""
    if any(tag & VLAN_ID for tag in packet.vlans):
        return None  # a VLAN inside the instance's network is not ours to number; a priority tag is no VLAN
    service = (packet.version, packet.proto, packet.dport)
    if service == (4, UDP, 67):
        return answer_dhcp4(packet, port, scope, settings)
    if service == (6, UDP, 547):
        return answer_dhcp6(packet, port, scope, settings)
    if service == (6, ICMPV6, 0) and packet.payload[0] == SOLICITATION:
        return answer_solicitation(packet, port, scope, settings)
    return None


def answer_frame(frame: bytes, port: PortRow, scope: Scope, settings: Settings) -> bytes | None:
    """The frame to send back out of the port that `frame` came in by, or None."""
    try:
        reply = answer_packet(parse_frame(frame), port, scope, settings)
    except Malformed:
        return None
    return render_frame(reply) if reply else None


def advert_frame(scope: Scope, settings: Settings) -> bytes | None:
    """An unasked router advertisement for any port of the network, or None where there is none to send."""
    packet = make_advert(scope, settings)
    return render_frame(packet) if packet else None


def news_frames(old: Scope, new: Scope, settings: Settings) -> tuple[bytes, ...]:
    """What every port of a network is to hear once it has changed: nothing where its advertisement is as before."""
    return tuple(render_frame(packet) for packet in make_news(old, new, settings))
