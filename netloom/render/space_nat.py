"""What a router translates, as elements of the maps of one fixed ruleset: nft in the router's namespace.

Law: the ruleset is the same for every router and never changes while it runs; a floating IP is one element inward and
one outward, and an address to hide behind is one element. So a change touches what it names, and nothing goes out
untranslated while it is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

from netloom.model.address import ip_version
from netloom.model.netns import Element, Ruleset, Words
from netloom.model.plan import Thing
from netloom.model.slices import ForwardingRow
from netloom.model.why import Why
from netloom.render.space_scene import Leg, SpaceScene
from netloom.render.space_scopes import find_scoped

TABLE, HELPER = "netloom", "netloom_helper"
PORTED = ("tcp", "udp", "dccp", "sctp")
"""Protocols that have ports to forward."""
MOST_SHIFTED = 4096
"""So many ports of one forwarding at most are moved to other numbers one by one."""

RULES = """
 set outer { type ifname; }
 set others { type ifname; }
 map inward { type ipv4_addr : ipv4_addr; }
 map kept { type ipv4_addr . inet_proto . inet_service : ipv4_addr; flags interval; }
 map shifted { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; flags interval; }
 map outward { type ipv4_addr : ipv4_addr; }
 map outward_by { type ifname . ipv4_addr : ipv4_addr; }
 map hide { type ifname : ipv4_addr; }
 map loop { type nf_proto : ipv4_addr; }
 map gates { type ifname : mark; }
 set guarded { type ifname; }
 set proxied { type ipv6_addr; }
 map scopes { type nf_proto . ifname : mark; }
 set reached { type nf_proto . ifname . mark; }
 set unhidden { type ifname . mark; }
 chain remember { type filter hook prerouting priority mangle; policy accept;
  ct state new ct mark set iifname map @gates
  ct direction reply ct mark != 0 meta mark set ct mark
 }
 chain inward_nat { type nat hook prerouting priority dstnat; policy accept;
  meta l4proto { tcp, udp, dccp, sctp } dnat ip to ip daddr . meta l4proto . th dport map @kept
  meta l4proto { tcp, udp, dccp, sctp } dnat ip to ip daddr . meta l4proto . th dport map @shifted
  dnat ip to ip daddr map @inward
 }
 chain from_scope { type filter hook postrouting priority srcnat - 1; policy accept;
  meta mark set 0
  meta mark set meta nfproto . iifname map @scopes
 }
 chain outward_nat { type nat hook postrouting priority srcnat; policy accept;
  iifname @outer return
  snat ip to oifname . ip saddr map @outward_by
  oifname @others oifname . meta mark @unhidden return
  oifname @others snat ip to oifname map @hide
  oifname @others return
  oifname != @outer ct status & dnat == 0 return
  snat ip to ip saddr map @outward
  oifname . meta mark @unhidden return
  snat ip to oifname map @hide
  oifname != @outer snat ip to meta nfproto map @loop
 }
 chain to_scope { type filter hook postrouting priority srcnat + 1; policy accept;
  ct status & ( snat | dnat ) != 0 accept
  meta mark != 0 meta nfproto . oifname . meta mark != @reached drop
 }
 chain neighbours { type filter hook forward priority filter; policy accept;
  iifname @guarded meta nfproto ipv6 ct state new ip6 daddr != @proxied drop
 }
