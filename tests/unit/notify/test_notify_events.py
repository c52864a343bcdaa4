"""What Nova is told of a commit: which events, of which server, and which none."""

from __future__ import annotations

from typing import Any

import pytest

from netloom.intent.schema import Catalog, Doc, Resource, Rules
from netloom.intent.snapshot import Change, Snapshot
from netloom.notify.events import CHANGED, DELETED, PLUGGED, UNPLUGGED, Interest, NovaEvent, find_events, find_missed

CATALOG: Catalog = {name: Resource(name, f"{name}s", "", (), Rules(None, "@", None, None)) for name in
                    ("port", "floatingip")}  # fmt: skip
SERVER, OTHER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
ALL = Interest()


def port(**more: Any) -> Doc:
    given = {"id": "p", "device_id": SERVER, "device_owner": "compute:nova", "status": "DOWN", "name": "",
             "revision_number": 1}  # fmt: skip
    return {**given, **more}


def tell(old: Doc | None, new: Doc | None, interest: Interest = ALL) -> list[tuple[str, str, str]]:
    """(server, name, status) of the events when the port goes from one to the other."""
    before = Snapshot(CATALOG).apply([Change("port", "p", old)], 1)
    change = Change("port", "p", new)
    events = find_events(before, before.apply([change], 2), [change], interest)
    assert all(event.tag == "p" for event in events)
    return [(event.server_uuid, event.name, event.status) for event in events]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("DOWN", "ACTIVE", [(PLUGGED, "completed")]),
        ("BUILD", "ACTIVE", [(PLUGGED, "completed")]),
        ("DOWN", "ERROR", [(PLUGGED, "failed")]),
        ("ACTIVE", "DOWN", [(UNPLUGGED, "completed")]),
        ("ACTIVE", "ACTIVE", []),
        ("ACTIVE", "BUILD", []),
        ("ERROR", "ACTIVE", []),
    ],
)
def test_status(before: str, after: str, told: list[tuple[str, str]]) -> None:
    """Plugged when it becomes ACTIVE or can never be, unplugged when it was."""
    assert tell(port(status=before), port(status=after, revision_number=2)) == [(SERVER, *one) for one in told]


def test_a_new_port_that_is_active_at_once_is_plugged() -> None:
    """As it is where its host was waiting for it."""
    assert tell(None, port(status="ACTIVE")) == [(SERVER, PLUGGED, "completed")]


def test_what_is_no_instance_is_nobodys_business() -> None:
    """Ports of the network itself, of no device, or of something that Nova has no name for."""
    for other in (
        {"device_owner": "network:dhcp"}, {"device_id": ""}, {"device_id": "my-box"}, {"device_owner": ""},
    ):  # fmt: skip
        assert tell(port(**other), port(**other, status="ACTIVE")) == []
        assert tell(port(**other), None) == []


def test_data() -> None:
    """A change that an instance's owner would see; not the status, and no revision alone."""
    assert tell(port(), port(name="x", revision_number=2)) == [(SERVER, CHANGED, "")]
    assert tell(port(), port(revision_number=2, updated_at="later")) == []
    assert tell(port(), None) == [(SERVER, DELETED, "")]
    assert tell(port(device_owner=""), port()) == []  # it was not the instance's before


def test_only_what_is_asked_for() -> None:
    """Options switch off the one and the other."""
    both = port(), port(status="ACTIVE", name="x")
    assert [name for _, name, _ in tell(*both)] == [PLUGGED, CHANGED]
    assert [name for _, name, _ in tell(*both, Interest(status=False))] == [CHANGED]
    assert [name for _, name, _ in tell(*both, Interest(data=False))] == [PLUGGED]


def test_a_floating_ip_that_moves_tells_both_instances() -> None:
    """The one that loses it and the one that gets it; taken away it tells the one that had it."""
    a, b = port(id="a"), port(id="b", device_id=OTHER)
    start = Snapshot(CATALOG).apply([Change("port", "a", a), Change("port", "b", b)], 1)
    fip = Change("floatingip", "f", {"id": "f", "port_id": "a"})
    led = start.apply([fip], 2)
    assert find_events(start, led, [fip], ALL) == [NovaEvent(SERVER, CHANGED, "a")]
    moved = Change("floatingip", "f", {"id": "f", "port_id": "b"})
    both = [NovaEvent(SERVER, CHANGED, "a"), NovaEvent(OTHER, CHANGED, "b")]
    assert find_events(led, led.apply([moved], 3), [moved], ALL) == both
    gone = Change("floatingip", "f", None)
    assert find_events(led, led.apply([gone], 3), [gone], ALL) == [NovaEvent(SERVER, CHANGED, "a")]
    named = Change("floatingip", "f", {"id": "f", "port_id": "a", "description": "x"})
    assert find_events(led, led.apply([named], 3), [named], ALL) == []


def test_after_a_start_instances_that_may_wait_are_told() -> None:
    """Ports that changed while nobody told Nova, as they are now."""
    ready, waits = port(id="a", status="ACTIVE"), port(id="b")
    snapshot = Snapshot(CATALOG).apply([Change("port", "a", ready), Change("port", "b", waits)], 1)
    missed = [
        Change("port", "a", waits),
        Change("port", "a", ready),
        Change("port", "b", waits),
        Change("port", "c", None),
    ]
    assert find_missed(snapshot, missed, ALL) == [NovaEvent(SERVER, PLUGGED, "a", "completed")]
    assert find_missed(snapshot, missed, Interest(status=False)) == []
