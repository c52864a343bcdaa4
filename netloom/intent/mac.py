"""The Ethernet address of a port: given and checked, or made from a candidate. Unique on its network."""

from __future__ import annotations

from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, conflict
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


def find_owner(draft: Draft, network_id: str, mac: str) -> Doc | None:
    return draft.lookup("port", "mac", (network_id, mac))


def in_use(network_id: str, mac: str) -> ApiError:
    return conflict(
        "MacAddressInUse",
        f"Unable to complete operation for network {network_id}. The mac address {mac} is in use.",
    )
