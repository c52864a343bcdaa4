"""Packets to and through routers in a story: by which router they go, what comes back, and what they look like then.

a sends ping to b via r              to the MAC address that r has on a's network, for b's address
a sends tcp 80 to b via r at 203.0.113.9 ttl 2 size 1500
b answers back via r                 to what arrived last, as it arrived; without via, to whoever sent the frame
then b sees ip_src=203.0.113.7 nw_ttl=63
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netloom.model.address import ip_int, mac_int
from netloom.model.flow import WIDTH
from netloom.model.slices import PortRow
from netloom.testing.story_packets import StoryError

Packet = dict[str, int]
TTL = 64
META = ("reg", "ct_", "tun_", "in_port", "pkt_mark", "metadata")


def cut_words(words: list[str]) -> tuple[list[str], dict[str, str]]:
    """The words without `via ROUTER`, `ttl NUMBER` and `size BYTES`, and what those say."""
    told: dict[str, str] = {}
    rest = list(words)
    for name in ("via", "ttl", "size"):
        if name in rest:
            at = rest.index(name)
            if at + 1 >= len(rest):
                raise StoryError(f"a word is missing after {name}")
            told[name] = rest[at + 1]
            del rest[at : at + 2]
    return rest, told


def send_by(packet: Packet, told: dict[str, str], leg: Callable[[str], str]) -> Packet:
    """`leg`: the MAC address of a router on the sender's network, by the router's name."""
    out = {**packet, **({"nw_ttl": int(told.get("ttl", TTL))} if "ip_proto" in packet else {})}
    if "size" in told:
        out["size"] = int(told["size"])  # of the packet, without its frame
    if "via" in told:
        out["eth_dst"] = mac_int(leg(told["via"]))
    return out


def answer_back(
    arrived: list[tuple[str, str, Packet]], port: PortRow, device: str, make: Callable[[Packet], Packet]
) -> Packet:
    """What the port says to the one packet that arrived at it."""
    got = [packet for _, at, packet in arrived if at == device]
    if len(got) != 1:
        raise StoryError(f"{len(got)} packets arrived there")
    plain = {name: value for name, value in got[0].items() if not name.startswith(META)}
    return {**make(plain), "eth_src": mac_int(port.mac), "nw_ttl": TTL}


def check_seen(arrived: list[tuple[str, str, Packet]], device: str, values: dict[str, Any]) -> None:
    """Raises StoryError unless one packet arrived at the device, and has these fields."""
    got = [packet for _, at, packet in arrived if at == device]
    if len(got) != 1:
        raise StoryError(f"{len(got)} packets arrived there")
    for name, value in values.items():
        if name not in WIDTH:
            raise StoryError(f"there is no field {name}")
        wanted = read_value(str(value))
        if got[0].get(name) != wanted:
            raise StoryError(f"{name} is {got[0].get(name)}, not {wanted}")


def read_value(text: str) -> int:
    if text.count(":") == 5 and len(text) == 17:
        return mac_int(text)
    return ip_int(text) if "." in text or ":" in text else int(text)
