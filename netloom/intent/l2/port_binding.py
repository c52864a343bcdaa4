"""Bindings of a port to hosts: one is ACTIVE, others wait for an instance that is on its way (live migration).

A new binding is decided like that of a port, and is INACTIVE: nothing reaches its host. Activating it makes the port
the new host's in one write; the old host's binding stays, unbound, for its service to delete.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netloom.intent import kinds
from netloom.intent.draft import Draft
from netloom.intent.errors import conflict, not_found
from netloom.intent.extension import Extension
from netloom.intent.l2.binding import FAILED, HOST, PROFILE, VIF_TYPE, VNIC_TYPE, VNIC_TYPES, bind_port
from netloom.intent.l2.port import change_port
from netloom.intent.l2.port_binding_part import (
    ACTIVE,
    INACTIVE,
    check_supports,
    expects,
    find_active,
    find_port,
    make_binding,
    make_id,
    supports_bindings,
    unbind,
)
from netloom.intent.operation import Context, Outcome, Requester
from netloom.intent.policy_rules import ADMIN_OR_SERVICE, SERVICE
from netloom.intent.schema import GENERATED, REQUIRED, Action, Doc, Ensure, Field, Index, Resource, Rules, index_by
from netloom.intent.snapshot import Snapshot


def needs_active(snapshot: Snapshot, requester: Requester, id: str | None) -> bool:
    """Whether the bindings of the port that `id` begins with have to be made, or refused, before they are read."""
    port = snapshot.get("port", find_port_id(id))
    return port is not None and (not supports_bindings(port) or find_active(snapshot, port["id"]) is None)


def run_ensure(snapshot: Snapshot, context: Context, id: str | None) -> Outcome:
    draft = Draft(snapshot, context)
    port = find_port(draft, find_port_id(id))
    check_supports(port)
    ensure_active(draft, port)
    return draft.finish()


def find_port_id(id: str | None) -> str:
    return (id or "").partition("/")[0]


def ensure_active(draft: Draft, port: Doc) -> None:
    if find_active(draft, port["id"]) is None:
        draft.put("binding", make_binding(port, ACTIVE))


def create(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    return draft.finish([("binding", create_binding(draft, body)["id"]) for body in bodies])


def create_binding(draft: Draft, body: Doc) -> Doc:
    port = find_port(draft, body["port_id"])
    check_supports(port)
    ensure_active(draft, port)
    check_free(draft, port, body["host"])
    return put_inactive(draft, port, body)


def check_free(draft: Draft, port: Doc, host: str) -> None:
    if draft.get("binding", make_id(port["id"], host)) is not None:
        raise conflict("PortBindingAlreadyExists", f"Binding for port {port['id']} on host {host} already exists.")


def put_inactive(draft: Draft, port: Doc, wanted: Doc) -> Doc:
    """A binding that waits, decided as the port's own would be. Raises PortBindingError where the host cannot."""
    profile = wanted["profile"]
    if port.get("trusted") is not None:
        profile = {**profile, "trusted": port["trusted"]}
    candidate = {**port, HOST: wanted["host"], VNIC_TYPE: wanted["vnic_type"], PROFILE: profile}
    candidate |= bind_port(draft, candidate)
    check_bound(candidate)
    return draft.put("binding", make_binding(candidate, INACTIVE))


def check_bound(port: Doc) -> None:
    if port[VIF_TYPE] == FAILED:
        raise conflict(
            "PortBindingError",
            f"Binding for port {port['id']} on host {port[HOST]} could not be created or updated: {port['waits_for']}.",
        )


def update(snapshot: Snapshot, old: Doc, changes: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    port, new = find_port(draft, old["port_id"]), {**old, **changes}
    check_supports(port)
    if new["host"] != old["host"]:
        check_free(draft, port, new["host"])
    if old["status"] == ACTIVE:
        take_binding(draft, port, new)
    else:
        draft.remove("binding", old["id"])
        put_inactive(draft, port, new)
    return draft.finish([("binding", make_id(port["id"], new["host"]))])


def take_binding(draft: Draft, port: Doc, binding: Doc) -> None:
    """The port is bound as a binding says. Raises PortBindingError where its host cannot."""
    given = {HOST: binding["host"], VNIC_TYPE: binding["vnic_type"], PROFILE: binding["profile"]}
    check_bound(change_port(draft, port, given))


def delete(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
    """A port whose ACTIVE binding is deleted is bound to no host."""
    draft = Draft(snapshot, context)
    draft.remove("binding", old["id"])
    if old["status"] == ACTIVE:
        change_port(draft, find_port(draft, old["port_id"]), {HOST: ""})
    return draft.finish()


def activate(snapshot: Snapshot, old: Doc, given: Mapping[str, Any], context: Context) -> Outcome:
    """The instance has arrived: this binding is the port's, and the one before is INACTIVE."""
    draft = Draft(snapshot, context)
    port, host = find_port(draft, old["port_id"]), old["host"]
    check_supports(port)
    if old["status"] == ACTIVE:
        raise conflict("PortBindingAlreadyActive", f"Binding for port {port['id']} on host {host} is already active.")
    active = find_active(draft, port["id"])
    if active is None:
        raise not_found("binding", host)
    draft.put("binding", unbind(active))
    draft.put("binding", {**old, "status": ACTIVE})
    take_binding(draft, port, old)
    return draft.finish([("binding", old["id"])])


BINDING = Resource(
    "binding",
    "bindings",
    "A host that a port is on, or may soon be on.",
    (
        Field("id", kinds.TEXT, "Port and host.", GENERATED, post=False, visible=False, filter=False),
        Field("port_id", kinds.UUID, "The port.", GENERATED, post=False, visible=False, filter=False),
        Field("project_id", kinds.PROJECT, "The port's owner.", GENERATED, visible=False, filter=False),
        Field("host", kinds.TEXT, "The host.", REQUIRED, put=True),
        Field("vif_type", kinds.TEXT, "How it is plugged: ovs, unbound.", GENERATED, post=False),
        Field("vif_details", kinds.OBJECT, "What the host is told to plug it.", GENERATED, post=False, filter=False),
        Field("vnic_type", kinds.choice_kind(*VNIC_TYPES), "How it wants to be plugged.", "normal", put=True),
        Field("profile", kinds.OBJECT, "What the host needs to know to plug it.", {}, put=True, filter=False),
        Field("status", kinds.TEXT, "ACTIVE for one, INACTIVE for others.", GENERATED, post=False),
    ),
    Rules(SERVICE, ADMIN_OR_SERVICE, ADMIN_OR_SERVICE, SERVICE),
    indexes=(
        index_by("port_id"),
        index_by("host"),
        Index("expecting", lambda doc: (doc["host"],) if expects(doc) else ()),
    ),
    create=create,
    update=update,
    delete=delete,
    tags=False,
    alias="binding-extended",
    parent="port",
    parent_key="port_id",
    key="host",
    make_id=make_id,
    actions=(Action("activate", "Make it the port's binding: the instance has arrived.", activate, SERVICE),),
    ensure=Ensure(needs_active, run_ensure),
)

EXTENSIONS = (
    Extension(
        "binding-extended",
        "Port Bindings Extended",
        "Several bindings of a port, one of them active, for instances that move.",
        "2017-07-17T10:00:00-00:00",
    ),
)
