"""The draft of an operation and the numbers of a snapshot: what was decided before is seen by what comes after."""

from __future__ import annotations

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from netloom.intent.draft import Draft
from netloom.intent.operation import Context, Requester
from netloom.intent.schema import GENERATED, Doc, Field, Index, Kind, Resource, Rules
from netloom.intent.snapshot import CHUNK, Change, Snapshot

ANY = Kind("any", lambda value: value, {})
THING = Resource(
    "thing",
    "things",
    "",
    (Field("id", ANY, "", GENERATED), Field("n", ANY, "", GENERATED)),
    Rules("", "", "", ""),
    (
        Index("colour", lambda doc: (doc["colour"],)),
        Index("name", lambda doc: (doc["name"],), "unique"),
        Index("number", lambda doc: (("numbers", doc["n"]),), "bits"),
    ),
)


def thing(id: str, n: int, colour: str = "red") -> Doc:
    return {"id": id, "n": n, "colour": colour, "name": f"name-{n}"}


def context() -> Context:
    ids = count(1)
    return Context(Requester(), "2026-11-21T00:00:00Z", lambda: str(next(ids)), lambda: "")


def make(*docs: Doc) -> Snapshot:
    return Snapshot({"thing": THING}).apply([Change("thing", d["id"], d) for d in docs], 1)


def test_a_draft_sees_its_own_changes() -> None:
    """Every question is answered as if what was decided so far were committed."""
    draft = Draft(make(thing("a", 1), thing("b", 2)), context())
    draft.put("thing", thing("c", 3))
    draft.remove("thing", "a")
    draft.put("thing", thing("b", 4, "blue"))
    assert [draft.taken("thing", "number", "numbers", n) for n in (1, 2, 3, 4)] == [False, False, True, True]
    assert draft.first_free("thing", "number", "numbers", 3, 9) == 5
    assert (draft.count_in("thing", "colour", "red"), draft.count_in("thing", "colour", "blue")) == (1, 1)
    assert draft.lookup("thing", "name", "name-1") is None
    assert (draft.lookup("thing", "name", "name-4") or {})["id"] == "b"
    assert list(draft.find_ids("thing", "colour", "red")) == ["c"]
    draft.put("thing", thing("d", 5))
    assert {doc["id"] for doc in draft.find("thing", "colour", "red")} == {"c", "d"}
    assert draft.get("thing", "a") is None


def test_the_outcome_holds_each_object_once() -> None:
    """An object that changed twice is in the outcome as it ended; one that was put back as it was is not."""
    a = thing("a", 1)
    snapshot = make(a)
    draft = Draft(snapshot, context())
    draft.put("thing", a)
    assert not draft.finish().changes
    draft.put("thing", thing("b", 2))
    draft.put("thing", thing("b", 3))
    outcome = draft.finish([("thing", "b")])
    assert [(c.id, c.doc and c.doc["n"]) for c in outcome.changes] == [("b", 3)]
    assert outcome.answer[0]["n"] == 3
    assert snapshot.get("thing", "b") is None


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=40),
    st.sets(st.integers(0, 12), max_size=12),
    st.integers(0, 12),
)
def test_first_free_agrees_with_a_search(steps: list[int], more: set[int], first: int) -> None:
    """The lowest free number is what a search of them all would find, also where chunks of numbers end."""
    base = CHUNK - 6
    taken: set[int] = set(more)
    for step in steps:  # a run with gaps
        taken.add(len(taken) + step)
    snapshot = make(*(thing(f"t{n}", base + n) for n in taken))
    last = base + 60
    expected = next((n for n in range(base + first, last + 1) if n - base not in taken), None)
    assert snapshot.first_free("thing", "number", "numbers", base + first, last) == expected
    assert snapshot.count_taken("thing", "number", "numbers", base, last) == len([n for n in taken if n <= 60])


def test_full_chunks_are_passed_over_and_reopened() -> None:
    """Runs of thousands of taken numbers are one step, and a number that is given back is found again."""
    full = make(*(thing(f"t{n}", n) for n in range(4 * CHUNK)))
    assert full.first_free("thing", "number", "numbers", 0, 10 * CHUNK) == 4 * CHUNK
    assert full.first_free("thing", "number", "numbers", 5, 4 * CHUNK - 1) is None
    gap = full.apply([Change("thing", "t2000", None)], 2)
    assert gap.first_free("thing", "number", "numbers", 0, 10 * CHUNK) == 2000
    again = gap.apply([Change("thing", "x", thing("x", 2000))], 3)
    assert again.first_free("thing", "number", "numbers", 0, 10 * CHUNK) == 4 * CHUNK
    assert again.count_taken("thing", "number", "numbers", 0, 10 * CHUNK) == 4 * CHUNK
    empty = again.apply([Change("thing", doc["id"], None) for doc in again.docs("thing")], 4)
    assert empty.first_free("thing", "number", "numbers", 0, 9) == 0
    assert not empty._bits["thing", "number"]
