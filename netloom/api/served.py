"""The resources as they are served: what every handler shares, made once from the catalog and the parts.

Law: made from declarations; holds no state but what can be thrown away (views, orders, verdicts).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from netloom.api.listing import Orders
from netloom.api.message import Request
from netloom.api.parts import ApiParts
from netloom.api.policy import Policy
from netloom.api.views import Eyes, View, make_eyes, make_viewer
from netloom.intent.availability_zone import list_zones
from netloom.intent.catalog import EXTENSIONS
from netloom.intent.errors import ApiError, not_found
from netloom.intent.operation import Requester
from netloom.intent.schema import Doc, Resource
from netloom.intent.snapshot import Change, Record, Snapshot

MAX_EYES = 10_000
DERIVED: Mapping[str, Callable[[Snapshot], Sequence[Doc]]] = {"availability_zone": list_zones}
"""What is shown and not stored."""


@dataclass(frozen=True, slots=True)
class Served:
    """One resource: its declaration, how its documents are shown, and whether they have values of the moment.

    `derive`: its documents are not stored but made from others.
    """

    resource: Resource
    view: View
    live: bool
    derive: Callable[[Snapshot], Sequence[Doc]] | None = None

    @property
    def name(self) -> str:
        return self.resource.name


@dataclass(frozen=True, slots=True)
class Api:
    """What handlers are given beside the request."""

    parts: ApiParts
    served: Mapping[str, Served]  # by the collection's segment of the path
    orders: Orders = field(default_factory=Orders)
    _eyes: dict[tuple[str, Requester], tuple[Policy, Eyes]] = field(default_factory=dict)

    @property
    def policy(self) -> Policy:
        return self.parts.policy.current()

    def eyes(self, resource: Resource, requester: Requester) -> Eyes:
        policy, key = self.policy, (resource.name, requester)
        known = self._eyes.get(key)
        if known is not None and known[0] is policy:
            return known[1]
        if len(self._eyes) >= MAX_EYES:
            self._eyes.clear()
        eyes = make_eyes(resource, policy, requester)
        self._eyes[key] = (policy, eyes)
        return eyes

    def refresher(self, served: Served) -> Callable[[Record], Record]:
        """A function that gives a record the values of the moment; for most resources it gives the record itself."""
        return self._refresh(served) if served.live else keep

    def _refresh(self, served: Served) -> Callable[[Record], Record]:
        live, kind = self.parts.live, served.name

        def refresh(record: Record) -> Record:
            doc = live(kind, record.doc)
            return record if doc is record.doc else Record(doc, record.revision, b"")

        return refresh

    def snapshot_of(self, served: Served) -> Snapshot:
        """The snapshot that holds the resource's documents: for a derived one it is made now and holds nothing else."""
        snapshot = self.parts.snapshot()
        if served.derive is None:
            return snapshot
        docs = served.derive(snapshot)
        changes = [Change(served.name, f"{number:08}", doc) for number, doc in enumerate(docs)]
        return Snapshot(self.parts.catalog).apply(changes, snapshot.revision)

    def find(self, served: Served, id: str, request: Request) -> tuple[Snapshot, Record, Eyes]:
        """The object if it is there and the requester may know that it is. Raises ApiError 404."""
        snapshot = self.parts.snapshot()
        record = snapshot.record(served.name, id)
        eyes = self.eyes(served.resource, request.requester)
        if record is None or not eyes.may_see(record.doc, snapshot):
            raise not_found(served.name, id)
        return snapshot, self.refresher(served)(record), eyes


def keep(record: Record) -> Record:
    return record


def make_api(parts: ApiParts) -> Api:
    served = {
        resource.path: Served(
            resource,
            make_viewer(resource),
            resource.name in parts.settings.live_kinds,
            DERIVED.get(resource.name),
        )
        for resource in parts.catalog.values()
        if is_served(resource)
    }
    return Api(parts, served)


def is_served(resource: Resource) -> bool:
    """A resource whose extension is not announced is internal: kept, never shown."""
    return not resource.alias or resource.alias in EXTENSIONS


def forbidden(rules: str) -> ApiError:
    return ApiError(403, "PolicyNotAuthorized", f"{rules} is disallowed by policy")
