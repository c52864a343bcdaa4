"""Law 9 for relays: by whose word one follows, and what that leads to; nothing else opens anything."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.feed import pki
from netloom.feed.bus import NAME, Offers, open_sealed, seal
from netloom.feed.grants import GRANT_LIFE_S, MAX_LINKS, SLACK_S, Grant, check_chain, make_grant
from netloom.feed.interest import Interest
from netloom.feed.pki import JoinError
from netloom.model.slices import find_reached

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
NOW_S = NOW.timestamp()
NAMES = ("h1", "h2", "relay/a", "relay/b", "relay/c")


@cache
def make_authority(number: int) -> pki.Pair:
    return pki.make_authority(NOW)


@cache
def make_papers(name: str, authority: int = 0) -> tuple[bytes, bytes]:
    key = pki.make_key()
    csr = pki.make_request(key, name)
    return pki.encode_key(key), pki.sign_request(make_authority(authority), name, csr, NOW).encode()


def give_word(holder: str, to: str, by: str = "", authority: int = 0, now_s: float = NOW_S) -> Grant:
    """`by`: whose key and certificate are used for it; the holder's own unless said otherwise."""
    key, certificate = make_papers(by or holder, authority)
    return make_grant(key, certificate, holder, to, now_s)


def is_let(grants: list[Grant], host: str, relay: str, now_s: float = NOW_S) -> bool:
    try:
        return bool(check_chain(grants, host, relay, make_authority(0).certificate, now_s))
    except JoinError:
        return False


paths = st.lists(st.sampled_from(NAMES[2:]), min_size=1, max_size=3, unique=True)
flaws = st.one_of(
    st.none(),
    st.tuples(st.just("holder"), st.sampled_from(NAMES)),
    st.tuples(st.just("to"), st.sampled_from(NAMES)),
    st.tuples(st.just("by"), st.sampled_from(NAMES)),
    st.tuples(st.just("authority"), st.sampled_from([0, 1])),
    st.tuples(st.just("gone"), st.none()),
)


@settings(max_examples=150, deadline=None)
@given(paths, flaws, st.integers(0, 2))
def test_law_9_a_relay_speaks_for_a_host_by_a_whole_chain_of_words(path: list[str], flaw: Any, at: int) -> None:
    """From the host to the relay, each link signed by its giver with a certificate of our authority; else nothing."""
    steps: list[dict[str, Any]] = [{"holder": giver, "to": taker} for giver, taker in pairwise(["h1", *path])]
    assert is_let([give_word(**step) for step in steps], "h1", path[-1])
    at %= len(steps)
    made: list[dict[str, Any]] = [dict(step) for step in steps]
    if flaw is not None and flaw[0] == "gone":
        del made[at]
    elif flaw is not None:
        made[at][flaw[0]] = flaw[1]
    same = made == [
        {**step, **({flaw[0]: flaw[1]} if flaw and n == at and flaw[0] in ("by", "authority") else {})}
        for n, step in enumerate(steps)
    ]
    own = all(one.get("by", one["holder"]) == one["holder"] and not one.get("authority") for one in made)
    assert is_let([give_word(**step) for step in made], "h1", path[-1]) == (same and own)


def test_law_9_a_word_that_was_changed_is_none() -> None:
    """For another host, for another relay, for longer, with another certificate, or signed with anything else."""
    word = give_word("h1", "relay/a")
    assert is_let([word], "h1", "relay/a")
    other = give_word("h2", "relay/a")
    for change in (
        {"holder": "h2"}, {"to": "relay/b"}, {"ends_s": word.ends_s + 1}, {"certificate": other.certificate},
        {"certificate": "nonsense"}, {"signature": other.signature}, {"signature": b""},
    ):  # fmt: skip
        changed = msgspec.structs.replace(word, **change)
        assert not is_let([changed], changed.holder, changed.to), change


