"""Notifications as other services read them: which, of what, and in which form."""

from __future__ import annotations

import json

from netloom.intent.snapshot import Change, Snapshot
from netloom.notify.messages import Message, Told, encode_message, find_id, find_messages, find_missed
from tests.unit.intent.intent_kit import World

TOLD = Told("2026-11-21T01:02:03Z", "u1", "req-1")


class Listener(World):
    """A world that hears what is told of each request."""

    def take(self, outcome):  # type: ignore[no-untyped-def]
        self.heard = list(find_messages(self.snapshot, [(TOLD, outcome.changes)]))
        return super().take(outcome)

    @property
    def types(self) -> set[str]:
        return {message.event_type for message in self.heard}


def test_an_object_is_told_of_when_it_is_made_changed_and_deleted() -> None:
    """With the whole object as an administrator sees it; a deleted one with its id besides."""
    world = Listener()
    network = world.network(name="blue")
    (made,) = [message for message in world.heard if message.event_type == "network.create.end"]
    shown = made.payload["network"]
    assert (shown["id"], shown["name"], shown["tenant_id"]) == (network["id"], "blue", "p1")
    assert (made.project_id, made.user_id, made.request_id) == ("p1", "u1", "req-1")
    assert "number" not in shown  # what is not shown by the API is told to nobody
    world.update("network", network, name="red")
    assert [m.event_type for m in world.heard] == ["network.update.end"]
    world.delete("network", network)
    (gone,) = [message for message in world.heard if message.event_type == "network.delete.end"]
    assert gone.payload["network_id"] == network["id"] and gone.payload["network"]["name"] == "red"


def test_what_no_request_brings_about_is_not_told() -> None:
    """A port that becomes ACTIVE, or a network whose revision grows with its subnets."""
    world = Listener()
    network = world.network()
    port = world.port(network)
    active = {**port, "status": "ACTIVE", "revision_number": port["revision_number"] + 1}
    assert list(find_messages(world.snapshot, [(TOLD, [Change("port", port["id"], active)])])) == []


def test_commits_of_one_batch_are_told_one_by_one() -> None:
    """Made, changed and deleted within one batch: three messages."""
    world = Listener()
    port = world.port(world.network())
    empty = Snapshot(world.snapshot.catalog)
    steps = [{**port, "name": "a"}, {**port, "name": "b"}, None]
    found = list(find_messages(empty, [(TOLD, [Change("port", port["id"], doc)]) for doc in steps]))
    assert [message.event_type for message in found] == ["port.create.end", "port.update.end", "port.delete.end"]
    assert found[2].payload["port"]["name"] == "b"


def test_the_form() -> None:
    """With an envelope for messagingv2, without one for messaging."""
    message = Message("port.create.end", {"port": {"id": "x"}}, TOLD.at, "u1", "p1", "req-1")
    sent = json.loads(encode_message(message, "network.h", True))
    assert sent["oslo.version"] == "2.0"
    body = json.loads(sent["oslo.message"])
    id = find_id(message)
    assert body == {
        "message_id": id, "publisher_id": "network.h", "event_type": "port.create.end", "priority": "INFO",
        "payload": {"port": {"id": "x"}}, "timestamp": "2026-11-21 01:02:03.000000", "_unique_id": id.replace("-", ""),
        "_context_request_id": "req-1", "_context_user_id": "u1", "_context_project_id": "p1", "_context_tenant": "p1",
    }  # fmt: skip
    assert json.loads(encode_message(message, "network.h", False))["event_type"] == "port.create.end"


def test_what_is_told_twice_has_the_same_id() -> None:
    """A server that takes over may repeat a word; who listens can tell."""
    first = Message("port.update.end", {"port": {"id": "x", "revision_number": 3}}, TOLD.at, request_id="req-1")
    later = Message("port.update.end", {"port": {"id": "x", "revision_number": 4}}, TOLD.at, request_id="req-2")
    assert find_id(first) == find_id(Message("port.update.end", dict(first.payload), TOLD.at, request_id="req-1"))
    assert find_id(first) != find_id(later)


def test_what_nobody_told_is_told_from_the_log() -> None:
    """Made, changed, and of what was deleted the id; what hosts brought about is not."""
    world = Listener()
    port = world.port(world.network())
    catalog = world.snapshot.catalog
    changes = [Change("port", port["id"], port), Change("port", port["id"], {**port, "revision_number": 5}),
               Change("port", port["id"], None)]  # fmt: skip
    found = list(find_missed(catalog, TOLD, changes))
    assert [m.event_type for m in found] == ["port.create.end", "port.update.end", "port.delete.end"]
    assert found[2].payload["port_id"] == port["id"]
    assert list(find_missed(catalog, Told(TOLD.at, "u1", ""), changes)) == []
