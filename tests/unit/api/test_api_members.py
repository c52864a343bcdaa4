"""What is served below an object: sub-resources, actions and ties; and resources that are derived or brought about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from netloom.api.app import make_app
from netloom.api.identity.noauth import NoAuth
from netloom.api.openapi import render_openapi
from netloom.api.parts import ApiParts
from netloom.api.rules import make_policy_source
from netloom.intent import kinds
from netloom.intent.draft import Draft
from netloom.intent.errors import conflict
from netloom.intent.operation import Context, Outcome, Requester, Settings
from netloom.intent.policy_rules import ADMIN_OR_MEMBER, ADMIN_OR_READER
from netloom.intent.schema import (
    GENERATED,
    Action,
    Catalog,
    Doc,
    Ensure,
    Field,
    Index,
    Linked,
    Resource,
    Rules,
)
from netloom.intent.snapshot import Snapshot
from netloom.intent.stamp import STANDARD_FILTERS, make_created, make_updated, standard_fields
from tests.unit.api.api_client import ADMIN, MEMBER, OTHER, Client, Memory

PARENT_RULE = "role:member and project_id:%(ext_parent:project_id)s"


def create_house(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    made = [draft.put("house", make_created(context.new_id(), body, context)) for body in bodies]
    return draft.finish([("house", doc["id"]) for doc in made])


def paint(snapshot: Snapshot, old: Doc, given: Any, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    if given.get("name") == "black":
        raise conflict("TooDark", "A house is not black.")
    draft.put("house", make_updated(old, {"name": given["name"]}, context))
    return draft.finish([("house", old["id"])])


def measure(snapshot: Snapshot, old: Doc, given: Any, context: Context) -> Outcome:
    return Outcome((), ({"rooms": snapshot.count_in("room", "house_id", old["id"])},))


def befriend(snapshot: Snapshot, doc: Doc, other: str, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    draft.put("house", make_updated(doc, {"friends": [*doc["friends"], other]}, context))
    return draft.finish()


def leave(snapshot: Snapshot, doc: Doc, other: str, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    draft.put("house", make_updated(doc, {"friends": [one for one in doc["friends"] if one != other]}, context))
    return draft.finish()


def create_room(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    made = [draft.put("room", {"id": f"{body['house_id']}/{body['floor']}", **body}) for body in bodies]
    return draft.finish([("room", doc["id"]) for doc in made])


def update_room(snapshot: Snapshot, old: Doc, changes: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    draft.put("room", {**old, **changes})
    return draft.finish([("room", old["id"])])


def delete_room(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    draft.remove("room", old["id"])
    return draft.finish()


def list_streets(snapshot: Snapshot, settings: Settings, requester: Requester, id: str | None) -> list[Doc]:
    names = sorted({doc["name"] for doc in snapshot.docs("house")})
    return [{"name": name, "houses": 1} for name in names if id in (None, name)]


def make_lodge(snapshot: Snapshot, context: Context, id: str | None) -> Outcome:
    return create_house(snapshot, [{"name": "lodge", "friends": []}], context)


def lacks_lodge(snapshot: Snapshot, requester: Requester, id: str | None) -> bool:
    return not any(doc["name"] == "lodge" for doc in snapshot.find("house", "project_id", requester.project_id))


HOUSE = Resource(
    "house", "houses", "A house.",
    standard_fields(Field("friends", kinds.TAGS, "Other houses.", [], filter=False)),
    Rules(ADMIN_OR_MEMBER, ADMIN_OR_READER, ADMIN_OR_MEMBER, None),
    indexes=(Index("project_id", lambda doc: (doc["project_id"],)),),
    filters=STANDARD_FILTERS,
    create=create_house,
    url="town/houses",
    actions=(
        Action("paint", "Give it a name.", paint, ADMIN_OR_MEMBER, wrapped=True),
        Action("measure", "How large it is.", measure, ADMIN_OR_READER, method="GET", shows=False),
    ),
    linked=(
        Linked(
            "friends", "friend", "The houses it visits.", "house", lambda snapshot, doc: doc["friends"],
            Rules(ADMIN_OR_MEMBER, ADMIN_OR_READER, None, ADMIN_OR_MEMBER), key="house_id", add=befriend, remove=leave,
        ),
    ),
    ensure=Ensure(lacks_lodge, make_lodge),
)  # fmt: skip
ROOM = Resource(
    "room", "rooms", "A room.",
    (
        Field("id", kinds.UUID, "", GENERATED, post=False, visible=False),
        Field("house_id", kinds.UUID, "Its house.", GENERATED, post=False),
        Field("floor", kinds.NAME, "Where it is.", sort=True),
        Field("name", kinds.NAME, "What it is called.", "", put=True),
    ),
    Rules(PARENT_RULE, f"rule:admin_only or ({PARENT_RULE})", PARENT_RULE, PARENT_RULE),
    indexes=(Index("house_id", lambda doc: (doc["house_id"],)),),
    create=create_room, update=update_room, delete=delete_room,
    tags=False, parent="house", key="floor", make_id=lambda parent_id, key: f"{parent_id}/{key}",
)  # fmt: skip
STREET = Resource(
    "street", "streets", "Houses of one name.",
    (Field("name", kinds.NAME, "", sort=True), Field("houses", kinds.COUNT, "How many.")),
    Rules(None, "@", None, None), tags=False, key="name", derive=list_streets,
)  # fmt: skip
CATALOG: Catalog = {one.name: one for one in (HOUSE, ROOM, STREET)}


class Town(Memory):
    """Counts what is handed to the writer."""

    def __init__(self) -> None:
        super().__init__(Snapshot(CATALOG))
        self.calls = count()

    async def __call__(self, *given: Any, **named: Any) -> Any:
        next(self.calls)
        return await super().__call__(*given, **named)


def make_town(headers: Any = MEMBER) -> tuple[Client, Town]:
    town = Town()
    parts = ApiParts(CATALOG, lambda: town.snapshot, town, NoAuth(), make_policy_source(CATALOG))
    return Client(make_app(parts), headers), town


def make_house(client: Client, name: str) -> str:
    reply = client.post("/v2.0/town/houses", {"house": {"name": name}})
    assert reply.status == 201, reply.body
    return str(reply.json["house"]["id"])


def test_a_sub_resource_is_made_listed_changed_and_removed_below_its_parent() -> None:
    """Its parent's id comes from the path; another parent's are not seen there."""
    client, _ = make_town()
    one, two = make_house(client, "one"), make_house(client, "two")
    rooms = f"/v2.0/town/houses/{one}/rooms"
    assert client.post(rooms, {"room": {"floor": "1"}}).json == {"room": {"house_id": one, "floor": "1", "name": ""}}
    assert client.post(rooms, {"rooms": [{"floor": "2"}, {"floor": "3"}]}).status == 201
    assert client.put(f"{rooms}/2", {"room": {"name": "bath"}}).json["room"]["name"] == "bath"
    assert [room["floor"] for room in client.get(f"{rooms}?sort_key=floor&sort_dir=desc").json["rooms"]] == list("321")
    assert client.get(f"{rooms}?name=bath&fields=floor").json == {"rooms": [{"floor": "2"}]}
    assert client.get(f"/v2.0/town/houses/{two}/rooms").json == {"rooms": []}
    assert client.get(f"/v2.0/town/houses/{two}/rooms/1").error[:2] == (404, "RoomNotFound")
    assert client.delete(f"{rooms}/1").status == 204
    assert client.get(f"{rooms}/1").error[:2] == (404, "RoomNotFound")
    page = client.get(f"{rooms}?limit=1").json
    assert page["rooms_links"][0]["href"].startswith(f"http://api:9696{rooms}?limit=1&marker=")


def test_below_a_parent_that_may_not_be_seen_nothing_is_there() -> None:
    """404 of the parent, but 403 to who would make something there, as in Neutron; and nothing is changed."""
    client, town = make_town()
    house = make_house(client, "one")
    other, before = client.as_user(OTHER), town.snapshot
    rooms = f"/v2.0/town/houses/{house}/rooms"
    for reply in (
        other.get(rooms), other.get(f"{rooms}/1"), other.put(f"{rooms}/1", {"room": {"name": "x"}}),
        other.delete(f"{rooms}/1"),
    ):  # fmt: skip
        assert reply.error[:2] == (404, "HouseNotFound")
    assert other.post(rooms, {"room": {"floor": "1"}}).error[:2] == (403, "PolicyNotAuthorized")
    assert town.snapshot is before
    # An administrator sees the house; the rule of rooms is about the owner of the house.
    admin = client.as_user(ADMIN)
    assert client.post(rooms, {"room": {"floor": "1"}}).status == 201
    assert admin.get(rooms).json["rooms"][0]["floor"] == "1"


def test_an_action_changes_the_object_and_answers_it() -> None:
    """Body and answer inside the resource's name; the rule is the action's; refusals change nothing."""
    client, _ = make_town()
    house = make_house(client, "one")
    path = f"/v2.0/town/houses/{house}/paint"
    reply = client.put(path, {"house": {"name": "red"}})
    assert (reply.status, reply.json["house"]["name"]) == (200, "red")
    assert client.put(path, {"house": {"name": "black"}}).error[:2] == (409, "TooDark")
    assert client.put(path, {"name": "red"}).error[:2] == (400, "HTTPBadRequest")
    assert client.get(path).status == 405
    assert client.put(f"{path}/more", {}).status == 404
    assert client.as_user({**MEMBER, "X-Roles": "reader"}).put(path, {"house": {"name": "red"}}).status == 403
    assert client.as_user(OTHER).put(path, {"house": {"name": "red"}}).error[:2] == (404, "HouseNotFound")
    revision = client.get(f"/v2.0/town/houses/{house}").json["house"]["revision_number"]
    assert client.put(path, {"house": {"name": "x"}}, if_match=f"revision_number={revision + 1}").status == 412


def test_an_action_that_reads_is_not_handed_to_the_writer() -> None:
    """It answers from the snapshot."""
    client, town = make_town()
    house = make_house(client, "one")
    client.post(f"/v2.0/town/houses/{house}/rooms", {"room": {"floor": "1"}})
    client.get("/v2.0/town/houses")
    before = next(town.calls)
    assert client.get(f"/v2.0/town/houses/{house}/measure").json == {"rooms": 1}
    assert next(town.calls) == before + 1


def test_objects_are_tied_listed_and_untied() -> None:
    """A tie is made by a POST that names the other, listed with the other's own filters, and ended by a DELETE."""
    client, _ = make_town()
    one, two, three = (make_house(client, name) for name in ("one", "two", "three"))
    friends = f"/v2.0/town/houses/{one}/friends"
    assert client.post(friends, {"house_id": two}).status == 201
    assert client.post(friends, {"house_id": three}).status == 201
    assert client.post(friends, {}).error[:2] == (400, "HTTPBadRequest")
    listed = client.get(f"{friends}?sort_key=name&sort_dir=asc&fields=name").json
    assert listed == {"houses": [{"name": "three"}, {"name": "two"}]}
    assert [house["id"] for house in client.get(f"{friends}?name=two").json["houses"]] == [two]
    assert client.delete(f"{friends}/{two}").status == 204
    assert [house["id"] for house in client.get(friends).json["houses"]] == [three]
    assert client.put(friends, {}).status == 405
    assert client.as_user(OTHER).get(friends).status == 404


