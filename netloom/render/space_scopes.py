"""Address scopes of a router: within one an address means one thing, and is not translated; between two nothing passes.

Law: a packet that is not translated leaves by a network of the scope that it came from, or not at all; networks without
a scope are as if in one of their own. What is translated may cross: it has an address of where it goes.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

from netloom.model.netns import Words
from netloom.render.space_scene import Leg, SpaceScene

NONE = 1
"""The number of those without a scope."""
PROTOCOLS = {4: "ipv4", 6: "ipv6"}


def find_scope(leg: Leg, version: int) -> str:
    return leg.network.ipv4_scope if version == 4 else leg.network.ipv6_scope


def scope_number(id: str) -> int:
    """A mark of 32 bits that follows from the scope alone, so that one more scope leaves the others as they are."""
    return 2 + int.from_bytes(blake2b(id.encode(), digest_size=4).digest(), "big") % (2**32 - 2) if id else NONE


def find_scoped(scene: SpaceScene) -> Iterator[tuple[Leg, str, Words, Words]]:
    """(leg, set or map, key, datum); nothing for an IP version of which no network of the router is in a scope."""
    for version, protocol in PROTOCOLS.items():
        if not any(find_scope(leg, version) for leg in scene.served):
            continue
        for leg in scene.served:
            number = str(scope_number(find_scope(leg, version)))
            yield leg, "scopes", (protocol, leg.device), (number,)
            yield leg, "reached", (protocol, leg.device, number), ()
    for leg in scene.gateways if scene.router.enable_snat else ():
        if leg.network.ipv4_scope:
            yield leg, "unhidden", (leg.device, str(scope_number(leg.network.ipv4_scope))), ()
