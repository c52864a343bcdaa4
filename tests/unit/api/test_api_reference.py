"""The OpenAPI document and the reference pages say what the catalog says."""

from __future__ import annotations

from netloom.api.openapi import render_openapi
from netloom.api.reference import render_reference, render_type
from netloom.intent.catalog import CATALOG
from scripts import coverage, docs


def test_every_attribute_that_is_shown_has_its_line() -> None:
    """And none that is hidden."""
    pages = render_reference(CATALOG)
    for resource in CATALOG.values():
        page = pages.get(f"{resource.path}.md", "")
        for f in resource.fields:
            assert (f"| `{f.name}` |" in page) == (f.visible and bool(page))
    assert "[ports](ports.md)" in pages["index.md"]


def test_the_document_has_the_verbs_that_are_declared() -> None:
    """A resource that cannot be made has no POST."""
    document = render_openapi(CATALOG)
    for resource in CATALOG.values():
        collection = document["paths"].get(f"/v2.0/{resource.path}", {})
        item = document["paths"].get(f"/v2.0/{resource.path}/{{{resource.key}}}", {})
        if resource.name != "quota" and collection:
            assert ("post" in collection) == (resource.rules.create is not None)
            assert ("delete" in item) == (resource.rules.delete is not None)


def test_what_must_be_given_is_required() -> None:
    """A port needs its network and nothing else."""
    document = render_openapi(CATALOG)
    body = document["paths"]["/v2.0/ports"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["anyOf"][0]["properties"]["port"]["required"] == ["network_id"]


def test_the_pages_are_what_the_declarations_make_of_them() -> None:
    """docs/reference/api, which people read without a checkout; make docs writes it."""
    assert docs.find_stale() == []


def test_every_extension_has_tests_and_the_coverage_page_names_them() -> None:
    """No alias is announced that nothing proves; docs/reference/coverage.md is current."""
    assert coverage.find_all_faults() == []


def test_types_are_said_in_words() -> None:
    """A reader of the pages sees what a value may be."""
    page = render_reference(CATALOG)["networks.md"]
    assert "| `mtu` | integer, 0 to 2147483647 | yes | yes |" in page
    assert "| `tags` | list of: text, at most 255 characters | yes |" in page
    assert render_type({"type": ["string", "null"], "format": "uuid"}) == "id or null"
    assert render_type({"enum": ["a", 1, None]}) == 'one of `"a"`, `1`, `null`'
    assert render_type({"anyOf": [{"type": "boolean"}, {}]}) == "true or false or anything"
    assert render_type({"type": "object", "properties": {"a": {}, "b": {}}}) == "object with `a`, `b`"
    assert render_type({}) == ""
