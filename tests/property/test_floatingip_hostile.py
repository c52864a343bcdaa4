"""Whatever JSON is sent as an attribute of a floating IP or its kin, the answer is a document or a refusal."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.intent.catalog import CATALOG
from netloom.intent.errors import ApiError
from netloom.intent.operations import make_create, make_update
from netloom.intent.schema import Doc, Resource, parse_create, parse_update
from netloom.testing.consistency import check_snapshot
from tests.unit.intent.floatingip_kit import Outside

W = Outside()
PORT, OTHER = W.port(W.inner), W.port(W.inner)
FIP, LED = W.floatingip(), W.floatingip(OTHER)
LOCAL = W.create("local_ip", {"network_id": W.inner["id"]})[0]
LABEL = W.create("metering_label", {})[0]
FORWARDING: dict[str, Any] = {
    "internal_port_id": PORT["id"], "internal_ip_address": PORT["fixed_ips"][0]["ip_address"], "protocol": "tcp",
    "internal_port": 22, "external_port": 2222,
}  # fmt: skip
SOUND: dict[str, tuple[dict[str, Any], Doc | None]] = {
    "floatingip": ({"floating_network_id": W.outer["id"]}, None),
    "port_forwarding": (FORWARDING, FIP),
    "conntrack_helper": ({"helper": "ftp", "protocol": "tcp", "port": 21}, W.router),
    "ndp_proxy": ({"router_id": W.router["id"], "port_id": PORT["id"]}, None),
    "local_ip": ({"network_id": W.inner["id"]}, None),
    "port_association": ({"fixed_port_id": PORT["id"]}, LOCAL),
    "metering_label": ({}, None),
    "metering_label_rule": (
        {"metering_label_id": LABEL["id"], "direction": "ingress", "remote_ip_prefix": "10.0.0.0/24"}, None,
    ),
}  # fmt: skip
"""A body that would do, and the object that it is made below."""
WORDS = [
    "", "x", "0", "-1", "80", "80:90", "90:80", ":", "1:2:3", "99999", "10.0.0.1", "203.0.113.7", "10.0.0.0/24", "::/0",
    "fe80::1%eth0", "\x00", "\ud800", "é" * 300, "tcp", "TCP", "udp", "17", "ftp", "sip", "both", "egress", "٣", "²",
    W.outer["id"], W.outer_subnet["id"], W.inner["id"], W.router["id"], PORT["id"], OTHER["id"], FIP["id"],
    "example.org.",
]  # fmt: skip
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.sampled_from([80, 70000, 2**64, 10**400, 10**5000, 1.5]),
    st.sampled_from(WORDS), st.text(max_size=5),
)  # fmt: skip
values = st.one_of(
    scalars, st.lists(scalars, max_size=3), st.dictionaries(st.sampled_from(["ip_address", "x"]), scalars, max_size=2)
)


@pytest.mark.parametrize("name", SOUND)
@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_no_value_breaks_a_request(name: str, data: st.DataObject) -> None:
    """No attribute of a create or update takes anything that it cannot answer for."""
    resource = CATALOG[name]
    sound, upper = SOUND[name]
    given = data.draw(st.dictionaries(st.sampled_from(sorted(resource.postable)), values, min_size=1, max_size=3))
    try_request(resource, sound, upper, given)


def try_request(resource: Resource, sound: Doc, upper: Doc | None, given: Doc) -> None:
    below = {resource.upper_key: upper["id"]} if upper else {}
    try:
        body = {**parse_create(resource, {**sound, **given}), **below}
        outcome = make_create(resource, [body])(W.snapshot, W.context())
        after = W.snapshot.apply(outcome.changes, W.snapshot.revision + 1)
        json.dumps(outcome.answer).encode()
        assert check_snapshot(after) == []
        changes = {key: value for key, value in given.items() if key in resource.puttable}
        if resource.update:
            id = outcome.answer[0]["id"]
            make_update(resource, id, parse_update(resource, changes))(after, W.context())
    except ApiError as error:
        assert 400 <= error.status < 500
        json.dumps({"type": error.type, "message": error.message}).encode()


def test_what_is_sound_is_made() -> None:
    """The bodies that the test above spoils are good ones; the router is not enabled for proxies."""
    for name, (sound, upper) in SOUND.items():
        resource = CATALOG[name]
        below = {resource.upper_key: upper["id"]} if upper else {}
        if name != "ndp_proxy":
            assert make_create(resource, [{**parse_create(resource, sound), **below}])(W.snapshot, W.context()).answer
