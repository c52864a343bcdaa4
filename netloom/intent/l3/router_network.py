"""The network that joins the copies of a project's HA routers: what a network knows of being one.

Law: a project has at most one of them.
"""

from __future__ import annotations

from netloom.intent import kinds
from netloom.intent.draft import Draft
from netloom.intent.errors import conflict
from netloom.intent.part import NOTHING, Part, Values
from netloom.intent.policy_rules import ADMIN
from netloom.intent.schema import Doc, Field, Index


def mark_network(draft: Draft, doc: Doc) -> Values:
    """A network that is made with ha belongs to the HA routers of the requester's project."""
    project = draft.context.requester.project_id
    if not doc["ha"] or not project:
        return NOTHING
    check_single(draft, project)
    return {"ha_project_id": project}


def check_single(draft: Draft, project_id: str) -> None:
    if draft.lookup("network", "ha_project_id", project_id) is not None:
        raise conflict("DuplicatedHANetwork", f"Project {project_id} already has a HA network.")


NETWORK_PART = Part(
    (
        Field(
            "ha", kinds.BOOL, "Whether it is to join the copies of HA routers.", False, visible=False, filter=False,
            set=ADMIN, alias="network_ha",
        ),
        Field("ha_project_id", kinds.TEXT, "Whose HA routers it joins.", "", post=False, visible=False, filter=False),
    ),
    (Index("ha_project_id", lambda doc: (doc["ha_project_id"],) if doc["ha_project_id"] else (), "unique"),),
    create=mark_network,
)  # fmt: skip
