"""The resources as they are served: what every handler shares, made once from the catalog and the parts.

Law: made from declarations; holds no state but what can be thrown away (views, orders, verdicts).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from netloom.api.listing import Orders
from netloom.api.message import Request
from netloom.api.parts import ApiParts
from netloom.api.policy import Policy
from netloom.api.views import Eyes, View, make_eyes, make_viewer
from netloom.intent.catalog import EXTENSIONS
from netloom.intent.errors import ApiError
from netloom.intent.operation import Requester
from netloom.intent.schema import Catalog, Doc, Resource
from netloom.intent.snapshot import Record, Snapshot

MAX_PROJECT = 255
"""Characters of a project's id."""
MAX_EYES = 10_000


@dataclass(frozen=True, slots=True)
class Served:
    """One resource: its declaration, how its documents are shown, and what is found below one of its objects.

    `live`: its documents have values of the moment. `children`: resources served below an object, by their segment of
    the path. `upper`: the resource below whose objects this one is served.
    """

    resource: Resource
    view: View
    live: bool
    children: Mapping[str, Served] = field(default_factory=dict)
    upper: Served | None = None

    @property
    def name(self) -> str:
        return self.resource.name


@dataclass(frozen=True, slots=True)
class Place:
    """What one request is about: a resource, the object above it, and the object itself, as far as the path says."""

    served: Served
    upper_id: str = ""
    key: str = ""

    @property
    def resource(self) -> Resource:
        return self.served.resource

    @property
    def id(self) -> str:
        """What the object is stored under."""
        return self.resource.make_id(self.upper_id, self.key)


@dataclass(frozen=True, slots=True)
class Found:
    """An object that is there and that the requester may know of."""

    snapshot: Snapshot
    record: Record
    eyes: Eyes

    @property
    def doc(self) -> Doc:
        return self.record.doc


@dataclass(frozen=True, slots=True)
class Api:
    """What handlers are given beside the request."""

    parts: ApiParts
    served: Mapping[str, Served]  # by what follows /v2.0/ in the path: "ports", "qos/policies"
    kinds: Mapping[str, Served]  # by the resource's name, those with a parent as well
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
        live, kind = self.parts.live, served.resource.kind

        def refresh(record: Record) -> Record:
            doc = live(kind, record.doc)
            return record if doc is record.doc else Record(doc, record.revision, b"")

        return refresh

    async def read(self, place: Place, request: Request) -> Snapshot:
        """The snapshot that holds the resource's documents, with what reading them must first bring about.

        Of a derived resource it is made now and holds nothing else.
        """
        resource = place.resource
        if resource.derive is not None:
            return self._derive(resource, request.requester, place.key or None)
        ensure, snapshot, id = resource.ensure, self.parts.snapshot(), place.id or None
        if ensure is None:
            return snapshot
        reader = request.requester if id else find_reader(request)
        if not ensure.needed(snapshot, reader, id):
            return snapshot
        run = ensure.run
        committed = await self.parts.submit(
            lambda snapshot, context: run(snapshot, context, id), reader, request.request_id
        )
        return committed.snapshot

    def _derive(self, resource: Resource, requester: Requester, key: str | None) -> Snapshot:
        snapshot = self.parts.snapshot()
        assert resource.derive is not None
        docs = resource.derive(snapshot, self.parts.options, requester, key)
        named = resource.key in resource.by_name
        ids = [str(doc[resource.key]) if named else f"{number:08}" for number, doc in enumerate(docs)]
        revision = snapshot.revision
        records = ((resource.kind, id, Record(doc, revision, b"")) for id, doc in zip(ids, docs, strict=True))
        return Snapshot(self.parts.catalog).apply_records(records, revision)

    async def find(self, place: Place, request: Request) -> Found:
        """The object, if it is there and the requester may know that it is. Raises ApiError 404."""
        resource, requester = place.resource, request.requester
        self.find_upper(place, requester)
        snapshot = await self.read(place, request)
        record = snapshot.record(resource.kind, place.id)
        eyes = self.eyes(resource, requester)
        if record is None or not is_below(place, record.doc) or not eyes.may_see(record.doc, self.parts.snapshot()):
            raise resource.missing(place.key)
        return Found(snapshot, self.refresher(place.served)(record), eyes)

    def find_upper(self, place: Place, requester: Requester) -> Doc | None:
        """The object above, None where there is none to be. Raises its 404."""
        upper = place.served.upper
        if upper is None:
            return None
        snapshot = self.parts.snapshot()
        doc = snapshot.get(upper.resource.kind, place.upper_id)
        if doc is None or not self.eyes(upper.resource, requester).may_see(doc, snapshot):
            raise upper.resource.missing(place.upper_id)
        return doc


def is_below(place: Place, doc: Doc) -> bool:
    return place.served.upper is None or doc[place.resource.upper_key] == place.upper_id


def keep(record: Record) -> Record:
    return record


def make_api(parts: ApiParts) -> Api:
    kinds: dict[str, Served] = {}
    resources = {r.name: r for r in parts.catalog.values() if is_served(r)}
    tops = {r.path: make_served(r, resources, parts, None, kinds) for r in resources.values() if not r.parent}
    return Api(parts, tops, kinds)


def make_served(
    resource: Resource, resources: Catalog, parts: ApiParts, upper: Served | None, kinds: dict[str, Served]
) -> Served:
    """The resource with all that is below it; `kinds` is filled with each of them."""
    children: dict[str, Served] = {}
    live = resource.kind in parts.settings.live_kinds
    served = kinds[resource.name] = Served(resource, make_viewer(resource), live, children, upper)
    for one in resources.values():
        if one.parent == resource.name:
            children[one.path] = make_served(one, resources, parts, served, kinds)
    return served


def is_served(resource: Resource) -> bool:
    """A resource whose extension is not announced is internal: kept, never shown."""
    return not resource.alias or resource.alias in EXTENSIONS


def forbidden(rules: str) -> ApiError:
    return ApiError(403, "PolicyNotAuthorized", f"{rules} is disallowed by policy")


def find_reader(request: Request) -> Requester:
    """For whom a list is read: an administrator who asks for one project's objects sees what that project would."""
    requester, params = request.requester, request.params()
    named = [*params.get("project_id", ()), *params.get("tenant_id", ())]
    if requester.is_admin and len(named) == 1 and 0 < len(named[0]) <= MAX_PROJECT:
        return replace(requester, project_id=named[0])
    return requester
