"""The builtin identity as a client of Keystone meets it."""

from __future__ import annotations

import asyncio
import importlib
import json
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest

from netloom.api.identity.builtin import BuiltinIdentity
from netloom.api.identity.tokens import Token, parse_token, sign_token
from netloom.api.identity.users import (
    IdentityStore,
    load_identity,
    make_builtin_users,
    render_clouds_yaml,
    save_identity,
)
from netloom.api.parts import Unauthorized
from netloom.intent.operation import Requester

KEY = b"k" * 32


def make_users() -> IdentityStore:
    ids, passwords = count(1), iter(["admin-secret", "demo-secret"])
    store, _ = make_builtin_users(lambda: f"{next(ids):032x}", lambda: next(passwords), rounds=4)
    return store


STORE = make_users()


@dataclass
class Keystone:
    """A client of the service, with its clock and what it stored."""

    now: float = 1_000_000.0
    stored: list[IdentityStore] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.identity = BuiltinIdentity(STORE, KEY, self.persist, lambda: self.now)

    async def persist(self, store: IdentityStore) -> None:
        self.stored.append(store)

    def call(
        self, method: str, path: str, body: Any = None, token: str = "", subject: str = "", **query: str
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        headers = {b"x-auth-token": token.encode(), b"x-subject-token": subject.encode(), b"host": b"h:9696"}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        params = {name.replace("__", "."): [value] for name, value in query.items()}
        status, answer, sent = asyncio.run(
            self.identity.serve(method, f"/identity{path}", params, headers, content, "http://h:9696")
        )
        return status, json.loads(answer) if answer else {}, {k.decode(): v.decode() for k, v in sent}

    def login(self, user: str, password: str, scope: Any = None) -> tuple[int, dict[str, Any], dict[str, str]]:
        who = {"name": user, "domain": {"id": "default"}, "password": password}
        auth: dict[str, Any] = {"identity": {"methods": ["password"], "password": {"user": who}}}
        if scope is not None:
            auth["scope"] = scope
        return self.call("POST", "/v3/auth/tokens", {"auth": auth})

    def token(self, user: str, project: str = "") -> str:
        scope = {"project": {"name": project, "domain": {"name": "Default"}}} if project else None
        status, _, headers = self.login(user, f"{user}-secret", scope)
        assert status == 201
        return headers["x-subject-token"]

    def requester(self, token: str) -> Requester:
        return asyncio.run(self.identity.authenticate({b"x-auth-token": token.encode(), b"host": b"h"}))


def test_a_password_gives_a_scoped_token_with_a_catalog() -> None:
    """The openstack command finds the network service in what it gets for a password."""
    keystone = Keystone()
    scope = {"project": {"name": "demo", "domain": {"id": "default"}}}
    status, body, headers = keystone.login("demo", "demo-secret", scope)
    token = body["token"]
    assert status == 201
    assert token["project"]["name"] == "demo"
    assert [role["name"] for role in token["roles"]] == ["member", "reader"]
    urls = {s["type"]: {e["interface"]: e["url"] for e in s["endpoints"]} for s in token["catalog"]}
    assert urls["network"]["public"] == "http://h:9696"
    assert urls["identity"]["admin"] == "http://h:9696/identity"
    requester = keystone.requester(headers["x-subject-token"])
    assert (requester.user_name, requester.project_name, requester.roles) == ("demo", "demo", ("member", "reader"))


@pytest.mark.parametrize(
    ("user", "password", "project"),
    [("demo", "wrong", "demo"), ("nobody", "x", "demo"), ("demo", "demo-secret", "admin"), ("demo", "demo-secret", "?"),
     ("demo", "x" * 100, "demo")],
)  # fmt: skip
def test_a_wrong_name_password_or_project_is_refused_alike(user: str, password: str, project: str) -> None:
    """Nobody learns from a refusal what was wrong."""
    scope = {"project": {"name": project, "domain": {"id": "default"}}}
    status, body, headers = Keystone().login(user, password, scope)
    assert (status, body["error"]["title"]) == (401, "Unauthorized")
    assert headers["www-authenticate"] == 'Keystone uri="http://h:9696/identity"'


def test_a_token_buys_a_token_for_another_project_that_lasts_no_longer() -> None:
    """Changing the project needs no password and gives no more time."""
    keystone = Keystone()
    unscoped = keystone.token("admin")
    keystone.now += 3600
    auth = {
        "identity": {"methods": ["token"], "token": {"id": unscoped}},
        "scope": {"project": {"name": "demo", "domain": {"id": "default"}}},
    }
    status, body, headers = keystone.call("POST", "/v3/auth/tokens", {"auth": auth})
    assert status == 201
    assert body["token"]["methods"] == ["password", "token"]
    old, new = parse_token(unscoped, KEY), parse_token(headers["x-subject-token"], KEY)
    assert old is not None
    assert new is not None
    assert new.expires_s == old.expires_s


def test_a_token_outlives_a_restart_and_not_its_time() -> None:
    """Another process with the same key believes it until it expires."""
    keystone = Keystone()
    token = keystone.token("demo", "demo")
    other = Keystone()
    assert other.requester(token).project_name == "demo"
    other.now += 13 * 3600
    with pytest.raises(Unauthorized):
        other.requester(token)


def test_a_revoked_token_is_void_and_stays_so() -> None:
    """What was logged out does not come back with a restart."""
    keystone = Keystone()
    token = keystone.token("demo", "demo")
    assert keystone.requester(token).user_name == "demo"
    assert keystone.call("DELETE", "/v3/auth/tokens", token=token, subject=token)[0] == 204
    with pytest.raises(Unauthorized):
        keystone.requester(token)
    restarted = Keystone()
    restarted.identity.store = load_identity(save_identity(keystone.stored[-1]))
    with pytest.raises(Unauthorized):
        restarted.requester(token)


@pytest.mark.parametrize("text", ["", "x", "nl1.", "nl1.AAAA", "nl1.ä", "nl1." + "A" * 5000])
def test_a_made_up_token_is_refused(text: str) -> None:
    """No text that we did not sign is a token."""
    with pytest.raises(Unauthorized):
        Keystone().requester(text)


def test_a_token_signed_with_another_key_is_refused() -> None:
    """Tokens of another server are nothing here."""
    token = Token(STORE.users[0].id, "", False, 0, 2e9, "a", ("password",))
    assert parse_token(sign_token(token, KEY), KEY) == token
    assert parse_token(sign_token(token, b"other" * 8), KEY) is None


def test_names_are_resolved_for_administrators() -> None:
    """openstack network create --project demo finds the project's id."""
    keystone = Keystone()
    admin = keystone.token("admin", "admin")
    status, body, _ = keystone.call("GET", "/v3/projects", token=admin, name="demo")
    assert (status, [p["name"] for p in body["projects"]]) == (200, ["demo"])
    assert keystone.call("GET", "/v3/projects/demo", token=admin)[0] == 404
    assert keystone.call("GET", f"/v3/projects/{body['projects'][0]['id']}", token=admin)[0] == 200
    for collection in ("users", "roles", "domains", "services", "endpoints", "regions", "role_assignments", "groups"):
        assert keystone.call("GET", f"/v3/{collection}", token=admin)[0] == 200


def test_others_see_just_themselves() -> None:
    """A member may look at the own user and project and at no list."""
    keystone = Keystone()
    demo = keystone.token("demo", "demo")
    mine = keystone.call("GET", "/v3/auth/projects", token=demo)[1]["projects"]
    assert [p["name"] for p in mine] == ["demo"]
    assert keystone.call("GET", f"/v3/projects/{mine[0]['id']}", token=demo)[0] == 200
    assert keystone.call("GET", "/v3/projects", token=demo)[0] == 403
    assert keystone.call("GET", f"/v3/users/{STORE.users[0].id}", token=demo)[0] == 403
    assert keystone.call("GET", "/v3/projects")[0] == 401


def test_a_token_is_validated_for_its_owner_and_administrators() -> None:
    """Services that validate tokens with us get what Keystone would tell them."""
    keystone = Keystone()
    admin, demo = keystone.token("admin", "admin"), keystone.token("demo", "demo")
    status, body, _ = keystone.call("GET", "/v3/auth/tokens", token=admin, subject=demo)
    assert (status, body["token"]["user"]["name"]) == (200, "demo")
    assert keystone.call("HEAD", "/v3/auth/tokens", token=demo, subject=demo)[:2] == (200, {})
    assert keystone.call("GET", "/v3/auth/tokens", token=demo, subject=admin)[0] == 404


def test_assignments_are_listed_by_user() -> None:
    """openstack role assignment list --user demo --names."""
    keystone = Keystone()
    admin = keystone.token("admin", "admin")
    demo = next(u.id for u in STORE.users if u.name == "demo")
    query = {"user__id": demo, "include_names": "true"}
    _, body, _ = keystone.call("GET", "/v3/role_assignments", token=admin, **query)
    assert [(a["role"]["name"], a["scope"]["project"]["name"]) for a in body["role_assignments"]] == [
        ("member", "demo")
    ]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"auth":1}', b'{"auth":{"identity":[]}}',
             b'{"auth":{"identity":{"methods":1}}}',
             b'{"auth":{"identity":{"methods":["password"],"password":{"user":3}}}}',
             b'{"auth":{"identity":{"methods":["password"],"password":{"user":{"id":{}}}}}}',
             b'{"auth":{"identity":{"methods":["token"],"token":{"id":{}}}}}', b"[" * 5000],
)  # fmt: skip
def test_a_malformed_login_is_no_fault_of_the_server(body: bytes) -> None:
    """Whatever is sent as a login, the answer is 400 or 401."""
    assert Keystone().call("POST", "/v3/auth/tokens", body)[0] in (400, 401)


def test_versions_are_found_without_a_token() -> None:
    """Discovery, as every client begins."""
    keystone = Keystone()
    status, body, _ = keystone.call("GET", "")
    assert (status, body["versions"]["values"][0]["links"][0]["href"]) == (300, "http://h:9696/identity/v3/")
    assert keystone.call("GET", "/v3/")[1]["version"]["id"] == "v3.14"
    assert keystone.call("GET", "/v4")[0] == 404


def test_users_are_stored_without_their_passwords() -> None:
    """The file holds hashes and reads back as the same value."""
    data = save_identity(STORE)
    assert b"secret" not in data
    assert load_identity(data) == STORE
    with pytest.raises(ValueError, match="cannot be read"):
        load_identity(b'{"users": 3}')


def test_clouds_yaml_is_read_by_openstacksdk() -> None:
    """Any password survives the file."""
    yaml: Any = importlib.import_module("yaml")
    text = render_clouds_yaml("http://h:9696/identity/v3", {"admin": 'a"b: #x', "demo": "d"})
    clouds = yaml.safe_load(text)["clouds"]
    assert clouds["netloom"]["auth"]["password"] == 'a"b: #x'
    assert clouds["netloom-demo"]["auth"]["project_name"] == "demo"
