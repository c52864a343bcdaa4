"""noauth and a real Keystone (played by a transport)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
import pytest

from netloom.api.identity.access_rules import is_allowed
from netloom.api.identity.keystone import KeystoneIdentity, KeystoneSettings
from netloom.api.identity.noauth import NoAuth
from netloom.api.parts import Unauthorized
from netloom.intent.errors import ApiError

TOKEN = {
    "token": {
        "expires_at": "2026-11-21T12:00:00.000000Z",
        "user": {"id": "u1", "name": "eva", "domain": {"id": "default", "name": "Default"}},
        "project": {"id": "p1", "name": "blue", "domain": {"id": "default"}},
        "roles": [{"id": "r", "name": "Member"}, {"id": "s", "name": "reader"}],
    }
}
RULES = [
    {"id": "1", "service": "network", "method": "GET", "path": "/v2.0/networks"},
    {"id": "2", "service": "compute", "method": "GET", "path": "/v2.0/ports"},
]
RULED = {"token": {**TOKEN["token"], "application_credential": {"id": "a", "access_rules": RULES}}}
NOON = 1795262400.0  # 2026-11-21T12:00:00Z


class FakeKeystone:
    """Answers as Keystone does, counts what it is asked."""

    def __init__(self) -> None:
        self.logins = 0
        self.asked: list[str] = []
        self.valid = {"good"}
        self.revoked_logins = 0
        self.down = False
        self.dropped = 0
        self.expired: set[str] = set()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            raise httpx.ConnectError("refused")
        if self.dropped:
            self.dropped -= 1
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        if request.method == "POST":
            self.logins += 1
            own = {"token": {**TOKEN["token"], "expires_at": "2027-11-21T12:00:00.000000Z"}}
            return httpx.Response(201, json=own, headers={"X-Subject-Token": f"own{self.logins}"})
        if int(request.headers["X-Auth-Token"].removeprefix("own")) <= self.revoked_logins:
            return httpx.Response(401, json={})
        subject = request.headers["X-Subject-Token"]
        self.asked.append(subject)
        if subject in ("nova", "reader"):
            roles = [{"id": "s", "name": "service" if subject == "nova" else "reader"}]
            lasting = {**TOKEN["token"], "roles": roles, "expires_at": "2027-11-21T12:00:00.000000Z"}
            return httpx.Response(200, json={"token": lasting})
        if subject in self.expired and "allow_expired=1" not in str(request.url):
            return httpx.Response(404, json={})
        if subject == "ruled" and request.headers.get("OpenStack-Identity-Access-Rules"):
            return httpx.Response(200, json=RULED)
        return httpx.Response(200, json=TOKEN) if subject in self.valid else httpx.Response(404, json={})


def ask(
    fake: Callable[[httpx.Request], httpx.Response],
    *tokens: str,
    times: list[float] | None = None,
    cache_s: float = 1e9,
    service: str = "",
    request: tuple[str, str] = ("GET", "/v2.0/networks"),
) -> list[object]:
    """What the identity says of each token in turn, at the given times. `service`: a service's token beside it."""

    async def run() -> list[object]:
        clock = iter(times or [])
        now = NOON - 3600
        client = httpx.AsyncClient(transport=httpx.MockTransport(fake))
        identity = KeystoneIdentity(make_settings(cache_s), client, lambda: now)
        beside = {b"x-service-token": service.encode()} if service else {}
        found: list[object] = []
        for token in tokens:
            now = next(clock, now)
            try:
                found.append(await identity.authenticate({b"x-auth-token": token.encode(), **beside}, *request))
            except (Unauthorized, ApiError) as error:
                found.append(error)
        await client.aclose()
        return found

    return asyncio.run(run())


def make_settings(cache_s: float) -> KeystoneSettings:
    return KeystoneSettings("http://k:5000", "netloom", "x", token_cache_time_s=cache_s)


def test_keystone_says_who_asks_and_is_asked_once() -> None:
    """A token costs one question for as long as it lives."""
    fake = FakeKeystone()
    first, second = ask(fake, "good", "good")
    assert first == second
    assert fake.asked == ["good"]
    assert fake.logins == 1
    assert getattr(first, "roles", None) == ("member", "reader")
    assert getattr(first, "project_id", None) == "p1"


def test_a_token_that_keystone_does_not_know_is_refused() -> None:
    """401, and where to get a better one."""
    (error,) = ask(FakeKeystone(), "bad")
    assert isinstance(error, Unauthorized)
    assert "http://k:5000" in error.www_authenticate


def test_a_token_is_asked_about_again_after_token_cache_time() -> None:
    """So a revoked one is believed that long at most; -1 asks each time."""
    times = [NOON - 3600, NOON - 3600 + 299, NOON - 3600 + 300]
    fake = FakeKeystone()
    ask(fake, "good", "good", "good", times=times, cache_s=300)
    assert len(fake.asked) == 2
    fake = FakeKeystone()
    ask(fake, "good", "good", cache_s=-1)
    assert len(fake.asked) == 2


def test_a_service_may_show_an_expired_token() -> None:
    """Beside a service's good token an expired one is asked about with allow_expired; a reader's changes nothing."""
    fake, late = FakeKeystone(), NOON + 60
    fake.expired = {"good"}
    (refused,) = ask(fake, "good", times=[late])
    assert isinstance(refused, Unauthorized)
    (found,) = ask(fake, "good", times=[late], service="nova")
    assert getattr(found, "user_id", None) == "u1"
    for other in ("reader", "bad"):
        (refused,) = ask(fake, "good", times=[late], service=other)
        assert isinstance(refused, Unauthorized), other


