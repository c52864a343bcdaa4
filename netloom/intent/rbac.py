"""RBAC policies: who besides its owner may use an object. A grant is a document of its own.

Law: an object's own document says only what holds for everyone ("*"); what holds for one project is found by index,
so thousands of grants on a network make neither the network nor a list of networks slower.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from netloom.intent import kinds
from netloom.intent.draft import Draft
from netloom.intent.errors import conflict, invalid_operation, not_found
from netloom.intent.extension import Extension
from netloom.intent.operation import Context, Outcome, Requester
from netloom.intent.policy_rules import ADMIN, ADMIN_OR_MEMBER, ADMIN_OR_READER, any_of
from netloom.intent.quota import DEFAULTS, check_quota
from netloom.intent.schema import (
    GENERATED,
    REQUIRED,
    Catalog,
    Doc,
    Field,
    Index,
    Kind,
    Resource,
    Rules,
    Sharing,
    index_by,
)
from netloom.intent.snapshot import Snapshot
from netloom.intent.stamp import make_updated

EVERYONE = "*"
SHARED, EXTERNAL = "access_as_shared", "access_as_external"
KINDS: Mapping[str, str] = {
    "network": "network", "qos_policy": "policy", "security_group": "security_group", "subnetpool": "subnetpool",
    "address_scope": "address_scope", "address_group": "address_group",
}  # fmt: skip
"""Which resource an object_type of the API is."""
TYPES = {kind: object_type for object_type, kind in KINDS.items()}


def grant_key(object_type: str, object_id: str, action: str, target: str) -> tuple[str, str, str, str]:
    return (object_type, object_id, action, target)


def is_granted(source: Snapshot | Draft, kind: str, id: str, action: str, project_id: str) -> bool:
    """Whether the project has a grant of its own."""
    return source.lookup("rbac_policy", "grant", grant_key(TYPES[kind], id, action, project_id)) is not None


def find_granted(snapshot: Snapshot, kind: str, action: str, project_id: str) -> Iterator[str]:
    """The ids of the objects of a kind that the project has a grant of its own for."""
    found = snapshot.find("rbac_policy", "target", (TYPES[kind], action, project_id))
    return (grant["object_id"] for grant in found)


def find_grants(source: Snapshot | Draft, kind: str, id: str, action: str) -> list[Doc]:
    found = source.find("rbac_policy", "object_id", id)
    return [grant for grant in found if grant["object_type"] == TYPES[kind] and grant["action"] == action]


def may_use(source: Snapshot | Draft, kind: str, doc: Doc, requester: Requester) -> bool:
    """Whether the object is the requester's own, or shared with the requester's project."""
    if requester.is_admin or doc["shared"] or doc["project_id"] == requester.project_id:
        return True
    return is_granted(source, kind, doc["id"], SHARED, requester.project_id)


# -- for the resources that are shared ---------------------------------------------------------------------------------


def share_with_all(draft: Draft, kind: str, doc: Doc, action: str = SHARED) -> None:
    """The grant to everyone that an object's own attribute (shared, router:external) stands for."""
    if is_granted(draft, kind, doc["id"], action, EVERYONE):
        return
    grant = {"object_type": TYPES[kind], "object_id": doc["id"], "action": action, "target_tenant": EVERYONE}
    draft.put("rbac_policy", {"id": draft.context.new_id(), "project_id": doc["project_id"], **grant})


def unshare_with_all(draft: Draft, kind: str, doc: Doc, action: str = SHARED) -> None:
    """Withdraw the grant to everyone; whether others use the object is for the caller to have looked at."""
    grant = draft.lookup("rbac_policy", "grant", grant_key(TYPES[kind], doc["id"], action, EVERYONE))
    if grant is not None:
        draft.remove("rbac_policy", grant["id"])


def drop_grants(draft: Draft, kind: str, id: str, action: str = "") -> None:
    """The object is gone, and so are the grants for it; or it is not open to an action any more."""
    for grant in list(draft.find("rbac_policy", "object_id", id)):
        if grant["object_type"] == TYPES[kind] and action in ("", grant["action"]):
            draft.remove("rbac_policy", grant["id"])


