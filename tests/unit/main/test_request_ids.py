"""Whose request changed a slice: a host is told just those ids."""

from __future__ import annotations

import logging

import pytest

from netloom.intent.snapshot import Change
from netloom.main.watching.request_ids import find_requests, log_slices
from netloom.model.delta import SliceDelta
from netloom.model.slices import NetworkRow
from netloom.store.log import LogEntry


def make_entry(revision: int, request: str, *, gone: bool = False) -> LogEntry:
    change = Change("network", "n1", None if gone else {"id": "n1"})
    return LogEntry(revision, "", "u1", request, (change,))


def make_delta(name: str, *revisions: int, drop: tuple[str, ...] = ()) -> SliceDelta:
    rows = {f"network/{n}": NetworkRow(f"n{n}", n, revision=revision) for n, revision in enumerate(revisions)}
    return SliceDelta(name, 4, 9, rows, drop)


def test_a_slice_bears_the_ids_whose_rows_it_got() -> None:
    """Of a batch of three requests, each host hears of those that concern it."""
    entries = [make_entry(7, "req-7"), make_entry(8, "req-8"), make_entry(9, "")]
    deltas = {name: make_delta(name, *revisions) for name, revisions in (("a", (7,)), ("b", (7, 8)), ("c", (9,)))}
    assert find_requests(deltas, entries) == {"a": ["req-7"], "b": ["req-7", "req-8"], "c": []}


def test_what_is_taken_away_bears_the_ids_of_those_who_deleted() -> None:
    """A row that is gone has no revision any more."""
    entries = [make_entry(7, "req-7"), make_entry(8, "req-8", gone=True)]
    deltas = {"a": make_delta("a", drop=("network/n1",)), "b": make_delta("b", 7)}
    assert find_requests(deltas, entries) == {"a": ["req-8"], "b": ["req-7"]}


def test_what_hosts_bring_about_bears_none() -> None:
    """And costs nothing to find out."""
    assert find_requests({"a": make_delta("a", 7)}, [make_entry(7, "")]) == {}


def test_slices_are_logged_for_who_follows_a_request(caplog: pytest.LogCaptureFixture) -> None:
    """With debug: which slices a revision changed, and for whom."""
    with caplog.at_level(logging.DEBUG, "netloom.server"):
        log_slices(9, {"a": make_delta("a", 7, drop=("x", "y"))}, {"a": ["req-7"]})
    (record,) = (record.__dict__ for record in caplog.records)
    assert (record["message"], record["revision"], record["requests"]) == ("slice a: 1 rows, 2 gone", 9, ["req-7"])
