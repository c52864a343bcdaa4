"""Where MACs lead, and whose MAC an address has: the tables of bridges and of tunnel devices. Raises NetlinkError.

Ours is what is static on devices of ours; what the kernel learned or put there for itself is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from netloom.drivers.bridge.links import Device, find_bridges, find_device, require
from netloom.model.bridge import Leads, Neighbour
from netloom.model.plan import Key, Thing

PERMANENT, STATIC = 0x80, 0x40  # NUD_PERMANENT, NUD_NOARP
SELF, MASTER = 0x02, 0x04  # NTF_SELF, NTF_MASTER
FAMILIES = {4: 2, 6: 10}
NO_SUCH = (2, 19, 95)  # of a device that is in no bridge any more the kernel knows no such table


class tolerated(suppress):
    """That it is gone already is no failure."""

    def __init__(self) -> None:
        super().__init__()

    def __exit__(self, kind: Any, value: Any, trace: Any) -> bool:
        return isinstance(value, NetlinkError) and value.code in NO_SUCH


def read_things(ipr: IPRoute, devices: Mapping[int, Device]) -> Iterator[Thing]:
    bridges = find_bridges(devices)
    tunnels = {index for index, one in devices.items() if one.ours and one.kind == "vxlan"}
    for found in ipr.fdb("dump"):
        index, mac, target = found["ifindex"], found.get("lladdr"), found.get("dst")
        if index in tunnels and target and not found.get("master"):
            yield Thing(("tunnel_fdb", devices[index].name, mac, target), Leads())
        elif found.get("master") in bridges and found["state"] & STATIC and index in devices:
            yield Thing(("bridge_fdb", devices[index].name, mac), Leads())
    for family in FAMILIES.values():
        for found in ipr.get_neighbours(family=family):
            if found["ifindex"] in tunnels | bridges and found["state"] & PERMANENT and found.get("lladdr"):
                key = ("neighbour", devices[found["ifindex"]].name, found.get("dst"))
                yield Thing(key, Neighbour(found.get("lladdr")))


def put_bridge_fdb(ipr: IPRoute, key: Key, want: object) -> None:
    _, device, mac = key
    ipr.fdb("replace", ifindex=require(ipr, device), lladdr=mac, state=STATIC, flags=MASTER)


def remove_bridge_fdb(ipr: IPRoute, key: Key, value: object) -> None:
    _, device, mac = key
    index = find_device(ipr, device)
    if index is not None:
        with tolerated():
            ipr.fdb("del", ifindex=index, lladdr=mac, flags=MASTER)


def put_tunnel_fdb(ipr: IPRoute, key: Key, want: object) -> None:
    """One MAC may lead to several hosts, so entries are appended; one that is there stays."""
    _, device, mac, end = key
    try:
        ipr.fdb("append", ifindex=require(ipr, device), lladdr=mac, dst=end, state=PERMANENT, flags=SELF)
    except NetlinkError as error:
        if error.code != 17:
            raise


def remove_tunnel_fdb(ipr: IPRoute, key: Key, value: object) -> None:
    _, device, mac, end = key
    index = find_device(ipr, device)
    if index is not None:
        with tolerated():
            ipr.fdb("del", ifindex=index, lladdr=mac, dst=end, flags=SELF)


def put_neighbour(ipr: IPRoute, key: Key, want: Neighbour) -> None:
    _, device, ip = key
    family = FAMILIES[6 if ":" in ip else 4]
    ipr.neigh("replace", ifindex=require(ipr, device), dst=ip, lladdr=want.mac, family=family, state=PERMANENT)


def remove_neighbour(ipr: IPRoute, key: Key, value: object) -> None:
    _, device, ip = key
    index = find_device(ipr, device)
    if index is not None:
        with tolerated():
            ipr.neigh("del", ifindex=index, dst=ip, family=FAMILIES[6 if ":" in ip else 4])
