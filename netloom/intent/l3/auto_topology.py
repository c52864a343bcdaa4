"""The topology that a project gets for the asking: a network with subnets of the default pools, behind a router.

Law: it is made, found or taken away as one; what is made of it by hand afterwards is the project's affair.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netloom.intent import kinds
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, bad_resource, conflict
from netloom.intent.extension import Extension
from netloom.intent.operation import Context, Operation, Outcome, Requester
from netloom.intent.part import Part
from netloom.intent.policy_rules import ADMIN_OR_MEMBER, ADMIN_OR_READER
from netloom.intent.rbac import may_use
from netloom.intent.schema import (
    GENERATED,
    Doc,
    Ensure,
    Field,
    Index,
    Resource,
    Rules,
    index_by,
    index_where_set,
    parse_create,
)
from netloom.intent.snapshot import Change, Snapshot

KIND = "auto_allocated_topology"
DRY_RUN = "dry-run"
OWN_PROJECT = "None"
"""What clients name who know no project: the requester's."""


def parse_wish(project_id: str, fields: tuple[str, ...], requester: Requester) -> tuple[str, bool]:
    """(the project, whether it is only asked what would be). Raises ApiError 400, and 403 for another project."""
    project_id = parse_project(project_id, requester)
    if fields and DRY_RUN not in fields:
        raise bad_resource("auto_allocate", "Unrecognized field")
    return project_id, DRY_RUN in fields


def parse_project(project_id: str, requester: Requester) -> str:
    named = requester.project_id if project_id == OWN_PROJECT else project_id
    if not requester.is_admin and named != requester.project_id:
        raise ApiError(403, "NotAuthorized", "Not authorized.")
    return named


def find_topology(source: Snapshot | Draft, project_id: str) -> Doc | None:
    return source.lookup(KIND, "project", project_id)


def check_requirements(snapshot: Snapshot, requester: Requester, project_id: str) -> Doc:
    """What a dry run answers. Raises AutoAllocationFailure where a topology could not be made."""
    find_outside(snapshot)
    if not find_default_pools(snapshot, requester):
        raise failure("No default subnetpools defined")
    return {"id": "dry-run=pass", "project_id": project_id}


def failure(reason: str) -> ApiError:
    return conflict("AutoAllocationFailure", f"Deployment error: {reason}.")


def find_outside(snapshot: Snapshot) -> str:
    """The external network that is the default."""
    for id in snapshot.find_ids("network", "is_default", True):
        return id
    raise failure("No default router:external network")


def find_default_pools(snapshot: Snapshot, requester: Requester) -> list[Doc]:
    """The default subnet pools that the requester may use, IPv4 first."""
    pools = (snapshot.lookup("subnetpool", "default", version) for version in (4, 6))
    return [pool for pool in pools if pool and may_use(snapshot, "subnetpool", pool, requester)]


# -- operations --------------------------------------------------------------------------------------------------------


class Steps:
    """Operations one after another, each on what the ones before it left, as one."""

    def __init__(self, snapshot: Snapshot, context: Context) -> None:
        self.snapshot = snapshot
        self.context = context
        self.changes: dict[tuple[str, str], Change] = {}

    def take(self, outcome: Outcome) -> Doc:
        """The first document of the answer."""
        for change in outcome.changes:
            self.changes.pop((change.kind, change.id), None)
            self.changes[change.kind, change.id] = change
        self.snapshot = self.snapshot.apply(outcome.changes, self.snapshot.revision)
        return outcome.answer[0] if outcome.answer else {}

    def create(self, kind: str, body: Mapping[str, Any]) -> Doc:
        resource = self.snapshot.catalog[kind]
        assert resource.create is not None
        return self.take(resource.create(self.snapshot, [parse_create(resource, body)], self.context))

    def delete(self, kind: str, doc: Doc) -> None:
        resource = self.snapshot.catalog[kind]
        assert resource.delete is not None
        self.take(resource.delete(self.snapshot, doc, self.context))

    def act(self, kind: str, id: str, name: str, body: Mapping[str, Any]) -> None:
        resource, doc = self.snapshot.catalog[kind], self.snapshot.get(kind, id)
        action = next(action for action in resource.actions if action.name == name)
        assert doc is not None
        self.take(action.run(self.snapshot, doc, action.parse(body), self.context))

    def finish(self, *answer: Doc) -> Outcome:
        return Outcome(tuple(self.changes.values()), answer)


def make_topology(project_id: str) -> Operation:
    """The project's topology, which is made where there is none."""

    def run(snapshot: Snapshot, context: Context) -> Outcome:
        found = find_topology(snapshot, project_id)
        return Outcome((), (found,)) if found else build(Steps(snapshot, context), project_id)

    return run


