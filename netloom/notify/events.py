"""What Nova wants to know of a commit: ports of instances that were plugged, unplugged, changed or deleted.

Names and meanings are those of Nova's API, os-server-external-events. Pure: two snapshots in, events out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from netloom.intent.schema import Doc
from netloom.intent.snapshot import Change, Snapshot

PLUGGED, UNPLUGGED = "network-vif-plugged", "network-vif-unplugged"
DELETED, CHANGED = "network-vif-deleted", "network-changed"
COMPUTE = "compute:"
SERVER_ID = re.compile(r"^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}\Z", re.IGNORECASE)
WAITING = ("DOWN", "BUILD", "N/A")
QUIET = frozenset({"status", "revision_number", "updated_at", "described_at", "waits_for", "dhcp_unknown_since"})
"""Attributes of a port whose change is no change of the port's data."""


@dataclass(frozen=True, slots=True)
class NovaEvent:
    """One event of one server; `tag` is the port."""

    server_uuid: str
    name: str
    tag: str
    status: str = ""  # "completed" or "failed", of plugging alone


@dataclass(frozen=True, slots=True)
class Interest:
    """What is to be told: options notify_nova_on_port_status_changes and …_data_changes."""

    status: bool = True
    data: bool = True


def find_events(old: Snapshot, new: Snapshot, changes: Iterable[Change], interest: Interest) -> list[NovaEvent]:
    """In the order of the changes, each once."""
    found = dict.fromkeys(find_all(old, new, changes))
    wanted = {PLUGGED: interest.status, UNPLUGGED: interest.status, CHANGED: interest.data, DELETED: interest.data}
    return [event for event in found if wanted[event.name]]


def find_all(old: Snapshot, new: Snapshot, changes: Iterable[Change]) -> Iterator[NovaEvent]:
    for kind, id in dict.fromkeys((change.kind, change.id) for change in changes):
        if kind == "port":
            yield from compare_ports(old.get(kind, id), new.get(kind, id))
        elif kind == "floatingip":
            yield from compare_floating(new, old.get(kind, id), new.get(kind, id))


def compare_ports(old: Doc | None, new: Doc | None) -> Iterator[NovaEvent]:
    """The events of one port. It is of the instance that it is of now, or was of when it went."""
    if new is None:
        if old is not None and is_of_instance(old):
            yield NovaEvent(old["device_id"], DELETED, old["id"])
        return
    if not is_of_instance(new):
        return
    before, after = old["status"] if old else "", new["status"]
    if before in ("", *WAITING) and after in ("ACTIVE", "ERROR"):
        yield NovaEvent(new["device_id"], PLUGGED, new["id"], "completed" if after == "ACTIVE" else "failed")
    elif before == "ACTIVE" and after == "DOWN":
        yield NovaEvent(new["device_id"], UNPLUGGED, new["id"], "completed")
    if old is not None and is_of_instance(old) and is_changed(old, new):
        yield NovaEvent(new["device_id"], CHANGED, new["id"])


def is_changed(old: Doc, new: Doc) -> bool:
    return any(old.get(name) != value for name, value in new.items() if name not in QUIET)


def compare_floating(snapshot: Snapshot, old: Doc | None, new: Doc | None) -> Iterator[NovaEvent]:
    """The ports that a floating IP led to, and leads to now, where that is another."""
    before, after = (doc["port_id"] if doc else None for doc in (old, new))
    if before == after:
        return
    for id in (before, after):
        port = snapshot.get("port", id) if id else None
        if port is not None and is_of_instance(port):
            yield NovaEvent(port["device_id"], CHANGED, port["id"])


def is_of_instance(port: Doc) -> bool:
    return str(port["device_owner"]).startswith(COMPUTE) and SERVER_ID.match(port["device_id"]) is not None


def find_missed(snapshot: Snapshot, changes: Iterable[Change], interest: Interest) -> list[NovaEvent]:
    """As `find_events`, of commits whose snapshots are gone: how the ports are now. Nova may hear a thing twice."""
    ports = (snapshot.get("port", change.id) for change in changes if change.kind == "port")
    found = (
        NovaEvent(port["device_id"], PLUGGED, port["id"], "completed")
        for port in ports
        if port is not None and is_of_instance(port) and port["status"] == "ACTIVE"
    )
    return list(dict.fromkeys(found)) if interest.status else []
