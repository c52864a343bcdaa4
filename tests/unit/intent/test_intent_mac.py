"""The MAC of a port that is a physical function, and multicast addresses that are nobody's."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.intent.intent_kit import World, addresses, refused

DEVICE, OTHER = "52:54:00:00:00:01", "52:54:00:00:00:02"


def bind(mac: str | None, **more: Any) -> dict[str, Any]:
    profile = {"pci_slot": "0000:01:00.0", **({"device_mac_address": mac} if mac else {})}
    return {"binding__vnic_type": "direct-physical", "binding__host_id": "h1", "binding__profile": profile, **more}


def test_device_mac() -> None:
    """A direct-physical port has the MAC of its device while it is on it, and one of its own before and after."""
    world = World()
    network = world.network()
    subnet = world.slaac(network, "fd00::/64")
    port = world.port(network, binding__vnic_type="direct-physical", device_id="vm", device_owner="compute:nova")
    own = port["mac_address"]
    bound = world.update("port", port, **bind(DEVICE))
    assert (own != DEVICE, bound["mac_address"], addresses(bound)) == (True, DEVICE, ["fd00::5054:ff:fe00:1"])
    with refused(409, "MacAddressInUse", DEVICE):
        world.port(network, **bind(DEVICE))
    moved = world.update("port", port, **bind(OTHER))
    assert moved["mac_address"] == OTHER
    left = world.update("port", port, binding__host_id="", binding__profile={})
    assert left["mac_address"] not in (DEVICE, OTHER)
    assert left["fixed_ips"][0]["subnet_id"] == subnet["id"]
    assert world.port(network, **bind(DEVICE))["mac_address"] == DEVICE


def test_unplugged() -> None:
    """A port that nothing is plugged into any more gives the device's MAC back."""
    world = World()
    port = world.port(world.network(), **bind(DEVICE, device_id="vm", device_owner="compute:nova"))
    assert port["mac_address"] == DEVICE
    assert world.update("port", port, name="same")["mac_address"] == DEVICE
    left = world.update("port", port, device_id="", device_owner="", binding__host_id="", binding__profile={})
    assert left["mac_address"] != DEVICE


def test_others_keep_theirs() -> None:
    """The profile of any other port says nothing of its MAC; one that is no MAC is refused."""
    world = World()
    network = world.network()
    port = world.port(network, binding__host_id="h1", binding__profile={"device_mac_address": DEVICE})
    assert port["mac_address"] != DEVICE
    assert world.update("port", port, binding__host_id="h2")["mac_address"] == port["mac_address"]
    with refused(400, "HTTPBadRequest", "binding:profile", "device_mac_address"):
        world.port(network, **bind("none"))


@pytest.mark.parametrize(
    ("ip", "words"),
    [
        ("224.0.0.1", "IP 224.0.0.1 is a multicast address"),
        ("ff02::1", "IP ff02::1 is a multicast address"),
        ("239.1.0.0/16", "Subnet 239.1.0.0/16 overlaps with multicast range 224.0.0.0/4"),
        ("128.0.0.0/1", "overlaps with multicast range 224.0.0.0/4"),
        ("::/0", "overlaps with multicast range ff00::/8"),
    ],
)
def test_multicast_pairs(ip: str, words: str) -> None:
    """A pair with a multicast address is refused, and so is a prefix that holds some."""
    world = World()
    with refused(400, "HTTPBadRequest", "allowed_address_pairs", words):
        world.port(world.network(), allowed_address_pairs=[{"ip_address": ip}])


def test_any_is_allowed() -> None:
    """All of IPv4 means any address, and stays allowed."""
    world = World()
    for ip in ("0.0.0.0/0", "10.0.0.0/8", "2000::/3"):
        port = world.port(world.network(), allowed_address_pairs=[{"ip_address": ip}])
        assert port["allowed_address_pairs"][0]["ip_address"] == ip
