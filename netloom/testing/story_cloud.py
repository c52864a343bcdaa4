"""The cloud of a story, whole but for wires and disks: requests run through intent, resolve gives each host its slices
commit by commit, and render makes of them what its switch holds.

Any resource of the catalog can be created, updated and deleted; nothing here knows one of them, but for FILL (what the
openstack command fills in too) and for ports, which instances are behind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from netloom.intent.agents.agent import mark_alive, report_host
from netloom.intent.catalog import CATALOG
from netloom.intent.l2.port_status import acknowledge
from netloom.intent.l3.router_find import GATEWAY, SNAT_INTERFACE
from netloom.intent.l3.router_find import find_ports as find_router_ports
from netloom.intent.operation import Context, Operation, Requester, Settings
from netloom.intent.operations import make_action, make_create, make_delete, make_update
from netloom.intent.schema import Doc, parse_create, parse_update
from netloom.intent.snapshot import Snapshot
from netloom.model.delta import SliceDelta, apply_delta
from netloom.model.facts import HostFacts, Interface
from netloom.model.slices import PortRow, Slice, Slices, find_reached
from netloom.render.host import Renderer
from netloom.render.status import find_pending
from netloom.resolve.rows import read_addresses, read_pairs
from netloom.resolve.slices import SliceBook, resolve_slice
from netloom.resolve.trunk_rows import find_seat
from netloom.testing.connections import Connections
from netloom.testing.simulator import SimHost, make_host
from netloom.testing.story_packets import StoryError
from netloom.testing.story_values import parse_pairs

OVERLAYS = ("vxlan", "gre", "geneve")
SETTINGS = Settings(network_vlan_ranges={"physnet": ((100, 199),)})
HOST_ID, VIF_TYPE = "binding:host_id", "binding:vif_type"


def fill_subnet(body: Mapping[str, Any]) -> dict[str, Any]:
    return {"ip_version": 6 if ":" in str(body.get("cidr")) else 4}


FILL: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {"subnet": fill_subnet}
"""By resource: what a request has when the story does not say."""


@dataclass(slots=True)
class StoryHost:
    """One host: what its agent tells of it, the slices it was sent, and its renderer with what that remembers."""

    name: str
    told: dict[str, Any]
    slices: dict[str, Slice] = field(default_factory=dict)
    renderer: Renderer = field(default_factory=Renderer)
    connections: Connections = field(default_factory=Connections)

    def take(self, deltas: Mapping[str, SliceDelta], book: SliceBook) -> None:
        """As the feed does: what changed of what it follows, then what its own slice leads to now."""
        for name in list(self.slices.keys() & deltas.keys()):
            found = apply_delta(self.slices[name], deltas[name])
            if found is None:
                del self.slices[name]
            else:
                self.slices[name] = found
        reached = set()
        for name in find_reached(f"host/{self.name}", book.leads):
            reached.add(name)
            if name not in self.slices:
                self.follow(name, book)
        for name in self.slices.keys() - reached:
            book.unfollow(name)
            del self.slices[name]

    def follow(self, name: str, book: SliceBook) -> None:
        found = book.follow(name)
        if found is None:
            book.unfollow(name)
        else:
            self.slices[name] = found


class Cloud:
    """The state of the story, and one call for each thing that happens in it."""

    def __init__(self) -> None:
        self.settings = SETTINGS
        self.snapshot = Snapshot(CATALOG)
        self.book = SliceBook(self.snapshot)
        self.hosts: dict[str, StoryHost] = {}
        self.names: dict[str, tuple[str, str]] = {}  # the story's name → kind and id
        self.ports: dict[str, Doc] = {}  # by name, as last seen: packets may be sent to what is gone
        self.plugged: dict[str, str] = {}  # port → host, or "" where its device is nowhere
        self.numbers = count(1)
        self.ofports: dict[str, int] = {}

    # -- requests ------------------------------------------------------------------------------------------------------

    def create(self, kind: str, name: str, words: list[str]) -> None:
        """Raises ApiError where the request is refused, StoryError where it cannot be read."""
        resource = CATALOG.get(kind)
        if resource is None:
            raise StoryError(f"there is no resource {kind}; there are {', '.join(CATALOG)}")
        if name in self.names:
            raise StoryError(f"there is a {self.names[name][0]} {name} already")
        body = parse_pairs(words, self.find_id)
        if kind in FILL:
            body = {**FILL[kind](body), **body}
        if "name" in resource.postable:
            body.setdefault("name", name)
        above = {resource.upper_key: body.pop(resource.upper_key, "")} if resource.parent else {}
        answer = self.run(make_create(resource, [{**parse_create(resource, body), **above}]))
        self.names[name] = kind, answer[0]["id"]
        self.remember()

    def update(self, name: str, words: list[str]) -> None:
        kind, id = self.find(name)
        changes = parse_update(CATALOG[kind], parse_pairs(words, self.find_id))
        self.run(make_update(CATALOG[kind], id, changes))
        self.remember()

    def do(self, name: str, action: str, words: list[str]) -> None:
        """An action of a resource: a sub-resource in the API's path, such as add_subports."""
        kind, id = self.find(name)
        found = next((one for one in CATALOG[kind].actions if one.name == action), None)
        if found is None:
            known = ", ".join(one.name for one in CATALOG[kind].actions)
            raise StoryError(f"a {kind} knows no {action}; it knows {known or 'none'}")
        self.run(make_action(CATALOG[kind], found, id, found.parse(parse_pairs(words, self.find_id))))
        self.remember()

    def delete(self, name: str) -> None:
        kind, id = self.find(name)
        self.run(make_delete(CATALOG[kind], id))

    def change_settings(self, words: list[str]) -> None:
        """Options of the server; they hold for the requests to come."""
        given = {name: freeze(value) for name, value in parse_pairs(words, str).items()}
        try:
            self.settings = replace(self.settings, **given)
        except TypeError:
            known = ", ".join(Settings.__dataclass_fields__)
            raise StoryError(f"there is no such setting; there are {known}") from None

    def call(self, kind: str, name: str, words: list[str]) -> None:
        """Give the one object with these values a name in the story."""
        said = parse_pairs(words, self.find_id)
        docs = self.snapshot.docs(kind)
        found = [doc["id"] for doc in docs if all(key in doc and agrees(doc[key], one) for key, one in said.items())]
        if len(found) != 1 or name in self.names:
            raise StoryError(f"{len(found)} of {kind} are so, or {name} is the name of another")
        self.names[name] = kind, found[0]

    def find(self, name: str) -> tuple[str, str]:
        if name not in self.names:
            raise StoryError(f"nothing here is called {name}")
        return self.names[name]

    def find_id(self, text: str) -> str:
        return self.names[text][1] if text in self.names else text

    def run(self, operation: Operation) -> tuple[Doc, ...]:
        """As the writer does, with every host following."""
        outcome = operation(self.snapshot, self.make_context())
        if outcome.changes:
            self.snapshot = self.snapshot.apply(outcome.changes, self.snapshot.revision + 1)
            deltas = self.book.advance(outcome.changes, self.snapshot)
            for host in self.hosts.values():
                host.take(deltas, self.book)
        return outcome.answer

    def make_context(self) -> Context:
        revision = self.snapshot.revision
        now = f"2026-11-21T00:{revision // 60 % 60:02}:{revision % 60:02}Z"
        return Context(Requester(project_id="p1", is_admin=True), now, self.make_id, self.make_mac, self.settings)

    def make_id(self) -> str:
        return f"00000000-0000-4000-8000-{next(self.numbers):012x}"

    def make_mac(self) -> str:
        digits = f"{next(self.numbers):06x}"
        return f"fa:16:3e:{digits[:2]}:{digits[2:4]}:{digits[4:]}"

    def remember(self) -> None:
        for name, (kind, id) in self.names.items():
            doc = self.snapshot.get(kind, id) if kind == "port" else None
            if doc is not None:
                self.ports[name] = doc

    # -- hosts ---------------------------------------------------------------------------------------------------------

    def tell_host(self, name: str, words: list[str]) -> None:
        """A host comes, or tells something else of itself than before."""
        held = self.hosts.get(name)
        number = len(self.hosts) + 1
        first = {"tunneling_ip": f"192.0.2.{number}", "tunnel_types": [*OVERLAYS], "bridge_mappings": {}}
        told = {**(held.told if held else first), **parse_pairs(words, str)}
        if held is None:
            self.hosts[name] = StoryHost(name, told)
        self.hosts[name].told = told
        self.run(lambda s, c: report_host(s, c, name, told, None))
        self.run(lambda s, c: mark_alive(s, c, name, True))
        self.hosts[name].take({}, self.book)

    def lose_host(self, name: str) -> None:
        """Its agent is silent; its switch goes on with what it holds."""
        if name not in self.hosts:
            raise StoryError(f"there is no host {name}")
        self.run(lambda s, c: mark_alive(s, c, name, False))

    def acknowledge(self) -> None:
        """Every host says what is wired, and what each other port waits for."""
        for name, host in self.hosts.items():
            pending = find_pending(host.slices, self.make_facts(host))
            own = host.slices.get(f"host/{name}")
            bound = [row.id for row in own.rows.values() if isinstance(row, PortRow)] if own else []
            wired = [id for id in bound if id not in pending]
            self.run(lambda s, c, n=name, w=wired, p=pending: acknowledge(s, c, n, w, p))  # type: ignore[misc]

    def place(self, name: str) -> str:
        """The host where the port's device is: where it was plugged, else where the port is bound; "" for nowhere."""
        if name in self.plugged:
            return self.plugged[name]
        doc = self.snapshot.get("port", self.names[name][1]) if name in self.names else None
        return str(doc[HOST_ID]) if doc and doc[VIF_TYPE] == "ovs" else ""

    def make_facts(self, host: StoryHost) -> HostFacts:
        """What the agent would read from its switch."""
        told = host.told
        mappings = dict(told["bridge_mappings"])
        switch = [("br-int", "patch-tun"), ("br-tun", "patch-int"), *(("br-tun", f"nl-{t}") for t in OVERLAYS)]
        switch += [("br-int", f"int-{bridge}") for bridge in mappings.values()]
        switch += [(bridge, f"phy-{bridge}") for bridge in mappings.values()]
        interfaces = {
            self.names[name][1]: Interface(f"tap-{name}", self.ofports.setdefault(name, 100 + len(self.ofports)))
            for name in self.ports
            if self.place(name) == host.name and self.find_seat(name)[0] == name
        }
        return HostFacts(
            host.name, told["tunneling_ip"], tuple(told["tunnel_types"]), mappings, "netdev", interfaces,
            {key: number for number, key in enumerate(switch, 1)},
            permitted_ethertypes=tuple(int(kind, 16) for kind in told.get("permitted_ethertypes", ())),
        )  # fmt: skip

    # -- for packets and claims ----------------------------------------------------------------------------------------

    def port(self, name: str) -> PortRow:
        doc = self.ports.get(name)
        if doc is None:
            raise StoryError(f"there is no port {name}")
        addresses, pairs = read_addresses(doc), read_pairs(doc)
        return PortRow(doc["id"], doc["network_id"], doc["mac_address"], addresses=addresses, pairs=pairs)

    def name_of(self, port: PortRow) -> str:
        return next((name for name, (_, id) in self.names.items() if id == port.id), "")

    def find_leg(self, router: str, network: str) -> str:
        """The MAC address that a router has on a network: of its interface there, else of its gateway. Or a floating
        IP's."""
        kind, id = self.find(router)
        if kind == "floatingip":
            floating = self.snapshot.get(kind, id) or {}
            port = self.snapshot.get("port", floating.get("floating_port_id", ""))
            return str(port["mac_address"]) if port else "02:00:00:00:00:99"
        ports = find_router_ports(self.snapshot, id)
        here = [port for port in ports if port["network_id"] == network and port["device_owner"] != SNAT_INTERFACE]
        if not here:
            raise StoryError(f"{router} has no port on that network")
        return str(min(here, key=lambda port: port["device_owner"] == GATEWAY)["mac_address"])

    def host_of(self, name: str) -> str:
        host = self.place(name)
        if host not in self.hosts:
            raise StoryError(f"{name} is not plugged")
        return host

    def find_seat(self, name: str) -> tuple[str, int]:
        """(the port whose device it is reached by, the tag there): its own, or of a subport its parent's."""
        doc = self.snapshot.get("port", self.names[name][1]) if name in self.names else None
        id, tag = find_seat(self.snapshot, doc) if doc else ("", 0)
        parent = next((other for other, (_, held) in self.names.items() if held == id), "")
        return (parent, tag) if parent else (name, 0)

    def slices_of(self, host: str) -> Slices:
        return self.hosts[host].slices

    def simulate(self) -> dict[str, SimHost]:
        """Each host as it is now. Raises StoryError where slices kept current are not what they should be (law 6)."""
        found = {}
        for name, host in self.hosts.items():
            check_slices(self.snapshot, host)
            facts = self.make_facts(host)
            groups = host.renderer.render(host.slices, facts)
            found[name] = make_host(facts, (thing for things in groups.values() for thing in things), host.connections)
        return found

    def say(self, text: str) -> str:
        """Text about ids, with the story's names in it."""
        for name, (_, id) in self.names.items():
            text = text.replace(id, name)
        return text

    def check(self, name: str, words: list[str]) -> None:
        """Raises StoryError unless the object has these values."""
        kind, id = self.find(name)
        doc = self.snapshot.get(kind, id)
        if doc is None:
            raise StoryError(f"{kind} {name} is gone")
        for key, value in parse_pairs(words, self.find_id).items():
            if key not in doc or not agrees(doc[key], value):
                raise StoryError(f"{key} of {name} is {self.say(str(doc.get(key, 'nothing it has')))}")


def agrees(is_so: object, said: object) -> bool:
    """Equal; of a map, what the story says of it; of a text, that it holds the words, where the story has …words…."""
    if isinstance(said, dict) and isinstance(is_so, Mapping):
        return all(key in is_so and agrees(is_so[key], value) for key, value in said.items())
    if isinstance(said, list) and isinstance(is_so, list | tuple):
        return len(said) == len(is_so) and all(map(agrees, is_so, said))
    if isinstance(said, str) and isinstance(is_so, str) and said.startswith("…"):
        return said.strip("…") in is_so
    return said == is_so or str(said) == str(is_so)


def freeze(value: Any) -> Any:
    """Lists as the tuples that settings hold."""
    if isinstance(value, list):
        return tuple(map(freeze, value))
    return {key: freeze(one) for key, one in value.items()} if isinstance(value, dict) else value


def check_slices(snapshot: Snapshot, host: StoryHost) -> None:
    for name, held in host.slices.items():
        whole = resolve_slice(snapshot, name)
        if whole is None or dict(whole.rows) != dict(held.rows):
            raise StoryError(f"host {host.name} holds {name} as {held}, and it is {whole}")
