"""The Ethernet address of a port: given and checked, or made from a candidate. Unique on its network."""

from __future__ import annotations

from typing import Any

from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, conflict, invalid_input
from netloom.intent.extension import Extension
from netloom.intent.kinds import parse_mac_address
from netloom.intent.l2.binding import HOST, PROFILE, VNIC_TYPE
from netloom.intent.schema import Doc

MAX_TRIES = 16
"""As Neutron's mac_generation_retries, and the same answer when all are taken."""


def decide_mac(draft: Draft, network_id: str, given: str | None) -> str:
    """The MAC of a new port. Raises MacAddressInUse for one that is taken."""
    if given is not None:
        if find_owner(draft, network_id, given) is not None:
            raise in_use(network_id, given)
        return given
    for _ in range(MAX_TRIES):
        mac = draft.context.random_mac()
        if find_owner(draft, network_id, mac) is None:
            return mac
    raise ApiError(503, "MacAddressGenerationFailure", f"Unable to generate unique mac on network {network_id}.")


def find_device_mac(port: Doc) -> str | None:
    """The MAC of the physical function that a port of vnic_type direct-physical is bound to; its profile says it."""
    given = port[PROFILE].get("device_mac_address") if port[PROFILE] else None
    if port[VNIC_TYPE] != "direct-physical" or not port[HOST] or not given:
        return None
    try:
        return str(parse_mac_address(given))
    except ValueError as error:
        raise invalid_input(PROFILE, f"device_mac_address: {error}") from None


def override_mac(draft: Draft, old: Doc, new: Doc) -> dict[str, Any]:
    """The MAC after an update of a direct-physical port: the device's, and one of its own when it leaves the device.

    Otherwise two ports would have the device's MAC: the one that was on it, and the next one.
    """
    if new[VNIC_TYPE] != "direct-physical":
        return {}
    device = find_device_mac(new)
    if device is not None:
        return {} if device == old["mac_address"] else {"mac_address": decide_mac(draft, old["network_id"], device)}
    unplugged = bool(old["device_id"]) and not new["device_id"] and not new["device_owner"]
    if unplugged or find_device_mac(old) == old["mac_address"]:
        return {"mac_address": decide_mac(draft, old["network_id"], None)}
    return {}


def find_owner(draft: Draft, network_id: str, mac: str) -> Doc | None:
    return draft.lookup("port", "mac", (network_id, mac))


def in_use(network_id: str, mac: str) -> ApiError:
    return conflict(
        "MacAddressInUse",
        f"Unable to complete operation for network {network_id}. The mac address {mac} is in use.",
    )


EXTENSIONS = (
    Extension(
        "port-mac-override",
        "Neutron Port MAC address override",
        "A direct-physical port takes the MAC of its device.",
        "2022-03-18T10:00:00-00:00",
    ),
)
