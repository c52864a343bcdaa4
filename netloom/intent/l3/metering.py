"""Metering: labels that traffic of a project's routers is counted under, and the rules that say which traffic.

Law: rules of one label, direction and sense do not overlap in their remote prefix; they go with their label.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_interface
from typing import Any

from netloom.intent import kinds
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, conflict, not_found
from netloom.intent.extension import Extension
from netloom.intent.l3.router_access import owns
from netloom.intent.operation import Context, Outcome
from netloom.intent.policy_rules import ADMIN_OR_MANAGER, ADMIN_OR_READER
from netloom.intent.schema import GENERATED, REQUIRED, Doc, Field, Kind, Resource, Rules, index_by
from netloom.intent.snapshot import Snapshot

PREFIXES = ("remote_ip_prefix", "source_ip_prefix", "destination_ip_prefix")


def create_labels(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    return draft.finish([("metering_label", put_owned(draft, "metering_label", body)["id"]) for body in bodies])


def put_owned(draft: Draft, kind: str, body: Doc) -> Doc:
    project = body.get("project_id") or draft.context.requester.project_id
    return draft.put(kind, {"id": draft.context.new_id(), **body, "project_id": project})


def delete_label(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    for id in list(draft.find_ids("metering_label_rule", "metering_label_id", old["id"])):
        draft.remove("metering_label_rule", id)
    draft.remove("metering_label", old["id"])
    return draft.finish()


def create_rules(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    return draft.finish([("metering_label_rule", create_rule(draft, body)["id"]) for body in bodies])


def create_rule(draft: Draft, body: Doc) -> Doc:
    check_prefixes(body)
    check_overlap(draft, body)
    label = draft.get("metering_label", body["metering_label_id"])
    if label is None or not owns(draft, label):
        raise not_found("metering_label", body["metering_label_id"])
    return put_owned(draft, "metering_label_rule", body)


def check_prefixes(rule: Doc) -> None:
    """One remote prefix, or a source, a destination or both."""
    given = [name for name in PREFIXES if rule[name]]
    if not given:
        raise ApiError(
            400, "Invalid",
            "You must define at least one of the following parameters 'remote_ip_prefix', or 'source_ip_prefix' or "
            "'destination_ip_prefix'.",
        )  # fmt: skip
    if "remote_ip_prefix" in given and len(given) > 1:
        raise ApiError(
            400, "Invalid",
            "Cannot use 'remote-ip-prefix' in conjunction with 'source-ip-prefix' or 'destination-ip-prefix'.",
        )  # fmt: skip


def check_overlap(draft: Draft, rule: Doc) -> None:
    """Raises MeteringLabelRuleOverlaps where traffic would be counted twice, or both counted and left out."""
    wanted = rule["remote_ip_prefix"]
    if not wanted:
        return
    for other in draft.find("metering_label_rule", "metering_label_id", rule["metering_label_id"]):
        same = all(other[name] == rule[name] for name in ("direction", "excluded"))
        if same and other["remote_ip_prefix"] and meet(other["remote_ip_prefix"], wanted):
            raise conflict(
                "MeteringLabelRuleOverlaps",
                f"Metering label rule with remote_ip_prefix '{wanted}' overlaps another.",
            )


def meet(one: str, other: str) -> bool:
    """Whether two prefixes of one IP version have an address in common."""
    first, second = ip_interface(one).network, ip_interface(other).network
    return first.version == second.version and first.overlaps(second)


def delete_rule(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    draft.remove("metering_label_rule", old["id"])
    return draft.finish()


def parse_prefix(value: Any) -> str | None:
    """An address with the length of its prefix, which is all of it where none is given; null or nothing is none."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or "%" in value:
        raise ValueError(f"'{kinds.show(value)}' is not a valid IP subnet")
    try:
        return str(ip_interface(value))
    except ValueError:
        raise ValueError(f"'{kinds.show(value)}' is not a valid IP subnet") from None


PREFIX = Kind("prefix", parse_prefix, {"type": ["string", "null"], "format": "cidr"})
_SIDES = "metering_source_and_destination_fields"

METERING_LABEL = Resource(
    "metering_label",
    "metering_labels",
    "What traffic of a project is counted under.",
    (
        Field("id", kinds.UUID, "The object's id.", GENERATED, post=False, sort=True),
        Field("name", kinds.NAME, "A name for people.", "", sort=True),
        Field("description", kinds.LONG_TEXT, "Words for people.", "", sort=True),
        Field("project_id", kinds.PROJECT, "The project that owns it.", GENERATED, sort=True),
        Field("shared", kinds.BOOL, "Whether the routers of every project are counted.", False, sort=True),
    ),
    Rules(ADMIN_OR_MANAGER, ADMIN_OR_READER, None, ADMIN_OR_MANAGER),
    indexes=(index_by("project_id"),),
    create=create_labels,
    delete=delete_label,
    tags=False,
    alias="metering",
    url="metering/metering-labels",
)

METERING_LABEL_RULE = Resource(
    "metering_label_rule",
    "metering_label_rules",
    "Which traffic a label counts.",
    (
        Field("id", kinds.UUID, "The object's id.", GENERATED, post=False, sort=True),
        Field("metering_label_id", kinds.UUID, "The label.", REQUIRED, sort=True),
        Field(
            "direction", kinds.choice_kind("ingress", "egress"), "Into or out of the external network.", REQUIRED,
            sort=True,
        ),
        Field("excluded", kinds.BOOL, "Whether it is left out of the count.", False, sort=True),
        Field("remote_ip_prefix", PREFIX, "Whom the project's machines speak with.", None, sort=True),
        Field("source_ip_prefix", PREFIX, "Where packets come from.", None, sort=True, alias=_SIDES),
        Field("destination_ip_prefix", PREFIX, "Where packets go to.", None, sort=True, alias=_SIDES),
        Field("project_id", kinds.PROJECT, "The project that owns it.", GENERATED, visible=False, filter=False),
    ),
    Rules(ADMIN_OR_MANAGER, ADMIN_OR_READER, None, ADMIN_OR_MANAGER),
    indexes=(
        index_by("project_id"),
        index_by("metering_label_id"),
    ),
    create=create_rules,
    delete=delete_rule,
    tags=False,
    alias="metering",
    url="metering/metering-label-rules",
)  # fmt: skip

EXTENSIONS = (
    Extension("metering", "Neutron Metering", "Traffic of routers is counted.", "2013-06-12T10:00:00-00:00"),
    Extension(
        "metering_source_and_destination_fields", "Neutron Metering with source and destination filtering",
        "Traffic is counted by where it comes from and goes to.", "2020-08-21T08:12:00-00:00",
    ),
)  # fmt: skip
