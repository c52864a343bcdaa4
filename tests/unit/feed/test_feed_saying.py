"""What a relay says for its hosts: of each the newest, to a server that can know of it; nothing that holds no more."""

from __future__ import annotations

from netloom.feed import messages as m
from netloom.feed.saying import Saying


def test_a_host_that_carries_no_copy_any_more_says_so_through_its_relay() -> None:
    """A router that changed its form and back begins anew: what its copy was before is said by nobody."""
    saying = Saying(lambda host, ack: False)
    saying.acknowledge("h1", 7, ["p1"], {})
    saying.take_copies("h1", {"r1": "active"})
    said = saying.gather(7)
    assert said is not None and said.acks["h1"].copies == {"r1": "active"}
    saying.acknowledge("h1", 8, ["p1"], {})
    saying.take_copies("h1", {})
    said = saying.gather(8)
    assert said is not None and said.acks["h1"] == m.Ack(8, ["p1"], {}, {})


def test_what_a_server_cannot_know_yet_is_said_when_it_can() -> None:
    """One that was restored is at less than the host; nothing is said twice, but for a server that comes back."""
    saying = Saying(lambda host, ack: False)
    saying.acknowledge("h1", 7, ["p1"], {})
    assert saying.gather(6) is None
    assert saying.gather(7) == m.Said({"h1": m.Ack(7, ["p1"], {})}) and saying.gather(7) is None
    saying.repeat()
    assert saying.gather(7) == m.Said({"h1": m.Ack(7, ["p1"], {})})
    saying.forget("h1")
    saying.repeat()
    assert saying.gather(7) is None
    assert (saying.words, saying.messages) == (1, 2)
