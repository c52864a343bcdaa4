"""Who asks too often, too much or too long at once is told so, and nobody else notices."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

import pytest

from netloom.api.limits import WAYS, Buckets, OwnLevels, Rates, SharedLevels
from netloom.intent.errors import ApiError
from tests.unit.api.api_client import ADMIN, MEMBER, OTHER, Memory, make_client


def test_a_bucket_fills_with_time_and_no_further() -> None:
    """A burst at once, then as many a second as the rate says."""
    now = [0.0]
    buckets = Buckets(2.0, 2.0, lambda: now[0])
    assert [buckets.take("a") for _ in range(5)] == [0, 0, 0, 0, 0.5]
    assert buckets.take("b") == 0
    now[0] = 0.5
    assert (buckets.take("a"), buckets.take("a")) == (0, 0.5)
    now[0] = 1000.0
    assert [buckets.take("a") for _ in range(5)] == [0, 0, 0, 0, 0.5]


def test_buckets_are_few_however_many_ask() -> None:
    """Those that nobody has asked of for the longest time are forgotten."""
    buckets = Buckets(1.0, 1.0, lambda: 0.0, OwnLevels(2))
    assert [buckets.take(key) for key in "abac"] == [0, 0, 1, 0]
    assert (buckets.take("a"), buckets.take("b")) == (1, 0)


def test_processes_of_a_machine_count_together() -> None:
    """What one has taken is not there for the other, and what time fills up is there for both."""
    now = [100.0]
    buckets = Buckets(1.0, 3.0, lambda: now[0], SharedLevels())
    assert [in_child(lambda: buckets.take("a")) for _ in range(2)] == [0, 0]
    assert [buckets.take("a"), buckets.take("a")] == [0, 1]
    assert in_child(lambda: buckets.take("a")) == 1 and in_child(lambda: buckets.take("b")) == 0
    now[0] = 101.0
    assert in_child(lambda: buckets.take("a")) == 0 and buckets.take("a") == 1


def in_child(work: Callable[[], float]) -> float:
    """What the work gives in a process of its own."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writer, repr(work()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as said:
        found = float(said.read())
    os.waitpid(child, 0)
    return found


def test_a_shared_table_that_is_full_forgets_who_asked_longest_ago() -> None:
    """Keys that meet in one place are told from each other, as many as there are ways."""
    now = [1.0]
    buckets = Buckets(0.001, 1000.0, lambda: now[0], SharedLevels(WAYS))
    keys = [f"k{n}" for n in range(WAYS)]
    for key in keys:
        now[0] += 1
        assert [buckets.take(key), buckets.take(key)] == [0, pytest.approx(1000, abs=20)]
    now[0] += 1
    assert all(buckets.take(key) for key in keys[1:])
    assert buckets.take("new") == 0 and buckets.take(keys[-1]) > 0 and buckets.take(keys[0]) == 0


def test_a_project_that_asks_too_often_is_told_when_to_come_back() -> None:
    """429 with Retry-After; other projects and administrators are served."""
    client = make_client(MEMBER, settings={"rates": Rates(project=0.1, burst_s=30.0)})
    assert [client.get("/v2.0/networks").status for _ in range(3)] == [200, 200, 200]
    refused = client.get("/v2.0/networks")
    assert refused.error[:2] == (429, "OverLimit")
    assert 1 <= int(refused.headers["retry-after"]) <= 10
    assert client.as_user(OTHER).get("/v2.0/networks").status == 200
    assert {client.as_user(ADMIN).get("/v2.0/networks").status for _ in range(9)} == {200}


def test_a_token_has_a_rate_of_its_own() -> None:
    """Two tokens of a project do not take from one another."""
    client = make_client({**MEMBER, "X-Auth-Token": "one"}, settings={"rates": Rates(token=0.1, burst_s=10.0)})
    assert [client.get("/v2.0/networks").status for _ in range(2)] == [200, 429]
    assert client.as_user({**MEMBER, "X-Auth-Token": "two"}).get("/v2.0/networks").status == 200


def test_without_rates_nobody_is_counted() -> None:
    """The default."""
    client = make_client(MEMBER)
    assert {client.get("/v2.0/networks").status for _ in range(50)} == {200}


def test_a_request_may_make_so_many_objects() -> None:
    """400 beyond, and none is made."""
    client = make_client(MEMBER, settings={"max_bulk_items": 2})
    many = {"networks": [{"name": str(n)} for n in range(3)]}
    assert client.post("/v2.0/networks", many).error[2] == "One request may make 2 networks, not 3"
    assert client.get("/v2.0/networks").json == {"networks": []}
    assert client.post("/v2.0/networks", {"networks": many["networks"][:2]}).status == 201


def test_a_503_says_when_to_ask_again() -> None:
    """Whether it was not carried out, or that is not known."""

    class Away(Memory):
        async def __call__(self, *given: Any) -> Any:
            raise ApiError(503, "ServiceUnavailable", "away", retry_after_s=1)

    reply = make_client(MEMBER, memory=Away()).post("/v2.0/networks", {"network": {}})
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")


def test_each_change_is_a_line_with_its_request_and_revision(caplog: pytest.LogCaptureFixture) -> None:
    """An operator finds by the id that a client was given what became of the request."""
    client = make_client(MEMBER)
    with caplog.at_level(logging.INFO, "netloom.api.app"):
        made = client.post("/v2.0/networks", {"network": {"name": "n"}})
        client.get("/v2.0/networks")
        client.delete("/v2.0/networks/none")
    first, second = (record.__dict__ for record in caplog.records)
    assert first["request_id"] == made.headers["x-openstack-request-id"]
    assert (first["revision"], first["project_id"]) == (1, "demo")
    assert first["message"].startswith("POST /v2.0/networks 201 in ")
    assert (second["revision"], second["message"][:32]) == (0, "DELETE /v2.0/networks/none 404 i")
