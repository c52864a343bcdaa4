"""Which logs a port is under: those of itself, of one of its security groups, or of its whole project."""

from __future__ import annotations

from collections.abc import Iterator

from netloom.intent.schema import Doc
from netloom.intent.snapshot import Snapshot
from netloom.model.slices import LogMark
from netloom.resolve.group_rows import find_groups


def touch_log(snapshot: Snapshot, doc: Doc) -> Iterator[Doc]:
    """The ports that a log may be of."""
    if doc["target_id"]:
        port = snapshot.get("port", doc["target_id"])
        yield from (port,) if port else ()
    elif doc["resource_id"]:
        yield from snapshot.find("port", "security_groups", doc["resource_id"])
    else:
        yield from snapshot.find("port", "project_id", doc["project_id"])


def find_logs(snapshot: Snapshot, port: Doc) -> tuple[LogMark, ...]:
    """The logs that hold for the port now, by id."""
    named = {id for of in (port["id"], *find_groups(port)) for id in snapshot.find_ids("log", "of", of)}
    named.update(snapshot.find_ids("log", "project_id", port["project_id"]))
    logs = (doc for id in sorted(named) if (doc := snapshot.get("log", id)) is not None)
    return tuple(LogMark(doc["id"], doc["event"]) for doc in logs if holds(doc, port))


def holds(log: Doc, port: Doc) -> bool:
    if not log["enabled"] or (log["resource_id"] and log["resource_id"] not in find_groups(port)):
        return False
    if log["target_id"]:
        return bool(log["target_id"] == port["id"])
    return bool(log["resource_id"] or log["project_id"] == port["project_id"])
