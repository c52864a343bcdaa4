"""Quotas, which are no documents of their own: limits are shown for every project, whether set or not.

Law: the rules are get_quota, update_quota and delete_quota, with the project that is asked about as the target. A
project's own limits are for all its members to see.
"""

from __future__ import annotations

from netloom.api.controller import read_item
from netloom.api.message import Request, Response, make_json, not_allowed, not_found
from netloom.api.served import Api, forbidden
from netloom.intent.errors import ApiError, bad_request
from netloom.intent.quota import (
    QUOTA,
    list_quotas,
    make_quota_delete,
    make_quota_update,
    read_default_quota,
    read_quota,
    read_quota_details,
)
from netloom.intent.schema import Doc, merge_project

MAX_PROJECT_ID = 255


async def serve_quotas(api: Api, _: None, request: Request) -> Response:
    tail = request.tail
    if not tail:
        return list_all(api, request)
    if len(tail) > 2:
        raise not_found()
    if len(tail[0]) > MAX_PROJECT_ID or "\x00" in tail[0]:
        raise bad_request(f"Invalid input for project_id. Reason: '{tail[0]!a}' is not a project's id.")
    if len(tail) == 2:
        return show_other(api, request, tail[0], tail[1])
    if tail[0] in ("tenant", "project") and request.method == "GET":
        return make_json({tail[0]: {f"{tail[0]}_id": request.requester.project_id}})
    return await serve_project(api, request, tail[0])


def list_all(api: Api, request: Request) -> Response:
    if request.method != "GET":
        raise not_allowed()
    found = list_quotas(api.parts.snapshot(), api.parts.options)
    policy, snapshot = api.policy, api.parts.snapshot()
    mine = [doc for doc in found if policy.allows("get_quota", request.requester, doc, snapshot)]
    return make_json({"quotas": [with_project(doc, doc["project_id"]) for doc in mine]})


def show_other(api: Api, request: Request, project_id: str, name: str) -> Response:
    if name not in ("default", "details"):
        raise not_found()
    if request.method != "GET":
        raise not_allowed()
    allow(api, request, "get_quota", project_id)
    if name == "default":
        return make_json({"quota": with_project(read_default_quota(api.parts.options), project_id)})
    return make_json({"quota": read_quota_details(api.parts.snapshot(), api.parts.options, project_id)})


async def serve_project(api: Api, request: Request, project_id: str) -> Response:
    if request.method == "GET":
        allow(api, request, "get_quota", project_id)
        found = read_quota(api.parts.snapshot(), api.parts.options, project_id)
        return make_json({"quota": with_project(found, project_id)})
    if request.method == "PUT":
        body = merge_project(read_item(QUOTA, request.json()))
        operation = make_quota_update(project_id, {k: v for k, v in body.items() if k != "project_id"})
        allow(api, request, "update_quota", project_id)
        committed = await api.parts.submit(operation, request.requester, request.request_id)
        return make_json({"quota": with_project(committed.outcome.answer[0], project_id)})
    if request.method == "DELETE":
        allow(api, request, "delete_quota", project_id)
        await api.parts.submit(make_quota_delete(project_id), request.requester, request.request_id)
        return Response(204, headers=())
    raise not_allowed()


def allow(api: Api, request: Request, rule: str, project_id: str) -> None:
    """Raises ApiError 403, or 404 for a project whose limits may not be seen."""
    if rule == "get_quota" and project_id == request.requester.project_id:
        return  # everyone may know the limits of their own project, as in Neutron
    policy, snapshot, target = api.policy, api.parts.snapshot(), {"project_id": project_id}
    if policy.allows(rule, request.requester, target, snapshot):
        return
    if rule != "get_quota" and not policy.allows("get_quota", request.requester, target, snapshot):
        raise ApiError(404, "HTTPNotFound", "The resource could not be found.")
    raise forbidden(f"rule:{rule}")


def with_project(limits: Doc, project_id: str) -> Doc:
    return {**limits, "project_id": project_id, "tenant_id": project_id}
