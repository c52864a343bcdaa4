"""Users, projects, roles and who has which, as one value that is stored as JSON.

Law: a password is never in the value, only what bcrypt makes of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import bcrypt
import msgspec

ROLES = ("admin", "manager", "member", "reader", "service")
IMPLIED = {"admin": ("manager", "member", "reader"), "manager": ("member", "reader"), "member": ("reader",)}
"""Who has the first has the others, as Keystone's bootstrap arranges it."""
BCRYPT_ROUNDS = 10
MAX_PASSWORD_BYTES = 72  # what bcrypt looks at


@dataclass(frozen=True, slots=True)
class Domain:
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Project:
    id: str
    name: str
    domain_id: str = "default"
    description: str = ""
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class User:
    id: str
    name: str
    password_hash: str
    domain_id: str = "default"
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Role:
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """A role of a user on a project; project_id "" is the whole system."""

    user_id: str
    role_id: str
    project_id: str = ""


@dataclass(frozen=True, slots=True)
class IdentityStore:
    """`revoked`: audit id of a token → second since 1970 from which it is expired anyway."""

    domains: tuple[Domain, ...] = (Domain("default", "Default"),)
    projects: tuple[Project, ...] = ()
    users: tuple[User, ...] = ()
    roles: tuple[Role, ...] = ()
    assignments: tuple[Assignment, ...] = ()
    revoked: Mapping[str, float] = field(default_factory=dict)


def make_builtin_users(
    new_id: Callable[[], str], new_password: Callable[[], str], rounds: int = BCRYPT_ROUNDS
) -> tuple[IdentityStore, dict[str, str]]:
    """The users of a first start, and their passwords by name: to be shown once and written to clouds.yaml.

    Hashing takes about 0.1 s for each: not to be called in an event loop.
    """
    roles = {name: Role(make_plain_id(new_id), name) for name in ROLES}
    projects = {name: Project(make_plain_id(new_id), name) for name in ("admin", "demo", "service")}
    passwords = {name: new_password() for name in ("admin", "demo")}
    users = {
        name: User(make_plain_id(new_id), name, hash_password(password, rounds)) for name, password in passwords.items()
    }
    given = [
        ("admin", "admin", "admin"),
        ("admin", "admin", "demo"),
        ("admin", "admin", ""),
        ("demo", "member", "demo"),
    ]
    assignments = tuple(
        Assignment(users[user].id, roles[role].id, projects[project].id if project else "")
        for user, role, project in given
    )
    store = IdentityStore(
        projects=tuple(projects.values()),
        users=tuple(users.values()),
        roles=tuple(roles.values()),
        assignments=assignments,
    )
    return store, passwords


def make_plain_id(new_id: Callable[[], str]) -> str:
    """Keystone's ids are UUIDs without dashes."""
    return new_id().replace("-", "")


def hash_password(password: str, rounds: int = BCRYPT_ROUNDS) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds)).decode()


def check_password(password: str, password_hash: str) -> bool:
    """Takes about 0.1 s: to be run in a thread."""
    secret = password.encode("utf-8", "replace")
    if len(secret) > MAX_PASSWORD_BYTES:
        return False
    return bcrypt.checkpw(secret, password_hash.encode())


def load_identity(data: bytes) -> IdentityStore:
    """Raises ValueError with what is wrong in the data."""
    try:
        return msgspec.json.decode(data, type=IdentityStore)
    except msgspec.MsgspecError as error:
        raise ValueError(f"The file of users cannot be read: {error}") from None


def save_identity(store: IdentityStore) -> bytes:
    """Holds password hashes: to be written with mode 0600."""
    return msgspec.json.format(msgspec.json.encode(asdict(store)), indent=2)


def revoke(store: IdentityStore, audit_id: str, expires_s: float, now_s: float) -> IdentityStore:
    """The store in which that token is void; what is expired by now is forgotten."""
    kept = {id: until for id, until in store.revoked.items() if until > now_s}
    return replace(store, revoked={**kept, audit_id: expires_s})


def find_roles(store: IdentityStore, user_id: str, project_id: str) -> tuple[Role, ...]:
    """The roles of a user on a project ("": on the system), with those that they imply, in the order of ROLES."""
    ids = {a.role_id for a in store.assignments if a.user_id == user_id and a.project_id == project_id}
    names = {role.name for role in store.roles if role.id in ids}
    names |= {implied for name in names for implied in IMPLIED.get(name, ())}
    return tuple(role for role in store.roles if role.name in names)


def find_named(items: tuple[Any, ...], reference: Mapping[str, Any], store: IdentityStore) -> Any:
    """The user or project that a reference names: {"id"} or {"name", "domain": {"id" or "name"}}; else None."""
    if isinstance(id := reference.get("id"), str):
        return next((one for one in items if one.id == id), None)
    domain = find_domain(store, reference.get("domain"))
    name = reference.get("name")
    return next((one for one in items if domain and one.name == name and one.domain_id == domain.id), None)


def find_domain(store: IdentityStore, reference: Any) -> Domain | None:
    if not isinstance(reference, Mapping):
        return None
    id, name = reference.get("id"), reference.get("name")
    return next((one for one in store.domains if one.id == id or (id is None and one.name == name)), None)


def render_clouds_yaml(auth_url: str, passwords: Mapping[str, str], region: str = "RegionOne", cacert: str = "") -> str:
    """A clouds.yaml with a cloud for each user: "netloom" is the administrator, "netloom-demo" an ordinary one."""
    clouds = {"netloom": ("admin", "admin"), "netloom-demo": ("demo", "demo")}
    lines = ["# Made by netloom server. Holds passwords: keep it readable for its owner alone.", "clouds:"]
    for cloud, (user, project) in clouds.items():
        lines += [
            f"  {cloud}:",
            "    auth:",
            f"      auth_url: {quote(auth_url)}",
            f"      username: {quote(user)}",
            f"      password: {quote(passwords[user])}",
            f"      project_name: {quote(project)}",
            "      user_domain_id: default",
            "      project_domain_id: default",
            f"    region_name: {quote(region)}",
            '    identity_api_version: "3"',
            *([f"    cacert: {quote(cacert)}"] if cacert else []),
        ]
    return "\n".join(lines) + "\n"


def read_passwords(clouds_yaml: str) -> dict[str, str]:
    """The passwords of a clouds.yaml that is as `render_clouds_yaml` made it, by user; else nothing."""
    values = {
        name: [msgspec.json.decode(text) for text in re.findall(rf"^ +{name}: (\".*\")$", clouds_yaml, re.MULTILINE)]
        for name in ("username", "password", "auth_url", "cacert")
    }
    passwords = dict(zip(values["username"], values["password"], strict=False))
    if set(passwords) != {"admin", "demo"}:
        return {}
    cacert = values["cacert"][0] if values["cacert"] else ""
    again = render_clouds_yaml(values["auth_url"][0], passwords, cacert=cacert) if values["auth_url"] else ""
    return passwords if again == clouds_yaml else {}


def quote(text: str) -> str:
    """A text as YAML reads it whatever is in it: JSON strings are YAML."""
    return msgspec.json.encode(text).decode()
