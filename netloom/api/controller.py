"""The one controller: list, show, create, update and delete of whatever resource the catalog declares.

Law: a request is authenticated, parsed, allowed, run by the writer and shown, in this order; a refusal changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from netloom.api.listing import (
    CHUNK_RECORDS,
    Listing,
    find_page,
    find_pieces,
    find_sequence,
    render_page,
    render_pieces,
    show_parts,
)
from netloom.api.message import Request, Response, encode, not_allowed
from netloom.api.parts import ApiSettings
from netloom.api.query import make_links, parse_fields, parse_query
from netloom.api.served import Api, Place, Served, forbidden
from netloom.api.views import View, make_field_viewer
from netloom.intent.errors import bad_request, not_found
from netloom.intent.operation import Committed, Requester
from netloom.intent.operations import make_create, make_delete, make_update, parse_if_match
from netloom.intent.schema import REQUIRED, Absent, Doc, Resource, merge_project, parse_create, parse_update
from netloom.intent.snapshot import Record, Snapshot


async def list_objects(api: Api, place: Place, request: Request) -> Response:
    resource = place.resource
    within = None
    if place.served.upper is not None:
        api.find_upper(place, request.requester)
    snapshot = await api.read(place, request)
    if place.served.upper is not None:
        within = frozenset(snapshot.find_ids(resource.kind, resource.upper_key, place.upper_id))
    return await answer_list(api, place.served, request, snapshot, within)


async def answer_list(
    api: Api, served: Served, request: Request, snapshot: Snapshot, within: frozenset[str] | None = None
) -> Response:
    """The objects that the query asks for, among those of `within` where it is given."""
    resource, settings, params = served.resource, api.parts.settings, request.params()
    query = parse_query(resource, params, settings.pagination_max_limit, settings.filter_validation)
    eyes = api.eyes(resource, request.requester).narrowed(snapshot)
    refresh = show_parts(query, api.refresher(served))
    listing = Listing(snapshot, resource, query, eyes, api.orders, refresh, within)
    view = make_field_viewer(resource, query.fields) if query.fields else served.view
    if not (query.limit or query.sorts or query.marker):
        return await answer_all(listing, view)
    page = await find_page(listing)
    if page is None and resource.loose_marker:
        page = await find_page(replace(listing, query=replace(query, marker="")))
    if page is None:
        raise resource.missing(query.marker)
    links = make_links(query, name_list(request), params, page.first, page.last, len(page.records))
    chunks = render_page(resource.collection, page, encode(links) if links else b"", view, eyes, snapshot)
    if len(page.records) <= CHUNK_RECORDS:
        return Response(200, b"".join(chunks))
    return Response(200, chunks=chunks)


async def answer_all(listing: Listing, view: View) -> Response:
    """All that matches, found while it is sent. The first piece is made at once: what fails does so as an error."""
    ids = await find_sequence(listing)
    pieces = find_pieces(listing, ids)
    chunks = render_pieces(listing.resource.collection, pieces, b"", view, listing.eyes, listing.snapshot)
    if len(ids) <= CHUNK_RECORDS:
        return Response(200, b"".join(chunks))
    return Response(200, chunks=chain([next(chunks)], chunks))


def name_list(request: Request) -> str:
    """The list's own address, as links repeat it."""
    return request.base_url + request.path.rstrip("/").removesuffix(".json")


async def show(api: Api, place: Place, request: Request) -> Response:
    found = await api.find(place, request)
    look = found.eyes.look_of(found.doc, api.parts.snapshot())
    fields = parse_fields(request.params())
    view = make_field_viewer(place.resource, fields) if fields else place.served.view
    return Response(200, b'{"%s":%s}' % (place.resource.name.encode(), view(found.record, look)))


async def create(api: Api, place: Place, request: Request) -> Response:
    resource = place.resource
    if resource.rules.create is None:
        raise not_allowed()
    requester = request.requester
    items, bulk = read_items(resource, read_body(request), api.parts.settings)
    bodies = [parse_create(resource, fill_project(resource, item, requester)) for item in items]
    if place.served.upper is not None:
        bodies = [{**body, resource.upper_key: place.upper_id} for body in bodies]
    snapshot, policy = api.parts.snapshot(), api.policy
    for body in bodies:
        given = find_given(resource, body)
        refused = policy.refused(f"create_{resource.rule}", given, requester, body, snapshot)
        if refused:
            refuse_missing(api, place, body)
            raise forbidden(refused)
    api.find_upper(place, requester)
    committed = await api.parts.submit(make_create(resource, bodies), requester, request.request_id)
    return render_created(api, place.served, committed, requester, bulk)


def refuse_missing(api: Api, place: Place, body: Doc) -> None:
    """Raises the 404 of what a new object has to belong to, where it is not there: nobody owns it to allow anything."""
    snapshot, upper = api.parts.snapshot(), place.served.upper
    if upper is not None and snapshot.get(upper.resource.kind, place.upper_id) is None:
        raise upper.resource.missing(place.upper_id)
    for f in place.resource.fields:
        kind = f.name.removesuffix("_id")
        named = f.default is REQUIRED and kind != f.name and kind in api.parts.catalog
        if named and snapshot.get(kind, body[f.name]) is None:
            raise not_found(kind, body[f.name])


