"""Network segment ranges: numbers that an administrator sets aside for one project, or adds for all.

The ranges of the configuration are shown beside them as `default` ones, which are not stored and do not change.

Law: `used` and `available` are read off the segments that there are; a range never loses a number that is in use.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid5

from netloom.intent import kinds, stamp
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, bad_resource, conflict, invalid_operation
from netloom.intent.extension import Extension
from netloom.intent.l2.segment_choice import KIND, list_configured
from netloom.intent.l2.segments import TYPES
from netloom.intent.operation import Context, Outcome, Requester, Settings
from netloom.intent.policy_rules import ADMIN
from netloom.intent.schema import GENERATED, REQUIRED, Doc, Field, Kind, Resource, Rules, index_by, index_where_set
from netloom.intent.snapshot import Snapshot

NETWORK_TYPES = ("vlan", "vxlan", "gre", "geneve")
MAX_LISTED = 16_384
"""How many of the free numbers of a range are listed, the lowest first: four times what a VLAN range can have."""
_NAMESPACE = UUID("7a6d3ad4-6f0c-5f0e-9d43-5c9d7b1d6a53")
_EPOCH = "1970-01-01T00:00:00Z"

Bucket = tuple[str, str]
Used = Mapping[Bucket, Mapping[int, str]]


def create(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    made = [create_range(draft, body) for body in bodies]
    return Outcome(draft.finish().changes, tuple(describe_all(snapshot, made)))


def create_range(draft: Draft, body: Doc) -> Doc:
    if body["network_type"] not in draft.context.settings.type_drivers:
        raise ApiError(
            400, "NetworkSegmentRangeNetTypeNotSupported",
            f"Network type {body['network_type']} does not support network segment ranges.",
        )  # fmt: skip
    made = stamp.make_created(draft.context.new_id(), {**body, "default": False}, draft.context)
    made["project_id"] = None if made["shared"] else made["project_id"]
    made["physical_network"] = decide_physical(made)
    if not made["shared"] and not made["project_id"]:
        raise invalid_operation("a range that is not shared needs a project_id")
    check_range(made)
    check_overlap(draft, made)
    return draft.put(KIND, made)


def decide_physical(doc: Doc) -> str:
    """The physical network of a range of VLANs; tunnels have none."""
    if doc["network_type"] != "vlan":
        return ""
    if not doc["physical_network"]:
        raise bad_resource(
            KIND, "Network type vlan requires 'physical_network' to be specified while creating new range"
        )
    return str(doc["physical_network"])


def update(snapshot: Snapshot, old: Doc, changes: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    refuse_default(old)
    new = {**old, **changes}
    if count_used(snapshot, old) > count_used(snapshot, old, new):
        raise referenced(old)
    check_range(new)
    check_overlap(draft, new)
    stored = draft.put(KIND, stamp.make_updated(old, changes, context))
    return Outcome(draft.finish().changes, tuple(describe_all(snapshot, [stored])))


def delete(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    refuse_default(old)
    if count_used(snapshot, old):
        raise referenced(old)
    draft.remove(KIND, old["id"])
    return draft.finish()


# -- checks ------------------------------------------------------------------------------------------------------------


def check_range(doc: Doc) -> None:
    """Raises where the numbers are none of the network type, or the last comes before the first."""
    kind, first, last = TYPES[doc["network_type"]], doc["minimum"], doc["maximum"]
    name = "VLAN" if kind.name == "vlan" else "tunnel"
    reason = ""
    for number in (first, last):
        if not kind.first <= number <= kind.last:
            reason = f"{number} is not a valid {kind.name} identifier"
    if not reason and last < first:
        reason = f"End of {name} range is less than start of {name} range"
    if reason:
        raise ApiError(
            400, f"Network{name.capitalize()}RangeError", f"Invalid network {name} range: '{first}:{last}' - {reason}."
        )


def check_overlap(draft: Draft, doc: Doc) -> None:
    """Ranges that administrators made have no number in common. They may lie in those of the configuration."""
    others = [
        other["id"]
        for other in draft.find(KIND, "network_type", doc["network_type"])
        if other["id"] != doc["id"]
        and other["physical_network"] == doc["physical_network"]
        and doc["minimum"] <= other["maximum"]
        and doc["maximum"] >= other["minimum"]
    ]
    if others:
        raise conflict(
            "NetworkSegmentRangeOverlaps", f"Network segment range overlaps with range(s) with id {', '.join(others)}"
        )


def refuse_default(doc: Doc) -> None:
    if doc["default"]:
        raise ApiError(
            400, "NetworkSegmentRangeDefaultReadOnly",
            f"Network Segment Range {doc['id']} is a default segment range which could not be updated or deleted.",
        )  # fmt: skip


def referenced(doc: Doc) -> ApiError:
    return conflict(
        "NetworkSegmentRangeReferencedByProject",
        f"Network Segment Range {doc['id']} is referenced by one or more project networks.",
    )


def count_used(snapshot: Snapshot, doc: Doc, within: Doc | None = None) -> int:
    """How many numbers of a range are taken; of those that lie in the other one too."""
    other = within or doc
    first, last = max(doc["minimum"], other["minimum"]), min(doc["maximum"], other["maximum"])
    return snapshot.count_taken("segment", "number", bucket_of(doc), first, last)


# -- what is shown -----------------------------------------------------------------------------------------------------


def derive_ranges(snapshot: Snapshot, settings: Settings, requester: Requester, id: str | None) -> list[Doc]:
    """Every range, or the one with this id, with what of it is used and what is free."""
    docs = [*make_defaults(settings), *sorted(snapshot.docs(KIND), key=lambda doc: (doc["created_at"], doc["id"]))]
    return describe_all(snapshot, [doc for doc in docs if id is None or doc["id"] == id])


def make_defaults(settings: Settings) -> Iterator[Doc]:
    """The ranges of the configuration. Their ids follow from what they are, so they stay the same."""
    for name in NETWORK_TYPES:
        if name in settings.type_drivers:
            for physical, first, last in list_configured(settings, name):
                yield {
                    "id": str(uuid5(_NAMESPACE, f"{name}/{physical}/{first}/{last}")), "name": "", "default": True,
                    "shared": True, "project_id": None, "network_type": name, "physical_network": physical,
                    "minimum": first, "maximum": last, "description": "", "tags": [], "revision_number": 1,
                    "created_at": _EPOCH, "updated_at": _EPOCH,
                }  # fmt: skip


def describe_all(snapshot: Snapshot, docs: Sequence[Doc]) -> list[Doc]:
    used = find_used(snapshot) if docs else {}
    return [describe(snapshot, doc, used.get(bucket_of(doc), {})) for doc in docs]


def describe(snapshot: Snapshot, doc: Doc, taken: Mapping[int, str]) -> Doc:
    first, last = doc["minimum"], doc["maximum"]
    used = {str(number): taken[number] for number in sorted(taken) if first <= number <= last}
    return {**doc, "used": used, "available": list_free(taken, first, last)}


def list_free(taken: Mapping[int, str], first: int, last: int) -> list[int]:
    found: list[int] = []
    for number in range(first, last + 1):
        if len(found) == MAX_LISTED:
            break
        if number not in taken:
            found.append(number)
    return found


def find_used(snapshot: Snapshot) -> Used:
    """The projects whose networks have each number, by network type and physical network."""
    found: dict[Bucket, dict[int, str]] = defaultdict(dict)
    for segment in snapshot.docs("segment"):
        if segment["segmentation_id"] is not None:
            found[bucket_of(segment)][segment["segmentation_id"]] = segment["project_id"]
    return found


def bucket_of(doc: Doc) -> Bucket:
    return doc["network_type"], doc["physical_network"] or ""


_TYPE = kinds.choice_kind(*NETWORK_TYPES)
_NUMBER = kinds.int_kind(1, 2**32 - 1)
_NUMBERS = Kind("numbers", lambda value: value, {"type": "array", "items": {"type": "integer"}})


def plain_field(name: str, kind: Any, doc: str, default: Any, put: bool = False, post: bool = True) -> Field:
    return Field(name, kind, doc, default, post=post, put=put, filter=False)


NETWORK_SEGMENT_RANGE = Resource(
    KIND,
    "network_segment_ranges",
    "Numbers that the segments of new networks are taken from.",
    stamp.standard_fields(
        plain_field("default", kinds.BOOL, "Whether the configuration has it.", False, post=False),
        plain_field("shared", kinds.BOOL, "Whether every project's networks are taken from it.", True),
        Field("network_type", _TYPE, "vlan, vxlan, gre or geneve.", REQUIRED),
        Field("physical_network", kinds.text_kind(64), "The physical network of VLANs.", ""),
        plain_field("minimum", _NUMBER, "The first number.", REQUIRED, put=True),
        plain_field("maximum", _NUMBER, "The last number.", REQUIRED, put=True),
        plain_field(
            "used", kinds.OBJECT, "Numbers in use, and the project whose network has each.", GENERATED, post=False
        ),
        plain_field("available", _NUMBERS, f"Free numbers, the lowest {MAX_LISTED}.", GENERATED, post=False),
    ),
    Rules(ADMIN, ADMIN, ADMIN, ADMIN),
    indexes=(
        index_where_set("project_id"),
        index_by("network_type"),
    ),
    filters=stamp.STANDARD_FILTERS,
    create=create,
    update=update,
    delete=delete,
    derive=derive_ranges,
    alias="network-segment-range",
)

EXTENSIONS = (
    Extension(
        "network-segment-range",
        "Neutron Network Segment Range",
        "Numbers for the segments of one project's networks, or of all.",
        "2018-11-29T00:00:00-00:00",
    ),
)
