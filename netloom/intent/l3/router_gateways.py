"""Several gateways of one router: added, changed and taken away as a list, beside the first one that all clients know.

Law: the first gateway is the one of external_gateway_info; a router with gateways has a first one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, invalid_input
from netloom.intent.kinds import show
from netloom.intent.l3.router_binding import sync_binding
from netloom.intent.l3.router_find import find_gateway_ports
from netloom.intent.l3.router_gateway import (
    Info,
    add_gateway,
    check_info,
    drop_gateway,
    is_changed,
    parse_gateway,
    set_gateway,
)
from netloom.intent.l3.router_ports import change_addresses
from netloom.intent.l3.router_schedule import schedule
from netloom.intent.l3.router_show import refresh
from netloom.intent.l3.router_snat import sync_snat
from netloom.intent.operation import Context, Outcome
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Snapshot

NAME = "external_gateways"
ADMINS = ("enable_snat", "external_fixed_ips")
"""What only administrators may say of a gateway."""


def parse_gateways(body: Mapping[str, Any]) -> list[Info]:
    """What the three actions are given: gateways as external_gateway_info has them.

    Nothing is an empty list: the openstack command says {} where it takes a router's only gateway away.
    """
    given = body.get(NAME) or []
    if not isinstance(given, list):
        raise invalid_input(NAME, f"'{show(given)}' is not a list")
    try:
        found = [parse_gateway(one) for one in given]
    except ValueError as error:
        raise invalid_input(NAME, str(error)) from None
    return [one for one in found if one is not None]


def add_gateways(snapshot: Snapshot, old: Doc, given: Sequence[Info], context: Context) -> Outcome:
    """Each is a port of its own; the first of a router without one is the one that counts."""
    draft = Draft(snapshot, context)
    check_rights(draft, given)
    return finish(draft, add_all(draft, old, given))


def add_all(draft: Draft, router: Doc, given: Sequence[Info]) -> Doc:
    for info in given:
        wanted = check_info(draft, router, info, None)
        port = add_gateway(draft, router, info["network_id"], wanted)
        first = not router["gw_port_id"]
        snat = info.get("enable_snat") if first else None
        changes = {} if snat is None else {"enable_snat": snat}
        router = refresh(draft, draft.put("router", {**router, "gw_port_id": router["gw_port_id"] or port["id"]}))
        router = refresh(draft, router, **changes) if changes else router
    return router


def update_gateways(snapshot: Snapshot, old: Doc, given: Sequence[Info], context: Context) -> Outcome:
    """The router has just these afterwards, in this order: those that are there change, the others come and go."""
    draft = Draft(snapshot, context)
    check_rights(draft, given)
    router = old
    if not given:
        return finish(draft, drop_others(draft, router, set()))
    port = find_match(draft, router, given[0], set())
    if port is not None:
        router = refresh(draft, router, gw_port_id=port["id"])
    router = set_gateway(draft, router, given[0])
    kept, new = {router["gw_port_id"]}, []
    for info in given[1:]:
        port = find_match(draft, router, info, kept)
        if port is None:
            new.append(info)
            continue
        kept.add(port["id"])
        wanted = check_info(draft, router, info, port)
        if is_changed(port, wanted):
            change_addresses(draft, port, wanted)
    return finish(draft, add_all(draft, drop_others(draft, router, kept), new))


def drop_others(draft: Draft, router: Doc, kept: Collection[str]) -> Doc:
    for port in find_gateway_ports(draft, router["id"]):
        if port["id"] not in kept:
            drop_gateway(draft, port)
    return refresh(draft, router)


def remove_gateways(snapshot: Snapshot, old: Doc, given: Sequence[Info], context: Context) -> Outcome:
    """Where the first goes, the next one is the first."""
    draft = Draft(snapshot, context)
    router = old
    for info in given:
        port = find_match(draft, router, info, set())
        if port is None:
            raise ApiError(
                400,
                "UnableToMatchGateways",
                f"Unable to match a requested gateway port to existing gateway ports for router {router['id']}",
            )
        drop_gateway(draft, port)
        router = refresh(draft, router)
    return finish(draft, router)


def check_rights(draft: Draft, given: Sequence[Info]) -> None:
    """Addresses and hiding are an administrator's to choose, as with external_gateway_info."""
    for name in ADMINS:
        if not draft.context.requester.is_admin and any(name in info for info in given):
            raise ApiError(403, "PolicyNotAuthorized", f"{name} of {NAME} is disallowed by policy")


def find_match(draft: Draft, router: Doc, info: Info, passed: Collection[str]) -> Doc | None:
    """The gateway that is meant: one on the network, by its address where one is named. `passed`: not one of these."""
    ports = [
        port
        for port in find_gateway_ports(draft, router["id"])
        if port["network_id"] == info["network_id"] and port["id"] not in passed
    ]
    named = {fixed["ip_address"] for fixed in info.get("external_fixed_ips") or () if "ip_address" in fixed}
    exact = [port for port in ports if named & {fixed["ip_address"] for fixed in port["fixed_ips"]}]
    return next(iter((*exact, *ports)), None)


def finish(draft: Draft, router: Doc) -> Outcome:
    router = schedule(draft, router)
    sync_snat(draft, router)
    sync_binding(draft, router)
    return draft.finish([("router", router["id"])])
