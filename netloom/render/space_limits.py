"""What QoS policies allow the addresses of a router's gateways: a queue at either end of each gateway's device.

Law: a limit is one address's, a floating IP's or a gateway's own, as with Neutron's agents; what leaves or comes by any
other (IPv6, an address that is not hidden) is not held. Where neither says a policy the external network's counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from netloom.model.address import ip_version
from netloom.model.plan import Thing
from netloom.model.slices import FloatingRow, RouterRow, Slice, Slices
from netloom.model.why import Why
from netloom.render.qos import NOTHING, Limits, find_limits, find_received, find_sent, make_shape
from netloom.render.space_scene import Ground, Leg, SpaceScene, host_end


def find_policies(router: RouterRow, found: Slice, grounds: Mapping[str, Ground | None]) -> list[str]:
    """The policies that a router's addresses may be under, by id."""
    own = (row.policy for row in found.rows.values() if isinstance(row, FloatingRow))
    inherited = (ground.network.policy for ground in grounds.values() if ground is not None)
    return sorted({router.gateway_policy, *own, *inherited} - {""})


def read_policies(policies: list[str], slices: Slices) -> dict[str, Limits]:
    return {id: find_limits(slices, id) for id in policies}


def render_shapes(scene: SpaceScene) -> Iterator[Thing]:
    for leg in scene.gateways:
        limited = sorted(find_limited(scene, leg))
        ids = [f"policy/{policy}" for policy in sorted({policy for _, policy in limited})]
        why = Why(scene.router.revision, (*ids, f"port/{leg.port.id}", scene.slice), "space_limits.render_shapes")
        rates = [(address, scene.limits.get(policy, NOTHING)) for address, policy in limited]
        sent, received = tuple(find_sent(rates)), tuple(find_received(rates))
        if sent:
            yield make_shape(scene.netns, leg.device, sent, why)
        if received:
            yield make_shape("", host_end(leg.port.id), received, why)


def find_limited(scene: SpaceScene, leg: Leg) -> Iterator[tuple[str, str]]:
    """(IPv4 address, policy) of what a gateway answers for."""
    inherited = leg.network.policy
    for address in leg.port.addresses:
        if ip_version(address.ip) == 4:
            yield address.ip, scene.router.gateway_policy or inherited
    for row in scene.floating:
        if row.network_id == leg.network.id:
            yield row.floating_ip, row.policy or inherited
