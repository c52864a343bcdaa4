"""Whether new security groups are stateful where the request does not say: for one project, or for the whole cloud."""

from __future__ import annotations

from collections.abc import Sequence

from netloom.intent import kinds
from netloom.intent.draft import Draft
from netloom.intent.errors import conflict
from netloom.intent.extension import Extension
from netloom.intent.operation import Context, Outcome
from netloom.intent.policy_rules import ADMIN_OR_MANAGER, ADMIN_OR_READER
from netloom.intent.schema import GENERATED, Doc, Field, Index, Kind, Resource, Rules, index_by
from netloom.intent.snapshot import Snapshot

KIND = "security_groups_default_statefulness"


def find_statefulness(draft: Draft, project_id: str) -> bool:
    """The project's own setting, else the cloud's, else stateful."""
    for scope in (project_id, None):
        found = draft.lookup(KIND, "scope", scope)
        if found is not None:
            return bool(found["stateful"])
    return True


def create(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    return draft.finish([(KIND, create_setting(draft, body)["id"]) for body in bodies])


def create_setting(draft: Draft, body: Doc) -> Doc:
    """A project_id that is not given is the requester's; null is the whole cloud."""
    project_id = body.get("project_id", draft.context.requester.project_id) or None
    if draft.lookup(KIND, "scope", project_id) is not None:
        raise conflict(
            "SecurityGroupDefaultStatefulnessAlreadyExists",
            f"A security group default statefulness setting already exists for project "
            f"'{project_id or 'system-wide'}'.",
        )
    return draft.put(KIND, {**body, "id": draft.context.new_id(), "project_id": project_id})


def update(snapshot: Snapshot, old: Doc, changes: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    new = {**old, **changes}
    if new != old:
        draft.put(KIND, new)
    return draft.finish([(KIND, old["id"])])


def delete(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    draft.remove(KIND, old["id"])
    return draft.finish()


_PROJECT_OR_ALL = Kind("project", kinds.or_none(kinds.PROJECT.parse), {"type": ["string", "null"], "maxLength": 255})

SECURITY_GROUPS_DEFAULT_STATEFULNESS = Resource(
    KIND,
    KIND,
    "Whether new security groups are stateful where the request does not say.",
    (
        Field("id", kinds.UUID, "The setting's id.", GENERATED, post=False, sort=True),
        Field("project_id", _PROJECT_OR_ALL, "Whose new groups; null: those of all.", GENERATED, sort=True),
        Field("stateful", kinds.BOOL, "Whether they are stateful.", True, put=True, sort=True),
    ),
    Rules(ADMIN_OR_MANAGER, ADMIN_OR_READER, ADMIN_OR_MANAGER, ADMIN_OR_MANAGER),
    indexes=(
        index_by("project_id"),
        Index("scope", lambda doc: (doc["project_id"],), "unique"),
    ),
    create=create,
    update=update,
    delete=delete,
    tags=False,
    alias="security-groups-default-statefulness",
)

EXTENSIONS = (
    Extension(
        "security-groups-default-statefulness",
        "Security Groups Default Statefulness",
        "Whether new security groups are stateful, for a project or for all.",
        "2026-04-13T00:00:00-00:00",
    ),
)
