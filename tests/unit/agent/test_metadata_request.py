"""Requests for metadata as bytes, and what is sent on to Nova in their place."""

from __future__ import annotations

import hmac

import pytest

from netloom.agent.metadata_request import (
    MOST_REQUEST,
    Refused,
    Request,
    RequestReader,
    make_headers,
    render_response,
    sign,
)
from netloom.render.metadata import Caller

CALLER = Caller("port-a", "instance-a", "tenant-a", "10.0.0.5")


def read(data: bytes) -> Request | None:
    return RequestReader().feed(data)


def test_a_request_comes_in_pieces() -> None:
    """However a client cuts it, a request is read once it is whole."""
    whole = b"POST /openstack/latest/password?x=1 HTTP/1.1\r\nHost: m\r\nContent-Length: 3\r\n\r\nabc"
    reader = RequestReader()
    found = [reader.feed(whole[at : at + 1]) for at in range(len(whole))]
    assert found[:-1] == [None] * (len(whole) - 1)
    assert found[-1] == Request(
        "POST", "/openstack/latest/password?x=1", (("host", "m"), ("content-length", "3")), b"abc"
    )


def test_what_follows_a_request_is_not_looked_at() -> None:
    """A second request on the connection, which ends with the first, changes nothing of the first."""
    found = read(b"GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\nX-Instance-ID: b\r\n\r\n")
    assert found is not None
    assert (found.target, found.headers) == ("/a", ())


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET http://elsewhere/ HTTP/1.1\r\n\r\n", 400),
        (b"GET * HTTP/1.1\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\n\r\n", 400),
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n\r\n", 400),
        (b"DELETE / HTTP/1.1\r\n\r\n", 405),
        (b"CONNECT 10.0.0.1:22 HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * MOST_REQUEST, 413),
    ],
)
def test_what_is_no_request_is_refused(data: bytes, status: int) -> None:
    """Nonsense, another server's address, odd paths and methods, and what never ends are not passed on."""
    with pytest.raises(Refused) as refused:
        read(data)
    assert refused.value.status == status


def test_nova_is_told_who_asks_under_its_signature() -> None:
    """Instance, project and address are the port's, and the signature is the one that Nova works out."""
    headers = make_headers(Request("GET", "/"), CALLER, "secret")
    assert headers == {
        "X-Forwarded-For": "10.0.0.5",
        "X-Instance-ID": "instance-a",
        "X-Tenant-ID": "tenant-a",
        "X-Instance-ID-Signature": hmac.new(b"secret", b"instance-a", "sha256").hexdigest(),
    }


FORGED = (
    "x-instance-id", "x_instance_id", "x-instance-id-signature", "x-tenant-id", "x-forwarded-for", "forwarded",
    "x-metadata-provider", "x-metadata-provider-signature", "x-neutron-router-id", "transfer-encoding", "connection",
    "host",
)  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_no_header_of_a_client_says_who_he_is(name: str) -> None:
    """Whatever an instance calls itself, Nova is told the same as without it."""
    forged = Request("GET", "/", ((name, "instance-b"), ("user-agent", "cloud-init")))
    plain = Request("GET", "/", (("user-agent", "cloud-init"),))
    assert make_headers(forged, CALLER, "secret") == make_headers(plain, CALLER, "secret")
    assert "instance-b" not in make_headers(forged, CALLER, "secret").values()


def test_a_header_cannot_carry_another() -> None:
    """A value with a line end in it, or with other letters, or too long, stays behind."""
    for value in ("x\r\nX-Instance-ID: b", "é", "a" * 2000):
        assert "user-agent" not in make_headers(Request("GET", "/", (("user-agent", value),)), CALLER, "s")


def test_another_secret_is_another_signature() -> None:
    """Who does not know the secret cannot make a signature that Nova takes."""
    assert len({sign(secret, id) for secret in ("a", "b", "") for id in ("x", "y")}) == 6


def test_an_answer_ends_its_connection() -> None:
    """Length and end of the connection are said; HEAD gets no body."""
    assert render_response(404, [("Content-Type", "text/plain")], b"no") == (
        b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
    )
    assert render_response(200, [], b"no", head_only=True).endswith(b"Content-Length: 2\r\nConnection: close\r\n\r\n")
