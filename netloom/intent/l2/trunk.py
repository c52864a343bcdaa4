"""Trunks: one port of an instance that carries others, each told by a VLAN tag of its own.

Law: a port is the parent of one trunk at most, or a subport of one at most, never both; a tag names one subport.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netloom.intent import kinds, stamp
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, conflict, invalid_operation, not_found
from netloom.intent.extension import Extension
from netloom.intent.l2.binding import HOST
from netloom.intent.l2.segments import NETWORK_TYPE, SEGMENTATION_ID
from netloom.intent.l2.trunk_port import (
    DETAILS,
    DOWN,
    ERROR,
    TRUNK_ID,
    hide_details,
    put_trunk,
    release_subports,
)
from netloom.intent.operation import Context, Outcome
from netloom.intent.policy_rules import ADMIN_OR_MEMBER, ADMIN_OR_READER
from netloom.intent.quota import DEFAULTS, check_quota
from netloom.intent.schema import GENERATED, REQUIRED, Action, Doc, Field, Index, Kind, Resource, Rules, index_by
from netloom.intent.snapshot import Snapshot

VLAN, INHERIT = "vlan", "inherit"
FIRST_TAG, LAST_TAG = 1, 4094
"""IEEE 802.1Q: 0 is no VLAN, 4095 is reserved."""

Subport = dict[str, Any]


def create(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    check_quota(draft, "trunk", bodies)
    return draft.finish([("trunk", create_trunk(draft, body)["id"]) for body in bodies])


def create_trunk(draft: Draft, body: Doc) -> Doc:
    """Raises ApiError where the parent or a subport is not there, or is used for something else."""
    parent = find_parent(draft, body["port_id"])
    trunk = stamp.make_created(draft.context.new_id(), {**body, "sub_ports": [], "status": DOWN}, draft.context)
    trunk["sub_ports"] = resolve_subports(draft, trunk, parent, body["sub_ports"])
    return put_trunk(draft, trunk)


def update(snapshot: Snapshot, old: Doc, changes: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    draft.put("trunk", stamp.make_updated(old, changes, context))
    return draft.finish([("trunk", old["id"])])


def delete(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
    """Delete the trunk; its ports stay. Raises TrunkInUse while the parent is on a host: the instance has it."""
    draft = Draft(snapshot, context)
    check_enabled(old)
    parent = draft.get("port", old["port_id"])
    if parent is not None and parent[HOST]:
        raise conflict("TrunkInUse", f"Trunk {old['id']} is currently in use.")
    release_subports(draft, old["sub_ports"])
    hide_details(draft, old)
    draft.remove("trunk", old["id"])
    return draft.finish()


def check_enabled(trunk: Doc) -> None:
    if not trunk["admin_state_up"]:
        raise conflict("TrunkDisabled", f"Trunk {trunk['id']} is currently disabled.")


# -- subports ----------------------------------------------------------------------------------------------------------


def add_subports(snapshot: Snapshot, old: Doc, given: Sequence[Subport], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    parent = draft.get("port", old["port_id"])
    added = resolve_subports(draft, old, parent, given)
    check_enabled(old)
    if old["status"] == ERROR:
        raise conflict(
            "TrunkInErrorState",
            f"Trunk {old['id']} is in error state. Attempt to resolve the error condition before proceeding.",
        )
    put_trunk(draft, stamp.make_updated(old, {"sub_ports": [*old["sub_ports"], *added]}, context))
    return draft.finish([("trunk", old["id"])])


def remove_subports(snapshot: Snapshot, old: Doc, given: Sequence[Subport], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    check_enabled(old)
    there = {one["port_id"]: one for one in old["sub_ports"]}
    for one in given:
        if there.pop(one["port_id"], None) is None:
            raise ApiError(404, "SubPortNotFound", f"SubPort {one['port_id']} on trunk {old['id']} could not be found.")
    release_subports(draft, given)
    put_trunk(draft, stamp.make_updated(old, {"sub_ports": list(there.values())}, context))
    return draft.finish([("trunk", old["id"])])


def get_subports(snapshot: Snapshot, old: Doc, given: Any, context: Context) -> Outcome:
    return Outcome((), ({"sub_ports": old["sub_ports"]},))


def resolve_subports(draft: Draft, trunk: Doc, parent: Doc | None, given: Sequence[Subport]) -> list[Subport]:
    """The subports with their tags. Raises ApiError for the first that cannot be one, in the order of the request."""
    taken = {(one["segmentation_type"], one["segmentation_id"]) for one in trunk["sub_ports"]}
    most, found = find_mtu(draft, parent), []
    for one in given:
        subport = resolve_subport(draft, trunk, one, most)
        tag = (subport["segmentation_type"], subport["segmentation_id"])
        if tag in taken:
            raise conflict(
                "DuplicateSubPort",
                f"segmentation_type {tag[0]} and segmentation_id {tag[1]} already in use on trunk {trunk['id']}.",
            )
        taken.add(tag)
        found.append(subport)
    return found


def resolve_subport(draft: Draft, trunk: Doc, given: Subport, most: int) -> Subport:
    id = given["port_id"]
    if id == trunk["port_id"]:
        raise parent_in_use(id)
    port = draft.get("port", id)
    mtu = find_mtu(draft, port)
    if 0 < most < mtu:
        raise conflict(
            "SubPortMtuGreaterThanTrunkPortMtu",
            f"MTU {mtu} of subport {id} cannot be greater than MTU {most} of trunk {trunk['port_id']}.",
        )
    tagged = inherit_tag(draft, given, port) if given.get("segmentation_type") == INHERIT else given
    tag = check_tag(tagged)
    check_free(draft, id)
    refuse_device(find_port(draft, id))
    return {"port_id": id, "segmentation_type": tagged["segmentation_type"], "segmentation_id": tag}


def inherit_tag(draft: Draft, given: Subport, port: Doc | None) -> Subport:
    """The subport with the number of its own network's segment, as far as that has one."""
    network = draft.get("network", port["network_id"]) if port else None
    if network is None:
        return given
    return {
        "port_id": given["port_id"],
        "segmentation_type": network.get(NETWORK_TYPE),
        "segmentation_id": network.get(SEGMENTATION_ID),
    }


