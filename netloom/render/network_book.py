"""What a renderer remembers of one network: who is where, and the flows of each address, MAC address and host.

Law 1: what comes out is what would come of slice and facts alone. Law 6: a port that comes or goes costs its own rows
and flows, however many are on the network; what is for all ports is one flow, made anew when the hosts that it goes to
are others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from netloom.model.flow import Flow
from netloom.model.slices import HostRow, PlaceRow, Row, Slice, SubnetRow, find_changed
from netloom.render.cut import Cut, Things
from netloom.render.flows.networks import (
    find_answer,
    find_arrivals,
    find_floods,
    find_server_answers,
    find_services,
    find_way,
    has_server,
    leave,
    make_flows,
)
from netloom.render.flows.tunnels import render_arrivals, render_floods, render_way_out
from netloom.render.make import make_thing
from netloom.render.place_index import PlaceIndex, is_remote
from netloom.render.scene import Plugged, Scene, Tunnel
from netloom.render.server_addresses import ServerAddresses


class NetworkBook:
    """One network, for as long as `scene` holds: `render` after every change of its slice or of the plugged ports."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.read = 0
        """How many rows were looked at since the beginning."""
        self.rendered = 0
        """How many flows were made since the beginning."""
        self._found: Slice | None = None
        self._plugged: tuple[Plugged, ...] = ()
        self._here: dict[str, Plugged] = {}
        self._places = PlaceIndex()
        self._subnets: tuple[SubnetRow, ...] = ()  # by id
        self._remotes: dict[str, HostRow] = {}  # other hosts with a tunnel endpoint, by name
        self._moves = 0  # how often a remote came, changed or went
        self._servers = ServerAddresses()
        self._common: dict[str, tuple[object, Things]] = {}  # what is for all ports, and what it came of
        self._ways = Cut(f"{scene.slice}/way")
        self._answers = Cut(f"{scene.slice}/answer")
        self._arrivals = Cut(f"{scene.slice}/host")
        self._groups: dict[str, Things] = {}

    def render(self, found: Slice, plugged: tuple[Plugged, ...]) -> Mapping[str, Things]:
        """`plugged`: the ports of this network that are plugged here."""
        if found is not self._found or plugged != self._plugged:
            self._take(found)
            self._plug(plugged)
            self._render_common()
            self._render_touched()
            self._groups = {self.scene.slice: tuple(thing for _, held in self._common.values() for thing in held)}
            for cut in (self._ways, self._answers, self._arrivals):
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
                self._places.take(id, row if isinstance(row, PlaceRow) else None)
            elif kind == "host":
                self._take_host(id, row)
            elif kind == "subnet":
                subnets[id] = row if isinstance(row, SubnetRow) else None
        if subnets:
            after = {**{row.id: row for row in self._subnets}, **subnets}
            self._subnets = tuple(row for id in sorted(after) if (row := after[id]))
        self._found = found

    def _take_host(self, name: str, row: Row | None) -> None:
        remote = row if isinstance(row, HostRow) and name != self.scene.host and row.tunnel_ip else None
        if self._remotes.pop(name, None) is None and remote is None:
            return
        if remote is not None:
            self._remotes[name] = remote
        self._moves += 1
        self._places.touch_host(name)
        tunnel = self._tunnel
        self._arrivals.put(name, self._make(render_arrivals(self.scene, tunnel, remote) if tunnel and remote else ()))

    def _plug(self, plugged: tuple[Plugged, ...]) -> None:
        here = {one.port.id: one for one in plugged}
        for id in here.keys() | self._here.keys():
            if here.get(id) != self._here.get(id):
                self._places.touch_port(id)
        self._here, self._plugged = here, plugged

    @property
    def _tunnel(self) -> Tunnel | None:
        return self.scene.tunnel if self.scene.patch_int else None

    # -- what is for all ports -----------------------------------------------------------------------------------------

    def _render_common(self) -> None:
        central, open_hosts = self._places.servers > 0, self._places.open_hosts.keys() & self._remotes.keys()
        served = tuple(one for one in self._subnets if has_server(self.scene, one))
        found = self._servers.find(served, self._places)  # each time: it goes by what was touched since the last
        servers = {} if central else found
        self._keep("services", (self._subnets, central, servers), lambda: self._render_services(central, servers))
        reachable, open_outside = bool(self._remotes), bool(self.scene.provider or open_hosts)
        self._keep(
            "floods", (self._plugged, reachable, open_outside), lambda: self._render_floods(reachable, open_outside)
        )
        self._keep("outward", (self._moves, open_hosts), lambda: self._render_outward(open_hosts))

    def _keep(self, name: str, of: object, make: Callable[[], Things]) -> None:
        held = self._common.get(name)
        if held is None or held[0] != of:
            self._common[name] = of, make()

    def _render_services(self, central: bool, servers: Mapping[str, str]) -> Things:
        scene, subnets = self.scene, self._subnets
        rules = (*find_arrivals(scene), *find_services(scene, subnets, central))
        return self._make(make_flows(scene, (*rules, *find_server_answers(scene, subnets, servers))))

    def _render_floods(self, reachable: bool, open_outside: bool) -> Things:
        outside = leave(self.scene, reachable)
        return self._make(make_flows(self.scene, find_floods(self.scene, self._plugged, outside, open_outside)))

    def _render_outward(self, open_hosts: Collection[str]) -> Things:
        remotes = [self._remotes[name] for name in sorted(self._remotes)]
        return self._make(render_floods(self.scene, self._tunnel, remotes, open_hosts) if self._tunnel else ())

    # -- what is of one address, or of one MAC address -----------------------------------------------------------------

    def _render_touched(self) -> None:
        places = self._places
        for ip in places.touched_ips:
            answer = find_answer(self.scene, ip, places.holders(ip), places.shared.has(ip))
            self._answers.put(ip, self._make(make_flows(self.scene, answer)))
        for mac in places.touched_macs:
            self._ways.put(mac, self._make(self._find_way(mac, places.owners(mac))))
        places.forget()

    def _find_way(self, mac: str, owners: list[PlaceRow]) -> Iterator[Flow]:
        if not owners:
            return
        scene, physical = self.scene, self.scene.provider is not None
        away = any(is_remote(place, physical, self._here, self._remotes) for place in owners)
        way = find_way(scene, mac, owners, self._here, leave(scene, bool(self._remotes)) if away else ())
        yield from make_flows(scene, way)
        if tunnel := self._tunnel:
            yield from render_way_out(scene, tunnel, mac, owners, self._remotes)

    def _make(self, flows: Iterable[Flow]) -> Things:
        things = tuple(map(make_thing, flows))
        self.rendered += len(things)
        return things
