"""Whatever fits the OpenAPI document, and much that does not, gets an answer that the document names.

One example of each operation, of each kind, here; NETLOOM_EXAMPLES=200 asks for so many of each.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from netloom.intent.errors import ApiError
from netloom.intent.schema import Doc, Resource, parse_value
from netloom.intent.snapshot import Snapshot
from tests.unit.api.full_cloud import FullCloud

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = int(os.environ.get("NETLOOM_EXAMPLES", "1"))
SHARDS = 4
"""How many tests share the operations, so that several processes can."""
REAL = 0.7
"""How often an id that a request names is one of an object that there is."""
OURS = {("security_group", "name", "default")}
"""Values that only we give: (resource, attribute, value)."""


@cache
def find_cloud() -> FullCloud:
    return FullCloud()


@cache
def read_document() -> Any:
    return schemathesis.openapi.from_asgi("/openapi.json", app=find_cloud().admin.app)


def find_ids(snapshot: Snapshot, name: str) -> list[str]:
    """The ids that a parameter or attribute called `name` may mean: "router_id", "policy_id"."""
    kind = name.removesuffix("_id").removesuffix("_ids").removeprefix("fixed_").removeprefix("floating_")
    kind = {"qos_policy": "policy", "internal_port": "port", "remote_group": "security_group"}.get(kind, kind)
    return sorted(snapshot.records(kind)) if kind in snapshot.catalog else []


def find_own(snapshot: Snapshot, path: str, key: str) -> list[str]:
    """What the last parameter of a path may be: the keys of the objects that the path is about."""
    before = path[: path.index("{" + key + "}")].rstrip("/")
    named: list[Resource] = [r for r in snapshot.catalog.values() if before.endswith(f"/{r.path}") and r.key == key]
    kinds = {r.kind for r in named}
    found = {str(record.doc[key]) for kind in kinds for record in snapshot.records(kind).values()}
    return sorted(found - {""})  # the binding of a port without a host has none either


def name_real(case: Any, snapshot: Snapshot, chance: random.Random) -> None:
    """Mostly ask for objects that are there, and make things of objects that are."""
    for key in case.path_parameters or {}:
        ids = find_own(snapshot, case.path, key) or find_ids(snapshot, key)
        if ids and chance.random() < REAL:
            case.path_parameters[key] = chance.choice(ids)
        elif case.path_parameters[key] == "":  # the path would be another one
            case.path_parameters[key] = "-"
    if isinstance(case.body, dict):
        for body in (case.body, *case.body.values()):
            if isinstance(body, dict):
                name_real_attributes(body, snapshot, chance)


def name_real_attributes(body: dict[str, Any], snapshot: Snapshot, chance: random.Random) -> None:
    for name, value in body.items():
        ids = find_ids(snapshot, name) if name.endswith("_id") and isinstance(value, str) else []
        if ids and chance.random() < REAL:
            body[name] = chance.choice(ids)


def find_changed(before: Snapshot, after: Snapshot) -> Iterator[tuple[Resource, Doc]]:
    for resource in after.catalog.values():
        if resource.stored_as or resource.derive:
            continue
        for id, record in after.records(resource.name).items():
            if before.get(resource.name, id) is not record.doc:
                yield resource, record.doc


def is_ours(resource: Resource, name: str, value: Any) -> bool:
    return isinstance(value, str) and (resource.name, name, value) in OURS


def find_nonsense(resource: Resource, doc: Doc) -> Iterator[str]:
    """Attributes whose stored value the API would not take, or would take for another one."""
    for f in resource.fields:
        value = doc.get(f.name)
        if not f.visible or not (f.post or f.put) or value is None or is_ours(resource, f.name, value):
            continue
        try:
            parsed = parse_value(f, value)
        except ApiError as error:
            yield f"{resource.name}: {error.message}"
            continue
        if parsed != value:
            yield f"{resource.name}.{f.name}: {value!r} would be {parsed!r}"


@pytest.mark.parametrize("shard", range(SHARDS))
def test_no_request_gets_an_answer_that_is_not_documented(shard: int) -> None:
    """No 5xx, no status, content type or body beside the document; and what is stored is what may be stored."""
    cloud, statuses = find_cloud(), Counter[int]()
    for number, found in enumerate(read_document().get_all_operations()):
        if number % SHARDS == shard:
            operation: Any = found.ok()
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                cloud.renew()
                check_operation(operation.as_strategy(generation_mode=mode), cloud, statuses)
                stored = find_changed(cloud.start, cloud.memory.snapshot)
                faults = [one for resource, doc in stored for one in find_nonsense(resource, doc)]
                assert not faults, f"{operation.label}: {faults}"
    assert {200, 201, 204, 400, 404} <= statuses.keys()


def check_operation(cases: st.SearchStrategy[Any], cloud: FullCloud, statuses: Counter[int]) -> None:
    chance = random.Random(7)

    @seed(7)  # steady as derandomize, which reads the source of this function anew for each operation
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases)
    def check(case: Any) -> None:
        name_real(case, cloud.memory.snapshot, chance)
        statuses[case.call_and_validate(checks=CHECKS, headers=cloud.admin.headers).status_code] += 1

    check()


def test_the_cloud_has_something_of_everything() -> None:
    """What is asked for is there, or the requests would prove little."""
    made: Mapping[str, Any] = find_cloud().made
    stored = {r.name for r in find_cloud().start.catalog.values() if r.create and not r.stored_as}
    assert stored - made.keys() == set()
