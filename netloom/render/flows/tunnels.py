"""Flows of one network on br-tun: out to just the hosts that share it, and in from them alone.

The network's number comes and goes in pkt_mark, the one thing that a patch port leaves alone. It is zeroed before a
tunnel, whose route look-up would honour it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netloom.model.address import ip_int, ip_version
from netloom.model.flow import Action, Flow, Match, Output, SetField, make_match
from netloom.model.slices import HostRow
from netloom.model.why import Why
from netloom.render import registers as reg
from netloom.render.flows.networks import MULTICAST, group_owners
from netloom.render.make import make_cookie, make_flow
from netloom.render.pipeline import TUN_CLASSIFY, TUN_OUT
from netloom.render.scene import Scene, Tunnel


def render_tunnel(scene: Scene) -> tuple[Flow, ...]:
    """All flows of the network on br-tun; none where it does not travel by tunnel."""
    tunnel = scene.tunnel
    if tunnel is None or not scene.patch_int:
        return ()
    cookie, network = make_cookie(scene.slice), scene.network

    def flow(table: int, priority: int, match: Match, actions: Iterable[Action], revision: int, *ids: str) -> Flow:
        why = Why(revision, (*ids, f"network/{network.id}"), "tunnels.render_tunnel")
        return make_flow(scene.tunnel_bridge, table, priority, match, actions, cookie, why)

    inward = (reg.mark_network(network.number), Output(scene.patch_int))
    flows = [
        flow(TUN_CLASSIFY, 100, match, inward, remote.revision)
        for remote in scene.remotes
        for match in find_arrivals(tunnel, remote)
    ]
    remotes = {remote.name: remote for remote in scene.remotes}
    on = {reg.NETWORK: network.number}
    for mac, owners in group_owners(scene.places).items():
        there = [
            remotes[name]
            for name in sorted({host for place in owners for host in (place.host, *place.also)} & remotes.keys())
        ]
        if there:
            ids, revision = [f"port/{place.id}" for place in owners], max(place.revision for place in owners)
            flows.append(flow(TUN_OUT, 50, make_match(**on, eth_dst=mac), send(tunnel, there), revision, *ids))
    if everywhere := [remote for remote in scene.remotes if not remote.routed]:
        flood = make_match(**on, eth_dst=MULTICAST)
        flows.append(flow(TUN_OUT, 100, flood, send(tunnel, everywhere), network.revision))
    open_hosts = {host for place in scene.places if place.open for host in (place.host, *place.also)}
    loose = [remotes[name] for name in sorted(open_hosts & remotes.keys())]
    if loose:
        flows.append(flow(TUN_OUT, 20, make_match(**on), send(tunnel, loose), network.revision))
    return tuple(flows)


def find_arrivals(tunnel: Tunnel, remote: HostRow) -> Iterator[Match]:
    """What comes from that host: by our port, or by one that others made for it alone, which the switch prefers."""
    field = "tun_src" if ip_version(remote.tunnel_ip) == 4 else "tun_ipv6_src"
    for ofport in (tunnel.ofport, *(number for ip, number in tunnel.strays if ip == remote.tunnel_ip)):
        yield make_match(in_port=ofport, tun_id=tunnel.key, **{field: remote.tunnel_ip})


def send(tunnel: Tunnel, remotes: Iterable[HostRow]) -> list[Action]:
    """To each of the hosts, in the order of their names."""
    actions: list[Action] = [SetField("tun_id", tunnel.key)]
    for remote in remotes:
        field = "tun_dst" if ip_version(remote.tunnel_ip) == 4 else "tun_ipv6_dst"
        actions += [SetField(field, ip_int(remote.tunnel_ip)), Output(tunnel.ofport)]
    return actions
