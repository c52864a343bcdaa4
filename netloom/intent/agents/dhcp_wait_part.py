"""Since when a port waits for a DHCP server of its network to know it. A Part of the port; what follows from hosts'
words is in `l2.port_status`.

Law: a port waits from when it has what a server is to know, and for as long as one is to answer.
"""

from __future__ import annotations

from netloom.intent import kinds
from netloom.intent.agents.dhcp_wait import DNSMASQ, UNKNOWN_SINCE, is_served, is_server
from netloom.intent.draft import Draft
from netloom.intent.l2.port_status import release_unserved
from netloom.intent.part import NOTHING, Part, Values
from netloom.intent.schema import Doc, Field, Index


def needs_server(draft: Draft, doc: Doc) -> bool:
    """Whether the port is somebody's who asks for an address by DHCP, and a server is to answer."""
    if draft.context.settings.dhcp_driver != DNSMASQ or str(doc["device_owner"]).startswith("network:"):
        return False
    subnets = (draft.get("subnet", fixed["subnet_id"]) for fixed in doc["fixed_ips"])
    asks = any(subnet is not None and subnet["enable_dhcp"] for subnet in subnets)
    return asks and is_served(draft, doc["network_id"])


def begin(draft: Draft, doc: Doc) -> Values:
    return {UNKNOWN_SINCE: draft.base.revision + 1} if needs_server(draft, doc) else NOTHING


def change(draft: Draft, old: Doc, new: Doc, changes: Doc) -> Values:
    """What a server is to know of a port became another. A port that is ACTIVE stays so, as with Neutron."""
    known = all(new[name] == old[name] for name in ("mac_address", "fixed_ips"))
    if known or old["status"] == "ACTIVE":
        return NOTHING
    return {UNKNOWN_SINCE: draft.base.revision + 1 if needs_server(draft, new) else 0}


def follow(draft: Draft, old: Doc, new: Doc) -> None:
    """A server's port that is switched off, or that its host cannot carry, is no server."""
    if is_server(old):
        release_unserved(draft, old["network_id"])


def leave(draft: Draft, old: Doc) -> None:
    if is_server(old):
        release_unserved(draft, old["network_id"], but=old["id"])


PORT_PART = Part(
    (
        Field(
            UNKNOWN_SINCE, kinds.COUNT, "The revision that a DHCP server has yet to acknowledge; 0: none.", 0,
            post=False, visible=False,
        ),
    ),
    (Index(UNKNOWN_SINCE, lambda doc: (doc["network_id"],) if doc.get(UNKNOWN_SINCE) else ()),),
    create=begin,
    update=change,
    delete=leave,
    follow=follow,
)  # fmt: skip
