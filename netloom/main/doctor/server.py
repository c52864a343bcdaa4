"""What `netloom doctor` looks at where a server runs, or is to run."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from urllib.parse import urlsplit

import httpx
import yaml  # type: ignore[import-untyped]
from sqlalchemy import text

from netloom.api.rules import find_old_names, make_policy_source
from netloom.intent.catalog import CATALOG
from netloom.main.commands.owner import find_strangers
from netloom.main.doctor.clocks import check_server_clocks, compare_clocks
from netloom.main.doctor.findings import ERROR, WARNING, Check, Finding
from netloom.main.doctor.machine import (
    Machine,
    check_certificate,
    check_clock,
    check_notes,
    check_room,
    check_secret,
)
from netloom.main.doctor.together import make_whole_checks
from netloom.main.options.server import ServerOptions
from netloom.main.servers.authority import read_bytes
from netloom.main.servers.shared_state import make_share
from netloom.notify.nova import NovaSettings, render_login
from netloom.store.engine import find_database, open_reader
from netloom.store.errors import StoreError, StoreOutdated, StoreTooNew

PATIENCE_S = 5.0
SECRETS = ("token.key", "identity.json", "clouds.yaml", "feed/authority.key", "feed/server.key")


def make_server_checks(options: ServerOptions, machine: Machine) -> list[tuple[str, Check]]:
    return [
        ("options", partial(check_notes, options.notes)),
        ("store", partial(check_store, options)),
        ("state", partial(check_state, options)),
        ("shared state", partial(check_shared, options)),
        ("identity", partial(check_identity, options)),
        ("API certificate", partial(check_tls, options, machine)),
        ("feed certificate", partial(check_feed, options, machine)),
        ("secrets", partial(check_secrets, options)),
        ("disk", partial(check_room, options.state_path)),
        ("clock", partial(check_clock, machine)),
        ("clocks", partial(check_server_clocks, options)),
        ("policy", partial(check_policy, options)),
        ("Nova", partial(check_nova, options)),
        ("Placement", partial(check_placement, options)),
        ("RabbitMQ", partial(check_rabbit, options)),
        *make_whole_checks(options, machine),
    ]


def check_store(options: ServerOptions) -> Iterator[Finding]:
    """That it is there, of this program's version, and that its machine's clock agrees with this one's."""
    database = find_database(options.database_url)
    try:
        with database.clear_errors():
            there = database.exists()
        if not there:
            fix = "nothing to do at a first start, which makes it; else look at [database] connection"
            yield Finding("store", WARNING, f"{database.name} is not there", fix)
            return
        store = open_reader(options.database_url)
    except StoreError as error:
        old = "netloom db upgrade, with every server stopped" if isinstance(error, StoreOutdated) else ""
        new = "install the version that wrote it, or a newer one" if isinstance(error, StoreTooNew) else ""
        yield Finding("store", ERROR, str(error), old or new or "see what the text above says; netloom db check")
        return
    try:
        if database.shared:
            with store.read() as connection:
                there_s = float(connection.execute(text(CLOCKS[database_kind(options)])).scalar_one())
            yield from compare_clocks(there_s, datetime.now(UTC).timestamp(), database.name)
    finally:
        store.close()


CLOCKS = {
    "postgresql": "SELECT extract(epoch FROM clock_timestamp())",
    "mysql": "SELECT unix_timestamp(now(6))",
    "mariadb": "SELECT unix_timestamp(now(6))",
}


def database_kind(options: ServerOptions) -> str:
    return urlsplit(options.database_url).scheme.partition("+")[0]


def check_state(options: ServerOptions) -> Iterator[Finding]:
    folder = options.state_path
    if not folder.exists():
        yield Finding("state", WARNING, f"{folder} is not there", "nothing to do at a first start, which makes it")
    elif not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        fix = f"chown -R the folder to the user that runs the server: chown -R netloom: {folder}"
        yield Finding("state", ERROR, f"{folder} cannot be written", fix)
    elif strangers := find_strangers(folder):
        names = ", ".join(str(path.relative_to(folder)) for path in strangers[:3]) + (", …" if strangers[3:] else "")
        said = f"not of the user that {folder} belongs to, whose server may not read it: {names}"
        yield Finding("state", ERROR, said, f"chown -R --reference={folder} {folder}")


def check_shared(options: ServerOptions) -> Iterator[Finding]:
    """That this machine has the authority and the key that servers of the same database have."""
    if not find_database(options.database_url).shared:
        return
    try:
        store = open_reader(options.database_url)
    except StoreError:
        return  # the look at the store has told it
    try:
        share = make_share(store)
        found = share.read_all() if share else {}
    finally:
        store.close()
    fix = "restart this server: it takes the store's, and sets its own aside; hosts that joined by that one join again"
    own = read_bytes(options.state_path / "feed/authority.pem")
    if own and "feed/authority" in found and own.decode() not in found["feed/authority"].decode().replace("\\n", "\n"):
        yield Finding("shared state", ERROR, "feed/authority.pem is not that of the store's other servers", fix)
    key = read_bytes(options.state_path / "token.key")
    if key and found.get("token.key", key) != key:
        yield Finding("shared state", ERROR, "token.key is not that of the store's other servers", fix)


