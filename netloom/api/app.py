"""The ASGI application: from a connection's dictionaries to a handler and back, with ids, figures and errors.

Law: whatever a client sends is answered; a fault of ours is logged with its request id and answered with 500.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import unquote
from uuid import uuid4

from netloom.api import controller, discovery, quotas, tags
from netloom.api.message import (
    JSON_TYPE,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    encode,
    make_error,
    make_json,
    not_allowed,
    not_found,
    read_body,
    send_response,
)
from netloom.api.metrics import CONTENT_TYPE, Metrics, make_metrics
from netloom.api.openapi import render_openapi
from netloom.api.parts import ApiParts, Headers, Mounted, Unauthorized
from netloom.api.served import Api, Served, make_api
from netloom.intent.errors import ApiError

LOG = logging.getLogger(__name__)

Handler = Callable[[Api, Served, Request], Awaitable[Response]]
GLOBAL_ID = re.compile(rb"^req-[0-9a-fA-F-]{36}$")

COLLECTION: Mapping[str, Handler] = {"GET": controller.list_objects, "POST": controller.create}
ITEM: Mapping[str, Handler] = {"GET": controller.show, "PUT": controller.update, "DELETE": controller.delete}


class App:
    """`make_app` makes it; an ASGI server calls it."""

    def __init__(self, api: Api, metrics: Metrics) -> None:
        self.api = api
        self.metrics = metrics
        self._limit = api.parts.settings.max_request_body_size
        self._openapi: bytes | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await serve_lifespan(scope, receive, send)
            return
        start = time.perf_counter()
        request = Request(
            scope["method"], scope["path"], dict(scope["headers"]), scope["query_string"], request_id=f"req-{uuid4()}"
        )
        response = await self.answer(scope, receive, request)
        if response is None:  # the client went away
            return
        await send_response(send, response, request.request_id.encode())
        self.metrics.count(request.route, request.method, response.status, time.perf_counter() - start)

    async def answer(self, scope: Scope, receive: Receive, request: Request) -> Response | None:
        """Whatever happens, an answer; None: nobody waits for it any more."""
        try:
            request.base_url = read_base_url(scope, request.headers)
            if request.method in ("POST", "PUT", "PATCH"):
                body = await read_body(receive, self._limit)
                if body is None:
                    return None
                request.body = body
            return await self.dispatch(scope, request)
        except ApiError as error:
            return make_error(error)
        except Unauthorized as error:
            return make_unauthorized(error)
        except Exception:
            LOG.exception("%s: %s %s failed", request.request_id, request.method, request.path)
            text = "Request Failed: internal server error while processing your request."
            return make_error(ApiError(500, "HTTPInternalServerError", text))

    async def dispatch(self, scope: Scope, request: Request) -> Response:
        segments = split_path(scope)
        if segments[:1] != ["v2.0"]:
            return await self.serve_public(segments, request)
        requester = await self.api.parts.identity.authenticate(request.headers)
        request.requester = self.api.policy.recognise(requester)
        return await self.serve_v2(segments[1:], request)

    async def serve_v2(self, segments: list[str], request: Request) -> Response:
        if not segments:
            discovery.require_get(request)
            return make_json(discovery.render_resources(self.api, request.base_url))
        name, request.tail = segments[0], tuple(segments[1:])
        if name == "extensions":
            return await serve_extensions(self.api, request)
        if name == "quotas":
            request.route = name
            return await quotas.serve_quotas(self.api, request)
        served = self.api.served.get(name)
        if served is None:
            raise not_found()
        request.route = name
        return await serve_resource(self.api, served, request)

    async def serve_public(self, segments: list[str], request: Request) -> Response:
        """What needs no token: versions, health, figures, the description of the API, and mounted parts."""
        name = segments[0] if segments else ""
        mounted = self.api.parts.mounts.get(f"/{name}")
        if mounted is not None:
            request.route = name
            return await serve_mounted(mounted, request)
        if len(segments) > 1 or name not in PUBLIC:
            raise not_found()
        discovery.require_get(request)
        return PUBLIC[name](self, request)

    def render_openapi(self) -> bytes:
        if self._openapi is None:
            self._openapi = encode(render_openapi(self.api.parts.catalog, self.api.parts.settings.version))
        return self._openapi


PUBLIC: Mapping[str, Callable[[App, Request], Response]] = {
    "": lambda app, request: make_json(discovery.render_versions(request.base_url)),
    "healthcheck": lambda app, request: make_health(app.api.parts),
    "metrics": lambda app, request: Response(200, app.metrics.render(), (CONTENT_TYPE,)),
    "openapi.json": lambda app, request: Response(200, app.render_openapi()),
    "openapi": lambda app, request: Response(200, app.render_openapi()),
}


def make_app(parts: ApiParts) -> App:
    """The Networking API as an ASGI application."""
    return App(make_api(parts), make_metrics(parts.registry, lambda: parts.snapshot().revision))


async def serve_resource(api: Api, served: Served, request: Request) -> Response:
    tail = request.tail
    if len(tail) < 2:
        handler = (ITEM if tail else COLLECTION).get(request.method)
        if handler is None:
            raise not_allowed()
        return await handler(api, served, request)
    if tail[1] == "tags" and len(tail) == 2:
        return await tags.serve_tags(api, served, request)
    if tail[1] == "tags" and len(tail) == 3:
        return await tags.serve_tag(api, served, request)
    raise not_found()


async def serve_extensions(api: Api, request: Request) -> Response:
    if not request.tail:
        return await discovery.list_extensions(api, request)
    if len(request.tail) == 1:
        return await discovery.show_extension(api, request)
    raise not_found()


async def serve_mounted(mounted: Mounted, request: Request) -> Response:
    status, body, headers = await mounted.serve(
        request.method, request.path, request.params(), request.headers, request.body, request.base_url
    )
    return Response(status, body, headers)


def split_path(scope: Scope) -> list[str]:
    """The path's segments, decoded one by one, so that %2F in a tag is part of the tag; without a .json at the end."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "replace")
    path = raw.partition(b"?")[0].decode("latin-1")
    segments = path.split("/")[1:]
    if "%" in path:
        segments = [unquote(segment) for segment in segments]
    while segments and not segments[-1]:
        segments.pop()
    if segments and segments[-1].endswith(".json") and segments != ["openapi.json"]:
        segments[-1] = segments[-1][:-5]
    return segments


def read_base_url(scope: Scope, headers: Headers) -> str:
    """The server's address as this client wrote it."""
    host = headers.get(b"host", b"localhost").decode("latin-1")
    return f"{scope.get('scheme', 'http')}://{host}{scope.get('root_path', '')}"


def make_unauthorized(error: Unauthorized) -> Response:
    """401 in the form of keystonemiddleware."""
    message = "The request you have made requires authentication."
    body = {"error": {"code": 401, "title": "Unauthorized", "message": message}}
    challenge = (error.www_authenticate or "Keystone").encode("latin-1", "replace")
    return Response(401, encode(body), (JSON_TYPE, (b"www-authenticate", challenge)))


def make_health(parts: ApiParts) -> Response:
    found = {"revision": parts.snapshot().revision, **parts.ready()}
    return make_json(found, 200 if found.get("ready", True) else 503)


async def serve_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """The server's own start and stop; main does what there is to do. A websocket is refused."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1003})
        return
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
