"""Flavors: names for ways of doing a service, each by its service profiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netloom.intent import kinds
from netloom.intent.agents.flavor_find import find_driver, find_profile, find_provider
from netloom.intent.agents.service_provider import L3
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, conflict, not_found
from netloom.intent.extension import Extension
from netloom.intent.operation import Context, Outcome
from netloom.intent.policy_rules import ADMIN
from netloom.intent.schema import GENERATED, REQUIRED, Action, Doc, Field, Kind, Linked, Resource, Rules
from netloom.intent.snapshot import Snapshot
from netloom.intent.stamp import make_updated

SERVICES = (L3, "FLAVORS", "QOS", "METERING", "LOG_API", "PORTFORWARDING", "FLOATINGIPPOOL", "CORE")
"""What a flavor may be for."""
READER = "role:reader"


# -- flavors -----------------------------------------------------------------------------------------------------------


def create(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    docs = [draft.put("flavor", {"id": context.new_id(), **body, "service_profiles": []}) for body in bodies]
    return draft.finish([("flavor", doc["id"]) for doc in docs])


def update(snapshot: Snapshot, old: Doc, changes: Doc, context: Context) -> Outcome:
    """service_profiles of the request are passed over, as in Neutron: they have their own address."""
    draft = Draft(snapshot, context)
    given = {name: value for name, value in changes.items() if name != "service_profiles"}
    draft.put("flavor", make_updated(old, given, context))
    return draft.finish([("flavor", old["id"])])


def delete(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
    """Raises FlavorInUse while a router has it."""
    draft = Draft(snapshot, context)
    if draft.count_in("router", "flavor_id", old["id"]):
        raise conflict("FlavorInUse", f"Flavor {old['id']} is used by some service instance.")
    for id in old["service_profiles"]:
        put_flavors(draft, id, lambda ids: [one for one in ids if one != old["id"]])
    draft.remove("flavor", old["id"])
    return draft.finish()


def put_flavors(draft: Draft, profile_id: str, edit: Any) -> None:
    """A profile shows the flavors that have it."""
    profile = draft.get("service_profile", profile_id)
    if profile is not None:
        draft.put("service_profile", {**profile, "flavors": edit(profile["flavors"])})


def find_profiles(snapshot: Snapshot, flavor: Doc) -> Sequence[str]:
    profiles: Sequence[str] = flavor["service_profiles"]
    return profiles


def add_profile(snapshot: Snapshot, flavor: Doc, profile_id: str, context: Context) -> Outcome:
    """POST /flavors/{id}/service_profiles. Raises FlavorServiceProfileBindingExists."""
    draft = Draft(snapshot, context)
    if draft.get("service_profile", profile_id) is None:
        raise not_found("service_profile", profile_id)
    if profile_id in flavor["service_profiles"]:
        raise conflict(
            "FlavorServiceProfileBindingExists",
            f"Service Profile {profile_id} is already associated with flavor {flavor['id']}.",
        )
    draft.put("flavor", {**flavor, "service_profiles": [*flavor["service_profiles"], profile_id]})
    put_flavors(draft, profile_id, lambda ids: [*ids, flavor["id"]])
    return draft.finish()


def remove_profile(snapshot: Snapshot, flavor: Doc, profile_id: str, context: Context) -> Outcome:
    """DELETE /flavors/{id}/service_profiles/{profile}. Raises FlavorServiceProfileBindingNotFound."""
    draft = Draft(snapshot, context)
    if profile_id not in flavor["service_profiles"]:
        raise ApiError(
            404, "FlavorServiceProfileBindingNotFound",
            f"Service Profile {kinds.show(profile_id)} is not associated with flavor {flavor['id']}.",
        )  # fmt: skip
    left = [one for one in flavor["service_profiles"] if one != profile_id]
    draft.put("flavor", {**flavor, "service_profiles": left})
    put_flavors(draft, profile_id, lambda ids: [one for one in ids if one != flavor["id"]])
    return draft.finish()


def show_next_provider(snapshot: Snapshot, flavor: Doc, given: Any, context: Context) -> Outcome:
    """GET /flavors/{id}/next_providers: what would do the service for who asked now."""
    profile = find_profile(snapshot, flavor)
    provider = find_provider(snapshot, flavor)
    return Outcome((), ({"next_providers": [{"driver": profile["driver"], "provider": provider.name}]},))


# -- service profiles --------------------------------------------------------------------------------------------------


def create_profiles(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    for body in bodies:
        check_profile(body)
    docs = [draft.put("service_profile", {"id": context.new_id(), **body, "flavors": []}) for body in bodies]
    return draft.finish([("service_profile", doc["id"]) for doc in docs])


def check_profile(profile: Doc) -> None:
    """Raises ServiceProfileDriverNotFound, ServiceProfileEmpty."""
    if profile["driver"]:
        find_driver(profile["driver"])
    elif not profile["metainfo"]:
        raise ApiError(400, "ServiceProfileEmpty", "Service Profile needs either a driver or metainfo.")


def update_profile(snapshot: Snapshot, old: Doc, changes: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    if changes.get("driver"):
        find_driver(changes["driver"])
    check_free(old)
    draft.put("service_profile", make_updated(old, changes, context))
    return draft.finish([("service_profile", old["id"])])


def delete_profile(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    check_free(old)
    draft.remove("service_profile", old["id"])
    return draft.finish()


def check_free(profile: Doc) -> None:
    if profile["flavors"]:
        raise conflict("ServiceProfileInUse", f"Service Profile {profile['id']} is used by some service instance.")


# -- declarations ------------------------------------------------------------------------------------------------------


def parse_service(value: Any) -> str:
    if value not in SERVICES:
        raise ApiError(400, "InvalidServiceType", f"Invalid service type: {kinds.show(value)}.")
    return str(value)


def parse_long_text(value: Any) -> str:
    text = kinds.text_parser(1024)(value)
    return str(text)


def parse_metainfo(value: Any) -> str:
    """Text that only drivers read; other JSON is kept as it is written."""
    return str(kinds.text_parser(4096)(value if isinstance(value, str) else repr(value)))


_LONG = Kind("string1024", parse_long_text, {"type": "string", "maxLength": 1024})
_LONG_OR_NONE = kinds.text_kind(1024, nullable=True)
_METAINFO = Kind("metainfo", parse_metainfo, {"type": "string", "maxLength": 4096})
_ENABLED = Kind("boolean", kinds.or_none(kinds.parse_bool), {"type": ["boolean", "null"]}, kinds.filter_bool)
_SERVICE = Kind("service_type", parse_service, {"type": "string", "enum": list(SERVICES)})
_UUIDS = Kind(
    "uuids", kinds.list_parser(kinds.parse_uuid, unique=True),
    {"type": "array", "uniqueItems": True, "items": {"type": "string", "format": "uuid"}},
)  # fmt: skip
_ID = Field("id", kinds.UUID, "The object's id.", GENERATED, post=False, sort=True)
_DESCRIPTION = Field("description", _LONG_OR_NONE, "Words for people.", "", put=True, sort=True)

FLAVOR = Resource(
    "flavor",
    "flavors",
    "A way of doing a service, by name.",
    (
        _ID,
        Field("name", kinds.NAME, "A name for people.", "", put=True, sort=True),
        _DESCRIPTION,
        Field("service_type", _SERVICE, "What it is a way of.", REQUIRED, sort=True),
        Field("service_profiles", _UUIDS, "How it is done; the first counts.", [], put=True, filter=False),
        Field("enabled", _ENABLED, "Whether it may be asked for.", True, put=True, sort=True),
    ),
    Rules(ADMIN, READER, ADMIN, ADMIN),
    create=create,
    update=update,
    delete=delete,
    tags=False,
    alias="flavors",
    actions=(
        Action(
            "next_providers", "What would do the service now.", show_next_provider, READER, method="GET", shows=False
        ),
    ),
    linked=(
        Linked(
            "service_profiles", "flavor_service_profile", "The service profiles of a flavor.", "service_profile",
            find_profiles, Rules(ADMIN, ADMIN, None, ADMIN), key="id", wrapper="service_profile", add=add_profile,
            remove=remove_profile, alias="flavors",
        ),
    ),
)  # fmt: skip

SERVICE_PROFILE = Resource(
    "service_profile",
    "service_profiles",
    "What does a service, and how it is told to.",
    (
        _ID,
        _DESCRIPTION,
        Field("driver", _LONG, "What does the service.", "", put=True, sort=True),
        Field("metainfo", _METAINFO, "What it is told.", "", put=True, filter=False, sort=True),
        Field("enabled", _ENABLED, "Whether it may be used.", True, put=True, sort=True),
        Field("flavors", _UUIDS, "The flavors that have it.", [], post=False, filter=False),
    ),
    Rules(ADMIN, ADMIN, ADMIN, ADMIN),
    create=create_profiles,
    update=update_profile,
    delete=delete_profile,
    tags=False,
    alias="flavors",
    url="service_profiles",
)

EXTENSIONS = (Extension("flavors", "Neutron Service Flavors", "Services by name.", "2015-09-17T10:00:00-00:00"),)