def check_tag(given: Subport) -> int:
    """The number of a subport's VLAN. Raises InvalidInput."""
    if "segmentation_type" not in given or "segmentation_id" not in given:
        raise invalid_operation(
            f"Invalid subport details '{kinds.show(given)}': missing segmentation information. Must specify both "
            "segmentation_id and segmentation_type"
        )
    name, value = given["segmentation_type"], given["segmentation_id"]
    try:
        number = kinds.parse_any_int(value)
    except ValueError:
        raise invalid_operation(
            f"Invalid subport details: segmentation_id '{kinds.show(value)}' is not an integer"
        ) from None
    if name != VLAN:
        raise invalid_operation(f"Unknown segmentation_type '{kinds.show(name)}'")
    if not FIRST_TAG <= number <= LAST_TAG:
        raise invalid_operation(f"Segmentation ID '{number}' is not in range")
    return number


# -- ports -------------------------------------------------------------------------------------------------------------


def find_parent(draft: Draft, id: str) -> Doc:
    """The port that may become a trunk: there, in no trunk, and on no host."""
    check_free(draft, id)
    port = find_port(draft, id)
    if port[HOST]:
        raise parent_in_use(id)
    return port


def check_free(draft: Draft, id: str) -> None:
    """Raises where the port is in a trunk already."""
    port = draft.get("port", id)
    if port is not None and TRUNK_ID in port:
        raise conflict("TrunkPortInUse", f"Port {id} is in use by another trunk.")
    if port is not None and DETAILS in port:
        raise parent_in_use(id)


def parent_in_use(id: str) -> ApiError:
    return conflict("ParentPortInUse", f"Port {id} is currently in use and is not eligible for use as a parent port.")


def refuse_device(port: Doc) -> None:
    """A port that something is plugged into already is no subport."""
    if port["device_id"]:
        raise conflict(
            "PortInUse",
            f"Unable to complete operation on port {port['id']} for network {port['network_id']}. Port already has an "
            f"attached device {port['device_id']}.",
        )


def find_port(draft: Draft, id: str) -> Doc:
    """The port, where the requester may know of it: theirs, or on a network of theirs. Raises PortNotFound."""
    port, requester = draft.get("port", id), draft.context.requester
    if port is None:
        raise not_found("port", id)
    if requester.is_admin or "service" in requester.roles or port["project_id"] == requester.project_id:
        return port
    network = draft.get("network", port["network_id"])
    if network is None or network["project_id"] != requester.project_id:
        raise not_found("port", id)
    return port


def find_mtu(draft: Draft, port: Doc | None) -> int:
    """The MTU of the port's network; 0: not known."""
    network = draft.get("network", port["network_id"]) if port else None
    return network["mtu"] if network else 0


# -- parsing -----------------------------------------------------------------------------------------------------------