def test_a_derived_resource_is_listed_and_shown_by_its_key() -> None:
    """Nothing of it is stored."""
    client, town = make_town()
    make_house(client, "b")
    make_house(client, "a")
    assert [one["name"] for one in client.get("/v2.0/streets?sort_key=name&sort_dir=desc").json["streets"]] == [
        "b",
        "a",
    ]
    assert client.get("/v2.0/streets/a").json == {"street": {"name": "a", "houses": 1}}
    assert client.get("/v2.0/streets/c").error[:2] == (404, "StreetNotFound")
    assert client.post("/v2.0/streets", {"street": {}}).status == 405
    assert not list(town.snapshot.docs("street"))


def test_what_must_be_there_is_made_when_it_is_first_read() -> None:
    """Once for each project."""
    client, town = make_town()
    assert [house["name"] for house in client.get("/v2.0/town/houses").json["houses"]] == ["lodge"]
    assert len(client.get("/v2.0/town/houses").json["houses"]) == 1
    assert len(client.as_user(OTHER).get("/v2.0/town/houses").json["houses"]) == 1
    assert town.snapshot.count("house") == 2


def test_openapi_has_every_path() -> None:
    """What is served is described: below an object as well."""
    paths = render_openapi(CATALOG)["paths"]
    assert set(paths["/v2.0/town/houses/{house_id}/rooms/{floor}"]) == {"parameters", "get", "put", "delete"}
    assert set(paths["/v2.0/town/houses/{id}/paint"]) == {"parameters", "put"}
    assert set(paths["/v2.0/town/houses/{id}/measure"]) == {"parameters", "get"}
    assert set(paths["/v2.0/town/houses/{id}/friends"]) == {"parameters", "get", "post"}
    assert set(paths["/v2.0/town/houses/{id}/friends/{other_id}"]) == {"parameters", "delete"}
    names = [one["name"] for one in paths["/v2.0/town/houses/{house_id}/rooms/{floor}"]["parameters"]]
    assert names == ["house_id", "floor"]
    ids = [op["operationId"] for path in paths.values() for name, op in path.items() if name != "parameters"]
    assert len(ids) == len(set(ids))


def test_an_alias_of_a_resource_shows_the_same_documents() -> None:
    """Another path to what is stored once."""
    alias = replace(
        ROOM, name="alias_room", collection="alias_rooms", parent="", key="id", stored_as="room",
        make_id=lambda parent_id, key: key.replace("-on-", "/"), rules=Rules(None, "@", None, None),
    )  # fmt: skip
    catalog = {**CATALOG, "alias_room": alias}
    town = Town()
    town.snapshot = Snapshot(catalog)
    parts = ApiParts(catalog, lambda: town.snapshot, town, NoAuth(), make_policy_source(catalog))
    client = Client(make_app(parts), MEMBER)
    house = make_house(client, "one")
    client.post(f"/v2.0/town/houses/{house}/rooms", {"room": {"floor": "1"}})
    assert client.get(f"/v2.0/alias-rooms/{house}-on-1").json["alias_room"]["floor"] == "1"
    assert len(client.get("/v2.0/alias-rooms?floor=1").json["alias_rooms"]) == 1
