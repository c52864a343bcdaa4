"""Queries: what a list request may ask, and that an index never changes an answer."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.api.listing import Listing, Orders, find_page, render_page
from netloom.api.message import parse_params
from netloom.api.query import ListQuery, make_links, parse_query
from netloom.api.served import keep
from netloom.api.views import Eyes, make_viewer
from netloom.intent.agents.agent import report_host
from netloom.intent.catalog import CATALOG
from netloom.intent.errors import ApiError
from netloom.intent.kinds import BOOL, COUNT, NAME, PROJECT, UUID
from netloom.intent.operation import Requester
from netloom.intent.schema import GENERATED, Field, Filter, Index, Resource, Rules
from netloom.intent.snapshot import Change, Snapshot
from tests.unit.api.api_client import ADMIN, Memory, make_client

THING = Resource(
    "thing",
    "things",
    "A thing to list.",
    (
        Field("id", UUID, "Its id.", GENERATED, post=False, sort=True),
        Field("project_id", PROJECT, "Whose.", GENERATED, sort=True),
        Field("name", NAME, "Its name.", "", sort=True),
        Field("size", COUNT, "How big.", 0, sort=True),
        Field("on", BOOL, "Whether.", True),
        Field("owner", NAME, "Of what.", ""),
        Field("secret", NAME, "Not shown.", "", visible=False),
    ),
    Rules("@", "@", "@", "@"),
    indexes=(
        Index("project_id", lambda doc: [doc["project_id"]]),
        Index("owner", lambda doc: [doc["owner"]] if doc["owner"] else []),
        Index("starts", lambda doc: [(doc["name"] or "")[:1]]),
    ),
    filters=(
        Filter(
            "starts",
            lambda doc, values: doc["name"][:1] in values,
            "By the first letter.",
            lambda values: ("starts", tuple(values)),
        ),
    ),
)
THINGS = {"thing": THING}
ALL = Eyes(True)


def make_thing(number: int, **given: Any) -> dict[str, Any]:
    doc = {"id": f"{number:08x}-0000-4000-8000-000000000000", "project_id": "p1", "name": "", "size": number}
    return {**doc, "on": True, "owner": "", "secret": "s", **given}


def make_snapshot(docs: list[dict[str, Any]]) -> Snapshot:
    return Snapshot(THINGS).apply([Change("thing", doc["id"], doc) for doc in docs], 1)


def parse(text: str, max_limit: int = -1) -> ListQuery:
    return parse_query(THING, parse_params(text.encode()), max_limit)


def run(snapshot: Snapshot, text: str, eyes: Eyes = ALL) -> list[dict[str, Any]] | None:
    page = asyncio.run(find_page(Listing(snapshot, THING, parse(text), eyes, Orders(), keep)))
    return None if page is None else [dict(record.doc) for record in page.records]


@pytest.mark.parametrize(
    ("text", "type", "message"),
    [
        ("foo=1", "HTTPBadRequest", "['foo'] is invalid attribute for filtering"),
        ("secret=1", "HTTPBadRequest", "['secret'] is invalid attribute for filtering"),
        ("limit=-1", "BadRequest", "Bad limit request: Limit must be an integer 0 or greater and not '-1'."),
        ("limit=x", "BadRequest", "Bad limit request: Limit must be an integer 0 or greater and not 'x'."),
        ("limit=%C2%B2", "BadRequest", "Bad limit request: Limit must be an integer 0 or greater and not '²'."),
        ("sort_key=name", "HTTPBadRequest", "The number of sort_keys and sort_dirs must be same"),
        ("sort_key=on&sort_dir=asc", "HTTPBadRequest", "['on'] is invalid attribute for sort_keys"),
        (
            "sort_key=name&sort_dir=up",
            "HTTPBadRequest",
            "['up'] is invalid value for sort_dirs, valid value is 'asc' and 'desc'",
        ),
        ("on=maybe", "InvalidInput", "Invalid input for operation: on: 'maybe' cannot be converted to boolean."),
    ],
)
def test_a_query_that_makes_no_sense_is_refused_in_neutrons_words(text: str, type: str, message: str) -> None:
    """A wrong filter is named, not left out."""
    with pytest.raises(ApiError) as caught:
        parse(text)
    assert (caught.value.status, caught.value.type, caught.value.message) == (400, type, message)


def test_the_limit_is_bounded_by_the_operator() -> None:
    """pagination_max_limit is the page when none is asked for, and the largest there is."""
    assert parse("limit=5", 3).limit == 3
    assert parse("limit=2", 3).limit == 2
    assert parse("limit=0", 3).limit == 3
    assert parse("", 3).limit == 3
    assert parse("marker=x").marker == ""


def test_the_old_name_of_a_project_is_a_filter_and_a_sort_key() -> None:
    """tenant_id and project_id are one attribute."""
    snapshot = make_snapshot([make_thing(1, project_id="p2"), make_thing(2)])
    assert [d["size"] for d in run(snapshot, "tenant_id=p2") or ()] == [1]
    assert [d["size"] for d in run(snapshot, "sort_key=tenant_id&sort_dir=asc") or ()] == [2, 1]


def test_an_empty_filter_asks_for_the_empty_value() -> None:
    """owner= finds what has no owner, though the index does not hold it."""
    snapshot = make_snapshot([make_thing(1, owner="x"), make_thing(2)])
    assert [d["size"] for d in run(snapshot, "owner=") or ()] == [2]
    assert [d["size"] for d in run(snapshot, "owner=x") or ()] == [1]
    assert [d["size"] for d in run(snapshot, "owner=&owner=x") or ()] == [1, 2]


def test_null_comes_first_in_order() -> None:
    """As the databases below Neutron sort it."""
    snapshot = make_snapshot([make_thing(1, name="a"), make_thing(2, name=None), make_thing(3, name="b")])
    assert [d["size"] for d in run(snapshot, "sort_key=name&sort_dir=asc") or ()] == [2, 1, 3]
    assert [d["size"] for d in run(snapshot, "sort_key=name&sort_dir=desc") or ()] == [3, 1, 2]


things = st.lists(
    st.builds(
        lambda **given: given,
        project_id=st.sampled_from(["p1", "p2"]),
        name=st.sampled_from(["", "a", "ab", "b"]),
        on=st.booleans(),
        owner=st.sampled_from(["", "x", "y"]),
        size=st.integers(0, 3),
    ),
    max_size=12,
)
conditions = st.lists(
    st.sampled_from(
        ["project_id=p1", "project_id=p2", "name=a", "name=", "on=true", "on=0", "owner=x", "owner=", "starts=a",
         "starts=b", "size=1", "id=00000001-0000-4000-8000-000000000000"]
    ),
    max_size=3,
)  # fmt: skip
sorts = st.lists(st.sampled_from(["name", "size", "project_id"]), unique=True, max_size=2)


def brute_force(docs: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """The answer without page or index, written the other way."""
    asked: dict[str, list[str]] = {}
    for part in text.split("&") if text else []:
        name, _, value = part.partition("=")
        asked.setdefault(name, []).append(value)

    def fits(doc: dict[str, Any]) -> bool:
        for name, values in asked.items():
            have = doc["name"][:1] if name == "starts" else doc[name]
            texts = {"true": True, "0": False} if name == "on" else {}
            if str(have) not in [str(texts.get(v, v)) for v in values]:
                return False
        return True

    return sorted((d for d in docs if fits(d)), key=lambda d: str(d["id"]))


@settings(max_examples=150, deadline=None)
@given(things, conditions, sorts, st.booleans(), st.integers(1, 4), st.booleans())
def test_pages_together_are_the_whole_list(
    given_things: list[dict[str, Any]], asked: list[str], keys: list[str], up: bool, limit: int, back: bool
) -> None:
    """Page by page, forwards or backwards, sorted or not: each object once, in order."""
    docs = [make_thing(n, **one) for n, one in enumerate(given_things, 1)]
    snapshot, text = make_snapshot(docs), "&".join(asked)
    expected = brute_force(docs, text)
    for key in reversed(keys):
        expected.sort(key=lambda d, key=key: d[key], reverse=not up)  # type: ignore[misc]
    order = "".join(f"&sort_key={key}&sort_dir={'asc' if up else 'desc'}" for key in keys)
    whole = run(snapshot, text + order)
    assert whole == expected
    pages: list[dict[str, Any]] = []
    marker = ""
    for _ in range(len(docs) + 1):
        page = run(
            snapshot, f"{text}{order}&limit={limit}&page_reverse={back}" + (f"&marker={marker}" if marker else "")
        )
        assert page is not None
        if not page:
            break
        pages = [*page, *pages] if back else [*pages, *page]
        marker = page[0]["id"] if back else page[-1]["id"]
    assert pages == expected


def test_a_marker_that_is_not_there_is_said_so() -> None:
    """Also when it is there and may not be seen."""
    snapshot = make_snapshot([make_thing(1)])
    assert run(snapshot, "limit=1&marker=gone") is None
    hidden = Eyes(lambda doc, snapshot: False)
    assert run(snapshot, f"limit=1&marker={make_thing(1)['id']}", hidden) is None


def test_links_lead_to_the_pages_beside_this_one() -> None:
    """As Neutron makes them: next unless this is the last page, previous also on the first."""
    params = parse_params(b"limit=2&name=a%26b&marker=m")
    query = ListQuery(limit=2, marker="m")
    links = {
        link["rel"]: parse_qs(urlsplit(link["href"]).query) for link in make_links(query, "u", params, "f", "l", 2)
    }
    assert links == {
        "next": {"limit": ["2"], "name": ["a&b"], "marker": ["l"]},
        "previous": {"limit": ["2"], "name": ["a&b"], "marker": ["f"], "page_reverse": ["True"]},
    }
    assert [link["rel"] for link in make_links(query, "u", params, "f", "l", 1)] == ["previous"]
    assert make_links(ListQuery(), "u", {}, "f", "l", 9) == []


def test_a_page_is_valid_json_in_pieces_without_what_is_hidden() -> None:
    """Long or empty, with links or without."""
    import json

    snapshot = make_snapshot([make_thing(n) for n in range(1, 1500)])
    view = make_viewer(THING)
    page = asyncio.run(find_page(Listing(snapshot, THING, ListQuery(), ALL, Orders(), keep)))
    assert page is not None
    chunks = list(render_page("things", page, b'[{"rel":"next"}]', view, ALL, snapshot))
    body = json.loads(b"".join(chunks))
    assert len(chunks) == 4
    assert len(body["things"]) == 1499
    assert body["things_links"] == [{"rel": "next"}]
    assert body["things"][0] == {
        "id": "00000001-0000-4000-8000-000000000000", "project_id": "p1", "tenant_id": "p1", "name": "", "size": 1,
        "on": True, "owner": "",
    }  # fmt: skip
    empty = asyncio.run(find_page(Listing(make_snapshot([]), THING, ListQuery(), ALL, Orders(), keep)))
    assert empty is not None
    assert b"".join(render_page("things", empty, b"", view, ALL, snapshot)) == b'{"things":[]}'


def test_a_filter_on_an_index_looks_at_what_the_index_holds() -> None:
    """Among 3,000 objects a filter with an index looks at one."""
    looked: list[int] = []

    def watch(record: Any) -> Any:
        looked.append(1)
        return record

    snapshot = make_snapshot([make_thing(n, owner=f"o{n}") for n in range(1, 3000)])
    found = asyncio.run(find_page(Listing(snapshot, THING, parse("owner=o7&project_id=p1"), ALL, Orders(), watch)))
    assert found is not None
    assert len(found.records) == len(looked) == 1


def test_an_index_named_as_an_attribute_holds_its_values() -> None:
    """What lists rely on, for every resource of the catalog."""
    memory = Memory()
    client = make_client(ADMIN, memory=memory)
    asyncio.run(memory(lambda s, c: report_host(s, c, "h1", {}, "east"), Requester()))
    network = client.make("network", name="blue")
    client.make("subnet", network_id=network["id"], name="s", ip_version=4, cidr="10.0.0.0/24")
    client.make("port", network_id=network["id"], name="p", device_id="d", **{"binding:host_id": "h1"})
    client.make("port", network_id=network["id"])
    for resource in CATALOG.values():
        for index in resource.indexes:
            field = resource.by_name.get(index.name)
            if field is None or not (field.visible and field.filter) or index.style == "bits":
                continue
            for doc in memory.snapshot.docs(resource.name):
                value = doc[index.name]
                assert set(index.keys(doc)) == ({value} if value else set()), (resource.name, index.name)
