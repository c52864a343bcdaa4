"""Agents: what serves a host. They register themselves; people may only switch, describe and forget them.

Law: what a host says of itself changes its agents and the ports that wait for it, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from netloom.intent import kinds
from netloom.intent.agents import dhcp_schedule
from netloom.intent.agents.dhcp_schedule import DHCP_AGENT
from netloom.intent.draft import Draft
from netloom.intent.errors import bad_resource
from netloom.intent.l2 import binding
from netloom.intent.l2.binding import BRIDGE_AGENT, HOST, OVS_AGENT, VIF_TYPE
from netloom.intent.l2.binding_kinds import NIC_AGENT
from netloom.intent.l2.port_binding_part import follow_port as follow_binding
from netloom.intent.l2.taas_port import follow_port as follow_taps
from netloom.intent.l2.trunk_port import follow_port
from netloom.intent.l3 import router_schedule
from netloom.intent.l3.router_schedule import L3_AGENT
from netloom.intent.operation import Context, Outcome, Settings
from netloom.intent.policy_rules import ADMIN
from netloom.intent.schema import GENERATED, Doc, Field, Index, Resource, Rules, index_by
from netloom.intent.snapshot import Snapshot
from netloom.intent.stamp import make_updated

METADATA_AGENT = "Metadata agent"
BINARY = "netloom-agent"
NIC_PROVIDERS = "nic_resource_providers"
"""What a host says of its NICs for Placement; it is shown as what the agent of NICs says."""
FILLERS: Mapping[str, Callable[[Draft, Doc], None]] = {
    DHCP_AGENT: dhcp_schedule.fill_agent,
    L3_AGENT: router_schedule.fill_agent,
}
"""What an agent of each type takes up when it comes."""


def report_host(
    snapshot: Snapshot, context: Context, host: str, configurations: Mapping[str, Any], availability_zone: str | None
) -> Outcome:
    """Register a host's agents, or refresh what they say of it. Ports whose binding there failed are tried again.

    Nothing new gives an empty Outcome.
    """
    draft = Draft(snapshot, context)
    unknown = find_unknown(snapshot, configurations, context.settings)
    told = {**configurations, **({"unknown_physical_networks": unknown} if unknown else {})}
    bodies = describe_agents(host, told, availability_zone, context)
    for agent in list(draft.find("agent", "host", host)):
        if agent["agent_type"] not in {body["agent_type"] for body in bodies}:
            forget_agent(draft, agent)  # the host switches with something else now
    for body in bodies:
        put_agent(draft, body)
    if draft.changes:
        come(draft, host)
    return draft.finish()


def come(draft: Draft, host: str) -> None:
    """The host's agents take up what waits for one of them: ports, networks, routers."""
    rebind_failed(draft, draft.find("port", HOST, host))
    for agent in list(draft.find("agent", "host", host)):
        if agent["alive"] and agent["agent_type"] in FILLERS:
            FILLERS[agent["agent_type"]](draft, agent)


def describe_agents(
    host: str, configurations: Mapping[str, Any], availability_zone: str | None, context: Context
) -> tuple[dict[str, Any], ...]:
    """One process serves a host, and shows itself as the agents that the API's clients look for.

    A host with Linux bridges has routers of its own, and no part of those that are spread over hosts.
    """
    dhcp = {
        "dhcp_driver": context.settings.dhcp_driver,
        "dhcp_lease_duration": context.settings.dhcp_lease_duration,
        "log_agent_heartbeats": False,
    }
    bridges = find_type(configurations) == BRIDGE_AGENT
    l3 = {
        "agent_mode": "legacy" if bridges else "dvr_snat",
        "handle_internal_only_routers": True,
        "interface_driver": "netloom",
        "log_agent_heartbeats": False,
    }
    metadata = {"metadata_proxy_socket": "", "log_agent_heartbeats": False}
    zone = availability_zone or None
    own = {name: value for name, value in configurations.items() if name != NIC_PROVIDERS}
    switch = describe_agent(find_type(configurations), host, "N/A", None, own)
    mappings, has = configurations.get("device_mappings"), configurations.get(NIC_PROVIDERS)
    nics = {**(has if isinstance(has, Mapping) else {}), "device_mappings": mappings}
    nic = [describe_agent(NIC_AGENT, host, "N/A", None, nics)] if mappings else []
    return (
        switch,
        describe_agent(DHCP_AGENT, host, "dhcp_agent", zone, dhcp),
        describe_agent(L3_AGENT, host, "l3_agent", zone, l3),
        describe_agent(METADATA_AGENT, host, "N/A", None, metadata),
        *nic,
    )


