"""Netloom's API in memory behind HTTP, made anew when told: `python -m tests.peer.neutron_units_app PORT`.

`POST /__new__` empties it, `POST /__options__` gives it options under Neutron's names; it knows some of them.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any

from netloom.api.app import App, make_app
from netloom.api.identity.noauth import NoAuth
from netloom.api.parts import ApiParts, ApiSettings
from netloom.api.rules import make_policy_source
from netloom.intent.catalog import CATALOG
from netloom.intent.operation import Committed, Context, Operation, Requester, Settings
from tests.unit.api.api_client import Memory, Reply, exchange

PLAIN = ("base_mac", "max_dns_nameservers", "max_subnet_host_routes", "max_allowed_address_pair", "dns_domain",
         "ipv6_pd_enabled", "global_physnet_mtu", "path_mtu", "router_distributed", "l3_ha", "max_fixed_ips_per_port",
         "enable_snat_by_default", "dhcp_agents_per_network")  # fmt: skip
"""Options that mean the same there and here, and whose values are the same too."""
LISTS = ("tenant_network_types", "type_drivers", "flat_networks", "default_availability_zones")


class World(Memory):
    """As of the moment, with ids and MACs as they come."""

    async def __call__(self, operation: Operation, requester: Requester, request_id: str = "") -> Committed:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        context = Context(requester, now, self.new_id, self.new_mac, self.options, request_id)
        outcome = operation(self.snapshot, context)
        if outcome.changes:
            self.snapshot = self.snapshot.apply(outcome.changes, self.snapshot.revision + 1)
        return Committed(self.snapshot.revision, outcome, self.snapshot)

    def new_id(self) -> str:
        return str(uuid.uuid4())

    def new_mac(self) -> str:
        base = self.options.base_mac.split(":")
        kept = base[:3] if base[3] == "00" else base[:4]
        return ":".join([*kept, *(f"{one:02x}" for one in secrets.token_bytes(6 - len(kept)))])


def parse_ranges(texts: Sequence[str]) -> dict[str, tuple[tuple[int, int], ...]]:
    """physnet1:1:100 and the like."""
    found: dict[str, tuple[tuple[int, int], ...]] = {}
    for text in texts:
        name, *bounds = text.split(":")
        pair = ((int(bounds[0]), int(bounds[1])),) if bounds else ()
        found[name] = found.get(name, ()) + pair
    return found


def parse_options(given: Mapping[str, Any]) -> tuple[Settings, ApiSettings]:
    found = {name: given[name] for name in PLAIN if name in given}
    found |= {name: tuple(given[name]) for name in LISTS if name in given}
    if "network_vlan_ranges" in given:
        found["network_vlan_ranges"] = parse_ranges(given["network_vlan_ranges"])
    quotas = {name.removeprefix("quota_"): int(value) for name, value in given.items() if name.startswith("quota_")
              and name != "quota_driver"}  # fmt: skip
    api = {f.name: given[f.name] for f in fields(ApiSettings) if f.name in ("allow_bulk",) and f.name in given}
    limit = int(given.get("pagination_max_limit", -1))
    return replace(Settings(), quotas=quotas, **found), ApiSettings(pagination_max_limit=limit, **api)


class Stage:
    """The API that is served now. One request at a time."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.policy = make_policy_source(CATALOG)
        self.world = World()
        self.app = self.make({})

    def make(self, options: Mapping[str, Any]) -> App:
        self.world.options, settings = parse_options(options)
        world = self.world
        parts = ApiParts(CATALOG, lambda: world.snapshot, world, NoAuth(), self.policy, settings, options=world.options)
        return make_app(parts)

    def answer(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        with self.lock:
            if path == "/__new__":
                self.world = World()
            if path.startswith("/__"):
                self.app = self.make(json.loads(body))
                return Reply(200, {}, b"{}", 1)
            return asyncio.run(exchange(self.app, method, path, body, headers))


def make_server(port: int) -> ThreadingHTTPServer:
    stage = Stage()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_request(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            reply = stage.answer(self.command, self.path, body, headers)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                if name.lower() != "content-length":
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        do_GET = do_POST = do_PUT = do_DELETE = handle_request

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


if __name__ == "__main__":
    make_server(int(sys.argv[1])).serve_forever()
