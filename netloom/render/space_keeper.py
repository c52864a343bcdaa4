"""What keepalived is told of one copy of a router: VRRP version 3 (RFC 9568), and what the active copy alone has.

Law: addresses and routes are the active copy's; a copy that is not has none, so whatever reaches it goes nowhere. Each
copy is told the same but for its port on the network that joins them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from netloom.model.address import ip_version, link_local
from netloom.model.netns import Held, Keeper
from netloom.model.plan import Thing
from netloom.model.why import Why
from netloom.render.space_scene import Leg, SpaceScene
from netloom.render.space_sync import describe_sync, find_notices

KEEPER = "keepalived"
ADVERT_S = 0.2
"""Between words of the active copy; after three that never came another takes over."""
PRIORITY = 50
SHARED = "169.254.0"
"""Of the address that only says which copy is active: this prefix, and the router's number on its network."""
METADATA = "fe80::a9fe:a9fe"
"""Of the metadata service on a link."""
Addressed = Sequence[tuple[str, str]]
"""(address/length, device)."""
Routed = Sequence[tuple[int, str, Sequence[tuple[str, str]]]]
"""(table, destination, (next hop, device) …)."""
MAIN = 254


def find_joint(scene: SpaceScene) -> Leg | None:
    """The leg that joins this copy with the others."""
    return next((leg for leg in scene.legs if leg.port.kind == "ha"), None)


def shared_address(scene: SpaceScene) -> str:
    return f"{SHARED}.{scene.router.vr_id}/24"


def render_keeper(scene: SpaceScene, addresses: Addressed, routes: Routed) -> Iterator[Thing]:
    """The daemon, and the one address that is this copy's own. Nothing while the copy has no port to the others."""
    joint = find_joint(scene)
    if joint is None:
        return
    why = Why(scene.router.revision, (scene.slice,), "space_keeper.render_keeper")
    for cidr in joint.cidrs:
        yield Thing(("address", scene.netns, joint.device, cidr), Held(), why)
    told = Keeper(describe(scene, joint, addresses, routes), describe_sync(scene, joint, scene.sync))
    yield Thing(("keeper", scene.netns), told, why)


def describe(scene: SpaceScene, joint: Leg, addresses: Addressed, routes: Routed) -> str:
    held = [*addresses, *((f"{link_local(leg.port.mac)}/64", leg.device) for leg in scene.served)]
    held += [(f"{METADATA}/128", leg.device) for leg in scene.served if scene.redirect and leg.port.kind == "internal"]
    instance = (
        "state BACKUP",
        f"interface {joint.device}",
        f"virtual_router_id {scene.router.vr_id}",
        f"priority {PRIORITY}",
        f"advert_int {ADVERT_S}",
        "nopreempt",
        "garp_master_delay 1",
        "garp_master_repeat 3",
        # Where two were active, what the one that gives way still sent has taught switches the wrong way: say it again.
        "garp_lower_prio_delay 1",
        "garp_lower_prio_repeat 3",
        *find_notices(scene.sync),
        *block("virtual_ipaddress", [f"{shared_address(scene)} dev {joint.device}"]),
        *block("virtual_ipaddress_excluded", (describe_address(cidr, device) for cidr, device in held)),
        *block("virtual_routes", map(describe_route, routes)),
    )
    settings = ["vrrp_version 3", "vrrp_garp_master_refresh 60", f"router_id {scene.router.id}"]
    settings += ["script_user root"] if scene.sync else []
    lines = (*block("global_defs", settings), *block(f"vrrp_instance VR_{scene.router.vr_id}", instance))
    return "\n".join(lines) + "\n"


def describe_address(cidr: str, device: str) -> str:
    return f"{cidr} dev {device}"


def describe_route(route: tuple[int, str, Sequence[tuple[str, str]]]) -> str:
    table, destination, hops = route
    return describe_way(destination, hops) + (f" table {table}" if table != MAIN else "")


def describe_way(destination: str, hops: Sequence[tuple[str, str]]) -> str:
    if len(hops) == 1:
        (via, device), *_ = hops
        on = "" if ip_version(destination.partition("/")[0]) == 6 else " onlink"
        return f"{destination} via {via} dev {device}{on}" if via else f"{destination} dev {device} scope link"
    return f"{destination} " + " ".join(f"nexthop via {via} dev {device}" for via, device in hops)


def block(head: str, lines: Iterable[str]) -> list[str]:
    """keepalived reads a brace only at the end of a line or on one of its own."""
    inner = [f"  {line}" for line in lines]
    return [f"{head} {{", *inner, "}"] if inner else []