def build(steps: Steps, project_id: str) -> Outcome:
    outside = find_outside(steps.snapshot)
    network, subnets = build_inside(steps, project_id)
    router = build_router(steps, project_id, outside, subnets)
    doc = {"id": network["id"], "project_id": project_id, "router_id": router["id"]}
    steps.take(Outcome((Change(KIND, doc["id"], doc),)))
    return steps.finish(doc)


def build_inside(steps: Steps, project_id: str) -> tuple[Doc, list[Doc]]:
    """The project's network, and a subnet of each default pool."""
    pools = find_default_pools(steps.snapshot, steps.context.requester)
    network = steps.create("network", {"name": "auto_allocated_network", "project_id": project_id})
    try:
        subnets = [steps.create("subnet", subnet_body(network, pool)) for pool in pools]
    except ApiError as error:
        if error.type == "OverQuota":
            raise
        raise failure("Unable to provide project private network") from None
    if not subnets:
        raise failure("Unable to provide project private network")
    return network, subnets


def subnet_body(network: Doc, pool: Doc) -> dict[str, Any]:
    version = pool["ip_version"]
    return {
        "name": f"auto_allocated_subnet_v{version}", "network_id": network["id"], "project_id": network["project_id"],
        "ip_version": version, "subnetpool_id": pool["id"],
    }  # fmt: skip


def build_router(steps: Steps, project_id: str, outside: str, subnets: list[Doc]) -> Doc:
    """The router between the subnets and the outside."""
    gateway = {"external_gateway_info": {"network_id": outside}}
    try:
        router = steps.create("router", {"name": "auto_allocated_router", "project_id": project_id, **gateway})
        for subnet in subnets:
            steps.act("router", router["id"], "add_router_interface", {"subnet_id": subnet["id"]})
    except ApiError as error:
        if error.status != 400:
            raise
        raise failure("Unable to provide external connectivity") from None
    return router


def make_removal(project_id: str) -> Operation:
    """Take the project's topology away, as far as it is still there. Raises 409 where more has come to depend on it."""

    def run(snapshot: Snapshot, context: Context) -> Outcome:
        found = find_topology(snapshot, project_id)
        steps = Steps(snapshot, context)
        if found is not None:
            steps.take(Outcome((Change(KIND, found["id"], None),)))
            drop_router(steps, found)
            network = steps.snapshot.get("network", found["id"])
            if network is not None:
                steps.delete("network", network)
        return steps.finish()

    return run


def drop_router(steps: Steps, topology: Doc) -> None:
    id = topology["router_id"]
    if steps.snapshot.get("router", id or "") is None:
        return
    network = steps.snapshot.get("network", topology["id"])
    for subnet_id in network["subnets"] if network else ():
        try:
            steps.act("router", id, "remove_router_interface", {"subnet_id": subnet_id})
        except ApiError as error:
            if error.status != 404:
                raise
    router = steps.snapshot.get("router", id)
    assert router is not None
    steps.delete("router", router)


def needs_topology(snapshot: Snapshot, requester: Requester, id: str | None) -> bool:
    return id is not None and find_topology(snapshot, id) is None


def ensure_topology(snapshot: Snapshot, context: Context, id: str | None) -> Outcome:
    return make_topology(id or context.requester.project_id)(snapshot, context)


# -- what networks and routers have to know of it ----------------------------------------------------------------------


def forget_network(draft: Draft, old: Doc) -> None:
    if draft.get(KIND, old["id"]) is not None:
        draft.remove(KIND, old["id"])


def forget_router(draft: Draft, old: Doc) -> None:
    for topology in list(draft.find(KIND, "router_id", old["id"])):
        draft.put(KIND, {**topology, "router_id": None})


NETWORK_PART = Part(delete=forget_network)
ROUTER_PART = Part(delete=forget_router)

AUTO_ALLOCATED_TOPOLOGY = Resource(
    KIND,
    "auto_allocated_topologies",
    "A network, subnets and a router that a project gets for the asking. Reading a project's makes it; with "
    "fields=dry-run it is only checked whether it could be made.",
    (
        Field("id", kinds.UUID, "The network; dry-run=pass where that was asked.", GENERATED, post=False, filter=False),
        Field("project_id", kinds.PROJECT, "The project that has it.", GENERATED, post=False, filter=False),
        Field("router_id", kinds.UUID_OR_NONE, "The router.", GENERATED, post=False, visible=False, filter=False),
    ),
    Rules(None, ADMIN_OR_READER, None, ADMIN_OR_MEMBER),
    indexes=(
        index_by("project_id"),
        Index("project", lambda doc: (doc["project_id"],), "unique"),
        index_where_set("router_id"),
    ),
    tags=False,
    alias="auto-allocated-topology",
    url="auto-allocated-topology",
    key="project_id",
    ensure=Ensure(needs_topology, ensure_topology),
)

EXTENSIONS = (
    Extension(
        "auto-allocated-topology",
        "Auto Allocated Topology Services",
        "A network behind a router, for the asking.",
        "2016-01-01T00:00:00-00:00",
    ),
)
