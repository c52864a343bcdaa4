"""Private VLANs: networks whose ports are promiscuous, isolated or of a community. Parts of networks and ports.

Law: a port has a type exactly when its network is a private VLAN, and a community exactly when its type is community.
"""

from __future__ import annotations

import re
from typing import Any

from netloom.intent import kinds
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError
from netloom.intent.extension import Extension
from netloom.intent.part import Part, Values
from netloom.intent.policy_rules import ADMIN_OR_MEMBER, ADMIN_OR_READER
from netloom.intent.schema import Doc, Field, Kind

PVLAN, TYPE, COMMUNITY = "pvlan", "pvlan_type", "pvlan_community"
PROMISCUOUS, OF_COMMUNITY = "promiscuous", "community"
TYPES = ("isolated", PROMISCUOUS, OF_COMMUNITY)
_NAME = re.compile(r"[a-zA-Z_.][a-zA-Z_.0-9]{0,231}\Z")


def parse_community(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not _NAME.match(value):
        raise ValueError(f"'{kinds.show(value)}' is not a valid input")
    return value


def refuse(type: str, message: str) -> ApiError:
    return ApiError(400, type, message)


def create_port(draft: Draft, doc: Doc) -> Values:
    network = draft.get("network", doc["network_id"])
    return decide(network or {}, doc, doc.get(TYPE), doc.get(COMMUNITY))


def update_port(draft: Draft, old: Doc, new: Doc, changes: Doc) -> Values:
    if not changes.keys() & {TYPE, COMMUNITY, "port_security_enabled"}:
        return {}
    network = draft.get("network", old["network_id"]) or {}
    type = changes.get(TYPE, old.get(TYPE))
    community = changes.get(COMMUNITY)
    if type == OF_COMMUNITY and not community:
        community = old.get(COMMUNITY)
    return decide(network, new, type, community)


def decide(network: Doc, port: Doc, type: str | None, community: str | None) -> Values:
    """The type and community of a port. Raises ApiError 400 where they do not go together, or not with the network."""
    if not network.get(PVLAN):
        if type or community:
            raise refuse("PVLANNotEnabledOnNetwork", f"PVLAN is not enabled on network {port['network_id']}.")
        return {TYPE: None, COMMUNITY: None}
    check_secure(network, port)
    type = type or PROMISCUOUS
    if community and type != OF_COMMUNITY:
        raise refuse(
            "PVLANCannotSetCommunityName",
            f'PVLAN community name cannot be set if port type is not "community" for this port: {port["id"]}.',
        )
    if type == OF_COMMUNITY and not community:
        raise refuse(
            "PVLANCommunityNameRequired",
            f'Community name is required for ports with PVLAN type "community": {port["id"]}.',
        )
    return {TYPE: type, COMMUNITY: community}


def check_secure(network: Doc, port: Doc) -> None:
    """Who may speak to whom is told by addresses: without port security a port could have anybody's."""
    if port["device_owner"].startswith("network:"):
        return
    if not (network["port_security_enabled"] and port["port_security_enabled"]):
        raise refuse("PVLANPortSecurityDisabled", f"Port security is disabled for port {port['id']}, cannot set PVLAN.")


def create_network(draft: Draft, doc: Doc) -> Values:
    pvlan = bool(doc.get(PVLAN))
    check_network(doc, pvlan)
    return {PVLAN: pvlan}


def check_network(network: Doc, pvlan: bool) -> None:
    if pvlan and not network["port_security_enabled"]:
        raise refuse(
            "PVLANNetworkPortSecurityDisabled",
            f"Port security is disabled on network {network['id']}, cannot enable PVLAN.",
        )


def update_network(draft: Draft, old: Doc, new: Doc, changes: Doc) -> Values:
    """A network that becomes a private VLAN, or stops being one, takes its ports along."""
    if PVLAN not in changes:
        return {}
    check_network(new, new[PVLAN])
    if new[PVLAN] != old.get(PVLAN, False):
        for port in list(draft.find("port", "network_id", old["id"])):
            draft.put("port", {**port, **decide(new, port, None, None)})
    return {}


_COMMUNITY = Kind(
    "pvlan_community", parse_community, {"type": ["string", "null"], "pattern": f"^{_NAME.pattern[:-2]}$"}
)


def field(name: str, kind: Kind, doc: str, default: Any) -> Field:
    return Field(
        name, kind, doc, default, put=True, set=ADMIN_OR_MEMBER, change=ADMIN_OR_MEMBER, see=ADMIN_OR_READER,
        alias="pvlan",
    )  # fmt: skip


NETWORK_PART = Part(
    (field(PVLAN, kinds.BOOL, "Whether it is a private VLAN.", False),), create=create_network, update=update_network
)
PORT_PART = Part(
    (
        field(TYPE, kinds.choice_kind(*TYPES, None), "Whom it may speak to on a private VLAN.", None),
        field(COMMUNITY, _COMMUNITY, "The community that it is of.", None),
    ),
    create=create_port,
    update=update_port,
)

EXTENSIONS = (
    Extension("pvlan", "Private VLAN", "Networks whose ports do not all see each other.", "2026-02-03T10:00:00-00:00"),
)