"""
"""In the order in which a packet meets it. `remember`: a connection that came by another gateway than the first is
answered by that. `outward_nat`: traffic from inside that reaches a floating IP of the same router (a loop) comes from
an address outside too, or its answer would take the short way back. `from_scope`, `to_scope`: where networks are in
address scopes, what is not translated stays in its own (see `space_scopes`); routes are chosen by then, so the mark is
free to say which that is."""


def make_ruleset(text: str) -> Ruleset:
    return Ruleset(blake2b(text.encode(), digest_size=6).hexdigest(), text)


RULESET = make_ruleset(RULES)


def render_nat(scene: SpaceScene) -> Iterator[Thing]:
    """All that nft holds of the router."""
    yield Thing(("ruleset", scene.netns, TABLE), RULESET, make_why(scene))
    yield from render_gateways(scene)
    yield from render_floating(scene)
    for forwarding in scene.forwardings:
        why = make_why(scene, f"port_forwarding/{forwarding.id}", forwarding.revision)
        for name, words, data in find_forwarded(forwarding):
            yield make_element(scene, name, words, data, why)
    yield from render_proxied(scene)
    yield from render_scopes(scene)
    yield from render_helpers(scene)


def make_why(scene: SpaceScene, id: str = "", revision: int = 0) -> Why:
    ids = (id, scene.slice) if id else (scene.slice,)
    return Why(revision or scene.router.revision, ids, "space_nat.render_nat")


def make_element(scene: SpaceScene, name: str, words: Words, data: Words, why: Why) -> Thing:
    return Thing(("element", scene.netns, TABLE, name, words), Element(data), why)


# -- gateways ----------------------------------------------------------------------------------------------------------


def render_gateways(scene: SpaceScene) -> Iterator[Thing]:
    for number, leg in enumerate(scene.gateways):
        why = make_why(scene, f"port/{leg.port.id}", leg.port.revision)
        yield make_element(scene, "outer", (leg.device,), (), why)
        address = find_v4(leg)
        if scene.router.enable_snat and address:
            yield make_element(scene, "hide", (leg.device,), (address,), why)
        if mark := scene.marks.get(leg.device):
            yield make_element(scene, "gates", (leg.device,), (str(mark),), why)
        if number:
            yield make_element(scene, "others", (leg.device,), (), why)
        elif address:
            yield make_element(scene, "loop", ("ipv4",), (address,), why)


def find_v4(leg: Leg) -> str:
    return next((a.ip for a in leg.port.addresses if ip_version(a.ip) == 4), "")


# -- floating addresses ------------------------------------------------------------------------------------------------


def render_floating(scene: SpaceScene) -> Iterator[Thing]:
    """One element each way. That of another gateway than the first goes out by that gateway alone."""
    legs = {leg.network.id: leg for leg in reversed(scene.gateways)}
    first = scene.gateways[0].network.id if scene.gateways else ""
    for row in scene.floating:
        leg = legs.get(row.network_id)
        if not row.fixed_ip or leg is None:
            continue
        why = make_why(scene, f"floatingip/{row.id}", row.revision)
        yield make_element(scene, "inward", (row.floating_ip,), (row.fixed_ip,), why)
        if row.network_id == first:
            yield make_element(scene, "outward", (row.fixed_ip,), (row.floating_ip,), why)
        else:
            yield make_element(scene, "outward_by", (leg.device, row.fixed_ip), (row.floating_ip,), why)


def find_forwarded(row: ForwardingRow) -> Iterator[tuple[str, Words, Words]]:
    """(map, key, datum): one for a port, for many ports that lead to one, and for ports that keep their numbers; one
    for each port where a range is moved."""
    if row.protocol not in PORTED or not row.external_first:
        return
    outer = join_range(row.external_first, row.external_last)
    if row.internal_first == row.internal_last:
        yield "shifted", (row.floating_ip, row.protocol, outer), (row.internal_ip, str(row.internal_first))
    elif row.internal_first == row.external_first:
        yield "kept", (row.floating_ip, row.protocol, outer), (row.internal_ip,)
    else:
        for step in range(min(row.external_last - row.external_first + 1, MOST_SHIFTED)):
            key = (row.floating_ip, row.protocol, str(row.external_first + step))
            yield "shifted", key, (row.internal_ip, str(row.internal_first + step))


def join_range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


# -- address scopes ----------------------------------------------------------------------------------------------------


def render_scopes(scene: SpaceScene) -> Iterator[Thing]:
    for leg, name, words, data in find_scoped(scene):
        why = make_why(scene, f"network/{leg.network.id}", leg.network.revision)
        yield make_element(scene, name, words, data, why)


# -- IPv6, and protocols that need help --------------------------------------------------------------------------------


def render_proxied(scene: SpaceScene) -> Iterator[Thing]:
    """Where a router answers for chosen addresses only, only those may be reached from outside."""
    if not scene.router.enable_ndp_proxy:
        return
    for leg in scene.gateways:
        yield make_element(scene, "guarded", (leg.device,), (), make_why(scene))
    for row in scene.neighbours:
        why = make_why(scene, f"ndp_proxy/{row.id}", row.revision)
        yield make_element(scene, "proxied", (row.ip,), (), why)


def render_helpers(scene: SpaceScene) -> Iterator[Thing]:
    """A table for each: a kernel that lacks one of them refuses that table and no other."""
    for name, protocol in sorted({(row.helper, row.protocol) for row in scene.helpers}):
        ports = [row.port for row in scene.helpers if (row.helper, row.protocol) == (name, protocol)]
        ruleset = make_ruleset(describe_helper(name, protocol, ports))
        yield Thing(("ruleset", scene.netns, f"{HELPER}_{name}_{protocol}"), ruleset, make_why(scene))


def describe_helper(name: str, protocol: str, ports: list[int]) -> str:
    return "\n".join(
        (
            f' ct helper follow {{ type "{name}" protocol {protocol}; l3proto ip; }}',
            " chain help { type filter hook prerouting priority filter; policy accept;",
            *(f'  {protocol} dport {port} ct helper set "follow"' for port in ports),
            " }",
        )
    )
