"""A small Keystone: enough of the Identity API v3 for the openstack command to work with users of our own.

Law: users, projects and roles are read here and never changed; what changes is which tokens are revoked.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from netloom.api.identity import documents
from netloom.api.identity.documents import Urls, render_error
from netloom.api.identity.noauth import read_text
from netloom.api.identity.tokens import Token, parse_token, sign_token
from netloom.api.identity.users import (
    Assignment,
    IdentityStore,
    Project,
    User,
    check_password,
    find_named,
    find_roles,
    revoke,
)
from netloom.api.message import encode
from netloom.api.parts import Headers, Unauthorized
from netloom.intent.operation import Requester

LIFETIME_S = 12 * 3600.0
MAX_KNOWN = 10_000
"""Tokens whose requester is remembered."""
SERVICE_ROLE = "service"
"""Who has it may vouch for a user's request with a token of its own beside the user's."""
DUMMY_HASH = "$2b$10$CwTycUXWue0Thq9StjUM0uJ8bQhGzSGZ7UO9ybO2DsrCyqFoZoWl2"
"""What an unknown user's password is compared with, so that time does not tell who exists."""
NEEDS_AUTH = "The request you have made requires authentication."


class Refused(Exception):
    """An answer of the identity service that is no success."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Call:
    """A request to the identity service; `path` is what follows /v3."""

    method: str
    path: tuple[str, ...]
    query: Mapping[str, list[str]]
    headers: Headers
    body: bytes
    urls: Urls


@dataclass(slots=True)
class Answer:
    status: int
    body: Any = None
    headers: tuple[tuple[bytes, bytes], ...] = ()


async def keep_nothing(store: IdentityStore) -> None:
    """For those who do not mind that revoked tokens come back with a restart."""


@dataclass(slots=True)
class BuiltinIdentity:
    """Both ends: it gives tokens out (`serve`) and says who shows one (`authenticate`).

    `key` signs tokens: 32 secret bytes that stay the same over restarts. `persist` is called with every new value.
    `public_url`: the server's address in the catalog; empty: the one that the client used. `scheme`: http or https,
    as the server itself speaks.
    """

    store: IdentityStore
    key: bytes
    persist: Callable[[IdentityStore], Awaitable[None]] = keep_nothing
    now: Callable[[], float] = time.time
    lifetime_s: float = LIFETIME_S
    public_url: str = ""
    scheme: str = "http"
    prefix: str = "/identity"
    _known: dict[bytes, tuple[float, Requester]] = field(default_factory=dict)
    _saving: asyncio.Lock = field(default_factory=asyncio.Lock)
    _routes: Mapping[str, Callable[[Call], Awaitable[Answer]]] = field(init=False)

    def __post_init__(self) -> None:
        self._routes = {"tokens": self._tokens, "projects": self._own, "domains": self._own, "catalog": self._own,
                        "system": self._own}  # fmt: skip

    # -- who asks ------------------------------------------------------------------------------------------------------

    async def authenticate(self, headers: Headers, method: str = "", path: str = "") -> Requester:
        requester = self._find_requester(headers, b"x-auth-token")
        if requester is None:
            raise Unauthorized(self.www_authenticate(headers))
        service = self._find_requester(headers, b"x-service-token")
        if service is None or SERVICE_ROLE not in service.roles:
            return requester
        return replace(requester, service_roles=service.roles)

    def _find_requester(self, headers: Headers, name: bytes) -> Requester | None:
        text = headers.get(name, b"")
        known = self._known.get(text)
        if known is not None and known[0] > self.now():
            return known[1]
        token = self.find_token(text)
        if token is None:
            return None
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        requester = self.make_requester(token)
        self._known[text] = (token.expires_s, requester)
        return requester

    def adopt(self, store: IdentityStore) -> None:
        """What another process has made of it."""
        self.store = store
        self._known.clear()

    def www_authenticate(self, headers: Headers) -> str:
        base = self.public_url or f"{self.scheme}://{read_text(headers, b'host')}"
        return f'Keystone uri="{base}{self.prefix}"'

    def find_token(self, text: bytes) -> Token | None:
        """The token if it is good now: ours, in time, not revoked, of a user and a scope that are still there."""
        token = parse_token(text.decode("latin-1"), self.key)
        if token is None or token.expires_s <= self.now() or token.audit_id in self.store.revoked:
            return None
        user = self.find_user(token.user_id)
        if user is None or not user.enabled:
            return None
        if token.project_id and not (self.find_project(token.project_id) and self.roles(token)):
            return None
        return token

    def find_user(self, id: str) -> User | None:
        return next((u for u in self.store.users if u.id == id), None)

    def find_project(self, id: str) -> Project | None:
        return next((p for p in self.store.projects if p.id == id and p.enabled), None)

    def roles(self, token: Token) -> tuple[str, ...]:
        if not token.project_id and not token.system:
            return ()
        return tuple(role.name for role in find_roles(self.store, token.user_id, token.project_id))

    def make_requester(self, token: Token) -> Requester:
        user, project = self.find_user(token.user_id), self.find_project(token.project_id)
        return Requester(
            user_id=token.user_id,
            project_id=token.project_id,
            roles=self.roles(token),
            project_name=project.name if project else "",
            user_name=user.name if user else "",
            system_scope="all" if token.system else "",
        )

    # -- the service ---------------------------------------------------------------------------------------------------

    async def serve(
        self, method: str, path: str, query: Mapping[str, list[str]], headers: Headers, body: bytes, base_url: str
    ) -> tuple[int, bytes, tuple[tuple[bytes, bytes], ...]]:
        base = (self.public_url or base_url).rstrip("/")
        segments = tuple(s for s in path.removeprefix(self.prefix).split("/") if s)
        call = Call(method, segments[1:], query, headers, body, Urls(base, base + self.prefix))
        try:
            answer = await self._answer(segments, call)
        except Refused as refused:
            answer = Answer(refused.status, render_error(refused.status, str(refused)))
            if refused.status == 401:
                challenge = self.www_authenticate(headers).encode("latin-1", "replace")
                answer.headers = ((b"www-authenticate", challenge),)
        content = b"" if answer.body is None or method == "HEAD" else encode(answer.body)
        return (
            answer.status,
            content,
            ((b"content-type", b"application/json"), (b"vary", b"X-Auth-Token"), *answer.headers),
        )

    async def _answer(self, segments: tuple[str, ...], call: Call) -> Answer:
        if not segments:
            return Answer(300, {"versions": {"values": [documents.render_version(call.urls)]}})
        if segments[0] != "v3":
            raise Refused(404, f"Could not find {'/'.join(segments)}.")
        if len(segments) == 1:
            return Answer(200, {"version": documents.render_version(call.urls)})
        if call.path[0] == "auth":
            route = self._routes.get(call.path[1] if len(call.path) == 2 else "")
            if route is None:
                raise Refused(404, "Could not find the path.")
            return await route(call)
        return self._read(call)

    async def _tokens(self, call: Call) -> Answer:
        if call.method == "POST":
            return await self._issue(call)
        if call.method not in ("GET", "HEAD", "DELETE"):
            raise Refused(405, "The method is not allowed for the requested URL.")
        asker = self._require(call)
        text = call.headers.get(b"x-subject-token", b"")
        token = self.find_token(text)
        if token is None or not (self._is_admin(asker) or token.user_id == asker.user_id):
            raise Refused(404, "Could not find token.")
        if call.method == "DELETE":
            self.store = revoke(self.store, token.audit_id, token.expires_s, self.now())
            self._known.clear()
            async with self._saving:  # one at a time, so that the newest value is the last to be stored
                await self.persist(self.store)
            return Answer(204)
        body = documents.render_token(token, self.store, call.urls, "nocatalog" not in call.query)
        return Answer(200, body, ((b"x-subject-token", text),))

    async def _issue(self, call: Call) -> Answer:
        auth = parse_auth(call.body)
        user_id, methods, expires_s = await self._identify(auth)
        project_id, system = self._scope(auth.get("scope"), user_id)
        token = Token(user_id, project_id, system, self.now(), expires_s, secrets.token_urlsafe(16), methods)
        text = sign_token(token, self.key)
        body = documents.render_token(token, self.store, call.urls, "nocatalog" not in call.query)
        return Answer(201, body, ((b"x-subject-token", text.encode()),))

    async def _identify(self, auth: Mapping[str, Any]) -> tuple[str, tuple[str, ...], float]:
        """(user id, methods, expiry): by a password, or by a token, which is not made to last longer."""
        identity = as_mapping(auth.get("identity"), "identity")
        methods = identity.get("methods")
        if methods == ["password"]:
            wanted = as_mapping(as_mapping(identity.get("password"), "password").get("user"), "user")
            user = find_named(self.store.users, wanted, self.store)
            password = str(wanted.get("password", ""))
            good = await asyncio.to_thread(check_password, password, user.password_hash if user else DUMMY_HASH)
            if user is None or not good or not user.enabled:
                raise Refused(401, NEEDS_AUTH)
            return user.id, ("password",), self.now() + self.lifetime_s
        if methods == ["token"]:
            given = as_mapping(identity.get("token"), "token").get("id")
            old = self.find_token(str(given).encode("utf-8", "replace"))
            if old is None:
                raise Refused(401, NEEDS_AUTH)
            return old.user_id, tuple(dict.fromkeys((*old.methods, "token"))), old.expires_s
        raise Refused(401 if isinstance(methods, list) else 400, "The methods served are password and token.")

    def _scope(self, scope: Any, user_id: str) -> tuple[str, bool]:
        """(project id, system) of the scope asked for; ("", False) is an unscoped token."""
        if scope is None or scope == "unscoped" or (isinstance(scope, dict) and "unscoped" in scope):
            return "", False
        wanted = as_mapping(scope, "scope")
        if "system" in wanted:
            project_id, system = "", True
        else:
            project = find_named(self.store.projects, as_mapping(wanted.get("project"), "project"), self.store)
            project_id, system = (project.id if project and project.enabled else "?"), False
        if not find_roles(self.store, user_id, project_id):
            raise Refused(401, NEEDS_AUTH)
        return project_id, system

    def _require(self, call: Call) -> Token:
        token = self.find_token(call.headers.get(b"x-auth-token", b""))
        if token is None:
            raise Refused(401, NEEDS_AUTH)
        return token

    def _is_admin(self, token: Token) -> bool:
        return "admin" in self.roles(token)

    async def _own(self, call: Call) -> Answer:
        """/auth/projects, /auth/domains, /auth/system, /auth/catalog: what the asker could be scoped to."""
        require_read(call)
        asker, name = self._require(call), call.path[1]
        if name == "catalog":
            return Answer(200, {"catalog": documents.render_catalog(call.urls), "links": {"self": None}})
        if name == "system":
            everywhere = any(a.user_id == asker.user_id and not a.project_id for a in self.store.assignments)
            return Answer(200, {"system": [{"all": True}] if everywhere else [], "links": {"self": None}})
        items = [documents.render_project(p) for p in self._projects_of(asker.user_id)] if name == "projects" else []
        return Answer(200, documents.render_list(name, items, f"{call.urls.identity}/v3/auth/{name}"))

    def _projects_of(self, user_id: str) -> list[Project]:
        ids = {a.project_id for a in self.store.assignments if a.user_id == user_id}
        return [p for p in self.store.projects if p.id in ids and p.enabled]

    # -- collections -----------------------------------------------------------------------------------------------

    def _read(self, call: Call) -> Answer:
        asker = self._require(call)
        collection, *rest = call.path
        items = self._collection(collection, call)
        if items is None:
            raise Refused(404, f"Could not find {collection}.")
        require_read(call)
        if not rest:
            return self._list(collection, items, asker, call)
        if len(rest) == 1:
            return self._show(collection, items, rest[0], asker)
        if collection == "users" and rest[1:] == ["projects"] and (self._is_admin(asker) or rest[0] == asker.user_id):
            mine = [documents.render_project(p) for p in self._projects_of(rest[0])]
            return Answer(
                200, documents.render_list("projects", mine, f"{call.urls.identity}/v3/users/{rest[0]}/projects")
            )
        raise Refused(404, "Could not find the path.")

    def _collection(self, name: str, call: Call) -> list[dict[str, Any]] | None:
        store = self.store
        if name == "role_assignments":
            return documents.render_assignments(filter_assignments(store, call.query), "include_names" in call.query)
        found: dict[str, Callable[[], list[dict[str, Any]]]] = {
            "projects": lambda: [documents.render_project(p) for p in store.projects],
            "users": lambda: [documents.render_user(u) for u in store.users],
            "roles": lambda: [documents.render_role(r) for r in store.roles],
            "domains": lambda: [documents.render_domain(d) for d in store.domains],
            "groups": list,
            "services": documents.render_services,
            "endpoints": lambda: documents.render_endpoints(call.urls),
            "regions": lambda: [{"id": documents.REGION, "description": "", "parent_region_id": None}],
        }
        return found[name]() if name in found else None

    def _list(self, collection: str, items: list[dict[str, Any]], asker: Token, call: Call) -> Answer:
        if not self._is_admin(asker) and "reader" not in (self.roles(asker) if asker.system else ()):
            action = f"identity:list_{collection}"
            raise Refused(403, f"You are not authorized to perform the requested action: {action}.")
        if collection != "role_assignments":
            items = [one for one in items if meets(one, call.query)]
        return Answer(200, documents.render_list(collection, items, f"{call.urls.identity}/v3/{collection}"))

    def _show(self, collection: str, items: list[dict[str, Any]], id: str, asker: Token) -> Answer:
        found = next((one for one in items if one.get("id") == id), None)
        own = id in (asker.user_id, asker.project_id) or (
            collection == "projects" and any(p.id == id for p in self._projects_of(asker.user_id))
        )
        singular = collection[:-1]
        if not self._is_admin(asker) and not own and collection not in ("roles", "domains"):
            raise Refused(403, f"You are not authorized to perform the requested action: identity:get_{singular}.")
        if found is None:
            raise Refused(404, f"Could not find {singular}: {id}.")
        return Answer(200, {singular: found})


def require_read(call: Call) -> None:
    if call.method not in ("GET", "HEAD"):
        raise Refused(405, "Users, projects and roles of the builtin identity are read-only.")


def meets(item: Mapping[str, Any], query: Mapping[str, list[str]]) -> bool:
    """Keystone's list filters: an attribute that the item has must have the value; others are ignored."""
    for name, values in query.items():
        if name in item and not isinstance(item[name], list | dict):
            text = str(item[name]).lower() if isinstance(item[name], bool) else str(item[name])
            if values and (values[-1].lower() if isinstance(item[name], bool) else values[-1]) != text:
                return False
    return True


def filter_assignments(store: IdentityStore, query: Mapping[str, list[str]]) -> IdentityStore:
    keys = {"user_id": "user.id", "role_id": "role.id", "project_id": "scope.project.id"}
    wanted = {name: query[key][-1] for name, key in keys.items() if key in query}

    def fits(a: Assignment) -> bool:
        return all(getattr(a, name) == value for name, value in wanted.items())

    return replace(store, assignments=tuple(a for a in store.assignments if fits(a)))


def parse_auth(body: bytes) -> Mapping[str, Any]:
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise Refused(400, "Expecting a JSON object with the key auth.") from None
    return as_mapping(decoded.get("auth") if isinstance(decoded, dict) else None, "auth")


def as_mapping(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Refused(400, f"Expecting to find {name} in the request: an object.")
    return value
