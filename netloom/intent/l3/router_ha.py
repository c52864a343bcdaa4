"""HA routers: each has copies on several hosts, joined by a network of the project's and told apart there by a number.

Law: an HA router has one HA port for each agent that hosts it and a number of its own in its project's HA network;
the network is there while one of them is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netloom.intent.addressing import subnet as subnets
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, conflict
from netloom.intent.l2 import network as networks
from netloom.intent.l2.segments import NETWORK_TYPE, PHYSICAL_NETWORK, release_segments
from netloom.intent.l3.router_find import HA_PORT
from netloom.intent.l3.router_ports import drop_port, make_port
from netloom.intent.rbac import drop_grants
from netloom.intent.schema import Doc, parse_create

Hosting = Mapping[str, Any]
"""One agent that hosts a router: agent_id, the HA port there, and ha_state of the copy."""

MAX_VR_ID = 254
"""VRRP's virtual router identifier has 8 bits, and 0 and 255 are no router's (RFC 9568 section 5.2.3)."""
STANDBY = "standby"


def sync_ha(draft: Draft, router: Doc, agent_ids: Sequence[str]) -> dict[str, Any]:
    """The router's copies on just these agents: its HA ports are made and dropped. What the router is to hold of it.

    Raises NoVRIDAvailable where the project has as many HA routers as can be told apart.
    """
    if not router["ha"]:
        drop_copies(draft, router["l3_agents"])
        if router["ha_vr_id"]:
            drop_unused_network(draft, router["project_id"])
        return {"ha_vr_id": 0, "l3_agents": [plain_hosting(id) for id in agent_ids]}
    ha_network = find_ha_network(draft, router["project_id"]) or make_ha_network(draft, router["project_id"])
    number = router["ha_vr_id"] or allocate_vr_id(draft, router)
    old = {one["agent_id"]: one for one in router["l3_agents"]}
    drop_copies(draft, [one for id, one in old.items() if id not in agent_ids])
    copies = [make_copy(draft, router, ha_network, id, old.get(id)) for id in agent_ids]
    return {"ha_vr_id": number, "l3_agents": copies}


def plain_hosting(agent_id: str) -> dict[str, Any]:
    return {"agent_id": agent_id, "port_id": None, "ha_state": None}


def make_copy(draft: Draft, router: Doc, ha_network: Doc, agent_id: str, old: Hosting | None) -> Hosting:
    if old is not None and old["port_id"]:
        return old
    name = f"HA port project {router['project_id']}".rstrip()
    port = make_port(draft, router["id"], HA_PORT, ha_network["id"], None, name=name)
    return {"agent_id": agent_id, "port_id": port["id"], "ha_state": STANDBY}


def drop_copies(draft: Draft, hostings: Sequence[Hosting]) -> None:
    for one in hostings:
        port = draft.get("port", one["port_id"]) if one["port_id"] else None
        if port is not None:
            drop_port(draft, port)


def allocate_vr_id(draft: Draft, router: Doc) -> int:
    number = draft.first_free("router", "ha_vr_id", router["project_id"], 1, MAX_VR_ID)
    if number is None:
        raise no_vr_id(router["id"])
    return number


def no_vr_id(router_id: str) -> ApiError:
    return conflict(
        "NoVRIDAvailable",
        f"No more Virtual Router Identifier (VRID) available when creating router {router_id}. The limit of number of "
        f"HA Routers per project is {MAX_VR_ID}.",
    )


# -- the network -------------------------------------------------------------------------------------------------------


def find_ha_network(draft: Draft, project_id: str) -> Doc | None:
    return draft.lookup("network", "ha_project_id", project_id)


def make_ha_network(draft: Draft, project_id: str) -> Doc:
    """The project's HA network with its subnet; both are nobody's."""
    settings = draft.context.settings
    body: dict[str, Any] = {"name": f"HA network project {project_id}".rstrip(), "project_id": ""}
    if settings.l3_ha_network_type:
        body[NETWORK_TYPE] = settings.l3_ha_network_type
    if settings.l3_ha_network_physical_name:
        body[PHYSICAL_NETWORK] = settings.l3_ha_network_physical_name
    subnet = {
        "name": f"HA subnet project {project_id}".rstrip(), "ip_version": 4, "cidr": settings.l3_ha_net_cidr,
        "enable_dhcp": False, "gateway_ip": None, "project_id": "",
    }  # fmt: skip
    made = networks.create_network(draft, parse_create(networks.NETWORK, body))
    draft.put("network", {**made, "ha": True, "ha_project_id": project_id})
    subnets.create_subnet(draft, parse_create(subnets.SUBNET, {**subnet, "network_id": made["id"]}))
    found = draft.get("network", made["id"])
    assert found is not None
    return found


def drop_unused_network(draft: Draft, project_id: str) -> None:
    """Take the HA network away where no HA router of the project is left, and nothing else is on it."""
    found = find_ha_network(draft, project_id) if project_id else None
    used = draft.count_in("router", "ha_project_id", project_id)
    if found is None or used or draft.count_in("port", "network_id", found["id"]):
        return
    release_segments(draft, found["id"])
    for id in found["subnets"]:
        draft.remove("subnet", id)
    drop_grants(draft, "network", found["id"])
    draft.remove("network", found["id"])
