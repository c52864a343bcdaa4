"""Flows of one network on br-tun: out to just the hosts that share it, and in from them alone.

The network's number comes and goes in pkt_mark, the one thing that a patch port leaves alone. It is zeroed before a
tunnel, whose route look-up would honour it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping

from netloom.model.address import ip_int, ip_version
from netloom.model.flow import Action, Flow, Match, Output, SetField, make_match
from netloom.model.slices import HostRow, PlaceRow
from netloom.model.why import Why
from netloom.render import registers as reg
from netloom.render.flows.networks import MULTICAST
from netloom.render.make import make_cookie, make_flow
from netloom.render.pipeline import TUN_CLASSIFY, TUN_OUT
from netloom.render.scene import Scene, Tunnel


def render_arrivals(scene: Scene, tunnel: Tunnel, remote: HostRow) -> Iterator[Flow]:
    """In from one host."""
    inward = (reg.mark_network(scene.network.number), Output(scene.patch_int))
    for match in find_arrivals(tunnel, remote):
        yield make_tunnel_flow(scene, TUN_CLASSIFY, 100, match, inward, remote.revision)


def render_way_out(
    scene: Scene, tunnel: Tunnel, mac: str, owners: list[PlaceRow], remotes: Mapping[str, HostRow]
) -> Iterator[Flow]:
    """Out to the hosts where a MAC of the network is."""
    names = {host for place in owners for host in (place.host, *place.also)} & remotes.keys()
    if names:
        ids, revision = [f"port/{place.id}" for place in owners], max(place.revision for place in owners)
        match = make_match(**{reg.NETWORK: scene.network.number}, eth_dst=mac)
        actions = send(tunnel, [remotes[name] for name in sorted(names)])
        yield make_tunnel_flow(scene, TUN_OUT, 50, match, actions, revision, *ids)


def render_floods(
    scene: Scene, tunnel: Tunnel, remotes: Iterable[HostRow], open_hosts: Container[str]
) -> Iterator[Flow]:
    """Out to all, and to those where any address may be. `remotes` by name."""
    on, revision = {reg.NETWORK: scene.network.number}, scene.network.revision
    if everywhere := [remote for remote in remotes if not remote.routed]:
        yield make_tunnel_flow(
            scene, TUN_OUT, 100, make_match(**on, eth_dst=MULTICAST), send(tunnel, everywhere), revision
        )
    if loose := [remote for remote in remotes if remote.name in open_hosts]:
        yield make_tunnel_flow(scene, TUN_OUT, 20, make_match(**on), send(tunnel, loose), revision)


def make_tunnel_flow(
    scene: Scene, table: int, priority: int, match: Match, actions: Iterable[Action], revision: int, *ids: str
) -> Flow:
    why = Why(revision, (*ids, f"network/{scene.network.id}"), "tunnels.make_tunnel_flow")
    return make_flow(scene.tunnel_bridge, table, priority, match, actions, make_cookie(scene.slice), why)


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
