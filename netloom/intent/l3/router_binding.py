"""Where a router's ports are: bound to the hosts that carry the router, like any port to its host.

Law: a router's port is bound where its router is, and nowhere else; so status, places and guards come from what binds
any port. The interfaces of a distributed router are on every host, so they are bound to none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from netloom.intent.draft import Draft
from netloom.intent.l2.binding import HOST, VIF_TYPE, wait_for
from netloom.intent.l3.router_find import DVR_INTERFACE, HA_PORT, find_ports
from netloom.intent.l3.router_ports import change_port
from netloom.intent.schema import Doc

ACTIVE = "active"
DISTRIBUTED = "distributed"
"""The vif_type of a port that each host has for itself."""


def sync_binding(draft: Draft, router: Doc) -> None:
    """Bind the router's ports where they belong, and let go of them where the router is on no host."""
    central, copies = find_host(draft, router), find_copies(draft, router)
    for port in find_ports(draft, router["id"]):
        owner = port["device_owner"]
        host = copies.get(port["id"], "") if owner == HA_PORT else "" if owner == DVR_INTERFACE else central
        if port[HOST] != host:
            port = change_port(draft, port, **{HOST: host})
        if owner == DVR_INTERFACE:
            shown = show_distributed(router, port)
            if any(port[name] != value for name, value in shown.items()):
                draft.put("port", {**port, **shown})


def show_distributed(router: Doc, port: Doc) -> dict[str, str]:
    """An interface that each host has for itself: it is there where ports behind it are, and with them, so no host is
    asked about it. It is on while its router is."""
    if not router["admin_state_up"] or not port["admin_state_up"]:
        what = "the router" if port["admin_state_up"] else "the port"
        return {VIF_TYPE: DISTRIBUTED, **wait_for(f"{what} to be switched on: admin_state_up is false")}
    return {VIF_TYPE: DISTRIBUTED, "status": "ACTIVE", "waits_for": ""}


def find_host(draft: Draft, router: Doc) -> str:
    """The host that forwards for the router, or hides addresses for a distributed one: the active copy's, else the
    first."""
    hostings: list[dict[str, Any]] = router["l3_agents"]
    active = find_last_active(hostings)
    first = [active] if active is not None else []
    return next((host for one in (*first, *hostings) if (host := find_agent_host(draft, one["agent_id"]))), "")


def find_last_active(hostings: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Of the copies that are said to be active the one that came last, for that is who took over."""
    claims = (one for one in hostings if one["ha_state"] == ACTIVE)
    return max(claims, key=lambda one: int(one.get("active_at") or 0), default=None)


def find_copies(draft: Draft, router: Doc) -> dict[str, str]:
    """HA port → the host of its copy."""
    return {
        one["port_id"]: find_agent_host(draft, one["agent_id"]) for one in router["l3_agents"] if one["port_id"]
    }  # fmt: skip


def find_agent_host(draft: Draft, agent_id: str) -> str:
    agent = draft.get("agent", agent_id)
    return str(agent["host"]) if agent is not None else ""
