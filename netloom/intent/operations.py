"""One call each for what the API's shell hands to the writer: the operation on a resource, with its 404, 409 and 412.

What comes in is parsed (schema.parse_create, parse_update). Whether the requester may see or do it is the shell's
business; whether the object is there and at the revision that the requester knows is decided here, inside the write.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from netloom.intent import stamp
from netloom.intent.errors import ApiError, bad_resource, invalid_operation
from netloom.intent.kinds import parse_short_text, parse_tags, show
from netloom.intent.operation import Context, Operation, Outcome
from netloom.intent.schema import Action, Doc, Relate, Resource
from netloom.intent.snapshot import Change, Snapshot


def make_create(resource: Resource, bodies: Sequence[Doc]) -> Operation:
    """Create one object, or several as one: all of them or none."""
    if resource.create is None:
        raise not_allowed(resource, "create")
    create = resource.create
    return lambda snapshot, context: create(snapshot, bodies, context)


def make_update(resource: Resource, id: str, changes: Doc, if_match: int | None = None) -> Operation:
    if resource.update is None:
        raise not_allowed(resource, "update")
    update = resource.update

    def run_update(snapshot: Snapshot, context: Context) -> Outcome:
        return update(snapshot, find_current(snapshot, resource, id, if_match, context), changes, context)

    return run_update


def make_delete(resource: Resource, id: str, if_match: int | None = None) -> Operation:
    if resource.delete is None:
        raise not_allowed(resource, "delete")
    delete = resource.delete

    def run_delete(snapshot: Snapshot, context: Context) -> Outcome:
        return delete(snapshot, find_current(snapshot, resource, id, if_match, context), context)

    return run_delete


def make_action(resource: Resource, action: Action, id: str, given: Any, if_match: int | None = None) -> Operation:
    """A verb of one object that is none of the four."""

    def run_action(snapshot: Snapshot, context: Context) -> Outcome:
        return action.run(snapshot, find_current(snapshot, resource, id, if_match), given, context)

    return run_action


def make_relation(resource: Resource, relate: Relate, id: str, other: str) -> Operation:
    """Tie the object to another, or untie them."""

    def run_relation(snapshot: Snapshot, context: Context) -> Outcome:
        return relate(snapshot, find_current(snapshot, resource, id), other, context)

    return run_relation


def find_current(
    snapshot: Snapshot, resource: Resource, id: str, if_match: int | None = None, context: Context | None = None
) -> Doc:
    """The object. Raises the resource's 404, or 412 where it is not at the revision of If-Match.

    With a `context`, one that is shown and not stored is found too, for its operation to say what becomes of it.
    """
    doc = snapshot.get(resource.kind, id)
    if doc is None and resource.derive is not None and context is not None:
        doc = next(iter(resource.derive(snapshot, context.settings, context.requester, id)), None)
    if doc is None:
        raise resource.missing(id)
    current = doc.get("revision_number")
    if if_match is not None and if_match != current:
        raise ApiError(
            412, "RevisionNumberConstraintFailed", f"Constrained to {if_match}, but current revision is {current}"
        )
    return doc


def parse_if_match(header: str | None) -> int | None:
    """The revision that an If-Match header demands: "revision_number=7". Raises ApiError 400 for anything else."""
    if not header:
        return None
    name, _, number = header.strip().partition("=")
    if name != "revision_number" or not number.isascii() or not number.isdigit() or len(number) > 18:
        raise bad_resource("If-Match", f"'{show(header)}' is not of the form revision_number=<number>")
    return int(number)


def not_allowed(resource: Resource, verb: str) -> ApiError:
    return ApiError(404, "HTTPNotFound", f"The {resource.collection} of this API know no {verb}.")


# -- tags, which all resources with standard attributes share ----------------------------------------------------------


def make_tags(
    resource: Resource,
    id: str,
    *,
    replace: Any = None,
    add: Any = None,
    remove: Any = None,
    if_match: int | None = None,
) -> Operation:
    """Change the tags of an object; answers it whole.

    One of: `replace` (the list of PUT …/tags; [] for DELETE …/tags), `add` (one tag, or a list for POST …/tags),
    `remove` (one tag). Raises ApiError 400 at once for what is no tag, TagNotFound when run for one that is not there.
    """
    if replace is not None:
        return change_tags(resource, id, if_match, set_tags(parse_given(replace)))
    if remove is not None:
        return change_tags(resource, id, if_match, drop_tag(parse_tag(remove)))
    return change_tags(
        resource, id, if_match, add_tags(parse_given(add) if isinstance(add, list) else [parse_tag(add)])
    )


def find_tag(doc: Doc, tag: str) -> None:
    """GET …/tags/{tag}: nothing, or TagNotFound."""
    if tag not in doc["tags"]:
        raise ApiError(404, "TagNotFound", f"Tag {show(tag)} could not be found.")


def parse_given(value: Any) -> list[str]:
    try:
        return parse_tags(value)
    except ValueError as error:
        raise invalid_operation(f"tags: {error}") from None


def parse_tag(value: Any) -> str:
    try:
        tag: str = parse_short_text(value)
    except ValueError as error:
        raise invalid_operation(f"tags: {error}") from None
    return tag


Edit = Callable[[Doc], list[str]]


def set_tags(tags: list[str]) -> Edit:
    return lambda doc: tags


def add_tags(tags: Sequence[str]) -> Edit:
    return lambda doc: sorted({*doc["tags"], *tags})


def drop_tag(tag: str) -> Edit:
    def edit(doc: Doc) -> list[str]:
        find_tag(doc, tag)
        return [one for one in doc["tags"] if one != tag]

    return edit


def change_tags(resource: Resource, id: str, if_match: int | None, edit: Edit) -> Operation:
    def run_tags(snapshot: Snapshot, context: Context) -> Outcome:
        old = find_current(snapshot, resource, id, if_match)
        tags = edit(old)
        if len(tags) > stamp.MAX_TAGS:
            raise bad_resource(
                resource.collection, f"The number of tags exceed the per-resource limit of {stamp.MAX_TAGS}"
            )
        new = stamp.make_updated(old, {"tags": tags}, context)
        return Outcome((Change(resource.kind, id, new),) if new is not old else (), (new,))

    return run_tags
