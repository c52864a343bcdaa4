"""What RBAC policies open to a requester: whether one object, and which of all.

Law: a grant to everyone is read from the object, a grant to one project from the index of grants; never by a search.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from netloom.intent.rbac import TYPES, find_granted, is_granted
from netloom.intent.schema import Doc, Resource, Sharing
from netloom.intent.snapshot import Snapshot

Test = Callable[[Doc, Snapshot], bool]


@dataclass(frozen=True, slots=True)
class Granted:
    """Whether the object that the target's `key` names is open to the project (or is not, where not `wanted`)."""

    kind: str
    sharing: Sharing
    key: str
    project_id: str
    wanted: bool = True

    def __call__(self, target: Doc, snapshot: Snapshot) -> bool:
        return self.holds(target, snapshot) is self.wanted

    @property
    def attribute(self) -> str:
        return self.sharing.attribute

    def holds(self, target: Doc, snapshot: Snapshot) -> bool:
        sharing = self.sharing
        if sharing.attribute != sharing.open and not target.get(sharing.attribute):
            return False
        return bool(target.get(sharing.open)) or self.raises(target, snapshot)

    def raises(self, target: Doc, snapshot: Snapshot) -> bool:
        """Whether the project has a grant of its own."""
        id: str = target.get(self.key) or ""
        action = self.sharing.action
        return bool(id and self.project_id) and is_granted(snapshot, self.kind, id, action, self.project_id)

    def has_any(self, snapshot: Snapshot) -> bool:
        """Whether the project has a grant for any object of the kind."""
        found = find_granted(snapshot, self.kind, self.sharing.action, self.project_id)
        return bool(self.project_id) and next(found, None) is not None


@dataclass(frozen=True, slots=True)
class ParentGranted:
    """As `granted`, of the object that the target's `key` names."""

    granted: Granted
    key: str

    def __call__(self, target: Doc, snapshot: Snapshot) -> bool:
        doc = snapshot.get(self.granted.kind, target.get(self.key, ""))
        return doc is not None and self.granted(doc, snapshot)


def make_granted(resource: Resource, attribute: str, values: tuple[str, ...], project_id: str) -> Granted | None:
    """The test of an attribute that grants decide; None: they do not."""
    for sharing in resource.sharing:
        if sharing.attribute == attribute:
            kind = sharing.kind or resource.kind
            return Granted(kind, sharing, sharing.key, project_id, "True" in values) if kind in TYPES else None
    return None


def find_grants(resource: Resource, project_id: str) -> tuple[Granted, ...]:
    """Of the attributes that are not the same for all requesters, how they are found out."""
    return tuple(
        Granted(sharing.kind or resource.kind, sharing, sharing.key, project_id)
        for sharing in resource.sharing
        if sharing.attribute == sharing.open and sharing.attribute in resource.by_name
        and (sharing.kind or resource.kind) in TYPES
    )  # fmt: skip


def find_opened(granted: Granted, resource: Resource, snapshot: Snapshot) -> set[str] | None:
    """The ids of the resource's objects among which are all that pass. None: indexes do not tell."""
    styles = {index.name for index in resource.indexes if index.style == "set"}
    if not granted.wanted or "public" not in styles:
        return None
    found = set(snapshot.find_ids(resource.kind, "public", True))
    ids = find_granted(snapshot, granted.kind, granted.sharing.action, granted.project_id)
    if granted.kind == resource.kind:
        return found.union(ids)
    if granted.key not in styles:
        return None
    return found.union(*(snapshot.find_ids(resource.kind, granted.key, id) for id in ids))
