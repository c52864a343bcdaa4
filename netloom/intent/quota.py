"""Quotas: how many of each resource a project may have, and the check that every create makes.

Law: usage is counted from the indexes, never kept beside them, so it cannot be wrong. A quota document holds just
the limits that differ from the defaults. -1 is no limit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from netloom.intent import kinds
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, bad_request, conflict, invalid_input
from netloom.intent.extension import Extension
from netloom.intent.operation import Context, Operation, Outcome, Settings
from netloom.intent.policy_rules import ADMIN, ADMIN_OR_MANAGER
from netloom.intent.schema import Doc, Field, Resource, Rules
from netloom.intent.snapshot import Change, Snapshot

DEFAULTS = {
    "network": 100,
    "subnet": 100,
    "subnetpool": -1,
    "port": 500,
    "rbac_policy": 10,
    "router": 10,
    "router_route": 30,
    "trunk": -1,
    "floatingip": 50,
    "security_group": 10,
    "security_group_rule": 100,
}
UNLIMITED = -1
MAX_LIMIT = 2**31 - 1


def find_limit(source: Snapshot | Draft, settings: Settings, project_id: str, resource: str) -> int:
    """The limit of one resource in one project; -1: none."""
    stored = source.get("quota", project_id)
    if stored is not None and resource in stored["limits"]:
        limit: int = stored["limits"][resource]
        return limit
    return default_limit(settings, resource)


def default_limit(settings: Settings, resource: str) -> int:
    return settings.quotas.get(resource, DEFAULTS[resource])


def check_quota(draft: Draft, resource: str, bodies: Sequence[Doc]) -> None:
    """Raises OverQuota where a project would have more of `resource` than it may, with all the bodies together."""
    requester = draft.context.requester.project_id
    new = Counter([body.get("project_id") or requester for body in bodies])
    for project_id, count in new.items():
        limit = find_limit(draft, draft.context.settings, project_id, resource)
        if 0 <= limit < draft.count_in(resource, "project_id", project_id) + count:
            raise conflict("OverQuota", f"Quota exceeded for resources: ['{resource}'].")


# -- what the API shows ------------------------------------------------------------------------------------------------


def read_quota(snapshot: Snapshot, settings: Settings, project_id: str) -> Doc:
    """GET /quotas/{project}: the limits in force."""
    return {name: find_limit(snapshot, settings, project_id, name) for name in DEFAULTS}


def read_default_quota(settings: Settings) -> Doc:
    """GET /quotas/{project}/default."""
    return {name: default_limit(settings, name) for name in DEFAULTS}


def read_quota_details(snapshot: Snapshot, settings: Settings, project_id: str) -> Doc:
    """GET /quotas/{project}/details.json: limit, use and reservations (there are none: nothing is created in parts)."""
    return {
        name: {
            "limit": find_limit(snapshot, settings, project_id, name),
            "used": snapshot.count_in(name, "project_id", project_id),
            "reserved": 0,
        }
        for name in DEFAULTS
    }


def list_quotas(snapshot: Snapshot, settings: Settings) -> list[Doc]:
    """GET /quotas: the projects that have limits of their own."""
    ids = sorted(snapshot.records("quota"))
    return [{**read_quota(snapshot, settings, id), "project_id": id} for id in ids]


# -- operations --------------------------------------------------------------------------------------------------------


def parse_quota(body: Mapping[str, Any]) -> tuple[dict[str, int], bool]:
    """The limits that an update gives, and whether it insists (force). Raises ApiError 400."""
    force = body.get("force") is True
    given = {name: value for name, value in body.items() if name not in ("force", "check_limit")}
    unknown = sorted(str(name) for name in given if name not in DEFAULTS)
    if unknown:
        raise bad_request(f"Unrecognized attribute(s) '{', '.join(unknown)}'")
    return {name: parse_limit(name, value) for name, value in given.items()}, force


def parse_limit(name: str, value: Any) -> int:
    try:
        limit: int = kinds.parse_any_int(value)
    except ValueError as error:
        raise invalid_input(name, str(error)) from None
    if not UNLIMITED <= limit <= MAX_LIMIT:
        raise invalid_input(name, f"'{kinds.show(value)}' is not in the range -1 to {MAX_LIMIT}")
    return limit


def make_quota_update(project_id: str, body: Mapping[str, Any]) -> Operation:
    """PUT /quotas/{project}: answers the limits then in force. A limit below what is used is refused unless forced."""
    limits, force = parse_quota(body)

    def update_quota(snapshot: Snapshot, context: Context) -> Outcome:
        if not force:
            check_use(snapshot, project_id, limits)
        old = snapshot.get("quota", project_id)
        own = {**(old["limits"] if old else {}), **limits}
        doc = {"id": project_id, "project_id": project_id, "limits": own}
        shown = {name: own.get(name, default_limit(context.settings, name)) for name in DEFAULTS}
        return Outcome((Change("quota", project_id, doc),) if doc != old else (), (shown,))

    return update_quota


def check_use(snapshot: Snapshot, project_id: str, limits: Mapping[str, int]) -> None:
    for name, limit in limits.items():
        used = snapshot.count_in(name, "project_id", project_id)
        if 0 <= limit < used:
            raise bad_request(f"Quota limit {limit} for {name} must be greater than or equal to already used {used}")


def make_quota_delete(project_id: str) -> Operation:
    """DELETE /quotas/{project}: the defaults hold again."""

    def delete_quota(snapshot: Snapshot, context: Context) -> Outcome:
        if snapshot.get("quota", project_id) is None:
            raise ApiError(404, "TenantQuotaNotFound", f"Quota for project {project_id} could not be found.")
        return Outcome((Change("quota", project_id, None),))

    return delete_quota


_LIMIT = kinds.int_kind(UNLIMITED, MAX_LIMIT)

QUOTA = Resource(
    "quota",
    "quotas",
    "How many of each resource a project may have.",
    (
        Field("project_id", kinds.PROJECT, "The project.", "", post=False),
        *(
            Field(name, _LIMIT, f"How many {name}s; -1: no limit.", limit, post=False, put=True, filter=False)
            for name, limit in DEFAULTS.items()
        ),
    ),
    Rules(None, ADMIN_OR_MANAGER, ADMIN, ADMIN),
    tags=False,
    alias="quotas",
)

EXTENSIONS = (
    Extension(
        "quota-check-limit",
        "Quota engine limit check",
        "A limit below what is used is refused.",
        "2021-09-08T16:00:00-00:00",
    ),
    Extension(
        "quota-check-limit-default",
        "Quota engine limit check by default",
        "It is refused unless the request insists.",
        "2024-08-21T16:00:00-00:00",
    ),
)
