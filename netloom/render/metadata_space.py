"""Metadata by way of a router's or a DHCP server's namespace, as Neutron's agents have it (metadata_path = namespace).

    instance ─▶ gateway or 169.254.169.254 on the link ─▶ qrouter-… or qdhcp-…: redirected to port 9697 ─▶ proxy

Law: who asks is told by the address and the namespace that it came to: in one the addresses of a router's subnets, or
of a network, are each one port's. A port without port security may use another's, as with Neutron; in a host's own way
(`render.metadata`) it cannot. By IPv6 the service is on the link, and so is the address that is asked from: the one
that the port's MAC gives. Where two networks of a router have a MAC in common neither is answered by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b

from netloom.model.facts import HostFacts
from netloom.model.netns import Held, Ruleset
from netloom.model.plan import Thing
from netloom.model.slices import InterfaceRow, PlaceRow, PortRow, Slice, Slices, find_changed
from netloom.model.why import Why
from netloom.render.caller_book import CallerBook, Callers, Leg
from netloom.render.dhcp_files import ID_LENGTH, OWNER
from netloom.render.dhcp_server import is_server, space_name
from netloom.render.metadata import FAMILIES
from netloom.render.scene import find_network, find_ports
from netloom.render.space_scene import find_carried

PORT = 9697
TABLE = "metadata"
SERVICE, SERVICE6 = FAMILIES[4].service, FAMILIES[6].service
ROUTED = ("network:router_interface", "network:ha_router_replicated_interface")
"""Ports by which a router in a namespace is on a network: it answers there by IPv6, and no DHCP server does."""
RULES = f""" chain arrive {{
  type nat hook prerouting priority -101; policy accept;
  iifname "qr-*" ip daddr {SERVICE} tcp dport 80 redirect to :{PORT}
  iifname "ns-*" ip daddr {SERVICE} tcp dport 80 redirect to :{PORT}
  iifname "qr-*" ip6 daddr {SERVICE6} tcp dport 80 redirect to :{PORT}
  iifname "ns-*" ip6 daddr {SERVICE6} tcp dport 80 redirect to :{PORT}
 }}
 chain enter {{
  type filter hook input priority -1; policy accept;
  tcp dport {PORT} ct status dnat accept
  tcp dport {PORT} drop
 }}"""
"""Nobody speaks to the proxy but by the service's address."""
RULESET = Ruleset(blake2b(RULES.encode(), digest_size=8).hexdigest(), RULES)


def render_redirects(slices: Slices, facts: HostFacts, book: LinkBook | None = None) -> tuple[Thing, ...]:
    """In each namespace of a router or a DHCP server on this host. `book`: what was found before of the networks."""
    return tuple(find_redirects(slices, facts, book or LinkBook())) if facts.metadata_redirect else ()


class LinkBook:
    """The ports that could answer by IPv6 on each network's link. A change costs its own rows (law 6), and what is
    found depends on those that are here now (law 1)."""

    def __init__(self) -> None:
        self.read = 0
        """How many rows were looked at since the beginning."""
        self._held: dict[str, tuple[Slice, dict[str, str]]] = {}

    def find(self, network: Slice) -> dict[str, str]:
        """Their owners, by port."""
        old, found = self._held.get(network.name, (None, {}))
        for key in find_changed(old, network):
            self.read += 1
            row = network.rows.get(key)
            if isinstance(row, PlaceRow) and row.device_owner in (OWNER, *ROUTED):
                found[key] = row.device_owner
            else:
                found.pop(key, None)
        self._held[network.name] = network, found
        return {key.removeprefix("place/"): owner for key, owner in found.items()}

    def keep(self, slices: Slices) -> None:
        """Forget networks that are followed no more."""
        self._held = {name: held for name, held in self._held.items() if name in slices}


def find_redirects(slices: Slices, facts: HostFacts, book: LinkBook) -> Iterator[Thing]:
    book.keep(slices)
    by = "metadata_space.render_redirects"
    for router, found in find_carried(slices, facts.host):
        why, netns = Why(router.revision, (found.name,), by), f"qrouter-{router.id}"
        yield Thing(("ruleset", netns, TABLE), RULESET, why)
        for device in () if router.ha else find_inner(found, slices, facts.host):
            yield Thing(("alias", netns, device, f"{SERVICE6}/128"), Held(), why)
    for port in find_ports(slices, facts.host):
        network = find_network(slices.get(f"network/{port.network_id}"))
        if is_server(port) and network is not None and network.admin_state_up:
            why = Why(port.revision, (f"port/{port.id}", f"network/{network.id}"), by)
            netns, device = space_name(network.id), f"ns-{port.id[:ID_LENGTH]}"
            yield Thing(("ruleset", netns, TABLE), RULESET, why)
            yield Thing(("alias", netns, device, f"{SERVICE}/32"), Held(), why)
            if is_first(port, book.find(slices[f"network/{network.id}"])):
                yield Thing(("alias", netns, device, f"{SERVICE6}/128"), Held(), why)


def find_inner(router: Slice, slices: Slices, host: str) -> list[str]:
    """The devices by which a router with no copies is on networks inside, as far as they are known here."""
    legs = (row for row in router.rows.values() if isinstance(row, InterfaceRow) and row.kind == "internal")
    known = (leg for leg in legs if leg.host == host and find_network(slices.get(f"network/{leg.network_id}")))
    return sorted(f"qr-{leg.id[:ID_LENGTH]}" for leg in known)


def is_first(port: PortRow, owners: Mapping[str, str]) -> bool:
    """Of several that could answer by IPv6, whose address is one: a router, or the first DHCP server by id."""
    return not any(owner in ROUTED or (owner == OWNER and id < port.id) for id, owner in owners.items())


def find_space_callers(slices: Slices, facts: HostFacts, book: CallerBook | None = None) -> dict[str, Callers]:
    """By namespace, who may ask there, by address. `book`: what was found before, which spares a look at each port."""
    if not facts.metadata_redirect:
        return {}
    book = book or CallerBook()
    book.begin()
    found = {
        f"qrouter-{router.id}": Callers(tuple(find_legs(part, slices, book)))
        for router, part in find_carried(slices, facts.host)
    }
    for port in find_ports(slices, facts.host):
        if is_server(port):
            found[space_name(port.network_id)] = Callers(((book.find(port.network_id, slices), None),))
    book.end()
    return found


def find_legs(router: Slice, slices: Slices, book: CallerBook) -> Iterator[Leg]:
    """Of a router's networks, those whose address is on a subnet that the router is on."""
    for _, row in sorted(router.rows.items()):
        if isinstance(row, InterfaceRow) and row.kind == "internal":
            subnets = frozenset(address.subnet_id for address in row.addresses)
            yield book.find(row.network_id, slices), subnets
