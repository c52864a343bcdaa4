"""Conntrack helpers: which application protocols a router follows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from netloom.intent.errors import ApiError
from netloom.intent.schema import Doc, parse_create
from tests.unit.intent.floatingip_kit import Outside
from tests.unit.intent.intent_kit import MISSING, SETTINGS, refused


@pytest.fixture
def w() -> Outside:
    return Outside()


def follow(w: Outside, helper: str = "ftp", protocol: str = "tcp", port: int = 21) -> Doc:
    return w.below("conntrack_helper", w.router, {"helper": helper, "protocol": protocol, "port": port})[0]


def test_a_router_shows_its_helpers(w: Outside) -> None:
    """A helper that is added or taken away changes what its router shows, with a new revision."""
    assert w.router["conntrack_helpers"] == []
    first = follow(w)
    follow(w, "tftp", "udp", 69)
    router = w.get("router", w.router)
    assert {"protocol": "tcp", "port": 21, "helper": "ftp"} in router["conntrack_helpers"]
    assert {"protocol": "udp", "port": 69, "helper": "tftp"} in router["conntrack_helpers"]
    assert router["revision_number"] == w.router["revision_number"] + 2
    w.delete("conntrack_helper", first)
    assert w.get("router", w.router)["conntrack_helpers"] == [{"protocol": "udp", "port": 69, "helper": "tftp"}]


def test_an_update(w: Outside) -> None:
    """Another port for a helper; what the new one may not be is refused as on create."""
    helper = follow(w, "tftp", "udp", 69)
    assert w.update("conntrack_helper", helper, port=6969)["port"] == 6969
    assert w.get("router", w.router)["conntrack_helpers"][0]["port"] == 6969
    with refused(400, "InvalidProtocolForHelper", "tftp", "Supported protocols are: udp"):
        w.update("conntrack_helper", helper, protocol="tcp")


def test_only_known_helpers(w: Outside) -> None:
    """A helper that the kernel has not, or a protocol that it does not follow, is refused."""
    with refused(400, "ConntrackHelperNotAllowed", "gopher"):
        follow(w, "gopher")
    with refused(400, "InvalidProtocolForHelper", "ftp", "udp"):
        follow(w, "ftp", "udp")
    follow(w, "sip", "udp", 5060)
    follow(w, "sip", "tcp", 5060)


def test_an_operator_says_which_helpers_there_are() -> None:
    """The option allowed_conntrack_helpers narrows what routers may follow."""
    w = Outside(replace(SETTINGS, allowed_conntrack_helpers=(("tftp", "udp"),)))
    follow(w, "tftp", "udp", 69)
    with refused(400, "ConntrackHelperNotAllowed", "ftp"):
        follow(w)


def test_no_helper_twice(w: Outside) -> None:
    """The same helper on the same port is refused, and so is making another one the same."""
    follow(w)
    with refused(400, "BadRequest", "duplicate conntrack helper"):
        follow(w)
    other = follow(w, port=2121)
    with refused(400, "BadRequest", "duplicate conntrack helper"):
        w.update("conntrack_helper", other, port=21)


def test_a_router_takes_its_helpers_along(w: Outside) -> None:
    """A deleted router leaves no helper behind."""
    bare = w.create("router", {})[0]
    w.below("conntrack_helper", bare, {"helper": "ftp", "protocol": "tcp", "port": 21})
    w.delete("router", w.get("router", bare))
    assert w.snapshot.count("conntrack_helper") == 0
    with refused(404, "RouterNotFound"):
        w.below("conntrack_helper", bare, {"helper": "ftp", "protocol": "tcp", "port": 21})


@pytest.mark.parametrize(
    "body, words",
    [
        ({"port": 0}, "'0' is too small"),
        ({"port": 70000}, "'70000' is too large"),
        ({"protocol": "x"}, "IP protocol 'x' is not supported"),
        ({"helper": "x" * 65}, "exceeds maximum length of 64"),
        ({"router_id": MISSING}, "Unrecognized attribute(s) 'router_id'"),
    ],
)
def test_bad_bodies(w: Outside, body: dict[str, Any], words: str) -> None:
    """A body that cannot be a helper is refused with the attribute and the reason."""
    with pytest.raises(ApiError) as error:
        parse_create(w.snapshot.catalog["conntrack_helper"], {"helper": "ftp", "protocol": "tcp", "port": 21, **body})
    assert error.value.status == 400
    assert words in error.value.message