def check_identity(options: ServerOptions) -> Iterator[Finding]:
    if options.auth_strategy == "noauth":
        fix = "set auth_strategy = keystone, or builtin"
        yield Finding("identity", WARNING, "everybody who reaches the API is an administrator (noauth)", fix)
    keystone = options.keystone
    if keystone is None:
        return
    login = NovaSettings(
        keystone.auth_url, keystone.username, keystone.password, keystone.project_name,
        keystone.user_domain_name, keystone.project_domain_name,
    )  # fmt: skip
    verify = False if keystone.insecure else ssl.create_default_context(cafile=keystone.cafile or None)
    yield from check_keystone("identity", "[keystone_authtoken]", login, verify)


def check_keystone(name: str, section: str, login: NovaSettings, verify: bool | ssl.SSLContext) -> Iterator[Finding]:
    """That Keystone answers, and takes the service user."""
    try:
        reply = httpx.post(f"{login.v3}/auth/tokens", json=render_login(login), verify=verify, timeout=PATIENCE_S)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        said = f"Keystone at {login.v3} does not answer: {error}"
        yield Finding(name, ERROR, said, f"look at {section} auth_url, at Keystone, and at what is between")
        return
    if reply.status_code != 201:
        said = f"Keystone refuses {login.username} ({reply.status_code})"
        yield Finding(name, ERROR, said, f"set {section} username and password; openstack user create --password …")


def check_tls(options: ServerOptions, machine: Machine) -> Iterator[Finding]:
    if options.tls_cert is None or options.tls_key is None:
        if not options.public_url.startswith("https:") and options.bind_host not in ("127.0.0.1", "::1", "localhost"):
            fix = "set use_ssl and [ssl], or public_url where a proxy speaks TLS in front"
            yield Finding("API certificate", WARNING, "the API speaks plain HTTP: tokens can be read on the way", fix)
        return
    fix = "have it signed anew, put it at [ssl] cert_file and restart the servers one after the other"
    yield from check_certificate("API certificate", options.tls_cert, machine, fix)
    yield from check_secret(options.tls_key)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(options.tls_cert, options.tls_key)
    except (ssl.SSLError, OSError) as error:
        said = f"{options.tls_key} is not the key of {options.tls_cert} ({error})"
        yield Finding("API certificate", ERROR, said, "set [ssl] cert_file and key_file to a pair")


def check_feed(options: ServerOptions, machine: Machine) -> Iterator[Finding]:
    folder = options.state_path / "feed"
    for name, fix in FEED_FIXES.items():
        if (folder / name).exists():
            yield from check_certificate("feed certificate", folder / name, machine, fix)


FEED_FIXES = {
    "server.pem": "restart the servers one after the other: each makes the next in the last third of its life",
    "authority.pem": "netloom server rotate-authority, beside running servers; once ended, every host must join again",
}


def check_secrets(options: ServerOptions) -> Iterator[Finding]:
    for name in SECRETS:
        yield from check_secret(options.state_path / name)


def check_policy(options: ServerOptions) -> Iterator[Finding]:
    """That the rules can be read, and are rules that something asks for."""
    path = options.policy_file
    if path is None:
        return
    fix = f"mend {path}; while it cannot be read, a running server goes on by the rules that it had"
    try:
        given = yaml.safe_load(path.read_text()) or {}
        make_policy_source(CATALOG, str(path), options.policy_remote)
    except Exception as error:
        yield Finding("policy", ERROR, f"{path} cannot be read: {error}", fix)
        return
    if not isinstance(given, dict):
        yield Finding("policy", ERROR, f"{path} holds no rules by name", fix)
        return
    known = set(make_policy_source(CATALOG).enforcer.rules) | set(find_old_names(CATALOG).values())
    unknown = sorted(set(map(str, given)) - known - find_referred(given))
    if unknown:
        fix = "take them out; the names of rules are in the reference of the API"
        yield Finding("policy", WARNING, f"{path}: nothing asks for {', '.join(unknown)}", fix)


def find_referred(given: dict[str, object]) -> set[str]:
    """Rules that others of the file are made of."""
    words = " ".join(map(str, given.values())).replace("(", " ").replace(")", " ").split()
    return {word.removeprefix("rule:") for word in words if word.startswith("rule:")}


def check_nova(options: ServerOptions) -> Iterator[Finding]:
    if options.nova is not None:
        yield from check_keystone("Nova", "[nova]", options.nova.settings, options.nova.verify)


def check_placement(options: ServerOptions) -> Iterator[Finding]:
    login = options.placement.settings.login if options.placement else None
    if login and options.placement:
        yield from check_keystone("Placement", "[placement]", login, options.placement.verify)


def check_rabbit(options: ServerOptions) -> Iterator[Finding]:
    """That somebody listens; one of several hosts is enough."""
    if options.rabbit is None:
        return
    problems = []
    for url in options.rabbit.urls:
        where = urlsplit(url)
        try:
            socket.create_connection((where.hostname or "", where.port or 5672), PATIENCE_S).close()
        except OSError as error:
            problems.append(f"{where.hostname}:{where.port or 5672}: {error.strerror or error}")
    if problems:
        level = ERROR if len(problems) == len(options.rabbit.urls) else WARNING
        yield Finding("RabbitMQ", level, "; ".join(problems), "look at transport_url, and at the broker")
