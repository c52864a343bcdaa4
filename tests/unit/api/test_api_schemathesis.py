"""Whatever fits the OpenAPI document, and much that does not, gets an answer that the document names."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.unit.api.api_client import ADMIN, Memory, make_client

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 8  # for each operation and mode


def make_cloud() -> Memory:
    """A little cloud, so that not everything is a 404."""
    memory = Memory()
    client = make_client(ADMIN, memory=memory)
    network = client.make("network", name="blue")
    client.make("subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/24")
    client.make("port", network_id=network["id"])
    return memory


def name_one(case: Any, memory: Memory, chance: random.Random) -> None:
    """Mostly ask for an object that is there, and make things on the network that is."""
    kind = next((r.name for r in memory.snapshot.catalog.values() if f"/{r.path}/" in case.path), "")
    ids = sorted(memory.snapshot.records(kind)) if kind else []
    if ids and "id" in (case.path_parameters or {}) and chance.random() < 0.7:
        case.path_parameters["id"] = ids[0]
    for body in case.body.values() if isinstance(case.body, dict) else ():
        if isinstance(body, dict) and "network_id" in body and chance.random() < 0.8:
            body["network_id"] = next(iter(memory.snapshot.records("network")), "")


def test_no_request_gets_an_answer_that_is_not_documented() -> None:
    """No 5xx, no status, content type or body beside the document."""
    memory = make_cloud()
    app = make_client(ADMIN, memory=memory).app
    schema = schemathesis.openapi.from_asgi("/openapi.json", app=app)
    statuses: Counter[int] = Counter()
    found: Any
    for found in schema.get_all_operations():
        operation = found.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            check_operation(operation.as_strategy(generation_mode=mode), memory, statuses)
    assert {200, 201, 204, 400, 404} <= statuses.keys()


def check_operation(cases: st.SearchStrategy[Any], memory: Memory, statuses: Counter[int]) -> None:
    chance = random.Random(7)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases)
    def check(case: Any) -> None:
        name_one(case, memory, chance)
        statuses[case.call_and_validate(checks=CHECKS).status_code] += 1

    check()