def test_rules_see_the_roles_of_a_service_that_vouches() -> None:
    """Those of a good service token beside the user's; a reader's token vouches for nothing."""
    for service, roles in (("nova", ("service",)), ("reader", ()), ("bad", ()), ("", ())):
        (found,) = ask(FakeKeystone(), "good", service=service)
        assert getattr(found, "service_roles", None) == roles, service
        assert getattr(found, "roles", None) == ("member", "reader")


def test_a_connection_that_ended_is_made_anew() -> None:
    """A kept connection to a Keystone that was restarted costs one more try and no error; a dead one is a 503."""
    fake = FakeKeystone()
    fake.dropped = 1
    (found,) = ask(fake, "good")
    assert not isinstance(found, Exception)
    fake.dropped = 9
    (error,) = ask(fake, "good")
    assert isinstance(error, ApiError) and error.status == 503


def test_many_new_tokens_cost_one_login() -> None:
    """At a start a hundred requests come at once: the server logs in once."""
    fake = FakeKeystone()
    fake.valid = {f"t{n}" for n in range(100)}

    async def run() -> None:
        client = httpx.AsyncClient(transport=httpx.MockTransport(fake))
        identity = KeystoneIdentity(make_settings(300), client, lambda: NOON - 3600)
        await asyncio.gather(*(identity.authenticate({b"x-auth-token": t.encode()}) for t in sorted(fake.valid) * 3))
        await client.aclose()

    asyncio.run(run())
    assert (fake.logins, sorted(fake.asked)) == (1, sorted(fake.valid))


def test_an_expired_token_is_asked_about_again() -> None:
    """The memory of a token ends with the token."""
    fake = FakeKeystone()
    first, second = ask(fake, "good", "good", times=[NOON - 3600, NOON + 1])
    assert not isinstance(first, Exception)
    assert isinstance(second, Unauthorized)


def test_the_own_token_is_renewed_when_it_was_revoked() -> None:
    """A restart of Keystone's token store costs one more login."""
    fake = FakeKeystone()
    fake.revoked_logins = 1
    (found,) = ask(fake, "good")
    assert not isinstance(found, Exception)
    assert fake.logins == 2


def test_nobody_is_believed_while_keystone_is_down() -> None:
    """503: try again later."""
    fake = FakeKeystone()
    fake.down = True
    (error,) = ask(fake, "good")
    assert isinstance(error, ApiError)
    assert error.status == 503


def test_an_answer_that_is_no_token_is_not_believed() -> None:
    """A proxy's page in Keystone's place is a 503."""
    (error,) = ask(lambda request: httpx.Response(201, text="<html>", headers={"X-Subject-Token": "x"}), "good")
    assert isinstance(error, ApiError)
    assert error.status == 503


@pytest.mark.parametrize("token", ["", "with space", "naïve"])
def test_what_cannot_be_a_token_is_not_sent_to_keystone(token: str) -> None:
    """No question for what no header can carry."""
    fake = FakeKeystone()
    (error,) = ask(fake, token)
    assert isinstance(error, Unauthorized)
    assert fake.asked == []


def test_noauth_believes_the_headers() -> None:
    """Everybody administers, or plays who they say."""
    someone = asyncio.run(NoAuth().authenticate({}))
    assert someone.is_admin
    played = asyncio.run(NoAuth().authenticate({b"x-project-id": b"p1", b"x-roles": b"Member, reader"}))
    assert (played.is_admin, played.project_id, played.roles) == (False, "p1", ("member", "reader"))


def test_a_token_with_access_rules_is_good_for_what_they_name() -> None:
    """The rules of other services open nothing here; a service that goes on for its user is not held to them."""
    for request, good in (
        (("GET", "/v2.0/networks"), True),
        (("POST", "/v2.0/networks"), False),
        (("GET", "/v2.0/networks/1"), False),
        (("GET", "/v2.0/ports"), False),
    ):
        first, again = ask(FakeKeystone(), "ruled", "ruled", request=request)
        assert isinstance(first, Unauthorized) is isinstance(again, Unauthorized) is not good, request
    (late,) = ask(FakeKeystone(), "ruled", service="nova", request=("POST", "/v2.0/ports"))
    assert not isinstance(late, Exception)


def test_paths_of_access_rules_have_wild_parts() -> None:
    """Identity API: * and {name} are one part, ** is many, all else is as it is written."""
    for pattern, path, meant in (
        ("/v2.0/ports/*", "/v2.0/ports/1", True),
        ("/v2.0/ports/{port_id}", "/v2.0/ports/1", True),
        ("/v2.0/ports/*", "/v2.0/ports/1/bindings", False),
        ("/v2.0/ports/*", "/v2.0/ports/", False),
        ("/v2.0/**", "/v2.0/ports/1/bindings", True),
        ("/v2.0/ports", "/v2x0/ports", False),
        ("/v2.0/ports", "/v2.0/ports/1", False),
    ):
        assert is_allowed((("GET", pattern),), "GET", path) is meant, (pattern, path)
    assert is_allowed(None, "DELETE", "/v2.0/ports/1")
    assert not is_allowed((), "GET", "/v2.0/ports")
