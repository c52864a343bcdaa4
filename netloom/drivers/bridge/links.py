"""Bridges, tunnel devices, VLANs and bridge ports by netlink. Raises OSError or NetlinkError.

What others made with a name of ours (Nova's plug library makes `brq…` too) is taken over by putting it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pyroute2 import IPRoute

from netloom.drivers.netns.kernel import read_plain, read_setting, set_plain, write_setting
from netloom.model.bridge import BridgePort, LinuxBridge, VlanDevice, VxlanDevice
from netloom.model.plan import Key, Thing

WORD = "netloom"
IFF_UP = 1
TAP = "tap"
ZERO_CHECKSUMS = {"vxlan_udp_csum": 0, "vxlan_udp_zero_csum6_rx": 1}
"""RFC 7348, 5: a sender leaves the outer checksum out. One that is there is checked."""

BRIDGE_MAC = "02:4e:4c:00:00:03"
"""Of every bridge, which nobody sees. One that is not told its MAC takes a port's, and with each change it forgets its
neighbours."""

NO_ADDRESS = "1"
"""IN6_ADDR_GEN_MODE_NONE: a tunnel device has IPv6, or it would answer for no neighbours, and no address of its own."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device as netlink shows it. `data`, `slave`: what its kind, and its bridge, say of it."""

    index: int
    name: str
    up: bool
    mtu: int
    mac: str
    kind: str
    ours: bool
    master: int
    parent: int
    data: Mapping[str, Any]
    slave: Mapping[str, Any]


Mark = frozenset[tuple[int, str, bool, int, int, bool]]


def read_devices(ipr: IPRoute) -> dict[int, Device]:
    return {link["index"]: read_device(link) for link in ipr.get_links()}


def read_device(link: Any) -> Device:
    info = link.get("linkinfo") or {}
    return Device(
        link["index"],
        link.get("ifname"),
        bool(link["flags"] & IFF_UP),
        int(link.get("mtu") or 0),
        link.get("address") or "",
        (info.get("kind") or "") if info else "",
        (link.get("ifalias") or "") == WORD,
        int(link.get("master") or 0),
        int(link.get("link") or 0),
        flatten(info.get("data") if info else None),
        flatten(info.get("slave_data") if info else None),
    )


def flatten(found: Any) -> dict[str, Any]:
    """The attributes of a nested message by their short names."""
    attributes = found.get("attrs", ()) if found else ()
    return {str(pair[0]).split("_", 2)[-1].lower(): pair[1] for pair in attributes}


def make_mark(devices: Mapping[int, Device]) -> Mark:
    ours = find_bridges(devices)
    return frozenset(
        (one.index, one.name, one.up, one.mtu, one.master, one.ours)
        for one in devices.values()
        if one.ours or one.master in ours
    )


def find_bridges(devices: Mapping[int, Device]) -> frozenset[int]:
    return frozenset(one.index for one in devices.values() if one.kind == "bridge" and one.ours)


# -- read --------------------------------------------------------------------------------------------------------------


def read_things(devices: Mapping[int, Device]) -> Iterator[Thing]:
    """What is ours. The value None: it is not as any of ours should be, and asks for repair."""
    bridges = find_bridges(devices)
    for one in devices.values():
        if one.ours and one.kind == "bridge":
            yield Thing(("brq", one.name), LinuxBridge(one.mtu) if is_right(one) else None)
        elif one.ours and one.kind == "vxlan":
            yield Thing(("vxlan", one.name), read_vxlan(one) if one.up else None)
        elif one.ours and one.kind == "vlan":
            parent = devices[one.parent].name if one.parent in devices else ""
            yield Thing(("vlan", one.name), VlanDevice(parent, int(one.data.get("id", 0))) if one.up else None)
        if one.master in bridges:
            yield Thing(("bridge_port", one.name), read_port(one, devices[one.master].name) if one.up else None)


def is_right(bridge: Device) -> bool:
    return (
        bridge.up
        and bridge.mac == BRIDGE_MAC
        and not bridge.data.get("mcast_snooping")
        and not bridge.data.get("stp_state")
        and read_setting(f"net/ipv6/conf/{bridge.name}/disable_ipv6") in ("", "1")
    )


def read_vxlan(one: Device) -> VxlanDevice | None:
    data = one.data
    if data.get("learning") or read_setting(f"net/ipv6/conf/{one.name}/disable_ipv6") == "1":
        return None
    local = data.get("local") or data.get("local6") or ""
    number, port, proxy = int(data.get("id", 0)), int(data.get("port", 0)), bool(data.get("proxy"))
    return VxlanDevice(number, local, one.mtu, read_plain(one.name), port, proxy)


