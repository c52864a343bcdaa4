"""Everybody is an administrator, unless the request says whom to play. For tries on one's own machine."""

from __future__ import annotations

from dataclasses import dataclass

from netloom.api.parts import Headers
from netloom.intent.operation import Requester


@dataclass(frozen=True, slots=True)
class NoAuth:
    """As Neutron's auth_strategy=noauth: X-Project-Id, X-User-Id, X-Roles and X-Service-Roles are believed."""

    user_id: str = "admin"

    async def authenticate(self, headers: Headers, method: str = "", path: str = "") -> Requester:
        project = read_text(headers, b"x-project-id") or read_text(headers, b"x-tenant-id")
        roles = read_roles(headers, b"x-roles")
        return Requester(
            user_id=read_text(headers, b"x-user-id") or self.user_id,
            project_id=project,
            roles=roles or ("admin", "member", "reader"),
            is_admin=not roles,
            project_name=read_text(headers, b"x-project-name"),
            service_roles=read_roles(headers, b"x-service-roles"),
        )


def read_roles(headers: Headers, name: bytes) -> tuple[str, ...]:
    return tuple(r.strip().lower() for r in read_text(headers, name).split(",") if r.strip())


def read_text(headers: Headers, name: bytes) -> str:
    """A header's text; bytes beyond ASCII cannot be part of an id and are replaced."""
    return headers.get(name, b"").decode("utf-8", "replace").strip()
