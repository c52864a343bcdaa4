"""Keystone v3's documents made of our users and projects (Identity API v3.14, sections Authentication and on).

Law: pure; a document holds no password and no hash.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from netloom.api.identity.tokens import Token
from netloom.api.identity.users import Domain, IdentityStore, Project, Role, User, find_roles

Doc = dict[str, Any]
REGION = "RegionOne"
MEDIA = {"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}


@dataclass(frozen=True, slots=True)
class Urls:
    """Where the two services are, as the client reached them: no slash at the end."""

    network: str
    identity: str


def format_time(second: float) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.000000Z")


def render_version(urls: Urls) -> Doc:
    link = {"rel": "self", "href": f"{urls.identity}/v3/"}
    return {
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [link],
        "media-types": [MEDIA],
    }


def render_domain_reference(store: IdentityStore, domain_id: str) -> Doc:
    name = next((d.name for d in store.domains if d.id == domain_id), domain_id)
    return {"id": domain_id, "name": name}


def render_domain(domain: Domain) -> Doc:
    return {"id": domain.id, "name": domain.name, "enabled": True, "description": "", "tags": [], "options": {}}


def render_project(project: Project) -> Doc:
    return {
        "id": project.id,
        "name": project.name,
        "domain_id": project.domain_id,
        "parent_id": project.domain_id,
        "description": project.description,
        "enabled": project.enabled,
        "is_domain": False,
        "tags": [],
        "options": {},
    }


def render_user(user: User) -> Doc:
    return {
        "id": user.id,
        "name": user.name,
        "domain_id": user.domain_id,
        "enabled": user.enabled,
        "password_expires_at": None,
        "options": {},
    }


def render_role(role: Role) -> Doc:
    return {"id": role.id, "name": role.name, "domain_id": None, "description": None, "options": {}}


def render_assignments(store: IdentityStore, with_names: bool) -> list[Doc]:
    users, projects = {u.id: u for u in store.users}, {p.id: p for p in store.projects}
    roles = {r.id: r for r in store.roles}
    found = []
    for a in store.assignments:
        user, role = users[a.user_id], roles[a.role_id]
        scope: Doc = {"system": {"all": True}}
        if a.project_id:
            scope = {"project": named(projects[a.project_id], store) if with_names else {"id": a.project_id}}
        who = named(user, store) if with_names else {"id": user.id}
        what = {"id": role.id, "name": role.name} if with_names else {"id": role.id}
        found.append({"user": who, "role": what, "scope": scope, "links": {}})
    return found


def named(item: User | Project, store: IdentityStore) -> Doc:
    return {"id": item.id, "name": item.name, "domain": render_domain_reference(store, item.domain_id)}


def render_services() -> list[Doc]:
    return [
        {"id": f"netloom-{type}", "type": type, "name": name, "enabled": True, "description": ""}
        for type, name in (("network", "netloom"), ("identity", "netloom-identity"))
    ]


def render_endpoints(urls: Urls) -> list[Doc]:
    return [
        {
            "id": f"netloom-{type}-{interface}",
            "service_id": f"netloom-{type}",
            "interface": interface,
            "region": REGION,
            "region_id": REGION,
            "url": url,
            "enabled": True,
        }
        for type, url in (("network", urls.network), ("identity", urls.identity))
        for interface in ("public", "internal", "admin")
    ]


def render_catalog(urls: Urls) -> list[Doc]:
    """The service catalog as it is in tokens."""
    endpoints = render_endpoints(urls)
    keys = ("id", "interface", "region", "region_id", "url")
    return [
        {
            "id": service["id"],
            "type": service["type"],
            "name": service["name"],
            "endpoints": [{k: e[k] for k in keys} for e in endpoints if e["service_id"] == service["id"]],
        }
        for service in render_services()
    ]


def render_token(token: Token, store: IdentityStore, urls: Urls, with_catalog: bool) -> Doc:
    """The token as its owner sees it; a user or project that is gone makes KeyError."""
    user = {u.id: u for u in store.users}[token.user_id]
    body: Doc = {
        "methods": list(token.methods),
        "user": {**named(user, store), "password_expires_at": None},
        "audit_ids": [token.audit_id],
        "issued_at": format_time(token.issued_s),
        "expires_at": format_time(token.expires_s),
    }
    if not token.project_id and not token.system:
        return {"token": body}
    roles = find_roles(store, token.user_id, token.project_id)
    body["roles"] = [{"id": r.id, "name": r.name} for r in roles]
    if token.project_id:
        project = {p.id: p for p in store.projects}[token.project_id]
        body |= {"project": named(project, store), "is_domain": False, "is_admin_project": False}
    else:
        body["system"] = {"all": True}
    if with_catalog:
        body["catalog"] = render_catalog(urls)
    return {"token": body}


def render_list(collection: str, items: list[Doc], url: str) -> Doc:
    return {collection: items, "links": {"next": None, "self": url, "previous": None}}


def render_error(status: int, message: str) -> Mapping[str, Any]:
    titles = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed"}
    return {"error": {"code": status, "message": message, "title": titles.get(status, "Error")}}
