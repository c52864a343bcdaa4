"""Routers in the world of the tests of intent: an external network, networks inside, and the actions on routers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from netloom.intent.catalog import CATALOG
from netloom.intent.operation import Context, Settings
from netloom.intent.operations import make_action, make_relation
from netloom.intent.schema import Doc
from tests.unit.intent.intent_kit import SETTINGS, World


class RouterWorld(World):
    """`admin` is for as long as it is true: requests are an administrator's then."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        super().__init__(settings)
        self.admin = False

    def context(self) -> Context:
        made = super().context()
        return replace(made, requester=replace(made.requester, is_admin=self.admin))

    @contextmanager
    def as_project(self, project: str) -> Iterator[None]:
        before, self.project = self.project, project
        yield
        self.project = before

    @contextmanager
    def as_admin(self) -> Iterator[None]:
        self.admin = True
        yield
        self.admin = False

    def external(self, *cidrs: str) -> Doc:
        """An external network of the operator's with these subnets."""
        with self.as_project("operator"):
            network = self.network(router__external=True)
            for cidr in cidrs or ("192.0.2.0/24",):
                self.subnet(network, cidr)
        return self.get("network", network)

    def inside(self, *cidrs: str) -> tuple[Doc, list[Doc]]:
        network = self.network()
        return network, [self.subnet(network, cidr) for cidr in cidrs]

    def router(self, **body: Any) -> Doc:
        return self.create("router", body)[0]

    def act(self, name: str, router: Doc, **given: Any) -> Doc:
        action = next(one for one in CATALOG["router"].actions if one.name == name)
        return self.run(make_action(CATALOG["router"], action, router["id"], action.parse(given)))[0]

    def plug(self, router: Doc, subnet: Doc) -> Doc:
        """Tie the subnet to the router: the port that does."""
        made = self.act("add_router_interface", router, subnet_id=subnet["id"])
        return self.get("port", {"id": made["port_id"]})

    def relate(self, kind: str, path: str, doc: Doc, other: str, *, add: bool) -> None:
        linked = next(one for one in CATALOG[kind].linked if one.path == path)
        work = linked.add if add else linked.remove
        assert work is not None
        self.run(make_relation(CATALOG[kind], work, doc["id"], other))

    def linked(self, kind: str, path: str, doc: Doc) -> list[str]:
        linked = next(one for one in CATALOG[kind].linked if one.path == path)
        return sorted(linked.find(self.snapshot, self.get(kind, doc)))

    def ports(self, router: Doc, *owners: str) -> list[Doc]:
        found = [port for port in self.snapshot.docs("port") if port["device_id"] == router["id"]]
        found = [port for port in found if not owners or port["device_owner"] in owners]
        return sorted(found, key=lambda port: str(port["id"]))

    def agent(self, agent_type: str, host: str = "h1") -> Doc:
        found = self.snapshot.lookup("agent", "host_type", (host, agent_type))
        assert found is not None
        return found


def gateway(network: Doc, *addresses: str, **more: Any) -> dict[str, Any]:
    """external_gateway_info of a network, with these addresses where there are some."""
    fixed = {"external_fixed_ips": [{"ip_address": ip} for ip in addresses]} if addresses else {}
    return {"network_id": network["id"], **fixed, **more}
