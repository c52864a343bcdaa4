"""What this server is: versions, resources and extensions, as clients ask before they ask for anything else.

Law: what is listed is what intent's catalog lists.
"""

from __future__ import annotations

from typing import Any

from netloom.api.message import Request, Response, make_json, not_allowed, not_found
from netloom.api.query import parse_fields
from netloom.api.served import Api
from netloom.api.views import pick_fields
from netloom.intent.catalog import EXTENSIONS
from netloom.intent.errors import ApiError
from netloom.intent.extension import Extension


def render_extension(extension: Extension) -> dict[str, Any]:
    return {
        "alias": extension.alias,
        "name": extension.name,
        "description": extension.description,
        "updated": extension.updated,
        "links": [dict(link) for link in extension.links],
    }


async def serve_extensions(api: Api, _: None, request: Request) -> Response:
    """All of them, or the one that the path names."""
    require_get(request)
    if not request.tail:
        fields = parse_fields(request.params())
        return make_json({"extensions": [pick_fields(render_extension(e), fields) for e in EXTENSIONS.values()]})
    if len(request.tail) > 1:
        raise not_found()
    alias = request.tail[0]
    extension = EXTENSIONS.get(alias)
    if extension is None:
        raise ApiError(404, "HTTPNotFound", f"Extension with alias {alias} does not exist")
    return make_json({"extension": render_extension(extension)})


async def serve_resources(api: Api, _: None, request: Request) -> Response:
    require_get(request)
    return make_json(render_resources(api, request.base_url))


def render_versions(base_url: str) -> dict[str, Any]:
    link = {"rel": "self", "href": f"{base_url}/v2.0/"}
    return {"versions": [{"id": "v2.0", "status": "CURRENT", "links": [link]}]}


def render_resources(api: Api, base_url: str) -> dict[str, Any]:
    return {
        "resources": [
            {
                "name": served.name,
                "collection": served.resource.collection,
                "links": [{"rel": "self", "href": f"{base_url}/v2.0/{path}"}],
            }
            for path, served in api.served.items()
        ]
    }


def require_get(request: Request) -> None:
    if request.method != "GET":
        raise not_allowed()