# -- operations --------------------------------------------------------------------------------------------------------


def create(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    check_quota(draft, "rbac_policy", bodies)
    return draft.finish([("rbac_policy", create_grant(draft, body)["id"]) for body in bodies])


def create_grant(draft: Draft, body: Doc) -> Doc:
    sharing, target = find_sharing(draft.base.catalog, body["object_type"], body["action"]), body["target_tenant"]
    sharing.check(draft, find_own_object(draft, body), target)
    key = grant_key(body["object_type"], body["object_id"], body["action"], target)
    if draft.lookup("rbac_policy", "grant", key) is not None:
        raise conflict("DuplicateRbacPolicy", "An RBAC policy already exists with those values.")
    project = body.get("project_id") or draft.context.requester.project_id
    grant = draft.put("rbac_policy", {"id": draft.context.new_id(), **body, "project_id": project})
    show_grants(draft, sharing, grant)
    return grant


def find_sharing(catalog: Catalog, object_type: str, action: str) -> Sharing:
    """How objects of the type are opened by the action. Raises InvalidActionForType."""
    resource = catalog.get(KINDS[object_type])
    sharings = {sharing.action: sharing for sharing in resource.sharing} if resource else {}
    if action not in sharings:
        raise invalid_operation(
            f"Invalid action '{kinds.show(action)}' for object type '{object_type}'. Valid actions: "
            f"{', '.join(sorted(sharings))}",
            type="InvalidActionForType",
        )
    return sharings[action]


def find_own_object(draft: Draft, grant: Doc) -> Doc:
    """What the grant is for. Raises the object's 404, and InvalidInput for one that is another project's."""
    kind, requester = KINDS[grant["object_type"]], draft.context.requester
    doc = draft.get(kind, grant["object_id"])
    if doc is None:
        raise not_found(kind, grant["object_id"])
    if requester.is_admin or doc["project_id"] == requester.project_id:
        return doc
    raise invalid_operation(f"Only admins can manipulate policies on {kind} objects they do not own")


def show_grants(draft: Draft, sharing: Sharing, grant: Doc) -> None:
    """The object's own document after a grant came or went."""
    kind, id = KINDS[grant["object_type"]], grant["object_id"]
    doc = draft.get(kind, id)
    if doc is None:
        return
    values = {sharing.open: is_granted(draft, kind, id, sharing.action, EVERYONE)}
    if sharing.attribute != sharing.open:
        values[sharing.attribute] = bool(find_grants(draft, kind, id, sharing.action))
    new = make_updated(doc, values, draft.context)
    if new is not doc:
        draft.put(kind, new)
        sharing.mirror(draft, new)


def update(snapshot: Snapshot, old: Doc, changes: Doc, context: Context) -> Outcome:
    """Give the grant to another project."""
    draft = Draft(snapshot, context)
    new = {**old, **changes}
    find_own_object(draft, new)
    if new != old:
        key = grant_key(old["object_type"], old["object_id"], old["action"], new["target_tenant"])
        if draft.lookup("rbac_policy", "grant", key) is not None:
            raise conflict("DuplicateRbacPolicy", "An RBAC policy already exists with those values.")
        sharing = find_sharing(snapshot.catalog, old["object_type"], old["action"])
        if old["action"] == EXTERNAL:  # here the new target counts; elsewhere only what is withdrawn, as in Neutron
            draft.put("rbac_policy", new)
        else:
            draft.remove("rbac_policy", old["id"])
        check_users(draft, sharing, old)
        draft.put("rbac_policy", new)
        show_grants(draft, sharing, new)
    return draft.finish([("rbac_policy", old["id"])])


def delete(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    sharing = find_sharing(snapshot.catalog, old["object_type"], old["action"])
    draft.remove("rbac_policy", old["id"])
    check_users(draft, sharing, old)
    show_grants(draft, sharing, old)
    return draft.finish()


def check_users(draft: Draft, sharing: Sharing, gone: Doc) -> None:
    """Raises RbacPolicyInUse where a project that uses the object would be left without a grant for it."""
    kind, id = KINDS[gone["object_type"]], gone["object_id"]
    doc = draft.get(kind, id)
    if doc is None or is_granted(draft, kind, id, sharing.action, EVERYONE):
        return
    affected = sharing.users(draft, doc)
    left = sorted({project for project in affected if loses(draft, kind, doc, sharing.action, gone, project)})
    if left:
        raise conflict(
            "RbacPolicyInUse",
            f"RBAC policy on object {id} cannot be removed because other objects depend on it.\n"
            f"Details: it is used by {summarise(left)}",
        )


def loses(draft: Draft, kind: str, doc: Doc, action: str, gone: Doc, project_id: str) -> bool:
    """Whether the project used the object by the grant that is gone."""
    if project_id == doc["project_id"] or gone["target_tenant"] not in (EVERYONE, project_id):
        return False
    return not is_granted(draft, kind, doc["id"], action, project_id)


def summarise(projects: Sequence[str]) -> str:
    shown = ", ".join(projects[:5])
    return f"projects {shown}" + (f" and {len(projects) - 5} more" if len(projects) > 5 else "")


# -- declaration -------------------------------------------------------------------------------------------------------


def parse_object_type(value: Any) -> str:
    name = value.strip().lower() if isinstance(value, str) else value
    if not isinstance(name, str) or name not in KINDS:
        raise invalid_operation(f"'{kinds.show(value)}' is not a valid RBAC object type; valid are {sorted(KINDS)}")
    return name


def parse_target(value: Any) -> str:
    """A project, or * for all of them. Ids of projects are UUIDs with or without dashes."""
    if value == EVERYONE:
        return EVERYONE
    text = kinds.parse_short_text(value)
    if len(text.replace("-", "")) != 32 or not all(c in "0123456789abcdefABCDEF-" for c in text):
        raise invalid_operation(f"'{kinds.show(value)}' is not a valid target project ID; expected a UUID or '*'")
    return str(text)


_OBJECT_TYPE = Kind("object_type", parse_object_type, {"type": "string", "enum": sorted(KINDS)})
_TARGET = Kind("target_tenant", parse_target, {"type": "string", "pattern": r"^(\*|[0-9a-fA-F-]{32,36})$"})
_NOT_EVERYONE = any_of(ADMIN, "not field:rbac_policy:target_tenant=*")

RBAC_POLICY = Resource(
    "rbac_policy",
    "rbac_policies",
    "A grant: what a project may do with an object of another one.",
    (
        Field("id", kinds.UUID, "The grant's id.", GENERATED, post=False, sort=True),
        Field("project_id", kinds.PROJECT, "The project that owns it.", GENERATED, sort=True),
        Field("object_type", _OBJECT_TYPE, "What sort of object it is for.", REQUIRED, sort=True),
        Field("object_id", kinds.UUID, "The object.", REQUIRED, sort=True),
        Field("action", kinds.TEXT, "access_as_shared or access_as_external.", REQUIRED, sort=True),
        Field(
            "target_tenant", _TARGET, "The project that it is given to; * for all.", REQUIRED, put=True, sort=True,
            set=_NOT_EVERYONE, change=_NOT_EVERYONE,
        ),
    ),
    Rules(ADMIN_OR_MEMBER, ADMIN_OR_READER, ADMIN_OR_MEMBER, ADMIN_OR_MEMBER),
    indexes=(
        index_by("project_id"),
        index_by("object_id"),
        index_by("target_tenant"),
        Index("target", lambda doc: ((doc["object_type"], doc["action"], doc["target_tenant"]),)),
        Index(
            "grant",
            lambda doc: (grant_key(doc["object_type"], doc["object_id"], doc["action"], doc["target_tenant"]),),
            "unique",
        ),
    ),
    create=create,
    update=update,
    delete=delete,
    quota=DEFAULTS["rbac_policy"],
    tags=False,
    alias="rbac-policies",
)  # fmt: skip

EXTENSIONS = (
    Extension(
        "rbac-policies", "RBAC Policies", "Objects may be opened to other projects.", "2015-06-17T12:15:12-00:00"
    ),
)
