"""Whatever JSON is sent as an attribute, the answer is the API's: a document, or a refusal that can itself be sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.intent.catalog import CATALOG
from netloom.intent.errors import ApiError
from netloom.intent.operations import make_create, make_tags, make_update, parse_if_match
from netloom.intent.quota import make_quota_update
from netloom.intent.schema import Resource, parse_create, parse_update
from netloom.testing.consistency import check_snapshot
from tests.examples import count_examples
from tests.unit.intent.intent_kit import World

WORLD = World()
WORLD.host()
NETWORK = WORLD.network()
SUBNET = WORLD.subnet(NETWORK, "10.0.0.0/24")
PORT = WORLD.port(NETWORK)
SOUND: dict[str, dict[str, Any]] = {
    "network": {},
    "subnet": {"network_id": NETWORK["id"], "ip_version": 4, "cidr": "10.1.0.0/24"},
    "port": {"network_id": NETWORK["id"]},
}
WORDS = [
    "", "x", "0", "-1", "1e9", "true", "10.0.0.1", "10.0.0.0/24", "10.0.0.300", "0.0.0.0/0", "::/0", "fe80::1%eth0",
    "fa:16:3e:00:00:09", "\x00", "\ud800", "é" * 300, "vxlan", "vlan", "flat", "physnet1", "h1", "slaac", "6",
    SUBNET["id"], NETWORK["id"], "network:dhcp", "compute:nova", "٣", "²", "255.255.255.255", "::ffff:10.0.0.1",
]  # fmt: skip
KEYS = [
    "ip_address", "subnet_id", "mac_address", "start", "end", "destination", "nexthop", "opt_name", "opt_value", "x",
    "ip_version", "provider:network_type", "provider:segmentation_id", "provider:physical_network",
]  # fmt: skip
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.sampled_from([2**31, 2**64, -(2**64), 10**400, 1.5, 4, 6]),
    st.sampled_from(WORDS), st.text(max_size=5),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("name", ["network", "subnet", "port"])
@settings(deadline=None, max_examples=count_examples(150))
@given(data=st.data())
def test_no_value_breaks_a_request(name: str, data: st.DataObject) -> None:
    """No attribute of a create or update takes anything that it cannot answer for."""
    resource = CATALOG[name]
    postable = sorted(resource.postable - set(SOUND[name]) | {"cidr"} & resource.postable)
    given = data.draw(st.dictionaries(st.sampled_from(postable), values, min_size=1, max_size=2))
    try_create(resource, {**SOUND[name], **given})
    changes = {key: value for key, value in given.items() if key in resource.puttable}
    try_update(resource, {"network": NETWORK, "subnet": SUBNET, "port": PORT}[name]["id"], changes)


def try_create(resource: Resource, body: dict[str, Any]) -> None:
    try:
        outcome = make_create(resource, [parse_create(resource, body)])(WORLD.snapshot, WORLD.context())
    except ApiError as error:
        check_refusal(error)
        return
    check_documents(outcome.answer)
    assert check_snapshot(WORLD.snapshot.apply(outcome.changes, 99)) == []


def try_update(resource: Resource, id: str, changes: dict[str, Any]) -> None:
    try:
        outcome = make_update(resource, id, parse_update(resource, changes))(WORLD.snapshot, WORLD.context())
    except ApiError as error:
        check_refusal(error)
        return
    check_documents(outcome.answer)
    assert check_snapshot(WORLD.snapshot.apply(outcome.changes, 99)) == []


def check_refusal(error: ApiError) -> None:
    assert error.status in (400, 404, 409, 503)
    error.message.encode()
    assert len(error.message) < 5000


def check_documents(docs: tuple[Any, ...]) -> None:
    for doc in docs:
        json.dumps(doc, ensure_ascii=False).encode()


@settings(deadline=None, max_examples=count_examples(100))
@given(
    values,
    st.dictionaries(st.sampled_from(["port", "network", "x", "force"]), values, max_size=2),
    st.text(max_size=30),
)
def test_tags_quotas_and_if_match(tags: Any, limits: dict[str, Any], header: str) -> None:
    """Neither tags, nor limits, nor an If-Match header."""
    for attempt in (
        lambda: make_tags(CATALOG["port"], PORT["id"], replace=tags)(WORLD.snapshot, WORLD.context()),
        lambda: make_tags(CATALOG["port"], PORT["id"], add=tags)(WORLD.snapshot, WORLD.context()),
        lambda: make_quota_update("p1", limits)(WORLD.snapshot, WORLD.context()),
        lambda: parse_if_match(header),
        lambda: parse_if_match("revision_number=" + header),
    ):
        try:
            attempt()
        except ApiError as error:
            check_refusal(error)
