"""Bytes that no client of good will sends: every one gets an answer, and none is a fault of the server."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from netloom.api.app import App
from tests.examples import count_examples
from tests.unit.api.api_client import ADMIN, Memory, make_client

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "X"]
WORDS = [
    "v2.0", "networks", "ports", "subnets", "agents", "quotas", "extensions", "tags", "default", "details.json", "",
    "%", "%00", "%ff", "%2F", "..", "a.json", "identity", "availability_zones", "00000001-0000-4000-8000-000000000000",
]  # fmt: skip
NAMES = [
    "id", "name", "fixed_ips", "limit", "marker", "sort_key", "sort_dir", "fields", "tags", "not-tags-any", "mtu",
    "admin_state_up", "page_reverse", "tenant_id", "revision_number", "binding:host_id", "ip_version", "alive",
]  # fmt: skip
VALUES = [
    "",
    "1",
    "-1",
    "true",
    "ip_address=",
    "=",
    "ip_address=%ff",
    "%00",
    "%F0%9F",
    "asc",
    "name",
    "x" * 300,
    "9" * 30,
]

raw_paths = st.lists(st.sampled_from(WORDS), max_size=6).map(lambda parts: "/" + "/".join(parts))
queries = st.lists(
    st.builds("{}={}".format, st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=3
).map("&".join)  # fmt: skip
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
attributes = st.sampled_from(
    ["name", "network_id", "fixed_ips", "cidr", "ip_version", "mac_address", "allocation_pools", "tags", "segments",
     "binding:profile", "allowed_address_pairs", "extra_dhcp_opts", "host_routes", "mtu", "project_id", "tenant_id",
     "provider:network_type", "provider:segmentation_id", "gateway_ip", "dns_nameservers", "device_owner"]
)  # fmt: skip
objects = st.dictionaries(attributes, json_values, max_size=4)
bodies = st.one_of(
    st.binary(max_size=20),
    st.builds(
        lambda kind, body: json.dumps({kind: body}).encode(),
        st.sampled_from(["network", "port", "subnet", "networks", "ports", "quota", "tags", "agent", "auth"]),
        objects | json_values | st.lists(objects, max_size=2),
    ),
)
HEADERS = st.dictionaries(
    st.sampled_from([b"if-match", b"x-auth-token", b"content-type", b"x-roles", b"x-openstack-request-id", b"host"]),
    st.sampled_from([b"", b"\xff", b"revision_number=1", b"revision_number=\xb2", b"admin", b"application/xml"]),
    max_size=3,
)


def make_cloud() -> App:
    memory = Memory()
    client = make_client(ADMIN, memory=memory)
    network = client.make("network")
    client.make("subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/24")
    return client.app


APP = make_cloud()


async def exchange(method: str, path: str, query: str, body: bytes, headers: dict[bytes, bytes]) -> tuple[int, bytes]:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query.encode(),
        "scheme": "http", "headers": list(headers.items()),
    }  # fmt: skip
    await APP(scope, receive, send)
    return sent[0]["status"], b"".join(part["body"] for part in sent[1:])


@settings(max_examples=count_examples(400), deadline=None)
@given(st.sampled_from(METHODS), raw_paths, queries, bodies, HEADERS)
@example("PUT", "/v2.0/networks/00000001-0000-4000-8000-000000000000", "", b'{"network": null}', {})
def test_no_bytes_are_a_fault_of_the_server(
    method: str, path: str, query: str, body: bytes, headers: dict[bytes, bytes]
) -> None:
    """Anything below 500, with a body that clients can read."""
    status, answer = asyncio.run(exchange(method, path, query, body, headers))
    assert status < 500
    if status >= 400:
        assert {"type", "message", "detail"} == json.loads(answer)["NeutronError"].keys()


@settings(max_examples=count_examples(300), deadline=None)
@given(st.sampled_from(["network", "port", "subnet"]), objects, st.booleans())
def test_no_attribute_is_a_fault_of_the_server(kind: str, body: dict[str, Any], known: bool) -> None:
    """Whatever an attribute holds, it is taken or refused."""
    if known:
        body["network_id"] = "00000001-0000-4000-8000-000000000000"
    if kind == "network":
        body.pop("network_id", None)
    status, _ = asyncio.run(exchange("POST", f"/v2.0/{kind}s", "", json.dumps({kind: body}).encode(), {}))
    assert status in (201, 400, 404, 409)
