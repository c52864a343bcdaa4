"""The query of a list request, parsed: filters, fields, sorting, page. Texts of refusal are Neutron's.

Law: a parameter is understood or refused; none is silently left out.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from netloom.api.message import Params
from netloom.intent.errors import ApiError, bad_request
from netloom.intent.schema import Doc, Filter, Resource

RESERVED = frozenset({"fields", "sort_key", "sort_dir", "limit", "marker", "page_reverse"})
NO_PARAMS: Params = {}


@dataclass(frozen=True, slots=True)
class Equals:
    """An attribute has one of `values`, or holds one of them if it is a list."""

    name: str
    values: tuple[Any, ...]

    def __call__(self, doc: Doc) -> bool:
        value = doc.get(self.name)
        if isinstance(value, list | tuple):
            return any(one in self.values for one in value)
        return value in self.values


@dataclass(frozen=True, slots=True)
class Matches:
    """A filter that the declaration wrote out."""

    filter: Filter
    values: tuple[str, ...]

    def __call__(self, doc: Doc) -> bool:
        return self.filter.matches(doc, self.values)


Condition = Equals | Matches


@dataclass(frozen=True, slots=True)
class ListQuery:
    """sorts: (attribute, ascending). limit 0: everything, and then no marker counts."""

    conditions: tuple[Condition, ...] = ()
    fields: tuple[str, ...] = ()
    sorts: tuple[tuple[str, bool], ...] = ()
    limit: int = 0
    marker: str = ""
    reverse: bool = False


def parse_query(resource: Resource, params: Params, max_limit: int, strict: bool = True) -> ListQuery:
    """Raises ApiError 400 for what the resource does not know."""
    if not params:
        return ListQuery(limit=max(max_limit, 0))
    limit = parse_limit(params, max_limit)
    return ListQuery(
        parse_conditions(resource, params, strict),
        parse_fields(params),
        parse_sorts(resource, params),
        limit,
        params.get("marker", [""])[-1] if limit else "",
        params.get("page_reverse", [""])[-1].lower() == "true",
    )


def parse_fields(params: Params) -> tuple[str, ...]:
    return tuple(name for name in params.get("fields", ()) if name)


def parse_limit(params: Params, max_limit: int) -> int:
    text = params.get("limit", ["0"])[-1]
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise ApiError(400, "BadRequest", f"Bad limit request: Limit must be an integer 0 or greater and not '{text}'.")
    limit = int(text)
    return limit if max_limit < 0 else min(limit, max_limit) or max_limit


def parse_sorts(resource: Resource, params: Params) -> tuple[tuple[str, bool], ...]:
    keys = ["project_id" if key == "tenant_id" else key for key in params.get("sort_key", ()) if key]
    dirs = [one for one in params.get("sort_dir", ()) if one]
    if len(keys) != len(dirs):
        raise bad_request("The number of sort_keys and sort_dirs must be same")
    sortable = {f.name for f in resource.fields if f.sort and f.visible}
    if absent := [key for key in keys if key not in sortable]:
        raise bad_request(f"{absent} is invalid attribute for sort_keys")
    if invalid := [one for one in dirs if one not in ("asc", "desc")]:
        raise bad_request(f"{invalid} is invalid value for sort_dirs, valid value is 'asc' and 'desc'")
    return tuple(zip(keys, (one == "asc" for one in dirs), strict=True))


def parse_conditions(resource: Resource, params: Params, strict: bool) -> tuple[Condition, ...]:
    found: list[Condition] = []
    unknown = []
    named = {f.name: f for f in resource.filters}
    for name, values in params.items():
        if name in RESERVED:
            continue
        if name in named:
            found.append(parse_matches(named[name], values))
        elif condition := parse_equals(resource, "project_id" if name == "tenant_id" else name, values):
            found.append(condition)
        else:
            unknown.append(name)
    if unknown and strict:
        raise bad_request(f"{unknown} is invalid attribute for filtering")
    return tuple(found)


def parse_matches(named: Filter, values: Sequence[str]) -> Matches:
    """Raises ApiError 400 for values that the filter cannot read, which it says when asked for an index."""
    try:
        if named.index:
            named.index(values)
    except ValueError as error:
        raise ApiError(400, "InvalidInput", f"Invalid input for operation: {named.name}: {error}.") from None
    return Matches(named, tuple(values))


def parse_equals(resource: Resource, name: str, values: Sequence[str]) -> Equals | None:
    """None: nothing may be filtered by that name. Raises ApiError 400 for a value that cannot be of the kind."""
    field = resource.by_name.get(name)
    if field is None or not field.filter or not field.visible:
        return None
    try:
        return Equals(name, tuple(field.kind.parse_filter(value) for value in values))
    except ValueError as error:
        raise ApiError(400, "InvalidInput", f"Invalid input for operation: {name}: {error}.") from None


def find_narrowing(resource: Resource, condition: Condition) -> tuple[str, Sequence[Hashable]] | None:
    """(index, keys) that hold every document of the condition, where the declaration has such an index.

    An index named as an attribute holds the documents by that attribute's value; the empty value need not be in it.
    """
    if isinstance(condition, Matches):
        return condition.filter.index(condition.values) if condition.filter.index else None
    if condition.name == "id":
        return "id", condition.values
    if not all(isinstance(v, str) and v for v in condition.values):
        return None
    styles = {index.name: index.style for index in resource.indexes}
    return (condition.name, condition.values) if styles.get(condition.name) in ("set", "unique") else None


def make_links(query: ListQuery, base: str, params: Params, first: str, last: str, count: int) -> list[dict[str, str]]:
    """The links to the pages after and before this one of `count` objects, as Neutron makes them."""
    links: list[dict[str, str]] = []
    if not query.limit:
        return links
    kept = [(k, v) for k, values in params.items() if k not in ("marker", "page_reverse") for v in values]
    if query.reverse or count >= query.limit:
        marker = [("marker", last)] if last else []
        links.append({"rel": "next", "href": f"{base}?{urlencode(kept + marker)}"})
    if not query.reverse or count >= query.limit:
        marker = [("marker", first)] if first else []
        links.append({"rel": "previous", "href": f"{base}?{urlencode([*kept, *marker, ('page_reverse', 'True')])}"})
    return links
