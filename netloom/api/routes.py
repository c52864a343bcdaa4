"""From the path of a request to who answers it. Made of declarations; what a declaration does not say is not there.

Law: a path that names something answers 405 to a method that it does not have, any other path 404.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from netloom.api import controller, members, tags
from netloom.api.members import ActionPlace, LinkedPlace
from netloom.api.message import Request, Response, not_allowed, not_found
from netloom.api.served import Api, Place, Served
from netloom.intent.schema import Linked

Handler = Callable[[Api, Any, Request], Awaitable[Response]]
"""What answers a request; its second argument is what the route names: a place, a mounted part, or nothing."""


class Route(NamedTuple):
    handler: Handler
    given: Any = None


COLLECTION: Mapping[str, Handler] = {"GET": controller.list_objects, "POST": controller.create}
ITEM: Mapping[str, Handler] = {"GET": controller.show, "PUT": controller.update, "DELETE": controller.delete}
TIES: Mapping[str, Handler] = {"GET": members.list_linked, "POST": members.add_linked}
TIE: Mapping[str, Handler] = {"DELETE": members.drop_linked}


def find_resource_route(served: Mapping[str, Served], segments: Sequence[str], request: Request) -> Route:
    """`segments` are those after /v2.0. Raises ApiError 404 and 405."""
    for length in (1, 2):
        one = find_collection(served, "/".join(segments[:length]))
        if one is not None:
            request.route = one.resource.path
            return find_route(one, "", segments[length:], request)
    return find_tags_route(served, segments, request)


def find_tags_route(served: Mapping[str, Served], segments: Sequence[str], request: Request) -> Route:
    """Neutron serves the tags of /qos/policies/{id} at /policies/{id}/tags, and nothing else there."""
    if len(segments) in (3, 4) and segments[2] == "tags":
        for one in served.values():
            if one.resource.url and one.resource.tags and one.resource.collection == segments[0]:
                request.route = one.resource.path
                return find_route(one, "", segments[1:], request)
    raise not_found()


def find_collection(served: Mapping[str, Served], path: str) -> Served | None:
    """A collection by its path; clients write its dashes as underscores too, and the other way round, as Neutron lets
    them."""
    return served.get(path) or served.get(path.replace("_", "-")) or served.get(path.replace("-", "_"))


def find_route(served: Served, upper_id: str, tail: Sequence[str], request: Request) -> Route:
    """Who answers what follows a resource's collection in the path."""
    if not tail:
        return Route(pick(COLLECTION, request), Place(served, upper_id))
    place = Place(served, upper_id, tail[0])
    if len(tail) == 1:
        return Route(pick(ITEM, request), place)
    name, rest = tail[1], tail[2:]
    if name in served.children:
        request.route = f"{request.route}/{name}"
        return find_route(served.children[name], place.id, rest, request)
    if name == "tags" and len(rest) < 2:
        return Route(tags.serve_tag if rest else tags.serve_tags, tags.TagPlace(place, *rest))
    return find_member(place, name, rest, request)


def find_member(place: Place, name: str, rest: Sequence[str], request: Request) -> Route:
    """An action, or a tie."""
    for linked in place.resource.linked:
        if linked.path == name and len(rest) < 2:
            return find_tie(place, linked, rest, request)
    actions = {action.method: action for action in place.resource.actions if action.name == name}
    if not actions or rest:
        raise not_found()
    if request.method not in actions:
        raise not_allowed()
    return Route(members.act, ActionPlace(place, actions[request.method]))


def find_tie(place: Place, linked: Linked, rest: Sequence[str], request: Request) -> Route:
    return Route(pick(TIE if rest else TIES, request), LinkedPlace(place, linked, *rest))


def pick(handlers: Mapping[str, Handler], request: Request) -> Handler:
    handler = handlers.get(request.method)
    if handler is None:
        raise not_allowed()
    return handler
