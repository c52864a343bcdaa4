"""The API behind another address than its own."""

from __future__ import annotations

import asyncio
import json

import pytest

from netloom.api.app import make_app
from netloom.api.identity.builtin import BuiltinIdentity
from netloom.api.identity.noauth import NoAuth
from netloom.api.identity.users import make_builtin_users, read_passwords, render_clouds_yaml
from netloom.api.parts import ApiParts, Unauthorized
from netloom.api.public import make_public
from netloom.intent.catalog import CATALOG
from tests.unit.api.api_client import ADMIN, Memory, Reply, exchange, find_policy

PUBLIC = "https://cloud.example.org/network"


def ask(public: str, path: str) -> Reply:
    memory = Memory()
    parts = ApiParts(CATALOG, lambda: memory.snapshot, memory, NoAuth(), find_policy())
    return asyncio.run(exchange(make_public(make_app(parts), public), "GET", path, b"", ADMIN))  # type: ignore[arg-type]


@pytest.mark.parametrize(("public", "seen"), [("", "http://api:9696"), (PUBLIC, PUBLIC), ("https://h", "https://h")])
def test_what_the_server_writes_of_itself_is_its_public_address(public: str, seen: str) -> None:
    """Versions name public_url, with its path; without one, the address that the client used."""
    (version,) = ask(public, "/").json["versions"]
    assert version["links"][0]["href"] == f"{seen}/v2.0/"


def test_the_challenge_names_the_scheme_that_is_spoken() -> None:
    """A server with TLS sends nobody to http; one behind a proxy sends them to that."""
    for given, seen in (
        ({}, "http://h:9696/identity"),
        ({"scheme": "https"}, "https://h:9696/identity"),
        ({"public_url": PUBLIC, "scheme": "http"}, f"{PUBLIC}/identity"),
    ):
        users, _ = make_builtin_users(lambda: "x", lambda: "y", rounds=4)
        identity = BuiltinIdentity(users, b"k" * 32, **given)  # type: ignore[arg-type]
        with pytest.raises(Unauthorized) as error:
            asyncio.run(identity.authenticate({b"host": b"h:9696"}))
        assert error.value.www_authenticate == f'Keystone uri="{seen}"'


def test_passwords_are_found_again_in_a_clouds_yaml_that_nobody_changed() -> None:
    """So that the file can follow a changed address; one that somebody edited is left alone."""
    passwords = {"admin": 'a"b: #x\\', "demo": "d"}
    for cacert in ("", "/etc/netloom/api.pem"):
        text = render_clouds_yaml("http://h:9696/identity/v3", passwords, cacert=cacert)
        assert read_passwords(text) == passwords
        assert read_passwords(text + "# mine\n") == {}
    assert read_passwords("") == {}
    assert read_passwords(json.dumps({"clouds": {}})) == {}