def find_unknown(snapshot: Snapshot, configurations: Mapping[str, Any], settings: Settings) -> list[str]:
    """Physical networks that the host has a bridge for and that no network here can be on."""
    if "*" in settings.flat_networks:
        return []
    ranges = (record.doc["physical_network"] for record in snapshot.records("network_segment_range").values())
    known = {*settings.flat_networks, *settings.network_vlan_ranges, *ranges}
    return sorted(set(configurations.get("bridge_mappings") or {}) - known)


def find_type(configurations: Mapping[str, Any]) -> str:
    """What the agent of the host's switch is called."""
    return BRIDGE_AGENT if configurations.get("switch") == "linuxbridge" else OVS_AGENT


def describe_agent(
    agent_type: str, host: str, topic: str, availability_zone: str | None, configurations: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "agent_type": agent_type, "binary": BINARY, "host": host, "topic": topic,
        "availability_zone": availability_zone, "configurations": dict(configurations), "alive": True,
    }  # fmt: skip


def put_agent(draft: Draft, body: Mapping[str, Any]) -> None:
    now = format_time(draft.context.now)
    old = draft.lookup("agent", "host_type", (body["host"], body["agent_type"]))
    if old is None:
        draft.put("agent", {
            "id": draft.context.new_id(), **body, "admin_state_up": True, "description": "", "resources_synced": None,
            "created_at": now, "started_at": now, "heartbeat_timestamp": now, "revision_number": 1,
        })  # fmt: skip
    elif any(old[name] != value for name, value in body.items()):
        started = old["started_at"] if old["alive"] else now
        draft.put("agent", renew(old, {**body, "started_at": started}, now))


def renew(old: Doc, changes: Mapping[str, Any], now: str) -> Doc:
    return {**old, **changes, "heartbeat_timestamp": now, "revision_number": old["revision_number"] + 1}


def format_time(now: str) -> str:
    """2026-11-21T01:02:03Z as agents show it: 2026-11-21 01:02:03."""
    return now.replace("T", " ").removesuffix("Z")


def mark_alive(snapshot: Snapshot, context: Context, host: str, alive: bool) -> Outcome:
    """Whether the host's agents are connected. No change gives an empty Outcome."""
    draft = Draft(snapshot, context)
    for agent in list(draft.find("agent", "host", host)):
        if agent["alive"] != alive:
            draft.put("agent", renew(agent, {"alive": alive}, format_time(context.now)))
    if draft.changes and alive:
        come(draft, host)
    return draft.finish()


def mark_synced(snapshot: Snapshot, context: Context, id: str, synced: bool) -> Outcome:
    """Whether Placement knows what the agent's host has; the host itself has said nothing new. An agent that is gone,
    and no change, give an empty Outcome."""
    draft = Draft(snapshot, context)
    agent = draft.get("agent", id)
    if agent is not None and agent["resources_synced"] is not synced:
        draft.put("agent", {**agent, "resources_synced": synced, "revision_number": agent["revision_number"] + 1})
    return draft.finish()


def rebind_failed(draft: Draft, ports: Iterable[Doc]) -> None:
    """Try those of the ports again whose binding failed."""
    for port in list(ports):
        if port[VIF_TYPE] == binding.FAILED:
            new = draft.put("port", make_updated(port, binding.bind_port(draft, port), draft.context))
            follow_port(draft, port, new)
            follow_taps(draft, port, new)
            follow_binding(draft, port, new)


