"""A project's network behind a router with a gateway on an external network: where floating IPs are tried out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netloom.intent.catalog import CATALOG
from netloom.intent.operation import Context, Requester, Settings
from netloom.intent.operations import make_action, make_create
from netloom.intent.schema import Doc, parse_create
from tests.unit.intent.intent_kit import SETTINGS, World, plain

OTHER = "p2"


class Outside(World):
    """A World with an external network of an administrator, open to all, and a router of the project."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        super().__init__(settings)
        self.admin = False
        self.roles: tuple[str, ...] = ("member", "reader")
        self.outer = self.network(name="public", router__external=True, project_id="adm")
        self.outer_subnet = self.subnet(self.outer, "203.0.113.0/24", project_id="adm")
        self.inner = self.network(name="inside")
        self.inner_subnet = self.subnet(self.inner, "10.0.0.0/24")
        self.router = self.make_router(self.inner_subnet)

    def context(self) -> Context:
        made = super().context()
        roles = ("admin",) if self.admin else self.roles
        requester = Requester(project_id=self.project, roles=roles, is_admin=self.admin)
        return Context(requester, made.now, made.new_id, made.random_mac, made.settings)

    def make_router(self, *subnets: Doc, outer: Doc | None = None, **body: Any) -> Doc:
        """A router with interfaces on these subnets and its gateway on the external network."""
        gateway = {"network_id": (outer or self.outer)["id"]}
        router = self.create("router", {"external_gateway_info": gateway, **body})[0]
        for subnet in subnets:
            self.act(router, "add_router_interface", subnet_id=subnet["id"])
        return self.get("router", router)

    def act(self, router: Doc, name: str, **body: Any) -> Any:
        """PUT /routers/{id}/<name>."""
        action = next(one for one in CATALOG["router"].actions if one.name == name)
        return self.run(make_action(CATALOG["router"], action, router["id"], action.parse(body)))[0]

    def floatingip(self, port: Doc | None = None, **body: Any) -> Doc:
        given = {"floating_network_id": self.outer["id"], **({"port_id": port["id"]} if port else {}), **plain(body)}
        return self.create("floatingip", given)[0]

    def below(self, name: str, parent: Doc, *bodies: Mapping[str, Any]) -> tuple[Doc, ...]:
        """Create in a sub-collection, as the API does: the parent's id is put in after the body is parsed."""
        resource = CATALOG[name]
        parsed = [{**parse_create(resource, body), resource.upper_key: parent["id"]} for body in bodies]
        return self.run(make_create(resource, parsed))

    def forward(self, fip: Doc, port: Doc, outer: int, inner: int, **body: Any) -> Doc:
        """A port forwarding of TCP to the port's first address."""
        given = {
            "internal_port_id": port["id"], "internal_ip_address": port["fixed_ips"][0]["ip_address"],
            "external_port": outer, "internal_port": inner, "protocol": "tcp", **body,
        }  # fmt: skip
        return self.below("port_forwarding", fip, given)[0]