async def update(api: Api, place: Place, request: Request) -> Response:
    resource = place.resource
    if resource.rules.update is None:
        raise not_allowed()
    body = read_item(resource, read_body(request))
    changes = parse_update(resource, body)
    found = await api.find(place, request)
    allow(api, f"update_{resource.rule}", changes, {**found.doc, **changes}, request.requester, resource)
    operation = make_update(resource, place.id, changes, read_if_match(request))
    committed = await api.parts.submit(operation, request.requester, request.request_id)
    shown = render_answer(api, place.served, committed, committed.outcome.answer[0], request.requester)
    return Response(200, b'{"%s":%s}' % (resource.name.encode(), shown))


async def delete(api: Api, place: Place, request: Request) -> Response:
    resource = place.resource
    if resource.rules.delete is None:
        raise not_allowed()
    if request.body:
        raise bad_request("Request body is not supported in DELETE.")
    found = await api.find(place, request)
    allow(api, f"delete_{resource.rule}", {}, found.doc, request.requester, resource)
    operation = make_delete(resource, place.id, read_if_match(request))
    await api.parts.submit(operation, request.requester, request.request_id)
    return Response(204, headers=())


def allow(api: Api, rule: str, given: Doc, target: Doc, requester: Requester, resource: Resource | None = None) -> None:
    """Raises ApiError 403 where the requester may not do it with the attributes `given`.

    With the `resource` of an object: 404 for one that others may use without being shown that it is shared.
    """
    refused = api.policy.refused(rule, given.items(), requester, target, api.parts.snapshot())
    if not refused:
        return
    if resource is not None and is_shared_unseen(resource) and target["project_id"] != requester.project_id:
        raise resource.missing(target["id"])
    raise forbidden(refused)


def is_shared_unseen(resource: Resource) -> bool:
    """Whether the attribute that tells of sharing is not shown, as Neutron does with address groups."""
    shared = (resource.by_name.get(sharing.attribute) for sharing in resource.sharing)
    return any(f is not None and not f.visible for f in shared)


# -- bodies ------------------------------------------------------------------------------------------------------------


def read_items(
    resource: Resource, body: Mapping[str, Any], settings: ApiSettings
) -> tuple[Sequence[Mapping[str, Any]], bool]:
    """(the objects to make, whether they came as a list). Raises ApiError 400 with Neutron's words."""
    one_name = resource.collection == resource.name and isinstance(body.get(resource.name), dict)
    if resource.collection not in body or one_name:
        return [read_item(resource, body)], False
    if not settings.allow_bulk:
        raise bad_request("Bulk operation not supported")
    items = body[resource.collection]
    if not items:
        raise bad_request("Resources required")
    if not isinstance(items, list):
        raise bad_request("Body contains invalid data")
    if len(items) > (most := settings.max_bulk_items):
        raise bad_request(f"One request may make {most} {resource.collection}, not {len(items)}")
    return [read_item(resource, item if is_wrapped(resource, item) else {resource.name: item}) for item in items], True


def read_body(request: Request) -> Mapping[str, Any]:
    """The body, in which the object is not found where there is no body at all."""
    return request.json() if request.body else {}


def is_wrapped(resource: Resource, item: Any) -> bool:
    return isinstance(item, dict) and resource.name in item


def read_item(resource: Resource, body: Mapping[str, Any]) -> Mapping[str, Any]:
    item = body.get(resource.name)
    if item is None:
        raise bad_request(f"Unable to find '{resource.name}' in request body")
    if not isinstance(item, dict):
        raise bad_request(f"Object '{resource.name}' contains invalid data")
    return item


def fill_project(resource: Resource, item: Mapping[str, Any], requester: Requester) -> Mapping[str, Any]:
    """The body with the requester's project, unless it names one. Only an administrator may name another's."""
    if "project_id" not in resource.postable:
        return item
    body = merge_project(item)
    named = body.get("project_id")
    if named is None and "project_id" in body and "null" in resource.by_name["project_id"].kind.schema.get("type", ()):
        return body  # null is a value here: all projects
    if named is None:
        return {**body, "project_id": requester.project_id}
    if named != requester.project_id and not requester.is_admin:
        raise bad_request(
            "Specifying 'project_id' or 'tenant_id' other than the authenticated project in request requires "
            "admin privileges"
        )
    return body


def find_given(resource: Resource, body: Doc) -> list[tuple[str, Any]]:
    """The attributes that a request gives another value than their default: those have a policy of their own."""
    by_name = resource.by_name
    return [
        (name, value)
        for name, value in body.items()
        if name in by_name and (isinstance(by_name[name].default, Absent) or by_name[name].default != value)
    ]


def read_if_match(request: Request) -> int | None:
    """The revision that the request demands. Raises ApiError 400."""
    header = request.headers.get(b"if-match")
    return None if header is None else parse_if_match(header.decode("latin-1"))


# -- answers -----------------------------------------------------------------------------------------------------------


def render_created(api: Api, served: Served, committed: Committed, requester: Requester, bulk: bool) -> Response:
    shown = [render_answer(api, served, committed, doc, requester) for doc in committed.outcome.answer]
    if bulk:
        return Response(201, b'{"%s":[%s]}' % (served.resource.collection.encode(), b",".join(shown)))
    return Response(201, b'{"%s":%s}' % (served.name.encode(), shown[0]))


def render_answer(api: Api, served: Served, committed: Committed, doc: Doc, requester: Requester) -> bytes:
    """A document of the answer as the requester may see it; the record keeps the bytes for those who read it next."""
    snapshot = committed.snapshot
    record = snapshot.record(served.resource.kind, str(doc.get("id", "")))
    if record is None or record.doc is not doc:
        record = Record(doc, committed.revision, b"")
    look = api.eyes(served.resource, requester).look_of(record.doc, snapshot)
    return served.view(api.refresher(served)(record), look)