def read_port(one: Device, bridge: str) -> BridgePort:
    mtu = one.mtu if one.name.startswith(TAP) else 0
    learning, flood, answers = (bool(one.slave.get(name)) for name in ("learning", "unicast_flood", "proxyarp_wifi"))
    return BridgePort(bridge, mtu, learning, flood, answers)


# -- change ------------------------------------------------------------------------------------------------------------


def find_device(ipr: IPRoute, name: str) -> int | None:
    found = ipr.link_lookup(ifname=name)
    return found[0] if found else None


def require(ipr: IPRoute, name: str) -> int:
    index = find_device(ipr, name)
    if index is None:
        raise OSError(19, f"there is no device {name}")
    return index


def fetch(ipr: IPRoute, name: str) -> Device | None:
    index = find_device(ipr, name)
    return None if index is None else read_device(ipr.get_links(index)[0])


def put_bridge(ipr: IPRoute, key: Key, want: LinuxBridge) -> None:
    name = key[1]
    if find_device(ipr, name) is None:
        ipr.link("add", ifname=name, kind="bridge")
    index = require(ipr, name)
    write_setting(f"net/ipv6/conf/{name}/disable_ipv6", "1")
    ipr.link("set", index=index, address=BRIDGE_MAC)
    ipr.link("set", index=index, kind="bridge", br_stp_state=0, br_forward_delay=0, br_mcast_snooping=0)
    ipr.link("set", index=index, mtu=want.mtu, ifalias=WORD, state="up")


def put_vxlan(ipr: IPRoute, key: Key, want: VxlanDevice) -> None:
    """One of that name with another number, end, port or proxy goes and comes again: the kernel changes none of it."""
    name = key[1]
    there = fetch(ipr, name)
    if there is not None and not is_same_tunnel(read_vxlan(there), want):
        ipr.link("del", index=there.index)
        there = None
    if there is None:
        local = {"vxlan_local6" if ":" in want.local else "vxlan_local": want.local}
        ipr.link(
            "add", ifname=name, kind="vxlan", vxlan_id=want.vni, vxlan_port=want.port, vxlan_learning=0,
            vxlan_proxy=int(want.proxy), mtu=want.mtu, **local, **ZERO_CHECKSUMS,
        )  # fmt: skip
    index = require(ipr, name)
    write_setting(f"net/ipv6/conf/{name}/addr_gen_mode", NO_ADDRESS)
    write_setting(f"net/ipv6/conf/{name}/disable_ipv6", "0")
    set_plain(name, want.plain)
    ipr.link("set", index=index, mtu=want.mtu, ifalias=WORD, state="up")


def is_same_tunnel(there: VxlanDevice | None, want: VxlanDevice) -> bool:
    return there is not None and replace(there, mtu=want.mtu, plain=want.plain) == want


def put_vlan(ipr: IPRoute, key: Key, want: VlanDevice) -> None:
    name, parent = key[1], require(ipr, want.parent)
    there = fetch(ipr, name)
    if there is not None and (there.parent, there.data.get("id")) != (parent, want.vlan):
        ipr.link("del", index=there.index)
        there = None
    if there is None:
        ipr.link("add", ifname=name, kind="vlan", link=parent, vlan_id=want.vlan)
    write_setting(f"net/ipv6/conf/{name}/disable_ipv6", "1")
    ipr.link("set", index=parent, state="up")
    ipr.link("set", index=require(ipr, name), ifalias=WORD, state="up")


def put_port(ipr: IPRoute, key: Key, want: BridgePort) -> None:
    name = key[1]
    index = require(ipr, name)
    if not want.mtu and has_addresses(ipr, index):
        raise OSError(16, f"{name} has addresses, which this host would lose: give the physical network another NIC")
    there = read_device(ipr.get_links(index)[0])
    if there.kind != "vxlan":
        write_setting(f"net/ipv6/conf/{name}/disable_ipv6", "1")
    if want.mtu:
        ipr.link("set", index=index, mtu=want.mtu)
    bridge = require(ipr, want.bridge)
    if there.master != bridge:
        ipr.link("set", index=index, master=bridge)
    ipr.brport(
        "set", index=index, learning=int(want.learning), unicast_flood=int(want.flood), proxyarp_wifi=int(want.answers)
    )
    ipr.link("set", index=index, state="up")


def has_addresses(ipr: IPRoute, index: int) -> bool:
    return any(not str(found.get("address") or "").startswith("fe80:") for found in ipr.get_addr(index=index))


def remove_port(ipr: IPRoute, key: Key, value: object) -> None:
    """Out of our bridge; one that somebody took to another bridge stays there."""
    there = fetch(ipr, key[1])
    if there is not None and there.master in find_bridges(read_devices(ipr)):
        ipr.link("set", index=there.index, master=0)


def remove_device(ipr: IPRoute, key: Key, value: object) -> None:
    index = find_device(ipr, key[1])
    if index is not None:
        ipr.link("del", index=index)
