"""The log of a store played again: what each host was to know at each revision, and what it may ever have known.

Law: what is right is worked out from the documents alone, by `resolve`; no server, cache or wire has a say in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from netloom.intent.schema import Catalog, Doc
from netloom.intent.snapshot import Change, Record, Snapshot
from netloom.model.digest import digest_rows
from netloom.model.slices import Slice, find_reached
from netloom.resolve.slices import SliceBook

Stored = tuple[str, str, Record | None]
Digests = Mapping[str, str]
"""Slice name → digest of its rows."""


@dataclass(frozen=True, slots=True)
class View:
    """What a host held at one moment. `is_current`: a server had told it that this is all, as of the revision."""

    host: str
    revision: int
    slices: Digests
    is_current: bool = True


@dataclass(slots=True)
class Played:
    """What came of the log: by host and revision what it was to hold, from the revision at which that changed on."""

    snapshot: Snapshot
    held: dict[str, list[tuple[int, Digests]]] = field(default_factory=dict)
    ever: dict[str, set[str]] = field(default_factory=dict)

    def find(self, host: str, revision: int) -> Digests:
        found: Digests = {}
        for since, slices in self.held[host]:
            if since > revision:
                break
            found = slices
        return found


def play(
    catalog: Catalog, encode: Callable[[Doc], bytes], rows: Iterable[tuple[int, Sequence[Stored]]], hosts: Sequence[str]
) -> Played:
    """Each commit of the log, from the first, on an empty snapshot."""
    snapshot = Snapshot(catalog, encode)
    book, digests = SliceBook(snapshot), Digester()
    played = Played(snapshot, {host: [] for host in hosts}, {host: set() for host in hosts})
    followed: set[str] = set()
    for revision, stored in rows:
        snapshot = snapshot.apply_records(stored, revision)
        book.advance([Change(kind, id, record.doc if record else None) for kind, id, record in stored], snapshot)
        for host in hosts:
            note(played, host, revision, {name: digests.find(found) for name, found in read(book, host, followed)})
    played.snapshot = snapshot
    return played


def note(played: Played, host: str, revision: int, slices: Digests) -> None:
    held = played.held[host]
    if not held or held[-1][1] != slices:
        held.append((revision, slices))
        played.ever[host] |= slices.keys()


def read(book: SliceBook, host: str, followed: set[str]) -> Iterator[tuple[str, Slice]]:
    """What the host's own slice leads to, as the book has it now."""
    for name in find_reached(f"host/{host}", book.leads):
        if name not in followed:
            followed.add(name)
            book.follow(name)
        found = book.slice(name)
        if found is not None:
            yield name, found


class Digester:
    """Digests of slices; one that did not change costs nothing."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Slice, str]] = {}

    def find(self, found: Slice) -> str:
        kept = self._kept.get(found.name)
        if kept is None or kept[0] is not found:
            kept = self._kept[found.name] = (found, f"{digest_rows(found.rows):032x}")
        return kept[1]


def check_views(played: Played, views: Iterable[View]) -> list[str]:
    """Everything that a host held and was not to hold, in words."""
    wrong = []
    for view in views:
        beyond = view.slices.keys() - played.ever[view.host]
        if beyond:
            wrong.append(f"{view.host} held {', '.join(sorted(beyond))}, which nothing of its own ever led to")
        elif view.is_current:
            wrong += check_view(view, played.find(view.host, view.revision))
    return wrong


def check_view(view: View, right: Digests) -> Iterator[str]:
    """A host that is current holds what `resolve` says of the revision that it was told, and no more."""
    at = f"{view.host} at revision {view.revision}"
    for name in sorted(view.slices.keys() | right.keys()):
        if name not in right:
            yield f"{at} held {name}, which its ports did not lead to then"
        elif name not in view.slices:
            yield f"{at} did not hold {name}"
        elif view.slices[name] != right[name]:
            yield f"{at} held another {name} than there was"
