"""Flows of one plugged port: whose packet is this, may the port send it, and how does it get one.

Anti-spoofing: with port security on, a port sends from its own MAC and addresses and those of its allowed address
pairs, and from the addresses that a client must use before it has any. It never serves DHCP nor advertises routers.
"""

from __future__ import annotations

from collections.abc import Iterator

from netloom.model.address import ip_version, link_local
from netloom.model.flow import ARP, ICMPV6, IPV4, IPV6, UDP, Action, Flow, Goto, Match, SetField, make_match
from netloom.model.slices import PortRow
from netloom.model.why import Why
from netloom.render import registers as reg
from netloom.render.flows.limits import find_entry, meter_arrival
from netloom.render.flows.logs import find_log_flows
from netloom.render.flows.trunks import find_arrivals, forbid_tags, render_ends
from netloom.render.make import make_cookie, make_flow
from netloom.render.pipeline import CLASSIFY, DELIVER, EGRESS, GUARD, INGRESS, INGRESS_FILTER, SERVICES, SWITCH
from netloom.render.qos import NOTHING, Limits
from netloom.render.scene import Plugged

DHCP_SERVER, DHCP6_SERVER = 67, 547
DHCP_CLIENT = 68
ROUTER_ADVERTISEMENT, SOLICITATION, ADVERTISEMENT, REDIRECT = 134, 135, 136, 137
UNSPECIFIED_OK = (133, 131, 132, 143)
"""ICMPv6 that a port may send before it has an address: router solicitations and multicast reports (RFC 3590)."""


def is_trusted(port: PortRow) -> bool:
    """Whether the port may send what it likes: port security is off, or it belongs to the network itself."""
    return not port.port_security or port.device_owner.startswith("network:")


def render_port(
    plugged: Plugged,
    number: int,
    integration: str,
    host: str,
    combination: int = 0,
    transparent: bool = False,
    limits: Limits = NOTHING,
    stacked: bool = False,
    permitted: tuple[int, ...] = (),
) -> tuple[Flow, ...]:
    """All flows that this port alone is the reason for. `number`: its network's; `combination`: its groups'.

    transparent: its network carries the tags of those who use it. limits: its QoS policy's. stacked: the switch reads
    several tags, so that what is in a frame of several is seen. permitted: types of frames that it may send besides.
    """
    port, cookie = plugged.port, make_cookie(f"host/{host}")
    why = Why(port.revision, (f"port/{port.id}", f"network/{port.network_id}"), "ports.render_port")

    def flow(table: int, priority: int, match: Match, *actions: Action) -> Flow:
        return make_flow(integration, table, priority, match, actions, cookie, why)

    sender = make_match(**{reg.SENDER: plugged.ofport})
    leave = make_match(**{reg.OUT: plugged.ofport})
    flows = [flow(table, priority, match, *actions) for table, priority, match, actions in render_ends(plugged)]
    priority = 110 if plugged.trunk else 100  # a parent whose network carries tags takes the others
    first, onward = find_entry(plugged, limits)
    enter = (reg.set_network(number), SetField(reg.SENDER, plugged.ofport))
    held = () if is_trusted(port) else (SetField(reg.COMBINATION, combination),)
    for match, off in find_arrivals(plugged, transparent, stacked):
        flows.append(flow(CLASSIFY, priority, match, *first, *off, *enter, *held, Goto(onward)))
    if stacked and not transparent:
        flows.append(flow(GUARD, 220, forbid_tags(plugged)))
    if is_trusted(port):
        flows.append(flow(GUARD, 10, sender, Goto(SERVICES)))
        flows.append(flow(INGRESS, 100, leave, Goto(DELIVER)))
    else:
        flows.append(flow(INGRESS, 100, leave, *held, Goto(INGRESS_FILTER)))
        flows += [flow(GUARD, 200, match) for match in find_forbidden(plugged.ofport)]
        flows += [flow(GUARD, 160, match, Goto(SERVICES)) for match in dict.fromkeys(find_allowed_nd(plugged))]
        flows += [flow(GUARD, 150, match) for match in forbid_nd(plugged.ofport)]
        flows += [flow(GUARD, 100, match, Goto(find_next(match))) for match in dict.fromkeys(find_allowed(plugged))]
        flows += [flow(GUARD, 100, match, Goto(SERVICES)) for match in find_permitted(plugged, permitted)]
        if port.logs:
            logged = find_log_flows(plugged, combination)
            flows += [flow(table, priority, match, *actions) for table, priority, match, actions in logged]
    flows += [flow(SERVICES, 110, match, Goto(SWITCH)) for match in find_own_probes(plugged)]
    flows += [metered for one in flows for metered in meter_arrival(plugged, limits, one)]
    return tuple(flows)


def find_next(match: Match) -> int:
    """Where an allowed packet goes on: IP to the rules of the port's groups."""
    return SERVICES if ("eth_type", ARP, None) in match else EGRESS


def who(ofport: int) -> dict[str, int]:
    """The test for what a port sent."""
    return {reg.SENDER: ofport}