def create(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
    raise bad_resource("agents", "Agent creation using API is not supported")


def update(snapshot: Snapshot, old: Doc, changes: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    if any(old[name] != value for name, value in changes.items()):
        draft.put("agent", {**old, **changes, "revision_number": old["revision_number"] + 1})
    return draft.finish([("agent", old["id"])])


def delete(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
    """Forget an agent. A host that still runs registers again when it next reports."""
    draft = Draft(snapshot, context)
    forget_agent(draft, old)
    return draft.finish()


def forget_agent(draft: Draft, agent: Doc) -> None:
    """It goes, and with it what it had been given."""
    draft.remove("agent", agent["id"])
    dhcp_schedule.leave_agent(draft, agent["id"])
    router_schedule.leave_agent(draft, agent["id"])


def find_tunnel(doc: Doc) -> tuple[str, ...]:
    """Where the host's tunnels end, as its switch's agent says."""
    address = doc["configurations"].get("tunneling_ip")
    return (address,) if isinstance(address, str) and address else ()


_ZONE = kinds.text_kind(255, nullable=True)
_WORDS = kinds.text_kind(255, nullable=True)
_NAMES = {name.lower(): name for name in (OVS_AGENT, BRIDGE_AGENT, DHCP_AGENT, L3_AGENT, METADATA_AGENT)}
# Filters on the type know no upper and lower case, as databases of OpenStack sites do not.
_TYPE = replace(kinds.TEXT, parse_filter=lambda text: _NAMES.get(text.lower(), text))

_TIME = kinds.text_kind(32)
"""Agents have their times as "2026-11-21 01:02:03": no RFC 3339, and what clients of Neutron parse."""

AGENT = Resource(
    "agent",
    "agents",
    "What serves a host.",
    (
        Field("id", kinds.UUID, "The agent's id.", GENERATED, post=False, sort=True),
        Field(
            "agent_type",
            _TYPE,
            "Open vSwitch agent, Linux bridge agent, DHCP agent, L3 agent, Metadata agent.",
            GENERATED,
            post=False,
            sort=True,
        ),
        Field("binary", kinds.TEXT, "The program.", GENERATED, post=False, sort=True),
        Field("topic", kinds.TEXT, "Kept for clients that look at it.", GENERATED, post=False, sort=True),
        Field("host", kinds.TEXT, "The host that it serves.", GENERATED, post=False, sort=True),
        Field(
            "admin_state_up", kinds.BOOL, "Whether new work is given to it.", GENERATED, post=False, put=True, sort=True
        ),
        Field("created_at", _TIME, "When it first reported.", GENERATED, post=False, filter=False, sort=True),
        Field("started_at", _TIME, "When it last came.", GENERATED, post=False, filter=False, sort=True),
        Field(
            "heartbeat_timestamp",
            _TIME,
            "When it last said something new.",
            GENERATED,
            post=False,
            filter=False,
            sort=True,
        ),
        Field("alive", kinds.BOOL, "Whether it is connected.", GENERATED, post=False, sort=True),
        Field("configurations", kinds.OBJECT, "What it says of its host.", GENERATED, post=False, filter=False),
        Field("description", _WORDS, "Words for people.", GENERATED, post=False, put=True, sort=True),
        Field(
            "resources_synced",
            kinds.ANY,
            "Whether Placement knows what its host has; null: it was never told.",
            GENERATED,
            post=False,
            filter=False,
            alias="agent-resources-synced",
        ),
        Field("availability_zone", _ZONE, "The zone that it is in.", GENERATED, post=False, alias="availability_zone"),
        Field("revision_number", kinds.COUNT, "Grows by one with each change.", GENERATED, post=False, visible=False),
    ),
    Rules(ADMIN, ADMIN, ADMIN, ADMIN),
    indexes=(
        index_by("host"),
        index_by("agent_type"),
        Index("tunnel", find_tunnel),
        Index("host_type", lambda doc: ((doc["host"], doc["agent_type"]),), "unique"),
    ),
    create=create,
    update=update,
    delete=delete,
    linked=(dhcp_schedule.DHCP_NETWORKS, router_schedule.L3_ROUTERS),
    tags=False,
    alias="agent",
)
