"""What the judge of a run with faults calls wrong: each lie of a server that we know of, told to it as values."""

from __future__ import annotations

from typing import Any

import pytest

from netloom.testing.told import Item, Told, check_requests, check_told


def make_port(told: Told, name: str, status: int = 201, **fields: Any) -> Item:
    item = told.begin("port", name, fields)
    told.take(item, status, {"id": f"id-{name}", "name": name, **fields}, f"req-{name}")
    return item


def look(told: Told, *docs: dict[str, Any]) -> list[str]:
    return check_told(told, {"port": docs})


P1 = {"id": "id-p1", "name": "p1", "host": "h1"}


def test_what_was_answered_and_is_there_is_right() -> None:
    """Nobody is blamed for what is as it was said to be."""
    told = Told()
    make_port(told, "p1", host="h1")
    assert look(told, P1) == []
    assert check_requests(told, ["req-p1", "", "", "of somebody else"]) == []


@pytest.mark.parametrize(
    ("docs", "words"),
    [
        ((), "is there as None"),
        (({**P1, "host": "h2"},), "'host': 'h2'"),
        ((P1, {"id": "x", "name": "p1"}), "nobody asked for it"),
        ((P1, {"id": "x", "name": "?"}), "nobody asked for it"),
    ],
)
def test_an_answer_that_does_not_hold_is_found(docs: tuple[dict[str, Any], ...], words: str) -> None:
    """A lost write, an older value, a write done twice, and one that nobody asked for."""
    told = Told()
    make_port(told, "p1", host="h1")
    found = look(told, *docs)
    assert found and words in found[0]


def test_what_was_never_answered_may_be_there_or_not_but_once_and_whole() -> None:
    """A broken connection leaves both open, and nothing else."""
    told = Told()
    item = make_port(told, "p1", 599, host="h1")
    assert not item.is_sure and told.unanswered == 1
    assert look(told) == [] and look(told, P1) == []
    assert look(told, P1, {**P1, "id": "other"}) == ["port p1 is there 2 times"]
    assert "is there as" in look(told, {**P1, "host": ""})[0]


def test_a_change_without_an_answer_leaves_two_states_and_a_deletion_too() -> None:
    """Before or after; never gone, never a third."""
    told = Told()
    item = make_port(told, "p1", host="h1")
    told.ask(item, {"name": "p1", "host": "h2"})
    told.take(item, 503, None, "")
    assert look(told, P1) == [] and look(told, {**P1, "host": "h2"}) == []
    assert look(told, {**P1, "host": "h3"}) and look(told)
    told.ask(item := make_port(told, "p2", host="h1"), None)
    told.take(item, 204, None, "req-gone")
    assert look(told, P1) == []
    assert "p2" in look(told, P1, {"id": "id-p2", "name": "p2", "host": "h1"})[0]


def test_a_read_that_takes_back_an_answer_is_found() -> None:
    """Any server, at once: it shows what any other has answered."""
    told = Told()
    item = make_port(told, "p1", host="h1")
    told.see(item, 200, P1)
    assert told.faults == []
    told.see(item, 404, None)
    told.see(item, 200, {**P1, "host": "old"})
    assert len(told.faults) == 2


def test_a_request_is_carried_out_once() -> None:
    """What was answered has one row in the log; none, or two, is a fault."""
    told = Told()
    make_port(told, "p1", host="h1")
    assert check_requests(told, []) == ["request req-p1 is 0 times in the log"]
    assert check_requests(told, ["req-p1", "req-p1"]) == ["request req-p1 is 2 times in the log"]


def test_a_refusal_of_what_is_right_is_a_fault() -> None:
    """Clients of a run ask nothing that may be refused."""
    told = Told()
    make_port(told, "p1", 404, host="h1")
    assert "refused with 404" in look(told)[0]
