"""Where MACs lead, and whose MAC an address has: the tables of bridges and of tunnel devices as they are. Raises
NetlinkError. They are changed by `entries`.

Ours is what is static on devices of ours; what the kernel learned or put there for itself is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pyroute2 import IPRoute

from netloom.drivers.bridge.entries import FAMILIES, PERMANENT, STATIC
from netloom.drivers.bridge.links import Device, find_bridges
from netloom.model.bridge import Leads, Neighbour
from netloom.model.plan import Thing


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
