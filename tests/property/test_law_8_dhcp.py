"""Law 8 where DHCP servers answer: what makes a port ACTIVE is its own host's word and that of a server's host."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.intent.agents.dhcp_wait import WORDS
from tests.unit.intent.test_intent_dhcp_wait import Served

SERVERS = ("h1", "h2")


class Model:
    """A port on h3, servers on h1 and h2, and what is known from outside."""

    def __init__(self) -> None:
        self.served = Served(agents=2)
        self.described = self.since = self.served.made
        self.carried = self.known = False

    @property
    def active(self) -> bool:
        return self.carried and self.known

    def hear(self, host: str, age: int, works: bool) -> None:
        """A word as of `age` revisions ago: of the port's own host, or of a server's."""
        served, reason = self.served, "" if works else "something"
        revision = max(served.world.snapshot.revision - age, 0)
        id = served.port["id"] if host == "h3" else served.servers()[host]["id"]
        served.hear(host, id, revision, reason)
        if host == "h3":
            self.carried = works and (self.carried or revision >= self.described)
        elif works and host in SERVERS and revision >= max(self.since, served.servers()[host]["described_at"]):
            self.known = True

    def move(self, last: int) -> None:
        """Another address."""
        now = self.served.world.get("port", self.served.port)
        fixed = [{"subnet_id": self.served.subnet["id"], "ip_address": f"10.0.0.{last}"}]
        self.served.world.update("port", self.served.port, fixed_ips=fixed)
        if fixed != now["fixed_ips"] and not self.active:
            self.since, self.known = self.served.world.snapshot.revision, False

    def rename(self) -> None:
        self.served.world.update("port", self.served.port, name=f"n{self.served.world.snapshot.revision}")


Event = Callable[[Model], None]
events = st.one_of(
    st.builds(
        lambda *a: lambda m: m.hear(*a), st.sampled_from(("h1", "h2", "h3", "h3")), st.integers(0, 3), st.booleans()
    ),
    st.builds(lambda last: lambda m: m.move(last), st.integers(70, 72)),
    st.just(Model.rename),
)


@settings(deadline=None, max_examples=100)
@given(st.lists(events, max_size=20))
def test_active_means_that_host_and_server_acknowledged_it(sequence: list[Event]) -> None:
    """In whatever order they say so; a port that waits for a server alone says that it does."""
    model = Model()
    for event in sequence:
        event(model)
        status, waits_for = model.served.shown()
        assert status == ("ACTIVE" if model.active else "DOWN")
        if model.carried and not model.known:
            assert waits_for == WORDS
        assert bool(waits_for) is not model.active