def parse_subports(value: Any) -> list[Subport]:
    """Subports as a request names them: each port once, each tag once, and a tag in full or not at all."""
    if not isinstance(value, list):
        raise ValueError(f"Invalid data format for subports: '{kinds.show(value)}' is not a list")
    ids: set[str] = set()
    tags: list[tuple[Any, Any]] = []
    found = []
    for one in value:
        subport = parse_subport(one)
        if subport["port_id"] in ids:
            raise ValueError(f"Non unique UUID for subport: '{subport['port_id']}'")
        ids.add(subport["port_id"])
        tag = (subport.get("segmentation_type"), subport.get("segmentation_id"))
        if tag[0] != INHERIT and tag[1] is not None:
            if tag in tags:
                raise ValueError(f"Segmentation ID '{tag[1]}' for '{subport['port_id']}' is not unique")
            tags.append(tag)
        found.append(subport)
    return found


def parse_subport(value: Any) -> Subport:
    if not isinstance(value, dict):
        raise ValueError(f"Invalid data format for subport: '{kinds.show(value)}' is not a dict")
    if "port_id" not in value:
        raise ValueError("A valid port UUID must be specified")
    try:
        id = kinds.parse_uuid(value["port_id"])
    except ValueError:
        raise ValueError(f"Invalid UUID for subport: '{kinds.show(value['port_id'])}'") from None
    whole = value.get("segmentation_type") and value.get("segmentation_id") is not None
    if value.get("segmentation_type") != INHERIT and not whole and len(value) > 1:
        raise ValueError(
            f"Invalid subport details '{kinds.show(value)}': missing segmentation information. Must specify both "
            "segmentation_id and segmentation_type"
        )
    return {**{k: value[k] for k in ("segmentation_type", "segmentation_id") if k in value}, "port_id": id}


def parse_body(body: Mapping[str, Any]) -> list[Subport]:
    """The body of add_subports and remove_subports. Raises InvalidInput."""
    try:
        return parse_subports(body.get("sub_ports"))
    except ValueError as error:
        raise invalid_operation(str(error)) from None


_SUBPORT_SCHEMA = {
    "type": "object",
    "properties": {
        "port_id": {"type": "string", "format": "uuid"},
        "segmentation_type": {"enum": [VLAN, INHERIT]},
        "segmentation_id": {"type": "integer", "minimum": FIRST_TAG, "maximum": LAST_TAG},
    },
    "required": ["port_id"],
}
_LIST_SCHEMA = {"type": "array", "items": _SUBPORT_SCHEMA}
_BODY_SCHEMA = {"type": "object", "properties": {"sub_ports": _LIST_SCHEMA}, "required": ["sub_ports"]}
_SUBPORTS = Kind("sub_ports", parse_subports, _LIST_SCHEMA)

TRUNK = Resource(
    "trunk",
    "trunks",
    "A port that carries other ports, each under a VLAN tag.",
    stamp.standard_fields(
        Field("admin_state_up", kinds.BOOL, "Whether its subports may change.", True, put=True, sort=True),
        Field("port_id", kinds.UUID, "The parent, for life.", REQUIRED, sort=True),
        Field(
            "status", kinds.NAME, "ACTIVE once its ports are; ERROR where one cannot be bound.", GENERATED, post=False,
            sort=True,
        ),
        Field(
            "sub_ports", _SUBPORTS, "The ports that it carries: port_id, segmentation_type, segmentation_id.", [],
            filter=False,
        ),
    ),
    Rules(ADMIN_OR_MEMBER, ADMIN_OR_READER, ADMIN_OR_MEMBER, ADMIN_OR_MEMBER),
    indexes=(
        index_by("project_id"),
        Index("port_id", lambda doc: (doc["port_id"],), "unique"),
    ),
    filters=stamp.STANDARD_FILTERS,
    create=create,
    update=update,
    delete=delete,
    quota=DEFAULTS["trunk"],
    alias="trunk",
    actions=(
        Action(
            "add_subports", "Add subports.", add_subports, ADMIN_OR_MEMBER, parse_body, schema=_BODY_SCHEMA,
            alias="trunk",
        ),
        Action(
            "remove_subports", "Take subports out; the ports stay.", remove_subports, ADMIN_OR_MEMBER, parse_body,
            schema=_BODY_SCHEMA, alias="trunk",
        ),
        Action(
            "get_subports", "The subports alone.", get_subports, ADMIN_OR_READER, method="GET", shows=False,
            answer_schema=_BODY_SCHEMA, alias="trunk",
        ),
    ),
)  # fmt: skip

EXTENSIONS = (
    Extension("trunk", "Trunk Extension", "Ports that carry other ports.", "2016-01-01T10:00:00-00:00"),
    Extension("trunk-details", "Trunk port details", "The trunk of a parent port.", "2016-01-01T10:00:00-00:00"),
)
