"""What one operation has decided so far, on top of the snapshot that it runs on.

A Draft answers the same questions as a Snapshot, with the operation's own changes already in: so the second body of a
bulk request sees the address that the first one took. It lives within one call and ends as an Outcome.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence

from netloom.intent.blocks import Nodes
from netloom.intent.operation import Context, Outcome
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Change, Record, Snapshot, _Edit, first_zero

_NEW = b""


class Draft:
    """Collects changes. Nothing is indexed until something is asked, so a single create pays for no index twice."""

    __slots__ = ("_edit", "_kinds", "_late", "base", "changes", "context")

    def __init__(self, base: Snapshot, context: Context) -> None:
        self.base = base
        self.context = context
        self.changes: dict[tuple[str, str], Doc | None] = {}
        self._edit: _Edit | None = None
        self._late: list[tuple[str, str]] = []
        self._kinds: set[str] = set()

    def put(self, kind: str, doc: Doc) -> Doc:
        """The object is to be so. A document that is there already changes nothing."""
        key = (kind, doc["id"])
        if self.get(kind, doc["id"]) is not doc:
            self.changes.pop(key, None)  # the last change of an object counts, in its own place
            self.changes[key] = doc
            self._note(key)
        return doc

    def remove(self, kind: str, id: str) -> None:
        self.changes.pop((kind, id), None)
        self.changes[kind, id] = None
        self._note((kind, id))

    def finish(self, answer: Sequence[tuple[str, str]] = ()) -> Outcome:
        """The changes, and the documents of `answer`, (kind, id) each, as they ended."""
        changes = tuple(Change(kind, id, doc) for (kind, id), doc in self.changes.items())
        return Outcome(changes, tuple(doc for key in answer if (doc := self.get(*key)) is not None))

    # -- the questions of a snapshot -----------------------------------------------------------------------------------

    def get(self, kind: str, id: str) -> Doc | None:
        if (kind, id) in self.changes:
            return self.changes[kind, id]
        return self.base.get(kind, id)

    def taken(self, kind: str, index: str, bucket: Hashable, number: int) -> bool:
        edit = self._indexed()
        return edit.taken(kind, index, bucket, number) if edit else self.base.taken(kind, index, bucket, number)

    def first_free(self, kind: str, index: str, bucket: Hashable, first: int, last: int) -> int | None:
        return first_zero((self._indexed() or self.base).chunks(kind, index, bucket), first, last)

    def blocks(self, kind: str, index: str, bucket: Hashable) -> Nodes:
        edit = self._indexed()
        if not edit:
            return self.base.blocks(kind, index, bucket)
        found: Nodes = edit.members("blocks", kind, index, bucket)
        return found

    def lookup(self, kind: str, index: str, key: Hashable) -> Doc | None:
        edit = self._indexed()
        if not edit:
            return self.base.lookup(kind, index, key)
        id = edit.owner(kind, index, key)
        return None if id is None else self.get(kind, id)

    def count_in(self, kind: str, index: str, key: Hashable) -> int:
        edit = self._indexed()
        return edit.count_in(kind, index, key) if edit else self.base.count_in(kind, index, key)

    def find_ids(self, kind: str, index: str, key: Hashable) -> Iterable[str]:
        return self._for(kind).find_ids(kind, index, key)

    def find(self, kind: str, index: str, key: Hashable) -> Iterator[Doc]:
        return self._for(kind).find(kind, index, key)

    def _note(self, key: tuple[str, str]) -> None:
        self._late.append(key)
        self._kinds.add(key[0])

    # -- indexes -------------------------------------------------------------------------------------------------------

    def _indexed(self) -> _Edit | None:
        """The edit with every change so far in it; None while there is no change."""
        if self._late:
            edit = self._edit = self._edit or _Edit(self.base)
            for kind, id in self._late:
                doc = self.changes[kind, id]
                edit.put(kind, id, None if doc is None else Record(doc, self.base.revision, _NEW))
            self._late.clear()
        return self._edit

    def _for(self, kind: str) -> Snapshot:
        """A snapshot with every change of a kind so far: what can be iterated. Its JSON is not encoded."""
        if kind not in self._kinds:
            return self.base
        edit = self._indexed()
        if edit:
            self.base = edit.finish(self.base.revision)
            self._edit = None
        return self.base
