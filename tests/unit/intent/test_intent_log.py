"""Logs of security groups: what may be logged, and what goes with its group or port."""

from __future__ import annotations

from typing import Any

from netloom.intent.schema import Doc
from tests.unit.intent.intent_kit import MISSING, World, refused


def log(world: World, **body: Any) -> Doc:
    return world.create("log", {"resource_type": "security_group", **body})[0]


def test_a_log_of_everything() -> None:
    """A log that names neither group nor port is of all of the project's, of all events, and on."""
    world = World()
    made = log(world, name="all")
    assert (made["event"], made["enabled"], made["resource_id"], made["target_id"]) == ("ALL", True, None, None)
    assert "tags" not in made
    changed = world.update("log", made, enabled=False, description="off")
    assert (changed["enabled"], changed["description"], changed["revision_number"]) == (False, "off", 2)
    world.delete("log", changed)
    assert world.snapshot.count("log") == 0


def test_what_cannot_be_logged() -> None:
    """Only security groups, on ports that are there, have the group and are plugged where hosts can log."""
    world = World()
    group = world.create("security_group", {"name": "web"})[0]
    network = world.network()
    port, other = world.port(network), world.port(network, binding__vnic_type="direct")
    with refused(400, "InvalidLogResourceType", "fake"):
        log(world, resource_type="fake")
    with refused(404, "ResourceNotFound", MISSING):
        log(world, resource_id=MISSING)
    with refused(404, "TargetResourceNotFound", MISSING):
        log(world, target_id=MISSING)
    with refused(409, "LoggingTypeNotSupported", other["id"]):
        log(world, target_id=other["id"])
    with refused(400, "InvalidResourceConstraint", group["id"], port["id"]):
        log(world, resource_id=group["id"], target_id=port["id"])
    world.update("port", port, security_groups=[group["id"]])
    assert log(world, resource_id=group["id"], target_id=port["id"])["target_id"] == port["id"]


def test_logs_go_with_what_they_are_of() -> None:
    """With a security group or a port go the logs of it, and no others."""
    world = World()
    group = world.create("security_group", {"name": "web"})[0]
    port = world.port(world.network())
    of_group, of_port, of_all = log(world, resource_id=group["id"]), log(world, target_id=port["id"]), log(world)
    world.delete("security_group", group)
    assert world.snapshot.get("log", of_group["id"]) is None
    world.delete("port", world.get("port", port))
    assert world.snapshot.get("log", of_port["id"]) is None
    assert world.get("log", of_all) == of_all
