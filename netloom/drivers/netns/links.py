"""Devices, addresses, routes and rules of the namespace that the thread is in, read and changed by netlink.

Ours are the veth devices whose alias says so ("netloom:" and the name of the host's end), all addresses on them but
those that the kernel gives itself, and the routes and rules with protocol static. Raises OSError.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from netloom.drivers.netns.kernel import read_plain, read_setting, set_plain, write_setting
from netloom.drivers.netns.proxies import list_proxies
from netloom.model.netns import Held, Path, Rule, Veth
from netloom.model.plan import Key, Thing

MARK = "netloom:"
ADDRESS_MODE = "net/ipv6/conf/{}/addr_gen_mode"
STATIC, MAIN, ANY_SCOPE = 4, 254, 255
IFF_UP, NODAD, ONLINK, PROXY = 1, 0x02, 4, 0x08
FAMILIES = {4: 2, 6: 10}
NO_SUCH = (2, 3, 19, 99)
"""ENOENT, ESRCH, ENODEV, EADDRNOTAVAIL: what there is not need not be removed."""
THERE = 17  # EEXIST


def family_of(text: str) -> int:
    return FAMILIES[6 if ":" in text else 4]


# -- read --------------------------------------------------------------------------------------------------------------


def read_names(ipr: IPRoute) -> dict[int, str]:
    """Every device of the namespace, by its number."""
    return {link["index"]: link.get("ifname") for link in ipr.get_links()}


def read_things(ipr: IPRoute, netns: str, kept: bool) -> Iterator[Thing]:
    """What is ours. `kept`: another program sets addresses and routes, so they are not looked at; rules are ours."""
    devices: dict[int, str] = {}
    for link in ipr.get_links():
        alias = link.get("ifalias") or ""
        if alias.startswith(MARK):
            devices[link["index"]] = link.get("ifname")
            yield Thing(("veth", alias.removeprefix(MARK)), read_veth(link, netns))
    yield from read_addresses(ipr, netns, {i: name for i, name in devices.items() if not kept or is_copy(name)})
    if not kept:
        yield from read_routes(ipr, netns, devices)
    yield from read_rules(ipr, netns)
    yield from read_proxies(netns, devices)


def is_copy(device: str) -> bool:
    """Whether the device joins copies of a router: its address is ours, whoever keeps the others."""
    return device.startswith("ha-")


def read_veth(link: Any, netns: str) -> Veth:
    """One that is down has an MTU that nobody wants: it asks for repair."""
    name, up = link.get("ifname"), bool(link["flags"] & IFF_UP)
    quiet = read_setting(ADDRESS_MODE.format(name)) == "1"
    return Veth(netns, name, link.get("address"), link.get("mtu") if up else 0, read_plain(name), quiet)


def read_addresses(ipr: IPRoute, netns: str, devices: Mapping[int, str]) -> Iterator[Thing]:
    for found in ipr.get_addr():
        ip, length = found.get("local") or found.get("address"), found["prefixlen"]
        if found["index"] in devices and not is_automatic(ip) and not is_shared(ip):
            yield Thing((address_kind(ip, length), netns, devices[found["index"]], f"{ip}/{length}"), Held())


METADATA = "fe80::a9fe:a9fe"


def is_automatic(ip: str) -> bool:
    """Link-local addresses the kernel makes of the MAC, all but one that is well known."""
    return ip.startswith("fe80:") and ip != METADATA


def is_shared(ip: str) -> bool:
    """The address that only the active copy of a router has, on the network that joins the copies."""
    return ip.startswith("169.254.0.")


def address_kind(ip: str, length: int) -> str:
    """ "alias": an address alone, by which nothing else is reached."""
    return "alias" if length == (128 if ":" in ip else 32) else "address"


def read_routes(ipr: IPRoute, netns: str, devices: Mapping[int, str]) -> Iterator[Thing]:
    for version, family in FAMILIES.items():
        grouped: dict[Key, list[tuple[str, str]]] = {}
        for found in ipr.get_routes(family=family):
            if found["proto"] != STATIC or found["type"] != 1:
                continue
            bits = found["dst_len"]
            destination = f"{found.get('dst') or ('0.0.0.0' if version == 4 else '::')}/{bits}"
            key = ("route", netns, found.get("table") or MAIN, destination)
            grouped.setdefault(key, []).extend(read_hops(found, devices))
        for key, hops in grouped.items():
            yield Thing(key, Path(tuple(sorted(hops))))


def read_hops(route: Any, devices: Mapping[int, str]) -> Iterator[tuple[str, str]]:
    several = route.get("multipath")
    for hop in several or (route,):
        yield hop.get("gateway") or "", devices.get(hop.get("oif", 0), "")


def read_proxies(netns: str, devices: Mapping[int, str]) -> Iterator[Thing]:
    for index, ip in list_proxies():
        if index in devices:
            yield Thing(("proxy", netns, devices[index], ip), Held())


def read_rules(ipr: IPRoute, netns: str) -> Iterator[Thing]:
    for version, family in FAMILIES.items():
        for found in ipr.get_rules(family=family):
            if found.get("protocol") == STATIC and found.get("fwmark"):
                yield Thing(("rule", netns, version, found.get("fwmark")), Rule(found.get("table")))


# -- change ------------------------------------------------------------------------------------------------------------


def put_veth(ipr: IPRoute, host_end: str, want: Veth, home: str) -> None:
    """The pair, its one end here, the other in the namespace that the file `home` holds. It is up when all is set."""
    index = find_device(ipr, want.device)
    if index is not None and not is_same(ipr, index, want):
        ipr.link("del", index=index)
        index = None
    if index is None:
        peer = {"ifname": host_end, "net_ns_fd": home, "mtu": want.mtu}
        ipr.link("add", ifname=want.device, kind="veth", address=want.mac, mtu=want.mtu, peer=peer)
        index = find_device(ipr, want.device)
    write_setting(ADDRESS_MODE.format(want.device), "1" if want.quiet else "0")
    ipr.link("set", index=index, mtu=want.mtu)
    set_plain(want.device, want.plain)
    ipr.link("set", index=index, state="up", ifalias=MARK + host_end)


def is_same(ipr: IPRoute, index: int, want: Veth) -> bool:
    (link,) = ipr.get_links(index)
    return bool(link.get("address") == want.mac)


def find_device(ipr: IPRoute, name: str) -> int | None:
    found = ipr.link_lookup(ifname=name)
    return found[0] if found else None


def raise_end(ipr: IPRoute, host_end: str, mtu: int) -> None:
    """The host's end, in the host's namespace: silent, and up."""
    index = find_device(ipr, host_end)
    if index is not None:
        write_setting(f"net/ipv6/conf/{host_end}/disable_ipv6", "1")
        ipr.link("set", index=index, mtu=mtu, state="up")


def remove_device(ipr: IPRoute, name: str) -> None:
    index = find_device(ipr, name)
    if index is not None:
        ipr.link("del", index=index)


def put_address(ipr: IPRoute, device: str, cidr: str) -> None:
    with tolerated(THERE):
        ipr.addr("add", index=require(ipr, device), **describe_address(cidr), **flags_of(cidr))


def flags_of(cidr: str) -> dict[str, int]:
    """Nobody else has an address that the server gave: it is good at once, with no detection of duplicates."""
    return {"flags": NODAD} if ":" in cidr else {}


def remove_address(ipr: IPRoute, device: str, cidr: str) -> None:
    index = find_device(ipr, device)
    if index is not None:
        with tolerated(*NO_SUCH):
            ipr.addr("del", index=index, **describe_address(cidr))


def describe_address(cidr: str) -> dict[str, Any]:
    ip, _, length = cidr.partition("/")
    return {"address": ip, "prefixlen": int(length), "family": family_of(ip)}


def put_route(ipr: IPRoute, table: int, destination: str, want: Path) -> None:
    """Replaces whatever there was. A next hop need not be in a prefix of its device's."""
    given = [describe_hop(ipr, hop) for hop in want.hops]
    hops: dict[str, Any] = given[0] if len(given) == 1 else {"multipath": given}
    if ":" in destination:  # IPv6 adds hops to a route where IPv4 replaces it
        remove_route(ipr, table, destination)
    ipr.route("replace", table=table, proto=STATIC, **describe_destination(destination), **hops)


