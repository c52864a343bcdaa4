"""Availability zones: not stored, but what the agents say of where they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netloom.intent import kinds
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError
from netloom.intent.operation import Settings
from netloom.intent.schema import GENERATED, Doc, Field, Resource, Rules
from netloom.intent.snapshot import Snapshot

SERVICES = {"DHCP agent": "network", "L3 agent": "router"}
"""What an agent of each type serves, as zones are listed."""


def list_zones(source: Snapshot | Draft) -> list[Doc]:
    """Every zone of every service; available while one of its agents is enabled."""
    zones: dict[tuple[str, str], bool] = {}
    for agent in find_agents(source):
        key = (agent["availability_zone"], SERVICES[agent["agent_type"]])
        zones[key] = zones.get(key, False) or agent["admin_state_up"]
    return [
        {"name": name, "resource": resource, "state": "available" if up else "unavailable"}
        for (name, resource), up in sorted(zones.items())
    ]


def find_agents(source: Snapshot | Draft) -> Iterator[Doc]:
    """The agents that are in a zone."""
    for agent_type in SERVICES:
        for agent in source.find("agent", "agent_type", agent_type):
            if agent["availability_zone"]:
                yield agent


def find_serving(source: Snapshot | Draft, hints: Sequence[str], agent_type: str = "DHCP agent") -> list[str]:
    """The zones that serve what has these hints. Raises AvailabilityZoneNotFound for a zone that has no such agent."""
    zones = sorted(
        {agent["availability_zone"] for agent in source.find("agent", "agent_type", agent_type)} - {None, ""}
    )
    for hint in hints:
        if hint not in zones:
            raise ApiError(404, "AvailabilityZoneNotFound", f"AvailabilityZone {kinds.show(hint)} could not be found.")
    return [zone for zone in zones if zone in hints] if hints else zones


def find_hints(hints: Sequence[str], settings: Settings) -> list[str]:
    """What a request without hints means."""
    return list(hints or settings.default_availability_zones)


AVAILABILITY_ZONE = Resource(
    "availability_zone",
    "availability_zones",
    "A part of the cloud that fails on its own.",
    (
        Field("name", kinds.NAME, "The zone.", GENERATED, post=False),
        Field("resource", kinds.NAME, "What it serves: network or router.", GENERATED, post=False),
        Field("state", kinds.NAME, "available or unavailable.", GENERATED, post=False),
    ),
    Rules(None, "role:reader", None, None),
    tags=False,
    alias="availability_zone",
    url="availability_zones",
    derive=lambda snapshot, settings, requester, id: list_zones(snapshot),
)
