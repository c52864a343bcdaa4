"""Who is on a network and where, found by address, by MAC address and by host; kept by work in proportion to a change.

Law 1: what is found depends on the rows that are here now, in whatever order they came.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import TypeVar

from netloom.model.address import ip_int, ip_version, parse_net
from netloom.model.slices import PlaceRow

DHCP_OWNER = "network:dhcp"
Network = IPv4Network | IPv6Network
T = TypeVar("T")


class Index:
    """By a word, the ids of who has it, in their order."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[str, ...]] = {}

    def __contains__(self, word: object) -> bool:
        return word in self._held

    @property
    def words(self) -> Collection[str]:
        return self._held.keys()

    def find(self, word: str) -> tuple[str, ...]:
        return self._held.get(word, ())

    def add(self, words: Iterable[str], id: str) -> None:
        for word in words:
            ids = list(self._held.get(word, ()))
            insort(ids, id)
            self._held[word] = tuple(ids)

    def drop(self, words: Iterable[str], id: str) -> None:
        for word in words:
            ids = tuple(held for held in self._held.get(word, ()) if held != id)
            if ids:
                self._held[word] = ids
            else:
                self._held.pop(word, None)


class PlaceIndex:
    """`take` each row that came, changed or went; `touched_…` says since the last `forget` what that was about."""

    def __init__(self) -> None:
        self.rows: dict[str, PlaceRow] = {}
        self.by_ip, self.by_mac = Index(), Index()
        self.by_host: dict[str, set[str]] = {}
        self.shared = Shared()
        self.open_hosts: Counter[str] = Counter()
        """How many ports without port security are on each host."""
        self.servers = 0
        """DHCP servers of their own that are on a host."""
        self._homeless: set[str] = set()
        self.touched_ips: set[str] = set()
        self.touched_macs: set[str] = set()

    def forget(self) -> None:
        """What was touched is seen to."""
        self.touched_ips, self.touched_macs = set(), set()

    def take(self, id: str, new: PlaceRow | None) -> None:
        """`new`: the row from now on; None: it is gone."""
        if (old := self.rows.pop(id, None)) is not None:
            self._drop(old)
        if new is not None:
            self.rows[id] = new
            self._add(new)

    def _add(self, place: PlaceRow) -> None:
        ips, macs = find_ips(place), find_macs(place)
        self._touch(ips, macs)
        self.by_ip.add(ips, place.id)
        self.by_mac.add(macs, place.id)
        for host in find_hosts(place):
            self.by_host.setdefault(host, set()).add(place.id)
        self._count(place, 1)
        if place.host:
            self._touch_shared(self.shared.add(place))
        else:
            self._homeless.add(place.id)

    def _drop(self, place: PlaceRow) -> None:
        ips, macs = find_ips(place), find_macs(place)
        self._touch(ips, macs)
        self.by_ip.drop(ips, place.id)
        self.by_mac.drop(macs, place.id)
        for host in find_hosts(place):
            self.by_host[host].discard(place.id)
            if not self.by_host[host]:
                del self.by_host[host]
        self._count(place, -1)
        if place.host:
            self._touch_shared(self.shared.drop(place))
        else:
            self._homeless.discard(place.id)

    def _touch(self, ips: Iterable[str], macs: Iterable[str]) -> None:
        self.touched_ips.update(ips)
        self.touched_macs.update(macs)

    def _count(self, place: PlaceRow, step: int) -> None:
        self.servers += step * is_server(place)
        for host in find_hosts(place) if place.open else ():
            step_count(self.open_hosts, host, step)

    def _touch_shared(self, nets: Iterable[Network]) -> None:
        """Whether an address of a port on no host is answered for depends on these."""
        for net in nets:
            if net.prefixlen == net.max_prefixlen:
                self.touched_ips.add(str(net.network_address))
            else:
                self.touched_ips.update(ip for id in self._homeless for ip in find_ips(self.rows[id]))

    def touch_host(self, name: str) -> None:
        """Whether the host can be reached, or how, is another thing now."""
        for id in self.by_host.get(name, ()):
            self.touched_macs.update(find_macs(self.rows[id]))

    def touch_port(self, id: str) -> None:
        """Whether the port is plugged here, or how, is another thing now."""
        if id in self.rows:
            self.touched_macs.update(find_macs(self.rows[id]))

    def owners(self, mac: str) -> list[PlaceRow]:
        """The ports that may have a MAC address, by id."""
        return [self.rows[id] for id in self.by_mac.find(mac)]

    def holders(self, ip: str) -> list[PlaceRow]:
        """The ports that have an address, by id."""
        return [self.rows[id] for id in self.by_ip.find(ip)]


class Shared:
    """The addresses and prefixes that ports on hosts may use beside their own."""

    def __init__(self) -> None:
        self._single: Counter[str] = Counter()
        self._wide: Counter[Network] = Counter()

    def add(self, place: PlaceRow) -> list[Network]:
        """Those that were not there before."""
        return [net for net in find_nets(place) if self._step(net, 1) == 1]

    def drop(self, place: PlaceRow) -> list[Network]:
        """Those that are there no more."""
        return [net for net in find_nets(place) if self._step(net, -1) == 0]

    def _step(self, net: Network, step: int) -> int:
        if net.prefixlen == net.max_prefixlen:
            return step_count(self._single, str(net.network_address), step)
        return step_count(self._wide, net, step)

    def has(self, ip: str) -> bool:
        return ip in self._single or any(
            net.version == ip_version(ip) and ip_int(ip) & int(net.netmask) == int(net.network_address)
            for net in self._wide
        )


def step_count(counts: Counter[T], key: T, step: int) -> int:
    """How many there are after this one."""
    counts[key] += step
    count = counts[key]
    if not count:
        del counts[key]
    return count


def find_nets(place: PlaceRow) -> list[Network]:
    return list(dict.fromkeys(parse_net(pair.ip) for pair in place.pairs))


def find_ips(place: PlaceRow) -> list[str]:
    return list(dict.fromkeys(address.ip for address in place.addresses))


def find_macs(place: PlaceRow) -> list[str]:
    return list(dict.fromkeys((place.mac, *(pair.mac for pair in place.pairs))))


def find_hosts(place: PlaceRow) -> list[str]:
    """The hosts that what is for the port goes to."""
    return [name for name in dict.fromkeys((place.host, *place.also)) if name]


def is_server(place: PlaceRow) -> bool:
    """Whether it is a DHCP server of its own, so that the network's hosts do not answer."""
    return place.device_owner == DHCP_OWNER and bool(place.host)


def is_remote(place: PlaceRow, physical: bool, here: Collection[str], remotes: Mapping[str, object]) -> bool:
    """Whether the port is on another host that this one can reach. `here`: ports that are plugged here."""
    if physical:
        return bool(place.host) and (place.id not in here or bool(place.also))
    return place.host in remotes or any(name in remotes for name in place.also)
