"""The segments of networks as a resource: an administrator adds and removes them one by one, and names them.

Law: a network shows the segments that there are; a segment that a subnet or a bound port needs stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from netloom.intent import kinds, stamp
from netloom.intent.addressing.addresses import AUTO_DELETED_OWNERS
from netloom.intent.agents.agent import rebind_failed
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, conflict, not_found
from netloom.intent.extension import Extension
from netloom.intent.l2.multi_provider import NUMBER, PHYSICAL, TYPE
from netloom.intent.l2.network import decide_mtu
from netloom.intent.l2.port import remove_port
from netloom.intent.l2.segments import (
    PROVIDER,
    Wanted,
    check_wanted,
    complete,
    find_max_mtu,
    find_segments,
    number_keys,
    provider_values,
    put_segment,
)
from netloom.intent.operation import Context, Outcome
from netloom.intent.policy_rules import ADMIN
from netloom.intent.qos.qos_use import refresh_network
from netloom.intent.schema import REQUIRED, Doc, Field, Index, Kind, Resource, Rules, index_by
from netloom.intent.snapshot import Snapshot


def create(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    return draft.finish([("segment", create_segment(draft, body)["id"]) for body in bodies])


def create_segment(draft: Draft, body: Doc) -> Doc:
    """Another segment of a network, after those it has; ports that no host could carry are tried again on it.

    Raises where it is taken, or carries less than the network's MTU.
    """
    network = draft.get("network", body["network_id"])
    if network is None:
        raise not_found("network", body["network_id"])
    wanted = Wanted(body["network_type"], body["physical_network"] or None, body["segmentation_id"])
    check_wanted(draft, wanted)
    position = max((segment["position"] for segment in find_segments(draft, network["id"])), default=-1) + 1
    found = complete(draft, wanted, network["project_id"])
    segment = put_segment(draft, network, position, found, body["name"], body["description"])
    decide_mtu(network["mtu"], find_max_mtu(find_segments(draft, network["id"]), draft.context.settings))
    show_segments(draft, network["id"])
    rebind_failed(draft, draft.find("port", "network_id", network["id"]))
    return segment


def update(snapshot: Snapshot, old: Doc, changes: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    draft.put("segment", stamp.make_updated(old, changes, context))
    return draft.finish([("segment", old["id"])])


def delete(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    subnets = sorted(draft.find_ids("subnet", "segment_id", old["id"]))
    if subnets:
        raise in_use(old["id"], f"The segment is still associated with subnet(s) {', '.join(subnets)}")
    bound = [p for p in draft.find("port", "network_id", old["network_id"]) if p["bound_segment"] == old["id"]]
    if any(port["device_owner"] not in AUTO_DELETED_OWNERS for port in bound):
        raise in_use(old["id"], f"The segment is still bound with {len(bound)} port(s)")
    for port in bound:
        remove_port(draft, port)
    draft.remove("segment", old["id"])
    show_segments(draft, old["network_id"])
    return draft.finish()


def in_use(id: str, reason: str) -> ApiError:
    return conflict("SegmentInUse", f"Segment '{id}' cannot be deleted: {reason}.")


def show_segments(draft: Draft, network_id: str) -> None:
    """Keep what the network shows of its segments in step with them. No revision of the network's."""
    network = draft.get("network", network_id)
    if network is None:
        return
    rest = {name: value for name, value in network.items() if name not in (*PROVIDER, "segments")}
    draft.put("network", {**rest, **provider_values(find_segments(draft, network_id))})
    refresh_network(draft, network_id)


_NAME = Kind("name", kinds.or_none(kinds.parse_name), {"type": ["string", "null"], "maxLength": 255})

FIELDS = stamp.standard_fields(
    Field("network_id", kinds.UUID, "The network that it carries, for life.", REQUIRED, sort=True),
    Field("name", _NAME, "A name for people.", None, put=True, sort=True),
    Field("network_type", TYPE, "local, flat, vlan, vxlan, gre or geneve.", REQUIRED, sort=True),
    Field("physical_network", PHYSICAL, "The physical network of flat and vlan.", None, sort=True),
    Field(
        "segmentation_id", NUMBER, "The VLAN, VNI or key; chosen where none is named.", None, filter=False, sort=True
    ),
    Field("position", kinds.COUNT, "Its place among the network's.", 0, post=False, visible=False),
    name=False,
    tags=False,
)

SEGMENT = Resource(
    "segment",
    "segments",
    "How the frames of a network travel: an encapsulation and its number.",
    tuple(replace(f, visible=False) if f.name == "project_id" else f for f in FIELDS),
    Rules(ADMIN, ADMIN, ADMIN, ADMIN),
    indexes=(
        index_by("network_id"),
        Index("number", number_keys, "bits"),
    ),
    filters=(stamp.CHANGED_SINCE,),
    create=create,
    update=update,
    delete=delete,
    tags=False,
    alias="segment",
)

EXTENSIONS = (
    Extension("segment", "Segment", "The segments of networks, one by one.", "2016-02-24T17:00:00-00:00"),
    Extension(
        "standard-attr-segment",
        "Standard Attribute Segment Extension",
        "Descriptions, revisions and times of segments.",
        "2018-04-09T10:00:00-00:00",
    ),
    Extension(
        "subnet-segmentid-writable",
        "Subnet SegmentID (writable)",
        "A subnet may be put on its network's segment later.",
        "2018-03-12T00:00:00-00:00",
    ),
    Extension(
        "segments-peer-subnet-host-routes",
        "Segments peer-subnet host routes",
        "Subnets of a routed network have routes to each other.",
        "2018-06-12T10:00:00-00:00",
    ),
)
