"""What a host says of an address that came to it: gratuitous ARP (RFC 5227, 3) and unsolicited neighbour advertisement
(RFC 4861, 7.2.6), so that neighbours and switches outside learn where it is now."""

from __future__ import annotations

import struct

from netloom.model.address import Ip, Mac, ip_version, link_local
from netloom.model.flow import ARP, ICMPV6
from netloom.render.answers.frames import BROADCAST_MAC, Packet, pack_ip, pack_mac, render_frame
from netloom.render.answers.ra import ALL_NODES, ALL_NODES_MAC

ADVERTISEMENT = 136
ROUTER, OVERRIDE = 1 << 31, 1 << 29


def announce_frame(mac: str, ip: str) -> bytes:
    """The frame that says that `ip` is at `mac`, to all on the network."""
    return (announce_arp if ip_version(ip) == 4 else announce_nd)(mac, ip)


def announce_arp(mac: str, ip: str) -> bytes:
    """A reply that nobody asked for: what takes gratuitous ARP at all takes it as well as a request, and no host that
    answers for others answers it. It is to itself: with any other target Linux disregards it where it contradicts what
    was heard within a second (arp_is_garp, locktime)."""
    own = pack_mac(mac) + pack_ip(ip)
    head = pack_mac(BROADCAST_MAC) + pack_mac(mac) + struct.pack(">HHHBBH", ARP, 1, 0x0800, 6, 4, 2)
    return head + own + pack_mac(mac) + pack_ip(ip)


def announce_nd(mac: str, ip: str) -> bytes:
    message = struct.pack(">BBHI", ADVERTISEMENT, 0, 0, ROUTER | OVERRIDE) + pack_ip(ip) + b"\2\1" + pack_mac(mac)
    source = Ip(ip) if ip.startswith("fe80:") else link_local(mac)
    return render_frame(Packet(Mac(mac), ALL_NODES_MAC, source, ALL_NODES, ICMPV6, message, hop_limit=255))
