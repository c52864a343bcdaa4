"""A log played again says what each host was to hold; who held something else is found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netloom.intent.agents.agent import report_host
from netloom.intent.catalog import CATALOG
from netloom.intent.snapshot import Record
from netloom.store.load import encode_doc
from netloom.testing.replay import Played, Stored, View, check_views, play
from tests.unit.intent.intent_kit import World

TOLD = {"tunneling_ip": "192.0.2.1", "tunnel_types": ["vxlan"]}


class Log(World):
    """A world that keeps what a store would: the rows of its log."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int, list[Stored]]] = []

    def take(self, outcome):  # type: ignore[no-untyped-def]
        taken = super().take(outcome)
        revision = self.snapshot.revision
        stored = [(c.kind, c.id, Record(c.doc, revision, b"") if c.doc else None) for c in outcome.changes]
        self.rows.append((revision, stored))
        return taken


@pytest.fixture(scope="module")
def played() -> Played:
    """h1 gets a port on one network and loses it again; h2 has one on another."""
    log = Log()
    for n, host in enumerate(("h1", "h2"), 1):
        told = {**TOLD, "tunneling_ip": f"192.0.2.{n}"}
        log.run(lambda s, c, host=host, told=told: report_host(s, c, host, told, "nova"))  # type: ignore[misc]
    one, two = (log.create("network", {"name": name})[0]["id"] for name in ("one", "two"))
    port = log.create("port", {"network_id": one, "binding:host_id": "h1", "device_owner": "compute:x"})[0]
    log.create("port", {"network_id": two, "binding:host_id": "h2", "device_owner": "compute:x"})
    log.delete("port", port)
    return play(CATALOG, encode_doc, log.rows, ("h1", "h2"))


def find_network(played: Played, name: str) -> str:
    docs = [record.doc for record in played.snapshot.records("network").values()]
    return f"network/{next(doc['id'] for doc in docs if doc['name'] == name)}"


def find_held(played: Played, host: str, name: str) -> View:
    revision, slices = next(found for found in played.held[host] if name in found[1])
    return View(host, revision, slices)


def test_who_held_what_resolve_says_is_right(played: Played) -> None:
    """At every revision, and before and after a network of its own came and went."""
    views = [View(host, revision, slices) for host, found in played.held.items() for revision, slices in found]
    assert len(views) >= 4 and check_views(played, views) == []
    assert find_network(played, "one") not in played.find("h1", played.snapshot.revision)


def test_who_held_what_none_of_its_ports_led_to_is_found(played: Played) -> None:
    """Another host's network, were it for a moment and from the disk."""
    view = View("h2", 1, {find_network(played, "one"): "digest"}, is_current=False)
    assert "which nothing of its own ever led to" in check_views(played, [view])[0]


def test_who_held_too_much_too_little_or_another_is_found(played: Played) -> None:
    """Its own network after its port had gone, none while it was there, and a copy with another row in it."""
    name = find_network(played, "one")
    view = find_held(played, "h1", name)
    late = replace(view, revision=played.snapshot.revision)
    assert any("did not lead to then" in words for words in check_views(played, [late]))
    without = {key: digest for key, digest in view.slices.items() if key != name}
    assert check_views(played, [replace(view, slices=without)]) == [
        f"h1 at revision {view.revision} did not hold {name}"
    ]
    other = replace(view, slices={**view.slices, name: "digest"})
    assert check_views(played, [other]) == [f"h1 at revision {view.revision} held another {name} than there was"]
    assert check_views(played, [replace(other, is_current=False)]) == []
