"""Flavors, service profiles and the providers behind them."""

from __future__ import annotations

from netloom.intent.agents.flavor import show_next_provider
from netloom.intent.agents.service_provider import list_providers
from netloom.intent.catalog import CATALOG
from netloom.intent.operation import Requester, Settings
from tests.unit.intent.intent_kit import MISSING, refused
from tests.unit.intent.router_kit import RouterWorld

SINGLE = "neutron.services.l3_router.service_providers.single_node.SingleNodeDriver"


def test_flavor() -> None:
    """A flavor names a service; its profiles have their own address."""
    world = RouterWorld()
    flavor = world.create("flavor", {"name": "f", "service_type": "L3_ROUTER_NAT", "service_profiles": [MISSING]})[0]
    assert flavor == {
        "id": flavor["id"], "name": "f", "description": "", "service_type": "L3_ROUTER_NAT", "enabled": True,
        "service_profiles": [],
    }  # fmt: skip
    changed = world.update("flavor", flavor, enabled=False, description=None, service_profiles=[MISSING])
    assert (changed["enabled"], changed["description"], changed["service_profiles"]) == (False, None, [])
    world.delete("flavor", flavor)
    with refused(400, "InvalidServiceType", "Invalid service type: x"):
        world.create("flavor", {"service_type": "x"})
    with refused(400, "HTTPBadRequest", "service_type"):
        world.create("flavor", {})


def test_profile() -> None:
    """A profile names a driver that is there, or says something; one that a flavor has stays as it is."""
    world = RouterWorld()
    with refused(400, "ServiceProfileEmpty"):
        world.create("service_profile", {})
    with refused(404, "ServiceProfileDriverNotFound", "x.Y"):
        world.create("service_profile", {"driver": "x.Y"})
    profile = world.create("service_profile", {"driver": SINGLE})[0]
    with refused(404, "ServiceProfileDriverNotFound"):
        world.update("service_profile", profile, driver="x")
    assert world.update("service_profile", profile, enabled=False)["enabled"] is False
    flavor = world.create("flavor", {"service_type": "L3_ROUTER_NAT"})[0]
    world.relate("flavor", "service_profiles", flavor, profile["id"], add=True)
    assert world.get("service_profile", profile)["flavors"] == [flavor["id"]]
    with refused(409, "ServiceProfileInUse", profile["id"]):
        world.update("service_profile", profile, enabled=True)
    with refused(409, "ServiceProfileInUse", profile["id"]):
        world.delete("service_profile", profile)
    with refused(503, "ServiceProfileDisabled"):
        show_next_provider(world.snapshot, world.get("flavor", flavor), {}, world.context())
    world.relate("flavor", "service_profiles", flavor, profile["id"], add=False)
    world.delete("service_profile", profile)


def test_association() -> None:
    """A flavor has a profile once, and the first one counts."""
    world = RouterWorld()
    profile = world.create("service_profile", {"driver": SINGLE})[0]
    flavor = world.create("flavor", {"service_type": "L3_ROUTER_NAT"})[0]
    with refused(404, "ServiceProfileNotFound", MISSING):
        world.relate("flavor", "service_profiles", flavor, MISSING, add=True)
    with refused(404, "FlavorServiceProfileBindingNotFound", profile["id"], flavor["id"]):
        world.relate("flavor", "service_profiles", flavor, profile["id"], add=False)
    world.relate("flavor", "service_profiles", flavor, profile["id"], add=True)
    with refused(409, "FlavorServiceProfileBindingExists", profile["id"]):
        world.relate("flavor", "service_profiles", flavor, profile["id"], add=True)
    assert world.linked("flavor", "service_profiles", flavor) == [profile["id"]]
    answer = show_next_provider(world.snapshot, world.get("flavor", flavor), {}, world.context()).answer[0]
    assert answer == {"next_providers": [{"driver": SINGLE, "provider": "single_node"}]}
    world.delete("flavor", flavor)
    assert world.get("service_profile", profile)["flavors"] == []


def test_providers() -> None:
    """What can do a service is listed for everyone."""
    world = RouterWorld()
    found = list_providers(world.snapshot, Settings(), Requester(), None)
    assert [one["name"] for one in found] == ["dvrha", "dvr", "ha", "single_node"]
    assert {one["service_type"] for one in found} == {"L3_ROUTER_NAT"}
    assert CATALOG["service_provider"].path == "service-providers"
