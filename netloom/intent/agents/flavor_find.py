"""How a flavor leads to what does the service: by the first of its service profiles."""

from __future__ import annotations

from netloom.intent.agents.service_provider import BY_DRIVER, Provider
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, not_found
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Snapshot

Source = Snapshot | Draft


def find_flavor(source: Source, id: str) -> Doc:
    """Raises FlavorNotFound."""
    flavor = source.get("flavor", id)
    if flavor is None:
        raise not_found("flavor", id)
    return flavor


def find_profile(source: Source, flavor: Doc) -> Doc:
    """The profile that counts. Raises FlavorServiceProfileBindingNotFound, ServiceProfileDisabled."""
    profile = source.get("service_profile", flavor["service_profiles"][0]) if flavor["service_profiles"] else None
    if profile is None:
        raise ApiError(
            404, "FlavorServiceProfileBindingNotFound",
            f"Service Profile  is not associated with flavor {flavor['id']}.",
        )  # fmt: skip
    if not profile["enabled"]:
        raise ApiError(503, "ServiceProfileDisabled", "Service Profile is not enabled.")
    return profile


def find_driver(driver: str) -> Provider:
    """Raises ServiceProfileDriverNotFound."""
    if driver not in BY_DRIVER:
        raise ApiError(404, "ServiceProfileDriverNotFound", f"Service Profile driver {driver} could not be found.")
    return BY_DRIVER[driver]


def find_provider(source: Source, flavor: Doc) -> Provider:
    return find_driver(find_profile(source, flavor)["driver"])
