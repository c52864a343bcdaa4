"""Metadata by way of a router's or a DHCP server's namespace, as Neutron's agents have it (metadata_path = namespace).

    instance ─▶ gateway or 169.254.169.254 on the link ─▶ qrouter-… or qdhcp-…: redirected to port 9697 ─▶ proxy

Law: who asks is told by the address and the namespace that it came to: in one the addresses of a router's subnets, or
of a network, are each one port's. A port without port security may use another's, as with Neutron; in a host's own way
(`render.metadata`) it cannot. By IPv6 the service is on the link, and so is the address that is asked from: the one
that the port's MAC gives. Where two networks of a router have a MAC in common neither is answered by it.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

from netloom.model.address import link_local
from netloom.model.facts import HostFacts
from netloom.model.netns import Held, Ruleset
from netloom.model.plan import Thing
from netloom.model.slices import CallerRow, InterfaceRow, PlaceRow, PortRow, Slice, Slices
from netloom.model.why import Why
from netloom.render.dhcp_server import ID_LENGTH, OWNER, is_server, space_name
from netloom.render.metadata import FAMILIES, Caller
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


def render_redirects(slices: Slices, facts: HostFacts) -> tuple[Thing, ...]:
    """In each namespace of a router or a DHCP server on this host."""
    return tuple(find_redirects(slices, facts)) if facts.metadata_redirect else ()


def find_redirects(slices: Slices, facts: HostFacts) -> Iterator[Thing]:
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
            if is_first(port, slices[f"network/{network.id}"]):
                yield Thing(("alias", netns, device, f"{SERVICE6}/128"), Held(), why)


def find_inner(router: Slice, slices: Slices, host: str) -> list[str]:
    """The devices by which a router with no copies is on networks inside, as far as they are known here."""
    legs = (row for row in router.rows.values() if isinstance(row, InterfaceRow) and row.kind == "internal")
    known = (leg for leg in legs if leg.host == host and find_network(slices.get(f"network/{leg.network_id}")))
    return sorted(f"qr-{leg.id[:ID_LENGTH]}" for leg in known)


def is_first(port: PortRow, network: Slice) -> bool:
    """Of several that could answer by IPv6, whose address is one: a router, or the first DHCP server by id."""
    owners = [(row.device_owner, row.id) for row in network.rows.values() if isinstance(row, PlaceRow)]
    return not any(owner in ROUTED or (owner == OWNER and id < port.id) for owner, id in owners)


def find_space_callers(slices: Slices, facts: HostFacts) -> dict[str, dict[str, Caller]]:
    """By namespace, who may ask there, by address."""
    if not facts.metadata_redirect:
        return {}
    found = {
        f"qrouter-{router.id}": dict(find_behind(part, slices)) for router, part in find_carried(slices, facts.host)
    }
    for port in find_ports(slices, facts.host):
        if is_server(port):
            part = slices.get(f"callers/{port.network_id}")
            found[space_name(port.network_id)] = {**dict(find_near(part)), **dict(find_on(part))}
    return found


def find_behind(router: Slice, slices: Slices) -> Iterator[tuple[str, Caller]]:
    """Of a router's networks, those whose address is on a subnet that the router is on."""
    near: dict[str, list[Caller]] = {}
    parts = {}
    for row in router.rows.values():
        if isinstance(row, InterfaceRow) and row.kind == "internal":
            subnets = {address.subnet_id for address in row.addresses}
            parts[row.network_id] = slices.get(f"callers/{row.network_id}")
            yield from find_on(parts[row.network_id], subnets)
    for part in parts.values():
        for ip, caller in find_near(part):
            near.setdefault(ip, []).append(caller)
    yield from ((ip, callers[0]) for ip, callers in near.items() if len(callers) == 1)


def find_on(part: Slice | None, subnets: set[str] | None = None) -> Iterator[tuple[str, Caller]]:
    for row in find_rows(part):
        for address in row.addresses:
            if subnets is None or address.subnet_id in subnets:
                yield address.ip, Caller(row.id, row.device_id, row.project_id, address.ip)


def find_near(part: Slice | None) -> Iterator[tuple[str, Caller]]:
    """By the address that each has on the link."""
    for row in find_rows(part):
        if row.mac:
            ip = link_local(row.mac)
            yield ip, Caller(row.id, row.device_id, row.project_id, ip)


def find_rows(part: Slice | None) -> Iterator[CallerRow]:
    return (row for row in (part.rows.values() if part is not None else ()) if isinstance(row, CallerRow))
