"""The ASGI application: from a connection's dictionaries to a handler and back, with ids, figures and errors.

Law: whatever a client sends is answered; a fault of ours is logged with its request id and answered with 500.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import unquote
from uuid import uuid4

from netloom.api import discovery, quotas, topology
from netloom.api.limits import Limits
from netloom.api.message import (
    JSON_TYPE,
    TRACE,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    Trace,
    encode,
    make_error,
    make_json,
    not_found,
    read_body,
    send_response,
)
from netloom.api.metrics import CONTENT_TYPE, Metrics, make_metrics
from netloom.api.openapi import render_openapi
from netloom.api.parts import Answered, ApiParts, Headers, Mounted, Unauthorized
from netloom.api.routes import Handler, Route, find_resource_route
from netloom.api.served import Api, make_api
from netloom.intent.errors import ApiError
from netloom.intent.operation import Committed, Operation, Requester, Submit

LOG = logging.getLogger(__name__)

WITH_BODY = frozenset({"POST", "PUT", "DELETE", "PATCH"})
GLOBAL_ID = re.compile(rb"^req-[0-9a-fA-F-]{36}$")
SPECIAL: Mapping[str, Handler] = {
    "extensions": discovery.serve_extensions,
    "quotas": quotas.serve_quotas,
    "auto-allocated-topology": topology.serve_topology,
}


class App:
    """`make_app` makes it; an ASGI server calls it."""

    def __init__(self, api: Api, metrics: Metrics) -> None:
        self.api = api
        self.metrics = metrics
        self.openapi = b""
        self._limit = api.parts.settings.max_request_body_size
        self._limits = Limits(api.parts.settings.rates, time.monotonic)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await serve_lifespan(scope, receive, send)
            return
        began_s, start = time.time(), time.perf_counter()
        request = Request(
            scope["method"], scope["path"], dict(scope["headers"]), scope["query_string"], request_id=f"req-{uuid4()}"
        )
        trace = Trace(request.request_id)
        TRACE.set(trace)
        response = await self.answer(scope, receive, request)
        if response is None:  # the client went away
            return
        await send_response(send, response, request.request_id.encode())
        seconds = time.perf_counter() - start
        trace.ended = True
        self.metrics.count(request.route, request.method, response.status, seconds)
        log_answer(request, response.status, seconds, trace.revision)
        self.api.parts.answered(
            Answered(trace.request_id, request.route, request.method, response.status, began_s, seconds, trace.revision)
        )

    async def answer(self, scope: Scope, receive: Receive, request: Request) -> Response | None:
        """Whatever happens, an answer; None: nobody waits for it any more."""
        api = self.api
        try:
            request.base_url = read_base_url(scope, request.headers)
            if request.method in WITH_BODY:
                body = await read_body(receive, self._limit)
                if body is None:
                    return None
                request.body = body
            segments = split_path(scope)
            if segments[:1] != ["v2.0"]:
                handler, given = self.find_public(segments, request)
                return await handler(api, given, request)
            requester = await api.parts.identity.authenticate(request.headers, request.method, request.path)
            request.requester = api.policy.recognise(requester)
            if self._limits.on:
                self._limits.check(request.requester, request.headers)
            handler, given = self.find_route(segments[1:], request)
            return await handler(api, given, request)
        except ApiError as error:
            return make_error(error)
        except Unauthorized as error:
            return make_unauthorized(error)
        except Exception:
            LOG.exception("%s %s failed (%s)", request.method, request.path, name_request(request))
            text = "Request Failed: internal server error while processing your request."
            return make_error(ApiError(500, "HTTPInternalServerError", text))

    def find_route(self, segments: list[str], request: Request) -> Route:
        """Who answers what is below /v2.0. Raises ApiError 404 and 405."""
        if not segments:
            return Route(discovery.serve_resources)
        name, request.tail = segments[0], tuple(segments[1:])
        special = SPECIAL.get(name)
        if special is not None:
            request.route = name
            return Route(special)
        return find_resource_route(self.api.served, segments, request)

    def find_public(self, segments: list[str], request: Request) -> Route:
        """What needs no token: versions, health, figures, the description of the API, and mounted parts."""
        name = segments[0] if segments else ""
        mounted = self.api.parts.mounts.get(f"/{name}")
        if mounted is not None:
            request.route = name
            return Route(serve_mounted, mounted)
        if len(segments) > 1 or name not in PUBLIC:
            raise not_found()
        return Route(PUBLIC[name], self)


def make_app(parts: ApiParts) -> App:
    """The Networking API as an ASGI application."""
    noted = replace(parts, submit=note_revision(parts.submit))
    return App(make_api(noted), make_metrics(parts.registry, lambda: parts.snapshot().revision))


def note_revision(submit: Submit) -> Submit:
    """The same, and whoever asks about the request at hand learns what revision it became."""

    async def submit_noted(operation: Operation, requester: Requester, request_id: str = "") -> Committed:
        committed = await submit(operation, requester, request_id)
        trace = TRACE.get()
        if trace is not None and committed.outcome.changes:
            trace.revision = committed.revision
        return committed

    return submit_noted


def log_answer(request: Request, status: int, seconds: float, revision: int) -> None:
    """A line for each request: what changes something always, what reads with debug."""
    level = logging.INFO if request.method in WITH_BODY else logging.DEBUG
    if LOG.isEnabledFor(level):
        ids = {"request_id": name_request(request), "revision": revision, "project_id": request.requester.project_id}
        LOG.log(level, "%s %s %d in %.1f ms", request.method, request.path, status, seconds * 1000, extra=ids)


def name_request(request: Request) -> str:
    """The request's ids for the log: ours, and the one of the service that asked, if it said one."""
    theirs = request.headers.get(b"x-openstack-request-id", b"")
    return f"{request.request_id} for {theirs.decode()}" if GLOBAL_ID.match(theirs) else request.request_id


# -- what needs no token -------------------------------------------------------------------------------------------


async def serve_mounted(api: Api, mounted: Mounted, request: Request) -> Response:
    status, body, headers = await mounted.serve(
        request.method, request.path, request.params(), request.headers, request.body, request.base_url
    )
    return Response(status, body, headers)


async def serve_versions(api: Api, app: App, request: Request) -> Response:
    discovery.require_get(request)
    return make_json(discovery.render_versions(request.base_url))


async def serve_health(api: Api, app: App, request: Request) -> Response:
    discovery.require_get(request)
    found = {"revision": api.parts.snapshot().revision, **api.parts.ready()}
    return make_json(found, 200 if found.get("ready", True) else 503)


async def serve_metrics(api: Api, app: App, request: Request) -> Response:
    discovery.require_get(request)
    return Response(200, app.metrics.render(), (CONTENT_TYPE,))


async def serve_openapi(api: Api, app: App, request: Request) -> Response:
    discovery.require_get(request)
    if not app.openapi:
        app.openapi = encode(render_openapi(api.parts.catalog, api.parts.settings.version))
    return Response(200, app.openapi)


PUBLIC: Mapping[str, Handler] = {
    "": serve_versions,
    "healthcheck": serve_health,
    "metrics": serve_metrics,
    "openapi.json": serve_openapi,
    "openapi": serve_openapi,
}


# -- what comes with the connection ----------------------------------------------------------------------------------


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