def describe_destination(destination: str) -> dict[str, Any]:
    return {"dst": destination, "family": family_of(destination)}


def describe_hop(ipr: IPRoute, hop: tuple[str, str]) -> dict[str, Any]:
    via, device = hop
    index = require(ipr, device)
    return {"oif": index, "gateway": via, "flags": ONLINK} if via else {"oif": index, "scope": 253}


def remove_route(ipr: IPRoute, table: int, destination: str) -> None:
    with tolerated(*NO_SUCH):
        ipr.route("del", table=table, proto=STATIC, scope=ANY_SCOPE, **describe_destination(destination))


def put_proxy(ipr: IPRoute, device: str, ip: str) -> None:
    write_setting(f"net/ipv6/conf/{device}/proxy_ndp", "1")
    ipr.neigh("replace", ifindex=require(ipr, device), dst=ip, family=FAMILIES[6], flags=PROXY)


def remove_proxy(ipr: IPRoute, device: str, ip: str) -> None:
    index = find_device(ipr, device)
    if index is not None:
        with tolerated(*NO_SUCH):
            ipr.neigh("del", ifindex=index, dst=ip, family=FAMILIES[6], flags=PROXY)


def put_rule(ipr: IPRoute, version: int, mark: int, want: Rule) -> None:
    remove_rule(ipr, version, mark)
    ipr.rule("add", **describe_rule(version, mark), table=want.table)


def remove_rule(ipr: IPRoute, version: int, mark: int) -> None:
    with tolerated(*NO_SUCH):
        ipr.rule("del", **describe_rule(version, mark))


def describe_rule(version: int, mark: int) -> dict[str, Any]:
    return {"family": FAMILIES[version], "fwmark": mark, "priority": 1000 + mark, "protocol": STATIC, "action": 1}


def require(ipr: IPRoute, device: str) -> int:
    index = find_device(ipr, device)
    if index is None:
        raise OSError(19, f"there is no device {device}")
    return index


class tolerated(suppress):
    """What the kernel says with one of these numbers is no failure."""

    def __init__(self, *codes: int) -> None:
        super().__init__()
        self._codes = codes

    def __exit__(self, kind: Any, value: Any, trace: Any) -> bool:
        return isinstance(value, NetlinkError) and value.code in self._codes
