"""The segment of a subnet: what may be said of it, and the routes by which a network's segments reach each other.

Law: the subnets of a network are all on segments or none is; a network is one Ethernet (l2_adjacency) where none is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from netloom.intent import kinds
from netloom.intent.addressing.addresses import is_auto
from netloom.intent.addressing.routed import ROUTED_OWNER
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, conflict, not_found
from netloom.intent.part import Part, Values
from netloom.intent.policy_rules import ADMIN
from netloom.intent.schema import Doc, Field, index_where_set
from netloom.intent.stamp import make_updated
from netloom.model.address import parse_net

Route = dict[str, str]


def create(draft: Draft, doc: Doc) -> Values:
    """Check the segment, and give the subnet and those of the other segments routes to each other."""
    peers = find_peers(draft, doc)
    if doc["segment_id"] and draft.get("segment", doc["segment_id"]) is None:
        raise not_found("segment", doc["segment_id"])
    own = [] if ROUTED_OWNER in doc["service_types"] else [doc["segment_id"]]
    check_all_or_none(doc["network_id"], [*find_associated(peers), *own])
    if not doc["segment_id"]:
        return {}
    check_segment(draft, doc)
    show_adjacency(draft, doc["network_id"], [*peers, doc])
    add_peer_routes(draft, peers, doc)
    return {"host_routes": make_routes(doc, peers) if doc["gateway_ip"] else doc["host_routes"]}


def update(draft: Draft, old: Doc, new: Doc, changes: Doc) -> Values:
    peers = find_peers(draft, old)
    if "segment_id" in changes:
        check_change(draft, old, new, find_associated([*peers, old]))
        if new["segment_id"] != old["segment_id"]:
            show_adjacency(draft, old["network_id"], [*peers, new])
    if not new["segment_id"] or all(new[name] == old[name] for name in ("host_routes", "gateway_ip")):
        return {}
    before = old["gateway_ip"] if new["gateway_ip"] != old["gateway_ip"] else None
    return {"host_routes": make_routes(new, peers, before)}


def delete(draft: Draft, old: Doc) -> None:
    """Raises SubnetInUse where a port would be left without addresses on its segment."""
    if not old["segment_id"]:
        return
    if is_auto(old):
        keep_last_addresses(draft, old)
    peers = find_peers(draft, old)
    for peer in peers:
        gone = {"destination": old["cidr"], "nexthop": peer["gateway_ip"]}
        put_routes(draft, peer, [route for route in peer["host_routes"] if route != gone])
    show_adjacency(draft, old["network_id"], peers)


def find_peers(draft: Draft, subnet: Doc) -> list[Doc]:
    """The other subnets of its network."""
    network = draft.get("network", subnet["network_id"])
    ids = [id for id in network["subnets"] if id != subnet["id"]] if network else []
    return [found for id in ids if (found := draft.get("subnet", id)) is not None]


# -- what may be on which segment --------------------------------------------------------------------------------------


def find_associated(subnets: Iterable[Doc]) -> list[str | None]:
    """The segments of the subnets, without those that lead into the network from outside."""
    return [subnet["segment_id"] for subnet in subnets if ROUTED_OWNER not in subnet["service_types"]]


def check_all_or_none(network_id: str, associated: Sequence[str | None]) -> None:
    if None in associated and any(associated):
        raise ApiError(
            400, "SubnetsNotAllAssociatedWithSegments",
            f"All of the subnets on network '{network_id}' must either all be associated with segments or all not "
            "associated with any segment.",
        )  # fmt: skip


def check_segment(draft: Draft, subnet: Doc) -> None:
    segment = draft.get("segment", subnet["segment_id"])
    if segment is None:
        raise not_found("segment", subnet["segment_id"])
    if segment["network_id"] != subnet["network_id"]:
        raise ApiError(
            400, "NetworkIdsDontMatch",
            f"The subnet's network id, '{subnet['network_id']}', doesn't match the network_id of segment "
            f"'{segment['id']}'",
        )  # fmt: skip


def check_change(draft: Draft, old: Doc, new: Doc, associated: Sequence[str | None]) -> None:
    """A subnet gets a segment later only as the one subnet of a network of one segment, and keeps it."""
    network_id = old["network_id"]
    check_all_or_none(network_id, associated)
    if new["segment_id"] != old["segment_id"]:
        if len(associated) > 1:
            check_all_or_none(network_id, [None, "another"])
        if None not in associated and new["segment_id"] not in associated:
            raise ApiError(
                400, "SubnetSegmentAssociationChangeNotAllowed",
                "A subnet that is already associated with a segment cannot have its segment association changed.",
            )  # fmt: skip
        if draft.count_in("segment", "network_id", network_id) > 1:
            raise ApiError(
                400, "NoUpdateSubnetWhenMultipleSegmentsOnNetwork",
                f"The network '{network_id}' has multiple segments, it is only possible to associate an existing "
                "subnet with a segment on networks with a single segment.",
            )  # fmt: skip
    if new["segment_id"]:
        check_segment(draft, new)


def keep_last_addresses(draft: Draft, subnet: Doc) -> None:
    for port in draft.find("port", "subnet_id", subnet["id"]):
        if all(fixed["subnet_id"] == subnet["id"] for fixed in port["fixed_ips"]):
            raise conflict(
                "SubnetInUse",
                f"Unable to complete operation on subnet {subnet['id']}: "
                "One or more ports have an IP allocation from this subnet.",
            )


def show_adjacency(draft: Draft, network_id: str, subnets: Iterable[Doc]) -> None:
    network = draft.get("network", network_id)
    adjacent = not any(subnet["segment_id"] for subnet in subnets)
    if network is not None and network["l2_adjacency"] != adjacent:
        draft.put("network", {**network, "l2_adjacency": adjacent})


# -- routes between segments -------------------------------------------------------------------------------------------


def make_routes(subnet: Doc, peers: Iterable[Doc], old_gateway: str | None = None) -> list[Route]:
    """The subnet's host routes, with one by its gateway to each subnet of another segment that none leads to yet.

    `old_gateway`: the gateway that such routes had until now.
    """
    routes: list[Route] = list(subnet["host_routes"])
    for peer in peers:
        if peer["segment_id"] == subnet["segment_id"] or peer["ip_version"] != subnet["ip_version"]:
            continue
        old_route = {"destination": peer["cidr"], "nexthop": old_gateway}
        routes = [route for route in routes if route != old_route]
        if subnet["gateway_ip"] and not is_covered(peer["cidr"], routes):
            routes.append({"destination": peer["cidr"], "nexthop": subnet["gateway_ip"]})
    return routes


def is_covered(cidr: str, routes: Iterable[Route]) -> bool:
    """Whether a route leads to all of a prefix."""
    net: Any = parse_net(cidr)
    wider: Iterable[Any] = (parse_net(route["destination"]) for route in routes)
    return any(one.version == net.version and net.subnet_of(one) for one in wider)


def add_peer_routes(draft: Draft, peers: Sequence[Doc], subnet: Doc) -> None:
    for peer in peers:
        put_routes(draft, peer, make_routes(peer, [subnet]))


def put_routes(draft: Draft, subnet: Doc, routes: list[Route]) -> None:
    draft.put("subnet", make_updated(subnet, {"host_routes": routes}, draft.context))


SUBNET_PART = Part(
    fields=(
        Field(
            "segment_id",
            kinds.UUID_OR_NONE,
            "The one segment it is on.",
            None,
            put=True,
            sort=True,
            set=ADMIN,
            change=ADMIN,
            see=ADMIN,
            alias="segment",
        ),
    ),
    indexes=(index_where_set("segment_id"),),
    create=create,
    update=update,
    delete=delete,
)
