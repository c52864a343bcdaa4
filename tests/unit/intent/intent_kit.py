"""A snapshot that requests run against, with ids, MACs and times that count up: what the tests of intent share."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

import pytest

from netloom.intent.agents.agent import report_host
from netloom.intent.catalog import CATALOG
from netloom.intent.errors import ApiError
from netloom.intent.operation import Context, Operation, Outcome, Requester, Settings
from netloom.intent.operations import make_create, make_delete, make_update
from netloom.intent.schema import Doc, parse_create, parse_update
from netloom.intent.snapshot import Snapshot

MISSING = "99999999-9999-4999-8999-999999999999"
SETTINGS = Settings(network_vlan_ranges={"physnet1": ((100, 199),), "physnet2": ((5, 5),)})
HOST = {"tunnel_types": ["vxlan"], "bridge_mappings": {"physnet1": "br-ex"}, "tunneling_ip": "192.0.2.1"}


class World:
    """The state, and one call for each thing that a test does to it."""

    def __init__(self, settings: Settings = SETTINGS, project: str = "p1") -> None:
        self.snapshot = Snapshot(CATALOG)
        self.settings = settings
        self.project = project
        self.ids = count(1)
        self.macs = count(1)
        self.clock = count(0)

    def context(self) -> Context:
        n = next(self.clock)
        now = f"2026-11-21T{n // 3600 % 24:02}:{n // 60 % 60:02}:{n % 60:02}Z"
        return Context(Requester(project_id=self.project), now, self.new_id, self.new_mac, self.settings)

    def new_id(self) -> str:
        return f"00000000-0000-4000-8000-{next(self.ids):012x}"

    def new_mac(self) -> str:
        digits = f"{next(self.macs):06x}"
        return f"fa:16:3e:{digits[:2]}:{digits[2:4]}:{digits[4:]}"

    def run(self, operation: Operation) -> tuple[Doc, ...]:
        """As the writer does: the changes are applied at the next revision."""
        return self.take(operation(self.snapshot, self.context()))

    def take(self, outcome: Outcome) -> tuple[Doc, ...]:
        if outcome.changes:
            self.snapshot = self.snapshot.apply(outcome.changes, self.snapshot.revision + 1)
        return outcome.answer

    def create(self, name: str, /, *bodies: Mapping[str, Any]) -> tuple[Doc, ...]:
        resource = CATALOG[name]
        return self.run(make_create(resource, [parse_create(resource, body) for body in bodies]))

    def network(self, **body: Any) -> Doc:
        return self.create("network", plain(body))[0]

    def subnet(self, network: Doc, cidr: str, **body: Any) -> Doc:
        version = 6 if ":" in cidr else 4
        return self.create("subnet", {"network_id": network["id"], "cidr": cidr, "ip_version": version, **body})[0]

    def slaac(self, network: Doc, cidr: str, mode: str = "slaac") -> Doc:
        return self.subnet(network, cidr, ipv6_ra_mode=mode, ipv6_address_mode=mode)

    def port(self, network: Doc, **body: Any) -> Doc:
        return self.create("port", {"network_id": network["id"], **plain(body)})[0]

    def update(self, name: str, doc: Doc, if_match: int | None = None, /, **changes: Any) -> Doc:
        resource = CATALOG[name]
        parsed = parse_update(resource, plain(changes))
        return self.run(make_update(resource, doc["id"], parsed, if_match))[0]

    def delete(self, name: str, doc: Doc, if_match: int | None = None) -> None:
        self.run(make_delete(CATALOG[name], doc["id"], if_match))

    def host(self, name: str = "h1", zone: str | None = "nova", **more: Any) -> None:
        self.take(report_host(self.snapshot, self.context(), name, {**HOST, **more}, zone))

    def get(self, name: str, doc: Doc) -> Doc:
        found = self.snapshot.get(name, doc["id"])
        assert found is not None
        return found


def plain(body: Mapping[str, Any]) -> dict[str, Any]:
    """Python's names as the API has them: binding__host_id, router__external."""
    return {name.replace("__", ":"): value for name, value in body.items()}


def addresses(port: Doc) -> list[str]:
    return [fixed["ip_address"] for fixed in port["fixed_ips"]]


class refused:
    """`with refused(409, "SubnetInUse", "words"):` the request inside is refused so, in these words."""

    def __init__(self, status: int, type: str, *words: str) -> None:
        self.expected = (status, type)
        self.words = words

    def __enter__(self) -> refused:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if error is None:
            pytest.fail(f"nothing was refused, not with {self.expected}")
        if not isinstance(error, ApiError):
            return False
        assert (error.status, error.type) == self.expected, error.message
        for word in self.words:
            assert word in error.message
        return True
