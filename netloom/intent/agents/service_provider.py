"""Service providers: what can do a service. Ours are the four forms of router, under the names that flavors use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netloom.intent import kinds
from netloom.intent.extension import Extension
from netloom.intent.operation import Requester, Settings
from netloom.intent.schema import GENERATED, Doc, Field, Resource, Rules
from netloom.intent.snapshot import Snapshot

L3 = "L3_ROUTER_NAT"
_PLACE = "neutron.services.l3_router.service_providers"


@dataclass(frozen=True, slots=True)
class Provider:
    """A form of router. `driver`: the name that a service profile calls it by."""

    name: str
    driver: str
    distributed: bool
    ha: bool


PROVIDERS = (
    Provider("dvrha", f"{_PLACE}.dvrha.DvrHaDriver", distributed=True, ha=True),
    Provider("dvr", f"{_PLACE}.dvr.DvrDriver", distributed=True, ha=False),
    Provider("ha", f"{_PLACE}.ha.HaDriver", distributed=False, ha=True),
    Provider("single_node", f"{_PLACE}.single_node.SingleNodeDriver", distributed=False, ha=False),
)
BY_DRIVER = {provider.driver: provider for provider in PROVIDERS}


def list_providers(snapshot: Snapshot, settings: Settings, requester: Requester, id: str | None) -> Sequence[Doc]:
    found = [{"service_type": L3, "name": provider.name, "default": False} for provider in PROVIDERS]
    return [doc for doc in found if id in (None, doc["name"])]


SERVICE_PROVIDER = Resource(
    "service_provider",
    "service_providers",
    "What can do a service.",
    (
        Field("service_type", kinds.NAME, "The service.", GENERATED, post=False),
        Field("name", kinds.NAME, "The provider.", GENERATED, post=False),
        Field("default", kinds.BOOL, "Whether it is the one that is meant.", GENERATED, post=False),
    ),
    Rules(None, "role:reader", None, None),
    tags=False,
    alias="service-type",
    key="name",
    derive=list_providers,
)

EXTENSIONS = (
    Extension("service-type", "Neutron Service Type Management", "What can do a service.", "2013-01-20T00:00:00-00:00"),
)
