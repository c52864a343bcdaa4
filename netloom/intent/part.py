"""What one feature adds to the resource of another: attributes, indexes, and what they bring about.

A port is declared in one place and has attributes of many features (security groups, quality of service, trunks).
Each of those is a Part in the feature's own file; the resource lists its parts in the order in which they decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from netloom.intent.draft import Draft
from netloom.intent.schema import Doc, Field, Filter, Index

Values = Mapping[str, Any]
NOTHING: Values = {}


class OnCreate(Protocol):
    """`doc`: the new object as decided so far, with what the request gave. What the part sets beside that."""

    def __call__(self, draft: Draft, doc: Doc) -> Values: ...


class OnUpdate(Protocol):
    """`new`: the object with what is decided so far; `changes`: what the request gave. What the part sets."""

    def __call__(self, draft: Draft, old: Doc, new: Doc, changes: Doc) -> Values: ...


class OnSettled(Protocol):
    """`new`: the object as it is to be, in the draft already. Bring others in step with it."""

    def __call__(self, draft: Draft, old: Doc, new: Doc) -> None: ...


class OnDelete(Protocol):
    """Refuse (ApiError 409), or put away what belongs to the object."""

    def __call__(self, draft: Draft, old: Doc) -> None: ...


def add_nothing(draft: Draft, doc: Doc) -> Values:
    return NOTHING


def change_nothing(draft: Draft, old: Doc, new: Doc, changes: Doc) -> Values:
    return NOTHING


def leave(draft: Draft, old: Doc) -> None:
    pass


def stay(draft: Draft, old: Doc, new: Doc) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Part:
    """A feature's share of a resource."""

    fields: tuple[Field, ...] = ()
    indexes: tuple[Index, ...] = ()
    filters: tuple[Filter, ...] = ()
    create: OnCreate = add_nothing
    update: OnUpdate = change_nothing
    delete: OnDelete = leave
    follow: OnSettled = stay
    """Called after an update, whoever made it: a request, or the host's acknowledgement."""


def find_fields(parts: Iterable[Part]) -> tuple[Field, ...]:
    return tuple(f for part in parts for f in part.fields)


def find_indexes(parts: Iterable[Part]) -> tuple[Index, ...]:
    return tuple(i for part in parts for i in part.indexes)


def find_filters(parts: Iterable[Part]) -> tuple[Filter, ...]:
    return tuple(f for part in parts for f in part.filters)


def resolve_update(parts: Iterable[Part], draft: Draft, old: Doc, changes: Doc) -> dict[str, Any]:
    """What an update changes, with what each part makes of it."""
    changed = dict(changes)
    for part in parts:
        changed |= part.update(draft, old, {**old, **changed}, changes)
    return changed
