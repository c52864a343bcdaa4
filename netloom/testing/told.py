"""What clients were told while parts of a deployment failed, and whether what is there in the end agrees with it.

Law: an answer binds. What a client was told is there, once, as it was told; what it asked and was not told about may
be there or not, but never half, never twice, and never anything else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Fields = Mapping[str, Any]
MAYBE = (0, 2)
"""What was asked and never answered: that it was, or was not, carried out."""


@dataclass(slots=True)
class Item:
    """An object as its client knows it: what it may be (None: it is not there). One client at a time writes it.

    An item with more than one possible state is let alone from then on: the request that nobody answered may still be
    under way, and come after any other.
    """

    kind: str
    name: str
    may_be: list[Fields | None]
    id: str = ""

    @property
    def is_sure(self) -> bool:
        return len(self.may_be) == 1

    @property
    def is_there(self) -> bool:
        return self.is_sure and self.may_be[0] is not None


@dataclass(slots=True)
class Told:
    """All that all clients were told. `faults`: answers that could not be right, in words."""

    items: list[Item] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    answers: int = 0
    unanswered: int = 0
    faults: list[str] = field(default_factory=list)

    def begin(self, kind: str, name: str, fields: Fields) -> Item:
        """Somebody asks for a new object."""
        item = Item(kind, name, [None, {**fields, "name": name}])
        self.items.append(item)
        return item

    def ask(self, item: Item, then: Fields | None) -> None:
        """Somebody asks that the item be changed to `then`, or go."""
        item.may_be = [item.may_be[0], then]

    def take(self, item: Item, status: int, doc: Mapping[str, Any] | None, request_id: str) -> None:
        """The answer to the last question about the item."""
        if status >= 500:
            self.unanswered += 1
            return
        if status >= 400:
            self.faults.append(f"{item.kind} {item.name}: refused with {status}: {doc}")
            item.may_be = item.may_be[:1]
            return
        item.may_be = item.may_be[-1:]
        item.id = item.id or str((doc or {}).get("id", ""))
        self.answers += 1
        if request_id:
            self.requests.append(request_id)
        if doc is not None:
            self.faults += [f"{item.kind} {item.name} was answered wrongly: {words}" for words in find_wrong(item, doc)]

    def see(self, item: Item, status: int, doc: Mapping[str, Any] | None) -> None:
        """Somebody has read an item that nobody was changing, from any server."""
        if status == 404 and item.is_there:
            self.faults.append(f"{item.kind} {item.name} was answered and then not seen")
        elif status == 200 and doc is not None and item.is_sure:
            self.faults += [f"{item.kind} {item.name} was seen {words}" for words in find_wrong(item, doc)]


def find_wrong(item: Item, doc: Mapping[str, Any] | None) -> Iterator[str]:
    """Why a document (None: not there) is nothing that the item may be."""
    if not any(agree(state, doc) for state in item.may_be):
        yield f"as {shorten(item, doc)}, may be {item.may_be}"


def agree(state: Fields | None, doc: Mapping[str, Any] | None) -> bool:
    if state is None or doc is None:
        return state is doc
    return all(doc.get(name) == value for name, value in state.items())


def shorten(item: Item, doc: Mapping[str, Any] | None) -> Fields | None:
    names = {name for state in item.may_be if state for name in state}
    return None if doc is None else {name: doc.get(name) for name in sorted(names)}


def check_told(told: Told, docs: Mapping[str, Iterable[Mapping[str, Any]]]) -> list[str]:
    """Everything that is wrong with what is there in the end (`docs`, by kind), in words."""
    wrong = list(told.faults)
    for kind, found in docs.items():
        there, items = list(found), [item for item in told.items if item.kind == kind]
        by_id = {str(doc["id"]): doc for doc in there}
        known = {item.id for item in items if item.id}
        wrong += [
            f"{kind} {item.name} is there {words}"
            for item in items
            if item.id
            for words in find_wrong(item, by_id.get(item.id))
        ]
        wrong += check_unknown(kind, items, [doc for doc in there if doc["id"] not in known])
    return wrong


def check_unknown(kind: str, items: Iterable[Item], docs: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Documents whose making nobody was told of: each was asked for, once, and is whole."""
    asked = {item.name: item for item in items if not item.id}
    for name, count in Counter(str(doc["name"]) for doc in docs).items():
        if count > 1:
            yield f"{kind} {name} is there {count} times"
    for doc in docs:
        item = asked.get(str(doc["name"]))
        if item is None:
            yield f"{kind} {doc['name']} ({doc['id']}) is there and nobody asked for it"
        else:
            yield from (f"{kind} {item.name} is there {words}" for words in find_wrong(item, doc))


def check_requests(told: Told, logged: Iterable[str]) -> list[str]:
    """Each request that was answered stands in the log once; `logged` are the request ids of all its rows."""
    counts = Counter(logged)
    return [f"request {id} is {counts[id]} times in the log" for id in told.requests if counts[id] != 1]
