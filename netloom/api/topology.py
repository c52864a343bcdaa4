"""/auto-allocated-topology/{project}: reading it makes it, so it is answered by the writer.

Law: the rules are get_auto_allocated_topology and delete_auto_allocated_topology, with the project as the target.
"""

from __future__ import annotations

from netloom.api import controller
from netloom.api.message import Request, Response, make_json, not_allowed, not_found
from netloom.api.query import parse_fields
from netloom.api.served import Api, Place, forbidden
from netloom.intent.l3.auto_topology import (
    AUTO_ALLOCATED_TOPOLOGY,
    check_requirements,
    make_removal,
    make_topology,
    parse_project,
    parse_wish,
)
from netloom.intent.schema import Doc


async def serve_topology(api: Api, _: None, request: Request) -> Response:
    tail = request.tail
    if len(tail) > 1:
        raise not_found()
    if not tail:
        if request.method != "GET":
            raise not_allowed()
        return await controller.list_objects(api, Place(api.served[AUTO_ALLOCATED_TOPOLOGY.path], ""), request)
    if request.method == "GET":
        return await show(api, tail[0], request)
    if request.method == "DELETE":
        project_id = parse_project(tail[0], request.requester)
        allow(api, request, "delete", project_id)
        await api.parts.submit(make_removal(project_id), request.requester, request.request_id)
        return Response(204, headers=())
    raise not_allowed()


async def show(api: Api, named: str, request: Request) -> Response:
    project_id, dry = parse_wish(named, parse_fields(request.params()), request.requester)
    allow(api, request, "get", project_id)
    if dry:
        return answer(check_requirements(api.parts.snapshot(), request.requester, project_id))
    committed = await api.parts.submit(make_topology(project_id), request.requester, request.request_id)
    return answer(committed.outcome.answer[0])


def allow(api: Api, request: Request, verb: str, project_id: str) -> None:
    rule, target = f"{verb}_{AUTO_ALLOCATED_TOPOLOGY.name}", {"project_id": project_id}
    if not api.policy.allows(rule, request.requester, target, api.parts.snapshot()):
        raise forbidden(f"rule:{rule}")


def answer(doc: Doc) -> Response:
    project_id = doc["project_id"]
    shown = {"id": doc["id"], "project_id": project_id, "tenant_id": project_id}
    return make_json({AUTO_ALLOCATED_TOPOLOGY.name: shown})
