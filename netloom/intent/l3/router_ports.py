"""How a router makes, changes and drops ports of its own.

Law: a router's own ports change through its operations and the functions here; what people may do to them as ports,
router_guard says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netloom.intent.addressing import addresses
from netloom.intent.draft import Draft
from netloom.intent.l2 import port
from netloom.intent.schema import Doc, parse_create
from netloom.intent.stamp import make_updated


def make_port(
    draft: Draft,
    router_id: str,
    owner: str,
    network_id: str,
    fixed_ips: Sequence[Mapping[str, str]] | None,
    project_id: str = "",
    name: str = "",
) -> Doc:
    """A port of the router. `fixed_ips` None: an address of each IP version. No project: it is nobody's.

    It is the router's once it is made: who asks for a port that is one already is refused (router_guard).
    """
    body: dict[str, Any] = {
        "network_id": network_id, "device_owner": owner, "name": name, "project_id": project_id,
    }  # fmt: skip
    if fixed_ips is not None:
        body["fixed_ips"] = [dict(fixed) for fixed in fixed_ips]
    return give(draft, port.create_port(draft, parse_create(port.PORT, body)), router_id)


def give(draft: Draft, doc: Doc, router_id: str) -> Doc:
    """The port, which has the owner of a router's already, is the router's."""
    return draft.put("port", {**doc, "device_id": router_id})


def drop_port(draft: Draft, doc: Doc) -> None:
    """Take one of the router's ports away, whatever still needs it.

    It is let go of first: as a router's port, nobody may delete it.
    """
    free = draft.put("port", {**doc, "device_id": "", "device_owner": ""})
    port.remove_port(draft, free)


def drop_ports(draft: Draft, docs: Sequence[Doc]) -> None:
    for doc in docs:
        drop_port(draft, doc)


def change_addresses(draft: Draft, doc: Doc, wanted: Sequence[Mapping[str, str]]) -> Doc:
    """Give one of the router's ports these addresses: those that are named, and one of each subnet that is."""
    fixed_ips = port.resolve_addresses(draft, doc, doc, [dict(fixed) for fixed in wanted])
    return put_addresses(draft, doc, fixed_ips)


def put_addresses(draft: Draft, doc: Doc, fixed_ips: Sequence[addresses.FixedIp]) -> Doc:
    shown = addresses.show_addresses(doc, fixed_ips, draft.context.settings)
    return draft.put("port", make_updated(doc, shown, draft.context))


def change_port(draft: Draft, doc: Doc, **changes: Any) -> Doc:
    """Change what a router's port is, as its own update would."""
    changed = port.resolve_update(draft, doc, changes)
    return draft.put("port", make_updated(doc, changed, draft.context))


def touch(draft: Draft, kind: str, doc: Doc) -> Doc:
    """A new revision of a document whose ports changed, though its own attributes did not."""
    current = draft.get(kind, doc["id"]) or doc
    stamped = {"revision_number": current["revision_number"] + 1, "updated_at": draft.context.now}
    return draft.put(kind, {**current, **stamped})


def put_owner(draft: Draft, doc: Doc, owner: str) -> None:
    """Call one of the router's ports after another form of router."""
    draft.put("port", make_updated(doc, {"device_owner": owner}, draft.context))
