"""The forms of a router: plain, distributed, HA, or both; by attributes, or by a flavor that stands for a form.

Law: a router changes its form while it is switched off, and only where no flavor says what it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netloom.intent.agents.flavor_find import find_flavor, find_provider
from netloom.intent.agents.service_provider import Provider
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, invalid_operation
from netloom.intent.l2.binding import BRIDGE, HOST, VIF_TYPE
from netloom.intent.l3.router_find import find_interface_ports, interface_owner
from netloom.intent.l3.router_ports import put_owner
from netloom.intent.l3.router_subnets import bad_router
from netloom.intent.schema import Doc

FORM = ("distributed", "ha")


def decide_form(draft: Draft, given: Mapping[str, Any], flavor_id: str | None) -> dict[str, bool]:
    """Of a new router: what the request says, or the flavor, or the settings. Raises InvalidInput where two of them
    differ."""
    settings = draft.context.settings
    default = {"distributed": settings.router_distributed, "ha": settings.l3_ha}
    asked = {name: given[name] for name in FORM if given.get(name) is not None}
    if flavor_id is None:
        return {**default, **asked}
    provider = find_provider(draft, find_flavor(draft, flavor_id))
    for name, value in asked.items():
        check_provider(provider, name, value)
    return {name: bool(getattr(provider, name)) for name in FORM}


def check_provider(provider: Provider, name: str, value: bool) -> None:
    if getattr(provider, name) is not value:
        raise invalid_operation(f"Provider {provider.name} does not support {name}={value}")


def check_change(old: Doc, new: Doc) -> bool:
    """Whether the form changes. Raises BadRequest for a router that is switched on."""
    changed = [name for name in FORM if new[name] != old[name]]
    if changed and old["flavor_id"]:
        raise invalid_operation(
            "Changing the 'ha' and 'distributed' attributes on a router associated with a flavor is not supported"
        )
    if "distributed" in changed and (old["admin_state_up"] or new["admin_state_up"]):
        raise bad_router(
            "Cannot change the 'distributed' attribute of active routers. Please set router admin_state_up to False "
            "prior to upgrade"
        )
    if "ha" in changed and new["admin_state_up"]:
        raise bad_router(
            "Cannot change HA attribute of active routers. Please set router admin_state_up to False prior to upgrade"
        )
    return bool(changed)


def rename_interfaces(draft: Draft, router: Doc) -> None:
    """The interfaces are called after the form that the router has now."""
    for port in find_interface_ports(draft, router["id"]):
        check_hosts(draft, router, port["network_id"])
        put_owner(draft, port, interface_owner(router))


def check_hosts(draft: Draft, router: Doc, network_id: str) -> None:
    """Raises BadRequest where a distributed router would leave out ports of its network: those on hosts with Linux
    bridges, which carry none."""
    if not router["distributed"] or "linuxbridge" not in draft.context.settings.mechanism_drivers:
        return
    ports = draft.find("port", "network_id", network_id)
    found = {p[HOST] for p in ports if p[VIF_TYPE] == BRIDGE and not p["device_owner"].startswith("network:")}
    if found:
        raise bad_router(
            f"A distributed router is on no host with Linux bridges, and network {network_id} has ports on "
            f"{', '.join(sorted(found))}. Move them first, or leave the router centralized"
        )


def is_no_number(error: ApiError) -> bool:
    """Whether an HA router was refused because its project has as many as can be told apart."""
    return error.type == "NoVRIDAvailable"
