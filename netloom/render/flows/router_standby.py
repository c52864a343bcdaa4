"""Where the host is that hides addresses for a distributed router with several: as BFD on the tunnels has it.

Each host decides for itself by what it hears, and in one order, so all decide alike; who came back takes over again.
Law 4: to a host whose address is not known here nothing is sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from netloom.model.device import SwitchPort, make_pairs
from netloom.model.facts import HostFacts
from netloom.model.flow import Action, Flow, Output, make_match
from netloom.model.plan import Thing
from netloom.model.slices import HostRow, InterfaceRow, RouterRow, Slice
from netloom.model.why import Why
from netloom.render import registers as reg
from netloom.render.flows.routers import name_port
from netloom.render.flows.tunnels import send
from netloom.render.make import make_cookie, make_flow
from netloom.render.pipeline import SWITCH, TUN_OUT
from netloom.render.router_scene import Known, RouterScene, digest, find_endpoints
from netloom.render.scene import TUNNELS, choose_segment, find_tunnel

WATCH = make_pairs(enable="true", min_tx="100", min_rx="100")
"""A host that is silent for three times 100 ms is lost."""


def is_redundant(row: RouterRow) -> bool:
    return len(row.hosts) > 1


def render_standby(scene: RouterScene, known: Mapping[str, Known], facts: HostFacts) -> Iterator[Flow]:
    """The way to SNAT ports and gateways, which the network itself knows only as the server does."""
    if not is_redundant(scene.row) or scene.central or not scene.endpoint:
        return
    numbers = {one.network.id: one for one in known.values()}
    for port in (*scene.hiding, *(leg.port for leg in scene.outer)):
        if port.network_id in numbers:
            yield from find_ways(scene, port, numbers[port.network_id], facts)


def find_ways(scene: RouterScene, port: InterfaceRow, known: Known, facts: HostFacts) -> Iterator[Flow]:
    """By tunnel to the host that hides now. On a physical network the switches have learned who it is."""
    tunnel = find_tunnel(choose_segment(known.network, facts), facts)
    patch = facts.ofports.get((facts.integration_bridge, "patch-tun"), 0)
    if tunnel is None or patch <= 0:
        return
    cookie, number = make_cookie(scene.slice), known.network.number
    why = Why(max(port.revision, scene.row.revision), (*name_port(port), scene.slice), "router_standby.find_ways")
    there = HostRow(scene.centre, scene.endpoint)
    out: tuple[Action, ...] = (reg.mark_network(number), Output(patch))
    on = make_match(**{reg.NETWORK: number, reg.FROM: 0}, eth_dst=port.mac)
    yield make_flow(facts.integration_bridge, SWITCH, 65, on, out, cookie, why)
    match = make_match(**{reg.NETWORK: number}, eth_dst=port.mac)
    yield make_flow(facts.tunnel_bridge, TUN_OUT, 60, match, send(tunnel, [there]), cookie, why)


def render_watch(row: RouterRow, found: Slice, known: Mapping[str, Known], facts: HostFacts) -> Iterator[Thing]:
    """A tunnel port of its own for each host to be listened to: for who may hide addresses all that use him, for the
    others those who may."""
    kind = next((kind for kind in TUNNELS if kind in facts.tunnel_types), "")
    if not is_redundant(row) or not kind or not facts.tunnel_ip:
        return
    names = {one.name for one in row.hosts}
    for name, ip in sorted(find_endpoints(found, known).items()):
        if name != facts.host and ip != facts.tunnel_ip and (facts.host in names or name in names):
            options = make_pairs(remote_ip=ip, key="flow", local_ip=facts.tunnel_ip)
            why = Why(row.revision, (f"router/{row.id}", f"host/{name}"), "router_standby.render_watch")
            yield Thing(("switch_port", facts.tunnel_bridge, watch_port(ip)), SwitchPort(kind, options, bfd=WATCH), why)


def watch_port(ip: str) -> str:
    return f"nlb-{digest(ip):010x}"
