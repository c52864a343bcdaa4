"""Whether a router uses all its gateways at once.

Law: it is a router's own word, which administrators say; without a word the site's option counts.
"""

from __future__ import annotations

from netloom.intent import kinds
from netloom.intent.draft import Draft
from netloom.intent.extension import Extension
from netloom.intent.part import Part, Values
from netloom.intent.policy_rules import ADMIN
from netloom.intent.schema import GENERATED, Doc, Field, Kind

ECMP = "enable_default_route_ecmp"


def create_router(draft: Draft, doc: Doc) -> Values:
    given = doc.get(ECMP)
    return {ECMP: draft.context.settings.enable_default_route_ecmp if given is None else given}


def update_router(draft: Draft, old: Doc, new: Doc, changes: Doc) -> Values:
    """Null changes nothing, as in Neutron."""
    return {ECMP: old.get(ECMP, False)} if ECMP in changes and changes[ECMP] is None else {}


_FLAG = Kind("boolean", kinds.or_none(kinds.parse_bool), {"type": ["boolean", "null"]}, kinds.filter_bool)


ROUTER_PART = Part(
    fields=(
        Field(
            ECMP, _FLAG, "Whether what leaves is shared between its gateways.", GENERATED, put=True, filter=False,
            set=ADMIN, change=ADMIN, alias="enable-default-route-ecmp",
        ),
    ),
    create=create_router,
    update=update_router,
)  # fmt: skip
EXTENSIONS = (
    Extension(
        "enable-default-route-ecmp",
        "Enable Default Route ECMP",
        "All gateways of a router at once.",
        "2023-02-27T00:00:00-00:00",
    ),
)
