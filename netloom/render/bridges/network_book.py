"""What a host with Linux bridges remembers of one network: who is where, and the things of each address, MAC and port.

Law 1: what comes out is what would come of slice and facts alone. Law 6: a port that comes or goes costs its own rows
and things, however many are on the network; what is for all ports is made anew only when what it is made of is other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from netloom.model.plan import Thing
from netloom.model.slices import HostRow, PlaceRow, Row, Slice, SubnetRow, find_changed
from netloom.render.bridges.filters import render_network_ways
from netloom.render.bridges.metadata import may_ask, render_asking, render_metadata
from netloom.render.bridges.networks import (
    find_door,
    find_services,
    has_server,
    is_loose,
    is_shared,
    may_serve,
    render_devices,
    render_end,
    render_neighbour,
    render_port,
    render_servers,
    render_services,
    render_uplink,
    render_way,
)
from netloom.render.bridges.scene import BridgeScene, find_macs, tap_name
from netloom.render.cut import Cut, Things
from netloom.render.place_index import Index, PlaceIndex, find_ips
from netloom.render.same import Same
from netloom.render.scene import Plugged
from netloom.render.server_addresses import ServerAddresses


class BridgeBook:
    """One network, for as long as `scene` holds: `render` after every change of its slice or of the plugged ports."""

    def __init__(self, scene: BridgeScene) -> None:
        self.scene = scene
        self.read = 0
        """How many rows were looked at since the beginning."""
        self.rendered = 0
        """How many things were made since the beginning."""
        self.subnets: tuple[SubnetRow, ...] = ()  # by id
        self._found: Slice | None = None
        self._plugged: tuple[Plugged, ...] = ()
        self._seen: dict[str, Any] = {}  # by plugged port, what it is made of beside the MACs that are learned
        self._places = PlaceIndex()
        self._remotes: dict[str, HostRow] = {}  # other hosts with a tunnel endpoint, by name
        self._ends = Index()  # by endpoint, whose it is
        self._shared: set[str] = set()  # MACs that are learned
        self._loose = 0  # ports that may have addresses that the server does not know
        self._serving: dict[str, PlaceRow] = {}  # ports where the metadata service may be answered
        self._servers = ServerAddresses()
        self._common: dict[str, tuple[object, Things]] = {}  # what is for all ports, and what it came of
        self._ways = Cut(f"{scene.slice}/way")
        self._neighbours = Cut(f"{scene.slice}/neighbour")
        self._hosts = Cut(f"{scene.slice}/host")
        self._ports = Cut(f"{scene.slice}/port")
        self._groups: dict[str, Things] = {}

    def render(self, found: Slice, plugged: tuple[Plugged, ...]) -> Mapping[str, Things]:
        """`plugged`: the ports of this network whose devices are here."""
        seen = tuple(one.port.revision for one in plugged)
        if found is not self._found or plugged != self._plugged or seen != revisions(self._plugged):
            self._take(found)
            self._plugged = plugged
            self._note_shared()
            door = self._render_common()
            self._render_ports(door)
            self._render_touched()
            self._groups = {self.scene.slice: tuple(thing for _, held in self._common.values() for thing in held)}
            for cut in (self._ways, self._neighbours, self._hosts, self._ports):
                cut.settle()
                self._groups |= cut.groups
        return self._groups

    # -- what there is -------------------------------------------------------------------------------------------------

    def _take(self, found: Slice) -> None:
        """Take over the rows that changed."""
        subnets: dict[str, SubnetRow | None] = {}
        for key in find_changed(self._found, found):
            self.read += 1
            kind, _, id = key.partition("/")
            row = found.rows.get(key)
            if kind == "place":
                self._take_place(id, row if isinstance(row, PlaceRow) else None)
            elif kind == "host":
                self._take_host(id, row)
            elif kind == "subnet":
                subnets[id] = row if isinstance(row, SubnetRow) else None
        if subnets:
            after = {**{row.id: row for row in self.subnets}, **subnets}
            self.subnets = tuple(row for id in sorted(after) if (row := after[id]))
        self._found = found

    def _take_place(self, id: str, new: PlaceRow | None) -> None:
        self._loose += is_loose(new) - is_loose(self._places.rows.get(id))
        self._serving.pop(id, None)
        if new is not None and may_serve(new):
            self._serving[id] = new
        self._places.take(id, new)

    def _take_host(self, name: str, row: Row | None) -> None:
        old = self._remotes.pop(name, None)
        new = row if isinstance(row, HostRow) and name != self.scene.host and row.tunnel_ip else None
        if new is not None:
            self._remotes[name] = new
        if old is not None or new is not None:
            self._places.touch_host(name)
            for id in self._places.by_host.get(name, ()):
                self._places.touched_ips.update(find_ips(self._places.rows[id]))
            self._move_end(name, old.tunnel_ip if old else "", new.tunnel_ip if new else "")

    def _move_end(self, name: str, old: str, new: str) -> None:
        self._ends.drop([old] if old else [], name)
        self._ends.add([new] if new else [], name)
        for end in {old, new} - {""} if self.scene.tunnelled else ():
            self._hosts.put(end, self._make(render_end(self.scene, end) if end in self._ends else ()))

    def _note_shared(self) -> None:
        for mac in self._places.touched_macs:
            if is_shared(self._places.owners(mac)):
                self._shared.add(mac)
            else:
                self._shared.discard(mac)

    # -- what is for all ports -----------------------------------------------------------------------------------------

    def _render_common(self) -> str:
        """The port of the bridge that the DHCP server's MAC leads to, see `find_door`."""
        scene, subnets, known = self.scene, self.subnets, not self._loose
        served = tuple(subnet for subnet in subnets if has_server(scene, subnet))
        servers = self._servers.find(served, self._places)
        door = find_door(scene, self._plugged, known) if servers else ""
        self._keep("devices", known, lambda: (*render_devices(scene, known), *render_network_ways(scene)))
        flood = not scene.tunnelled or bool(self._shared) or self._is_open_elsewhere()
        self._keep("uplink", (flood, door), lambda: render_uplink(scene, flood, door))
        key = Same(subnets), servers, door
        self._keep("servers", key, lambda: render_servers(scene, served, servers, door))
        services = find_services(self._serving.values(), self._remotes) if scene.tunnelled else []
        told = [(ip, place, place.revision) for ip, place in services]
        self._keep("services", told, lambda: render_services(scene, services))
        asked = self._is_asked()
        self._keep("metadata", (Same(subnets), asked), lambda: render_metadata(scene, subnets) if asked else ())
        return door

    def _keep(self, name: str, of: object, make: Callable[[], Iterable[Thing]]) -> None:
        held = self._common.get(name)
        if held is None or held[0] != of:
            self._common[name] = of, self._make(make())

    def _is_open_elsewhere(self) -> bool:
        return not self._places.open_hosts.keys().isdisjoint(self._remotes)

    def _is_asked(self) -> bool:
        """Whether somebody here may ask the metadata service."""
        return bool(self.subnets) and any(may_ask(self.scene, one) for one in self._plugged)

    # -- what is of one port, one MAC or one address -------------------------------------------------------------------

    def _render_ports(self, door: str) -> None:
        asks = bool(self.subnets)
        seen = {one.port.id: (one, one.port.revision, asks, tap_name(one.port.id) == door) for one in self._plugged}
        for id in self._seen.keys() - seen.keys():
            self._ports.put(id, ())
        for one in self._plugged:
            port = one.port
            if seen[port.id] != self._seen.get(port.id) or not self._places.touched_macs.isdisjoint(find_macs(port)):
                self._ports.put(port.id, self._make(self._render_port(one, door)))
        self._seen = seen

    def _render_port(self, one: Plugged, door: str) -> Iterator[Thing]:
        yield from render_port(self.scene, one, self._shared, door)
        if self.subnets and may_ask(self.scene, one):
            yield render_asking(one)

    def _render_touched(self) -> None:
        places, scene, remotes = self._places, self.scene, self._remotes
        for ip in places.touched_ips if scene.tunnelled else ():
            elsewhere = (place for place in places.holders(ip) if place.host in remotes)
            self._neighbours.put(ip, self._make(render_neighbour(scene, ip, elsewhere)))
        for mac in places.touched_macs if scene.tunnelled else ():
            owners = places.owners(mac) if mac not in self._shared else []
            self._ways.put(mac, self._make(thing for one in owners for thing in render_way(scene, mac, one, remotes)))
        places.forget()

    def _make(self, things: Iterable[Thing]) -> Things:
        made = tuple(things)
        self.rendered += len(made)
        return made


def revisions(plugged: Iterable[Plugged]) -> tuple[int, ...]:
    return tuple(one.port.revision for one in plugged)
