"""What must hold of trunks and of routed networks in every snapshot: for property tests, as in `consistency`."""

from __future__ import annotations

from collections.abc import Iterator

from netloom.intent.addressing.routed import ROUTED_OWNER
from netloom.intent.l2.binding import HOST, is_bound
from netloom.intent.l2.trunk_port import DETAILS, TRUNK_ID, find_status, find_subports, make_details
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Snapshot


def check_trunks(snapshot: Snapshot) -> Iterator[str]:
    """What ports show of trunks is what the trunks say, subports are where their parent is, and status is derived."""
    for trunk in snapshot.docs("trunk"):
        parent = snapshot.get("port", trunk["port_id"])
        if parent is None or parent.get(DETAILS) != make_details(snapshot, trunk):
            yield f"the parent of trunk {trunk['id']} does not show what it is the parent of"
        if trunk["status"] != find_status(snapshot, trunk):
            yield f"trunk {trunk['id']} is {trunk['status']}, and {find_status(snapshot, trunk)} is right"
        tags = [one["segmentation_id"] for one in trunk["sub_ports"]]
        if len(set(tags)) < len(tags):
            yield f"trunk {trunk['id']} has a tag twice"
        for port in find_subports(snapshot, trunk):
            if parent and is_bound(parent) and port[HOST] != parent[HOST]:
                yield f"subport {port['id']} is not on the host of its parent"
    yield from check_copies(snapshot)


def check_copies(snapshot: Snapshot) -> Iterator[str]:
    """No port says of itself what no trunk says of it."""
    subports = {one["port_id"]: t["id"] for t in snapshot.docs("trunk") for one in t["sub_ports"]}
    parents = {trunk["port_id"]: trunk["id"] for trunk in snapshot.docs("trunk")}
    for port in snapshot.docs("port"):
        if port.get(TRUNK_ID) != subports.get(port["id"]):
            yield f"port {port['id']} is taken for a subport of {port.get(TRUNK_ID)}"
        if port.get(DETAILS, {}).get("trunk_id") != parents.get(port["id"]):
            yield f"port {port['id']} shows another trunk than it has"


def check_routed(snapshot: Snapshot) -> Iterator[str]:
    """Subnets are all on segments of their network or none is, and each reaches those of the other segments."""
    for network in snapshot.docs("network"):
        subnets = [found for id in network["subnets"] if (found := snapshot.get("subnet", id)) is not None]
        if network["l2_adjacency"] != (not any(subnet["segment_id"] for subnet in subnets)):
            yield f"network {network['id']} does not know whether it is one Ethernet"
        inside = {s["segment_id"] for s in subnets if ROUTED_OWNER not in s["service_types"]}
        if None in inside and len(inside) > 1:
            yield f"network {network['id']} has subnets with a segment and without"
        for subnet in subnets:
            yield from check_segment(snapshot, network, subnet, subnets)


def check_segment(snapshot: Snapshot, network: Doc, subnet: Doc, subnets: list[Doc]) -> Iterator[str]:
    if not subnet["segment_id"]:
        return
    segment = snapshot.get("segment", subnet["segment_id"])
    if segment is None or segment["network_id"] != network["id"]:
        yield f"subnet {subnet['id']} is on a segment that is not its network's"
    reached = {(route["destination"], route["nexthop"]) for route in subnet["host_routes"]}
    for peer in subnets:
        other = peer["segment_id"] != subnet["segment_id"] and peer["ip_version"] == subnet["ip_version"]
        if other and subnet["gateway_ip"] and (peer["cidr"], subnet["gateway_ip"]) not in reached:
            yield f"subnet {subnet['id']} has no route to {peer['id']}"