def find_forbidden(ofport: int) -> Iterator[Match]:
    """What no instance may send, from whatever address."""
    yield make_match(**who(ofport), eth_type=IPV4, ip_proto=UDP, udp_src=DHCP_SERVER)
    yield make_match(**who(ofport), eth_type=IPV6, ip_proto=UDP, udp_src=DHCP6_SERVER)
    for kind in (ROUTER_ADVERTISEMENT, REDIRECT):
        yield make_match(**who(ofport), eth_type=IPV6, ip_proto=ICMPV6, icmpv6_type=kind)


def find_sources(port: PortRow) -> Iterator[tuple[str, str]]:
    """(MAC, address or prefix) that the port may send from."""
    macs = dict.fromkeys((port.mac, *(pair.mac for pair in port.pairs)))
    for address in port.addresses:
        yield port.mac, address.ip
    for pair in port.pairs:
        yield pair.mac, pair.ip
    if any(ip_version(ip) == 6 for ip in (*(a.ip for a in port.addresses), *(p.ip for p in port.pairs))):
        for mac in macs:
            yield mac, link_local(mac)


def find_allowed(plugged: Plugged) -> Iterator[Match]:
    """What the port may send."""
    port, ofport = plugged.port, plugged.ofport
    for mac, ip in find_sources(port):
        yield from (allow_v4 if ip_version(ip) == 4 else allow_v6)(ofport, mac, ip)
    for mac in dict.fromkeys((port.mac, *(pair.mac for pair in port.pairs))):
        yield make_match(
            **who(ofport), eth_src=mac, eth_type=IPV4, ip_src="0.0.0.0", ip_proto=UDP, udp_src=DHCP_CLIENT,
            udp_dst=DHCP_SERVER,
        )  # fmt: skip
        for kind in UNSPECIFIED_OK:
            yield make_match(
                **who(ofport), eth_src=mac, eth_type=IPV6, ipv6_src="::", ip_proto=ICMPV6, icmpv6_type=kind
            )


def find_permitted(plugged: Plugged, types: tuple[int, ...]) -> Iterator[Match]:
    """From its own MAC addresses: more cannot be known of them."""
    for mac in dict.fromkeys((plugged.port.mac, *(pair.mac for pair in plugged.port.pairs))):
        for kind in types:
            yield make_match(**who(plugged.ofport), eth_src=mac, eth_type=kind)


def allow_v4(ofport: int, mac: str, ip: str) -> Iterator[Match]:
    yield make_match(**who(ofport), eth_src=mac, eth_type=IPV4, ip_src=ip)
    yield make_match(**who(ofport), eth_src=mac, eth_type=ARP, arp_sha=mac, arp_spa=ip)
    # A probe (RFC 5227): nobody's address asks whether this one is taken.
    yield make_match(**who(ofport), eth_src=mac, eth_type=ARP, arp_op=1, arp_sha=mac, arp_spa="0.0.0.0")


def allow_v6(ofport: int, mac: str, ip: str) -> Iterator[Match]:
    """Anything from its address; neighbour discovery is looked at before (see find_allowed_nd)."""
    yield make_match(**who(ofport), eth_src=mac, eth_type=IPV6, ipv6_src=ip)


def find_allowed_nd(plugged: Plugged) -> Iterator[Match]:
    """Neighbour discovery that is the port's own: from and for its addresses, with its MAC or none in the option."""
    for mac, ip in find_sources(plugged.port):
        if ip_version(ip) == 6:
            nd = describe_nd(plugged.ofport, mac)
            for option in (mac, "00:00:00:00:00:00"):
                yield make_match(**nd, ipv6_src=ip, icmpv6_type=SOLICITATION, nd_sll=option)
                yield make_match(**nd, ipv6_src=ip, icmpv6_type=ADVERTISEMENT, nd_target=ip, nd_tll=option)
            # Duplicate address detection (RFC 4862, 5.4.2): from no address, about one's own.
            yield make_match(**nd, ipv6_src="::", icmpv6_type=SOLICITATION, nd_target=ip)


def describe_nd(ofport: int, mac: str) -> dict[str, int | str | tuple[int, int]]:
    return {**who(ofport), "eth_src": mac, "eth_type": IPV6, "ip_proto": ICMPV6, "icmpv6_code": 0}


def forbid_nd(ofport: int) -> Iterator[Match]:
    """Neighbour discovery that is not the port's own; the narrower flows above it let that pass."""
    for kind in (SOLICITATION, ADVERTISEMENT):
        yield make_match(**who(ofport), eth_type=IPV6, ip_proto=ICMPV6, icmpv6_type=kind)


def find_own_probes(plugged: Plugged) -> Iterator[Match]:
    """Questions about the port's own addresses, which the host must not answer: that would say they are taken."""
    for address in plugged.port.addresses:
        if ip_version(address.ip) == 4:
            yield make_match(**who(plugged.ofport), eth_type=ARP, arp_op=1, arp_tpa=address.ip)
        else:
            yield make_match(
                **who(plugged.ofport), eth_type=IPV6, ip_proto=ICMPV6, icmpv6_type=SOLICITATION, icmpv6_code=0,
                nd_target=address.ip,
            )  # fmt: skip