@pytest.mark.parametrize(
    ("after_s", "let"),
    [(0, True), (GRANT_LIFE_S - 1, True), (GRANT_LIFE_S + 1, False), (-SLACK_S + 60, True), (-SLACK_S - 60, False)],
)
def test_law_9_a_word_is_good_for_an_hour(after_s: float, let: bool) -> None:
    """Not longer, and not from a clock that is far ahead."""
    assert is_let([give_word("h1", "relay/a")], "h1", "relay/a", NOW_S + after_s) is let


def test_law_9_a_certificate_that_ended_gives_no_word() -> None:
    """Whatever the word says of itself."""
    after = (NOW + pki.HOST_LIFE + timedelta(days=1)).timestamp()
    assert not is_let([give_word("h1", "relay/a", now_s=after)], "h1", "relay/a", after)


def test_law_9_a_chain_has_an_end() -> None:
    """Relays in a circle do not keep a server busy."""
    grants = [give_word("h1", "relay/a")] + [give_word("relay/a", "relay/a") for _ in range(MAX_LINKS)]
    assert not is_let(grants, "h1", "relay/a")


roots = st.sampled_from(["host/a", "host/b", "host/c"])
names = st.sampled_from(["n1", "n2", "n3", "r1", "r2"])
moves = st.lists(
    st.one_of(
        st.tuples(st.just("come"), roots, st.none()),
        st.tuples(st.just("go"), roots, st.none()),
        st.tuples(st.just("lead"), st.one_of(roots, names), st.sets(names)),
        st.tuples(st.just("settle"), st.just(""), st.none()),
    ),
    max_size=30,
)


@settings(max_examples=200, deadline=None)
@given(moves)
def test_law_9_what_is_followed_is_what_the_hosts_lead_to(made: list[tuple[str, str, set[str] | None]]) -> None:
    """Hosts of a relay come and go and lead elsewhere, in whatever order: no slice too many, and none too few."""
    leads: dict[str, set[str]] = {}
    interest, followed = Interest(), set[str]()
    for move, name, value in [*made, ("settle", "", None)]:
        match move:
            case "come":
                interest.add(name)
            case "go":
                interest.remove(name)
            case "lead":
                leads[name] = value or set()
                interest.mark(name)
            case _:
                gone = interest.settle(lambda name: leads.get(name, set()), followed.add)
                assert followed.issuperset(gone)
                followed.difference_update(gone)
    here = [root for root in ("host/a", "host/b", "host/c") if root in interest]
    assert followed == {name for root in here for name in find_reached(root, lambda name: leads.get(name, set()))}


class Deaf:
    """A broker that keeps what it is given."""

    def __init__(self) -> None:
        self.ready, self.blobs = True, list[bytes]()

    def publish(self, blob: bytes) -> bool:
        self.blobs.append(blob)
        return True


@settings(max_examples=50, deadline=None)
@given(st.binary(min_size=1, max_size=200), st.binary(max_size=200))
def test_law_9_what_is_on_the_bus_opens_with_its_own_key_alone(frame: bytes, other: bytes) -> None:
    """With the key of another frame, or changed on its way, it is nothing."""
    key, blob = seal(frame)
    elsewhere, _ = seal(other)
    assert open_sealed(key, blob) == frame and open_sealed(elsewhere, blob) is None
    assert open_sealed(key, blob[:-1]) is None and open_sealed(key, other) is None
    assert frame not in blob[NAME:] or len(frame) < 4


def test_a_frame_is_published_once_however_many_are_due_it() -> None:
    """The same key for all; a short frame, one reader, or a broker that is away: as ever, by the connection."""
    broker = Deaf()
    offers = Offers(broker, "s", min_bytes=10, min_readers=2)
    keys = {offers.offer(("network/n", 1, 2), b"x" * 20, 2) for _ in range(5)}
    assert len(keys) == 1 and None not in keys and len(broker.blobs) == 1
    assert offers.offer(("network/n", 1, 3), b"x", 2) is None
    assert offers.offer(("network/n", 1, 3), b"x" * 20, 1) is None
    broker.ready = False
    assert offers.offer(("network/n", 1, 3), b"x" * 20, 2) is None
