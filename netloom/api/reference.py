"""The API reference as Markdown pages, one for each resource, made from the catalog.

Law: pure; a page says only what a declaration says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from netloom.api.openapi import find_base
from netloom.api.query import RESERVED
from netloom.api.rules import find_resource_rules
from netloom.api.served import is_served
from netloom.intent.catalog import EXTENSIONS
from netloom.intent.schema import REQUIRED, Absent, Catalog, Field, Resource


def render_reference(catalog: Catalog) -> dict[str, str]:
    """Page text by file name: index.md, and ports.md for port."""
    resources = [r for r in catalog.values() if is_served(r)]
    pages = {name_page(resource): render_page(resource, catalog) for resource in resources}
    return {"index.md": render_index(resources), **pages}


INTRODUCTION = """Made by `make docs` from the declarations in `netloom/intent`; not to be edited. The same is served
at `/openapi.json`, as an OpenAPI 3.1 document. What every collection has:

- `fields=` shows only some attributes; `sort_key=` with `sort_dir=` sorts; `limit=`, `marker=` and
  `page_reverse=` page.
- A filter may be given several times: any of its values will do. One that does not exist is refused.
- `project_id` and `tenant_id` are one attribute.
- `If-Match: revision_number=N` lets a change through only if nobody was faster.
- A create takes one object, or several under the name of the collection: all are made or none.
- An error is `{"NeutronError": {"type", "message", "detail"}}`."""


def render_index(resources: Iterable[Resource]) -> str:
    rows = [f"| [{r.collection}]({name_page(r)}) | {first_sentence(r.doc)} |" for r in resources]
    found = [f"| `{e.alias}` | {escape(e.description)} |" for e in EXTENSIONS.values()]
    head = ["# Networking API v2.0", "", INTRODUCTION, "", "| resource | what it is |", "|---|---|"]
    extensions = ["## Extensions", "", "| alias | what it brings |", "|---|---|", *found]
    return "\n".join([*head, *rows, "", *extensions, ""])


def name_page(resource: Resource) -> str:
    """A file for each resource, in one folder."""
    return f"{resource.parent}-{resource.path}.md" if resource.parent else resource.path.replace("/", "-") + ".md"


def render_page(resource: Resource, catalog: Catalog) -> str:
    parts = [
        f"# {resource.collection}",
        "",
        resource.doc.strip(),
        "",
        f"A request and its answer have it under `{resource.name}`; a list is under `{resource.collection}`.",
        "",
        *render_verbs(resource, catalog),
        "",
        "## Attributes",
        "",
        "| attribute | type | create | update | default | what it is |",
        "|---|---|---|---|---|---|",
        *(render_field(f) for f in resource.fields if f.visible),
        "",
        *render_filters(resource),
        "",
        *render_rules(resource),
        "",
    ]
    return "\n".join(parts)


def render_verbs(resource: Resource, catalog: Catalog) -> list[str]:
    base, rules = find_base(resource, catalog)[0], resource.rules
    item = f"{base}/{{{resource.key}}}"
    table: Mapping[str, str | None] = {
        f"`GET {base}`": rules.get,
        f"`GET {item}`": rules.get,
        f"`POST {base}`": rules.create,
        f"`PUT {item}`": rules.update,
        f"`DELETE {item}`": rules.delete,
    }
    lines = [f"- {verb}" for verb, rule in table.items() if rule is not None]
    lines += [f"- `GET`, `PUT`, `POST`, `DELETE {item}/tags`"] if resource.tags else []
    lines += [f"- `{action.method} {item}/{action.name}`: {action.doc}" for action in resource.actions]
    return lines + [f"- `GET {item}/{linked.path}`: {linked.doc}" for linked in resource.linked]


def render_field(f: Field) -> str:
    default = "" if isinstance(f.default, Absent) or not f.post else f"`{json.dumps(f.default)}`"
    create = ("required" if f.default is REQUIRED else "yes") if f.post else ""
    doc = f.doc + (f" (extension `{f.alias}`)" if f.alias else "")
    type = escape(render_type(f.kind.schema) or f.kind.name)
    return f"| `{f.name}` | {type} | {create} | {'yes' if f.put else ''} | {default} | {escape(doc)} |"


FORMATS: Mapping[str, str] = {
    "uuid": "id", "ip": "IP address", "cidr": "prefix", "mac": "MAC address", "date-time": "time",
}  # fmt: skip


def render_type(schema: Mapping[str, Any]) -> str:
    """A JSON schema in words; empty where it says nothing."""
    types = schema.get("type", ())
    types = [types] if isinstance(types, str) else list(types)
    null = " or null" if "null" in types else ""
    plain = next((one for one in types if one != "null"), "")
    if "enum" in schema:
        return "one of " + ", ".join(f"`{json.dumps(one)}`" for one in schema["enum"]) + null
    if "anyOf" in schema:
        return " or ".join(render_type(one) or "anything" for one in schema["anyOf"])
    return (RENDERERS[plain](schema) + null) if plain in RENDERERS else plain + null


def render_text(schema: Mapping[str, Any]) -> str:
    if "format" in schema:
        return FORMATS.get(schema["format"], schema["format"])
    return f"text, at most {schema['maxLength']} characters" if "maxLength" in schema else "text"


def render_integer(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None or high is None:
        return "integer"
    return f"integer, {low} or more" if high >= 2**62 else f"integer, {low} to {high}"


def render_list(schema: Mapping[str, Any]) -> str:
    return f"list of: {render_type(schema.get('items', {})) or 'anything'}"


def render_object(schema: Mapping[str, Any]) -> str:
    names = ", ".join(f"`{name}`" for name in schema.get("properties", ()))
    return f"object with {names}" if names else "object"


RENDERERS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "string": render_text, "integer": render_integer, "array": render_list, "object": render_object,
    "boolean": lambda schema: "true or false",
}  # fmt: skip


def render_filters(resource: Resource) -> list[str]:
    names = [f.name for f in resource.fields if f.filter and f.visible and f.name not in RESERVED]
    sorts = [f"`{f.name}`" for f in resource.fields if f.sort and f.visible]
    written = [f"- `{f.name}`: {f.doc}" for f in resource.filters]
    return ["## Lists", "", "Filters: " + ", ".join(f"`{name}`" for name in names) + ".", "", *written, "",
            "Sort keys: " + ", ".join(sorts) + "."]  # fmt: skip


def render_rules(resource: Resource) -> list[str]:
    rows = [f"| `{name}` | `{escape(check) or '(everyone)'}` |" for name, check in find_resource_rules(resource)]
    return ["## Policy", "", "| rule | default |", "|---|---|", *rows]


def first_sentence(text: str) -> str:
    return escape(text.strip().split("\n")[0])


def escape(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
