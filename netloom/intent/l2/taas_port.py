"""What taps have to do with their ports: they go with them, and are ACTIVE when they are. A Part of the port."""

from __future__ import annotations

from collections.abc import Iterator

from netloom.intent.draft import Draft
from netloom.intent.part import Part
from netloom.intent.schema import Doc

ACTIVE, DOWN = "ACTIVE", "DOWN"


def find_flow_status(draft: Draft, flow: Doc) -> str:
    """ACTIVE when the tapped port is, and the one that gets the copies."""
    service = draft.get("tap_service", flow["tap_service_id"])
    ports = [draft.get("port", flow["source_port"]), draft.get("port", service["port_id"]) if service else None]
    return ACTIVE if all(port is not None and port["status"] == ACTIVE for port in ports) else DOWN


def find_flows(draft: Draft, port_id: str) -> Iterator[Doc]:
    """The flows from a port, and those to the services that it is the port of."""
    yield from list(draft.find("tap_flow", "source_port", port_id))
    for service in list(draft.find_ids("tap_service", "port_id", port_id)):
        yield from list(draft.find("tap_flow", "tap_service_id", service))


def drop_taps(draft: Draft, old: Doc) -> None:
    for flow in {flow["id"] for flow in find_flows(draft, old["id"])}:
        draft.remove("tap_flow", flow)
    for kind in ("tap_service", "tap_mirror"):
        for id in list(draft.find_ids(kind, "port_id", old["id"])):
            draft.remove(kind, id)


def follow_port(draft: Draft, old: Doc, new: Doc) -> None:
    """A status that is derived makes no revision of the tap's."""
    if new["status"] == old["status"]:
        return
    own = ACTIVE if new["status"] == ACTIVE else DOWN
    for kind in ("tap_service", "tap_mirror"):
        for tap in list(draft.find(kind, "port_id", new["id"])):
            draft.put(kind, {**tap, "status": own})
    for flow in find_flows(draft, new["id"]):
        draft.put("tap_flow", {**flow, "status": find_flow_status(draft, flow)})


PORT_PART = Part(delete=drop_taps, follow=follow_port)
