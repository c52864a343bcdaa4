"""What is found below one object and is no resource of its own: its actions, and the objects it is tied to.

Law: as in the controller: found, allowed, run by the writer, shown; an action that reads is not handed to the writer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

from netloom.api.controller import allow, answer_list, read_if_match, read_item, render_answer
from netloom.api.message import DECODER, Request, Response, make_json, not_allowed
from netloom.api.served import Api, Found, Place
from netloom.intent.errors import bad_request, invalid_input
from netloom.intent.operation import Committed, Context
from netloom.intent.operations import make_action, make_relation
from netloom.intent.schema import Action, Doc, Linked, Relate
from netloom.intent.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class ActionPlace:
    """An action of an object. `other_methods`: the name is there, the method is not."""

    place: Place
    action: Action


@dataclass(frozen=True, slots=True)
class LinkedPlace:
    """The objects that an object is tied to, or with `key` one of them."""

    place: Place
    linked: Linked
    key: str = ""


# -- actions -----------------------------------------------------------------------------------------------------------


async def act(api: Api, at: ActionPlace, request: Request) -> Response:
    action, place = at.action, at.place
    reads = action.method == "GET"
    given = action.parse({} if reads else read_given(at, request))
    found = await api.find(place, request)
    allow(api, action.name, given if isinstance(given, dict) else {}, found.doc, request.requester, place.resource)
    committed = read(api, at, found, given, request) if reads else await run(api, at, given, request)
    return answer(api, at, committed, request)


def read_given(at: ActionPlace, request: Request) -> Any:
    body = request.json() if request.body else {}
    return read_item(at.place.resource, body) if at.action.wrapped else body


def read(api: Api, at: ActionPlace, found: Found, given: Any, request: Request) -> Committed:
    """What the action finds in the snapshot as it is."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    context = Context(request.requester, now, refuse_new, refuse_new, api.parts.options, request.request_id)
    outcome = at.action.run(found.snapshot, found.doc, given, context)
    return Committed(found.snapshot.revision, outcome, found.snapshot)


def refuse_new() -> NoReturn:
    raise AssertionError("an action that reads makes nothing")


async def run(api: Api, at: ActionPlace, given: Any, request: Request) -> Committed:
    operation = make_action(at.place.resource, at.action, at.place.id, given, read_if_match(request))
    return await api.parts.submit(operation, request.requester, request.request_id)


def answer(api: Api, at: ActionPlace, committed: Committed, request: Request) -> Response:
    action, docs = at.action, committed.outcome.answer
    if action.lists:
        return make_json([dict(doc) for doc in docs], action.status)
    wrapped = action.wrapped or action.answer_wrapped
    if not docs:
        return Response(action.status) if action.status == 204 else make_json({}, action.status)
    if not action.shows:
        shown = dict(docs[0])
        return make_json({at.place.resource.name: shown} if wrapped else shown, action.status)
    body = render_answer(api, at.place.served, committed, docs[0], request.requester)
    if wrapped:
        body = b'{"%s":%s}' % (at.place.resource.name.encode(), body)
    return Response(action.status, body)


# -- ties --------------------------------------------------------------------------------------------------------------


async def list_linked(api: Api, at: LinkedPlace, request: Request) -> Response:
    """Those of the other resource that the object is tied to, with the filters that resource has."""
    linked = at.linked
    if linked.rules.get is None:
        raise not_allowed()
    found = await api.find(at.place, request)
    allow(api, f"get_{linked.path}", {}, found.doc, request.requester)
    ids = frozenset(linked.find(found.snapshot, found.doc))
    response = await answer_list(api, api.kinds[linked.shows], request, api.parts.snapshot(), ids)
    return response if linked.extra is None else add_extra(linked.extra, found, response)


def add_extra(extra: Callable[[Snapshot, Doc, str], Doc], found: Found, response: Response) -> Response:
    """What the tie itself says of each of the objects, beside what they show."""
    raw = b"".join(response.chunks) if response.chunks is not None else response.body
    body: dict[str, Any] = DECODER.decode(raw)
    for docs in body.values():
        for doc in docs:
            if isinstance(doc, dict) and "id" in doc:
                doc |= extra(found.snapshot, found.doc, doc["id"])
    return make_json(body, response.status)


async def add_linked(api: Api, at: LinkedPlace, request: Request) -> Response:
    linked = at.linked
    if linked.add is None or linked.rules.create is None:
        raise not_allowed()
    other = read_other(linked, request)
    await relate(api, at, linked.add, f"create_{linked.singular}", other, request)
    return make_json({}, linked.status)


async def drop_linked(api: Api, at: LinkedPlace, request: Request) -> Response:
    linked = at.linked
    if linked.remove is None or linked.rules.delete is None:
        raise not_allowed()
    await relate(api, at, linked.remove, f"delete_{linked.singular}", at.key, request)
    return Response(204, headers=())


async def relate(api: Api, at: LinkedPlace, work: Relate, rule: str, other: str, request: Request) -> None:
    found = await api.find(at.place, request)
    allow(api, rule, {}, found.doc, request.requester)
    operation = make_relation(at.place.resource, work, at.place.id, other)
    await api.parts.submit(operation, request.requester, request.request_id)


def read_other(linked: Linked, request: Request) -> str:
    """The id of the object that a POST ties to. Raises ApiError 400."""
    body: Any = request.json()
    if linked.wrapper:
        body = body.get(linked.wrapper)
        if not isinstance(body, dict):
            raise bad_request(f"Unable to find '{linked.wrapper}' in request body")
    other = body.get(linked.key)
    if not isinstance(other, str):
        raise invalid_input(linked.key, f"the body must name it by {linked.key}, a string")
    return other
