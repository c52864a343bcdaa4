"""The attributes that every resource has, declared once, and the one place where they are stamped.

Law: revision_number starts at 1 and grows by one with each change that changes something.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from netloom.intent import kinds
from netloom.intent.operation import Context
from netloom.intent.schema import GENERATED, Doc, Field, Filter

MAX_TAGS = 50
"""Tags of one object, as in Neutron."""


DESCRIPTION = Field("description", kinds.TEXT, "Words for people.", "", put=True, alias="standard-attr-description")


def standard_fields(
    *middle: Field,
    name: bool = True,
    tag_rules: tuple[str | None, str | None, str | None] = (None, None, None),
    tags: bool = True,
    description: Field | None = None,
) -> tuple[Field, ...]:
    """id, name and project_id, what the resource itself has, then description, tags, revision and times.

    `tag_rules`: who gives tags, sees them, and takes them all away, where that is not who does so to the object.
    """
    named = (
        (Field("name", kinds.NAME, "A name for people; it need not be unique.", "", put=True, sort=True),)
        if name
        else ()
    )
    marks = (
        (
            Field(
                "tags", kinds.TAGS, "Marks for people and for filters.", GENERATED, filter=False, set=tag_rules[0],
                see=tag_rules[1], change=tag_rules[2], alias="standard-attr-tag",
            ),
        )
        if tags
        else ()
    )  # fmt: skip
    return (
        Field("id", kinds.UUID, "The object's id.", GENERATED, post=False, sort=True),
        *named,
        Field("project_id", kinds.PROJECT, "The project that owns it.", GENERATED, sort=True),
        *middle,
        description or DESCRIPTION,
        *marks,
        Field(
            "revision_number", kinds.COUNT, "Grows by one with each change.", GENERATED, post=False, sort=True,
            alias="standard-attr-revisions",
        ),
        Field(
            "created_at", kinds.TIMESTAMP, "When it was made, UTC.", GENERATED, post=False, sort=True,
            alias="standard-attr-timestamp",
        ),
        Field(
            "updated_at", kinds.TIMESTAMP, "When it last changed, UTC.", GENERATED, post=False, sort=True,
            alias="standard-attr-timestamp",
        ),
    )  # fmt: skip


def make_created(id: str, body: Doc, context: Context, *, tags: bool = True) -> dict[str, Any]:
    """The new document: what was given, the owner, and the stamps of a first revision."""
    doc = {"id": id, **body}
    owner = body.get("project_id")  # empty where it is to be nobody's
    doc["project_id"] = context.requester.project_id if owner is None else owner
    if tags:
        doc["tags"] = body.get("tags") or []
    doc["revision_number"] = 1
    doc["created_at"] = doc["updated_at"] = context.now
    return doc


def make_updated(old: Doc, changes: Mapping[str, Any], context: Context) -> Doc:
    """The document with changes, stamped where it has stamps; the old one itself where they change nothing."""
    for name, value in changes.items():
        if name not in old or old[name] != value:
            new = {**old, **changes}
            if "revision_number" in old:
                new |= {"revision_number": old["revision_number"] + 1, "updated_at": context.now}
            return new
    return old


def split_tags(values: Sequence[str]) -> set[str]:
    """Every tag of tags=a,b&tags=c."""
    return {tag for value in values for tag in value.split(",") if tag}


def read_since(values: Sequence[str]) -> str:
    """The earliest of the times given, as documents have them. Raises ValueError for what is none."""
    for value in values:
        if not _TIME.match(value):
            raise ValueError(f"'{kinds.show(value)}' must be in the following format: YYYY-MM-DDTHH:MM:SS[Z]")
    return min(value.rstrip("Z") + "Z" for value in values)


def find_since(values: Sequence[str]) -> None:
    """No index; refuses what cannot be read."""
    read_since(values)


_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ?\Z", re.ASCII)

CHANGED_SINCE = Filter(
    "changed_since",
    lambda doc, values: bool(doc["updated_at"] >= read_since(values)),
    "Changed at that time or later.",
    find_since,
)
STANDARD_FILTERS = (
    Filter("tags", lambda doc, values: split_tags(values) <= set(doc["tags"]), "Has all of these tags."),
    Filter("tags-any", lambda doc, values: not split_tags(values).isdisjoint(doc["tags"]), "Has one of these tags."),
    Filter("not-tags", lambda doc, values: not split_tags(values) <= set(doc["tags"]), "Lacks one of these tags."),
    Filter("not-tags-any", lambda doc, values: split_tags(values).isdisjoint(doc["tags"]), "Has none of these tags."),
    CHANGED_SINCE,
)
