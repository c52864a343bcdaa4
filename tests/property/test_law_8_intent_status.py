"""Law 8, status is derived, and law 9, a host is not trusted: what makes a port ACTIVE, after any events."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.intent.l2.port_status import acknowledge, is_news
from netloom.intent.schema import Doc
from tests.unit.intent.intent_kit import World

HOSTS = ("h1", "h2")


class Model:
    """A world with one port, and what is known from outside: whose word makes it ACTIVE, and since when."""

    def __init__(self) -> None:
        self.world = World()
        for host in HOSTS:
            self.world.host(host)
        self.network = self.world.network()
        self.port: Doc = self.world.port(self.network)
        self.host = ""
        self.up = True
        self.described = self.world.snapshot.revision
        self.active = False

    def now(self) -> Doc:
        return self.world.get("port", self.port)

    def bind(self, host: str) -> None:
        self.world.update("port", self.port, binding__host_id=host)
        if host != self.host:
            self.host, self.active, self.described = host, False, self.world.snapshot.revision

    def switch(self, up: bool) -> None:
        self.world.update("port", self.port, admin_state_up=up)
        if up != self.up:
            self.up, self.active, self.described = up, False, self.world.snapshot.revision

    def rename(self, name: str) -> None:
        self.world.update("port", self.port, name=name)

    def hear(self, host: str, wired: bool, age: int) -> None:
        """A host's word about the port, as of `age` revisions ago."""
        revision = max(self.world.snapshot.revision - age, 0)
        id = self.port["id"]
        told = ([id], {}) if wired else ([], {id: "its interface to be plugged"})
        outcome = acknowledge(self.world.snapshot, self.world.context(), host, *told, revision)
        assert is_news(self.world.snapshot, host, *told) or not outcome.changes, "a word that is not written is no news"
        self.world.take(outcome)
        if host == self.host and self.up:
            if not wired:
                self.active = False
            elif revision >= self.described:
                self.active = True


Event = Callable[[Model], None]
events = st.one_of(
    st.builds(lambda host: lambda m: m.bind(host), st.sampled_from(("", *HOSTS))),
    st.builds(lambda up: lambda m: m.switch(up), st.booleans()),
    st.builds(lambda name: lambda m: m.rename(name), st.sampled_from(("a", "b"))),
    st.builds(lambda *a: lambda m: m.hear(*a), st.sampled_from(HOSTS), st.booleans(), st.integers(0, 3)),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(events, max_size=20))
def test_active_means_that_its_host_acknowledged_it(sequence: list[Event]) -> None:
    """A port is ACTIVE exactly when its host has seen it as it is; else it says what it waits for."""
    model = Model()
    for event in sequence:
        event(model)
        port = model.now()
        assert port["status"] == ("ACTIVE" if model.active else "DOWN")
        assert bool(port["waits_for"]) is not model.active


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(HOSTS), st.lists(st.integers(0, 5), max_size=6), st.lists(st.integers(0, 5), max_size=6))
def test_a_host_speaks_for_its_own_ports(host: str, wired: list[int], pending: list[int]) -> None:
    """Whatever a host reports changes nothing but ports that are bound to it (law 9)."""
    world = World()
    for name in HOSTS:
        world.host(name)
    network = world.network()
    ports = [world.port(network, binding__host_id=name) for name in (*HOSTS, *HOSTS, "", "h3")]
    told = {ports[n]["id"]: "no" for n in pending}
    outcome = acknowledge(world.snapshot, world.context(), host, [ports[n]["id"] for n in wired], told)
    for change in outcome.changes:
        assert change.kind == "port"
        assert change.doc is not None
        assert change.doc["binding:host_id"] == host
