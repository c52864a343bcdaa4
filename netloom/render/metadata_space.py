"""Metadata by way of a router's or a DHCP server's namespace, as Neutron's agents have it (metadata_path = namespace).

    instance ─▶ gateway or 169.254.169.254 on the link ─▶ qrouter-… or qdhcp-…: redirected to port 9697 ─▶ proxy

Law: who asks is told by the address and the namespace that it came to: in one the addresses of a router's subnets, or
of a network, are each one port's. A port without port security may use another's, as with Neutron; in a host's own way
(`render.metadata`) it cannot.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

from netloom.model.facts import HostFacts
from netloom.model.netns import Held, Ruleset
from netloom.model.plan import Thing
from netloom.model.slices import CallerRow, InterfaceRow, Slice, Slices
from netloom.model.why import Why
from netloom.render.dhcp_server import ID_LENGTH, is_server, space_name
from netloom.render.metadata import FAMILIES, Caller
from netloom.render.scene import find_network, find_ports
from netloom.render.space_scene import find_carried

PORT = 9697
TABLE = "metadata"
SERVICE = FAMILIES[4].service
RULES = f""" chain arrive {{
  type nat hook prerouting priority -101; policy accept;
  iifname "qr-*" ip daddr {SERVICE} tcp dport 80 redirect to :{PORT}
  iifname "ns-*" ip daddr {SERVICE} tcp dport 80 redirect to :{PORT}
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
        yield Thing(("ruleset", f"qrouter-{router.id}", TABLE), RULESET, Why(router.revision, (found.name,), by))
    for port in find_ports(slices, facts.host):
        network = find_network(slices.get(f"network/{port.network_id}"))
        if is_server(port) and network is not None and network.admin_state_up:
            why = Why(port.revision, (f"port/{port.id}", f"network/{network.id}"), by)
            netns, device = space_name(network.id), f"ns-{port.id[:ID_LENGTH]}"
            yield Thing(("ruleset", netns, TABLE), RULESET, why)
            yield Thing(("alias", netns, device, f"{SERVICE}/32"), Held(), why)


def find_space_callers(slices: Slices, facts: HostFacts) -> dict[str, dict[str, Caller]]:
    """By namespace, who may ask there, by address."""
    if not facts.metadata_redirect:
        return {}
    found = {
        f"qrouter-{router.id}": dict(find_behind(part, slices)) for router, part in find_carried(slices, facts.host)
    }
    for port in find_ports(slices, facts.host):
        if is_server(port):
            found[space_name(port.network_id)] = dict(find_on(slices.get(f"callers/{port.network_id}")))
    return found


def find_behind(router: Slice, slices: Slices) -> Iterator[tuple[str, Caller]]:
    """Of a router's networks, those whose address is on a subnet that the router is on."""
    for row in router.rows.values():
        if isinstance(row, InterfaceRow) and row.kind == "internal":
            subnets = {address.subnet_id for address in row.addresses}
            yield from find_on(slices.get(f"callers/{row.network_id}"), subnets)


def find_on(part: Slice | None, subnets: set[str] | None = None) -> Iterator[tuple[str, Caller]]:
    for row in part.rows.values() if part is not None else ():
        if isinstance(row, CallerRow):
            for address in row.addresses:
                if subnets is None or address.subnet_id in subnets:
                    yield address.ip, Caller(row.id, row.device_id, row.project_id, address.ip)
