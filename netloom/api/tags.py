"""Tags of one object: /v2.0/{collection}/{id}/tags and …/tags/{tag}, with the statuses of Neutron's API.

Law: a tag operation is a change of the object's list of tags in the writer, so two at once lose nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from netloom.api.controller import allow, read_if_match
from netloom.api.message import Request, Response, make_json, not_allowed, not_found
from netloom.api.rules import name_tag_rule
from netloom.api.served import Api, Place
from netloom.intent.errors import ApiError
from netloom.intent.operations import find_tag, make_tags, parse_tag
from netloom.intent.schema import Doc


@dataclass(frozen=True, slots=True)
class TagPlace:
    """The tags of an object, or one of them."""

    place: Place
    tag: str = ""


async def serve_tags(api: Api, at: TagPlace, request: Request) -> Response:
    """The list of tags: GET it, PUT another in its place, POST more, DELETE all."""
    if request.method == "GET":
        return make_json({"tags": (await find_tagged(api, at, request, "get"))["tags"]})
    if request.method == "PUT":
        return make_json({"tags": await change(api, at, request, "update", replace=parse_body(request))})
    if request.method == "POST":
        return make_json({"tags": await change(api, at, request, "create", add=parse_body(request))}, 201)
    if request.method == "DELETE":
        await change(api, at, request, "delete", replace=[])
        return Response(204, headers=())
    raise not_allowed()


async def serve_tag(api: Api, at: TagPlace, request: Request) -> Response:
    """One tag: GET says whether it is there, PUT adds it, DELETE takes it away."""
    tag = parse_tag(at.tag)
    if request.method == "GET":
        find_tag(await find_tagged(api, at, request, "get"), tag)
        return Response(204, headers=())
    if request.method == "PUT":
        await change(api, at, request, "update", add=tag)
        return Response(201)
    if request.method == "DELETE":
        await change(api, at, request, "delete", remove=tag)
        return Response(204, headers=())
    raise not_allowed()


async def find_tagged(api: Api, at: TagPlace, request: Request, verb: str) -> Doc:
    """The object whose tags are asked for. Raises ApiError 404, or 403 when it may be seen and not touched."""
    resource = at.place.resource
    if not resource.tags:
        raise not_found()
    found = await api.find(at.place, request)
    allow(api, name_tag_rule(resource, verb), {}, found.doc, request.requester)
    return found.doc


async def change(api: Api, at: TagPlace, request: Request, verb: str, **edit: Any) -> list[str]:
    """The tags after the edit, which is one of make_tags."""
    await find_tagged(api, at, request, verb)
    operation = make_tags(at.place.resource, at.place.id, **edit, if_match=read_if_match(request))
    committed = await api.parts.submit(operation, request.requester, request.request_id)
    tags: list[str] = committed.outcome.answer[0]["tags"]
    return tags


def parse_body(request: Request) -> list[Any]:
    tags = request.json().get("tags")
    if not isinstance(tags, list):
        raise ApiError(400, "InvalidInput", "Invalid input for operation: Invalid tags body.")
    return tags
