"""What an instance learns from the agent of its host: the exchanges of DHCP, DHCPv6 and router solicitation, read.

The messages are made and read here byte by byte, apart from the code that answers them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

from netloom.model.address import Ip, Mac, link_local, mac_int
from netloom.model.flow import ICMPV6, UDP
from netloom.model.slices import PortRow, Slices
from netloom.render.answers import Settings, answer_frame, read_scope
from netloom.render.answers.frames import BROADCAST_MAC, Packet, parse_frame, render_frame
from netloom.render.scene import find_ports

WANTED4 = bytes((1, 3, 6, 12, 15, 26, 42, 66, 67, 121))
WANTED6 = struct.pack(">4H", 23, 24, 56, 59)
Told = dict[str, str]


def ask_agent(kind: str, port: PortRow, host: str, slices: Slices) -> Told:
    """What the agent of `host` tells the port; nothing where it does not answer."""
    own = next((row for row in find_ports(slices, host) if row.id == port.id), None)
    network = slices.get(f"network/{port.network_id}")
    scope = read_scope(network) if network else None
    if own is None or scope is None:
        return {}
    ask, read = EXCHANGES[kind]
    reply = answer_frame(render_frame(ask(Mac(port.mac))), own, scope, Settings())
    return read(parse_frame(reply).payload) if reply else {}


def ask_dhcp4(mac: Mac) -> Packet:
    head = struct.pack(">BBBBIHH", 1, 1, 6, 0, 7, 0, 0) + bytes(16) + mac_int(mac).to_bytes(6, "big") + bytes(202)
    body = head + b"\x63\x82\x53\x63" + b"\x35\1\1" + bytes((55, len(WANTED4))) + WANTED4 + b"\xff"
    return Packet(mac, BROADCAST_MAC, Ip("0.0.0.0"), Ip("255.255.255.255"), UDP, body, 68, 67)


def read_dhcp4(body: bytes) -> Told:
    found, at = {"ip": str(IPv4Address(body[16:20]))}, 240
    while body[at] != 255:
        code, size = body[at], body[at + 1]
        name, read = OPTIONS4.get(code, (f"option{code}", bytes.hex))
        found[name] = read(body[at + 2 : at + 2 + size])
        at += 2 + size
    return found


def ask_dhcp6(mac: Mac) -> Packet:
    client = option6(1, b"\0\3\0\1" + mac_int(mac).to_bytes(6, "big"))
    body = b"\1\0\0\7" + client + option6(3, b"\0\0\0\1" + bytes(8)) + option6(6, WANTED6)
    return Packet(mac, Mac("33:33:00:01:00:02"), Ip(link_local(mac)), Ip("ff02::1:2"), UDP, body, 546, 547)


def option6(code: int, data: bytes) -> bytes:
    return struct.pack(">HH", code, len(data)) + data


def read_dhcp6(body: bytes) -> Told:
    found: Told = {}
    for code, data in split6(body[4:]):
        if code == 3:
            for inner, part in split6(data[12:]):
                if inner == 5:
                    found["ip"] = str(IPv6Address(part[:16]))
        elif code in OPTIONS6:
            name, read = OPTIONS6[code]
            found[name] = read(data)
    return found


def split6(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(data):
        code, size = struct.unpack_from(">HH", data, at)
        found.append((code, data[at + 4 : at + 4 + size]))
        at += 4 + size
    return found


def ask_router(mac: Mac) -> Packet:
    message = bytes((133, 0)) + bytes(6)
    return Packet(
        mac, Mac("33:33:00:00:00:02"), Ip(link_local(mac)), Ip("ff02::2"), ICMPV6, message, hop_limit=255
    )  # fmt: skip


def read_advert(body: bytes) -> Told:
    """managed and other are the flags M and O; prefix is the one that addresses may be made of."""
    found = {"managed": yes(body[5] & 0x80), "other": yes(body[5] & 0x40), "router": yes(any(body[6:8]))}
    at = 16
    while at < len(body):
        size = body[at + 1] * 8
        option = body[at : at + size]
        if option[0] == 3:
            prefix = f"{IPv6Address(option[16:32])}/{option[2]}"
            found["slaac" if option[3] & 0x40 else "onlink"] = prefix
        elif option[0] == 5:
            found["mtu"] = read_number(option[4:8])
        at += size
    return found


def yes(flag: object) -> str:
    return "yes" if flag else "no"


def read_number(data: bytes) -> str:
    return str(int.from_bytes(data, "big"))


def read_text(data: bytes) -> str:
    return data.decode(errors="replace")


def read_ips4(data: bytes) -> str:
    return ",".join(str(IPv4Address(data[at : at + 4])) for at in range(0, len(data), 4))


def read_ips6(data: bytes) -> str:
    return ",".join(str(IPv6Address(data[at : at + 16])) for at in range(0, len(data), 16))


def read_routes(data: bytes) -> str:
    """RFC 3442: length, as many bytes of prefix as that needs, next hop."""
    found, at = [], 0
    while at < len(data):
        size = (data[at] + 7) // 8
        net = IPv4Address(data[at + 1 : at + 1 + size].ljust(4, b"\0"))
        found.append(f"{net}/{data[at]}>{IPv4Address(data[at + 1 + size : at + 5 + size])}")
        at += 5 + size
    return ",".join(found)


OPTIONS4: dict[int, tuple[str, Callable[[bytes], str]]] = {
    1: ("mask", read_ips4), 3: ("router", read_ips4), 6: ("dns", read_ips4), 12: ("hostname", read_text),
    15: ("domain", read_text), 26: ("mtu", read_number), 42: ("ntp", read_ips4), 51: ("lease", read_number),
    54: ("server", read_ips4), 66: ("tftp", read_text), 67: ("bootfile", read_text), 121: ("routes", read_routes),
}  # fmt: skip
OPTIONS6: dict[int, tuple[str, Callable[[bytes], str]]] = {23: ("dns", read_ips6), 59: ("bootfile", read_text)}
EXCHANGES: dict[str, tuple[Callable[[Mac], Packet], Callable[[bytes], Told]]] = {
    "dhcp": (ask_dhcp4, read_dhcp4), "dhcp6": (ask_dhcp6, read_dhcp6), "rs": (ask_router, read_advert),
}  # fmt: skip
