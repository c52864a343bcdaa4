"""What other OpenStack services are told of a commit: `port.create.end` and its kin, as Neutron words them.

Pure. A message is of one object; who asked and under which request stands in its context.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from netloom.intent.schema import Catalog, Doc, Resource
from netloom.intent.snapshot import Change, Snapshot

OURS = UUID("7b0f3c43-5c1e-4d0e-9b53-0a2d0d2d6c1a")
"""What the ids of our messages are made below (RFC 9562 section 5.5)."""
FIRST = 1
"""The revision_number of an object that was just made."""
QUIET = frozenset({"status", "revision_number", "updated_at"})
"""Attributes whose change alone is told to nobody: hosts and children bring it about, no request does."""


@dataclass(frozen=True, slots=True)
class Message:
    """One notification. `at` is the commit's time, 2026-11-21T01:02:03Z."""

    event_type: str
    payload: Mapping[str, Any]
    at: str
    user_id: str = ""
    project_id: str = ""
    request_id: str = ""
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """Of one commit, who and when."""

    at: str
    user_id: str
    request_id: str
    revision: int = 0


def find_messages(old: Snapshot, commits: Iterable[tuple[Told, Sequence[Change]]]) -> Iterator[Message]:
    """One for each object that a commit made, changed or deleted, commit by commit from `old` on."""
    now: dict[tuple[str, str], Doc | None] = {}
    for told, changes in commits:
        for change in changes:
            key = (change.kind, change.id)
            before = now[key] if key in now else old.get(*key)
            now[key] = change.doc
            resource = find_told(old.catalog, change.kind)
            if resource is not None:
                yield from compare(resource, before, change.doc, told)


def find_told(catalog: Catalog, kind: str) -> Resource | None:
    """The resource whose objects are told of. What is below another, or no object of the API, is not."""
    resource = catalog.get(kind)
    return resource if resource is not None and not resource.parent and resource.create is not None else None


def compare(resource: Resource, old: Doc | None, new: Doc | None, told: Told) -> Iterator[Message]:
    name = resource.name
    if new is None:
        if old is not None:
            yield make_message(resource, "delete", {name: show(resource, old), f"{name}_id": old["id"]}, old, told)
    elif old is None:
        yield make_message(resource, "create", {name: show(resource, new)}, new, told)
    elif is_changed(resource, old, new):
        yield make_message(resource, "update", {name: show(resource, new)}, new, told)


def is_changed(resource: Resource, old: Doc, new: Doc) -> bool:
    return any(f.visible and f.name not in QUIET and old.get(f.name) != new.get(f.name) for f in resource.fields)


def show(resource: Resource, doc: Doc) -> dict[str, Any]:
    """The object as an administrator sees it."""
    shown = {f.name: doc[f.name] for f in resource.fields if f.visible and f.name in doc}
    if "project_id" in shown:
        shown["tenant_id"] = shown["project_id"]
    return shown


def make_message(resource: Resource, verb: str, payload: Mapping[str, Any], doc: Doc, told: Told) -> Message:
    project = str(doc.get("project_id") or "")
    event = f"{resource.name}.{verb}.end"
    return Message(event, payload, told.at, told.user_id, project, told.request_id, told.revision)


def find_missed(catalog: Catalog, told: Told, changes: Sequence[Change]) -> Iterator[Message]:
    """As `find_messages`, of a commit whose snapshot is gone: of what a request deleted, the id is left."""
    for change in changes if told.request_id else ():
        resource = find_told(catalog, change.kind)
        if resource is None:
            continue
        if change.doc is None:
            payload = {resource.name: {"id": change.id}, f"{resource.name}_id": change.id}
            yield make_message(resource, "delete", payload, {}, told)
        else:
            verb = "update" if change.doc.get("revision_number", 0) > FIRST else "create"
            yield make_message(resource, verb, {resource.name: show(resource, change.doc)}, change.doc, told)


def find_id(message: Message) -> str:
    """The same for the same thing told twice, as by a server that took over: oslo.messaging's listeners pass over a
    message whose id they have just had, and others can."""
    said = message.payload
    of = said.get(message.event_type.partition(".")[0], said)
    words = (message.event_type, of.get("id", ""), of.get("revision_number", ""), message.at, message.request_id)
    return str(uuid5(OURS, " ".join(map(str, words))))


def encode_message(message: Message, publisher: str, envelope: bool) -> bytes:
    """The body as oslo.messaging writes it: driver messagingv2 with an envelope, messaging without."""
    id = find_id(message)
    context = {
        "_context_request_id": message.request_id, "_context_user_id": message.user_id,
        "_context_project_id": message.project_id, "_context_tenant": message.project_id,
    }  # fmt: skip
    body = {
        **context,
        "message_id": id,
        "publisher_id": publisher,
        "event_type": message.event_type,
        "priority": "INFO",
        "payload": message.payload,
        "timestamp": message.at.replace("T", " ").replace("Z", "") + ".000000",
        "_unique_id": id.replace("-", ""),
    }
    text = json.dumps(body, default=dict)
    return json.dumps({"oslo.version": "2.0", "oslo.message": text}).encode() if envelope else text.encode()
