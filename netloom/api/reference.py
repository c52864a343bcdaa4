"""The API reference as Markdown pages, one for each resource, made from the catalog.

Law: pure; a page says only what a declaration says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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


def render_index(resources: Iterable[Resource]) -> str:
    rows = [f"| [{r.collection}]({name_page(r)}) | {first_sentence(r.doc)} |" for r in resources]
    found = [f"| `{e.alias}` | {escape(e.description)} |" for e in EXTENSIONS.values()]
    return "\n".join(
        ["# Networking API v2.0", "", "| resource | what it is |", "|---|---|", *rows, "", "## Extensions", "",
         "| alias | what it brings |", "|---|---|", *found, ""]
    )  # fmt: skip


def name_page(resource: Resource) -> str:
    """A file for each resource, in one folder."""
    return f"{resource.parent}-{resource.path}.md" if resource.parent else resource.path.replace("/", "-") + ".md"


def render_page(resource: Resource, catalog: Catalog) -> str:
    parts = [
        f"# {resource.collection}",
        "",
        resource.doc.strip(),
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
    default = "" if isinstance(f.default, Absent) or not f.post else f"`{f.default!r}`"
    create = ("required" if f.default is REQUIRED else "yes") if f.post else ""
    doc = f.doc + (f" (extension `{f.alias}`)" if f.alias else "")
    return f"| `{f.name}` | {f.kind.name} | {create} | {'yes' if f.put else ''} | {default} | {escape(doc)} |"


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
