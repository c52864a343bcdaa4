"""Tap as a service: what ports send and receive, copied to another port (tap services and flows) or to a collector by
GRE or ERSPAN (tap mirrors).

Law: a tap is of ports that are there; with its port, or the service that it leads to, it goes. Its status is that of
its ports: ACTIVE once the hosts of both have acknowledged them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from netloom.intent import kinds, stamp
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, conflict, not_found
from netloom.intent.extension import Extension
from netloom.intent.l2.binding import BRIDGE, HOST, VIF_TYPE, is_bound
from netloom.intent.l2.taas_port import ACTIVE, DOWN, find_flow_status
from netloom.intent.l3.router_access import owns
from netloom.intent.operation import Context, Outcome
from netloom.intent.policy_rules import ADMIN_OR_MEMBER, ADMIN_OR_READER
from netloom.intent.schema import GENERATED, REQUIRED, Doc, Field, Kind, Resource, Rules, index_by
from netloom.intent.snapshot import Snapshot

IN, OUT, BOTH = "IN", "OUT", "BOTH"
MIRROR_TYPES = ("gre", "erspanv1")
MOST_ID = {"gre": 2**32 - 1, "erspanv1": 1023}
"""GRE keys have 32 bits (RFC 2890), ERSPAN session ids 10."""


def check_port(draft: Draft, id: str, requester_owns: bool = True) -> Doc:
    """A port of the requester's. Raises PortNotFound, or 403 for a port of another project on its own network."""
    port = draft.get("port", id)
    network = draft.get("network", port["network_id"]) if port else None
    hidden = requester_owns and port is not None and not owns(draft, port) and not (network and owns(draft, network))
    if port is None or hidden:
        raise not_found("port", id)
    if requester_owns and not owns(draft, port):
        raise ApiError(403, "PortDoesNotBelongToTenant", "The specified port does not belong to the tenant.")
    return port


def make_put(kind: str, check: Callable[[Draft, Doc], Mapping[str, Any]]) -> Callable[..., Outcome]:
    def create(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
        draft = Draft(snapshot, context)
        made = []
        for body in bodies:
            checked = {**body, **check(draft, body)}
            made.append(draft.put(kind, stamp.make_created(context.new_id(), checked, context))["id"])
        return draft.finish([(kind, id) for id in made])

    return create


def make_update(kind: str) -> Callable[..., Outcome]:
    def update(snapshot: Snapshot, old: Doc, changes: Doc, context: Context) -> Outcome:
        draft = Draft(snapshot, context)
        draft.put(kind, stamp.make_updated(old, changes, context))
        return draft.finish([(kind, old["id"])])

    return update


def check_service(draft: Draft, body: Doc) -> Mapping[str, Any]:
    port = check_port(draft, body["port_id"])
    if any(True for _ in draft.find_ids("tap_service", "port_id", port["id"])):
        raise conflict("TapServiceInUse", f"Port {port['id']} is the port of another tap service.")
    return {"status": port["status"] if port["status"] == ACTIVE else DOWN}


def delete_service(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
    """With its flows."""
    draft = Draft(snapshot, context)
    for id in list(draft.find_ids("tap_flow", "tap_service_id", old["id"])):
        draft.remove("tap_flow", id)
    draft.remove("tap_service", old["id"])
    return draft.finish()


def check_flow(draft: Draft, body: Doc) -> Mapping[str, Any]:
    service = draft.get("tap_service", body["tap_service_id"])
    if service is None:
        raise not_found("tap_service", body["tap_service_id"])
    if not owns(draft, service):
        raise ApiError(403, "TapServiceNotBelongToTenant", "The specified tap service does not belong to the tenant.")
    source = check_port(draft, body["source_port"])
    if source["id"] == service["port_id"]:
        raise conflict("InvalidSourcePort", f"Port {source['id']} cannot be tapped to itself.")
    check_bridges(body, source, draft.get("port", service["port_id"]))
    return {"status": find_flow_status(draft, body)}


def check_bridges(flow: Doc, source: Doc, target: Doc | None) -> None:
    """A host with Linux bridges copies whole devices, from one to another of its own."""
    places = [port for port in (source, target) if port is not None and is_bound(port)]
    bridged = next((port for port in places if port[VIF_TYPE] == BRIDGE), None)
    if bridged is not None and len({port[HOST] for port in places}) > 1:
        raise refuse_bridges(bridged, "exchange copies with other hosts")
    if source[VIF_TYPE] == BRIDGE and flow.get("vlan_filter"):
        raise refuse_bridges(source, "copy some VLANs of a port alone")


def refuse_bridges(port: Doc, words: str) -> ApiError:
    return conflict("TapNotPossible", f"Port {port['id']} is on host {port[HOST]}, whose Linux bridges do not {words}.")


def check_mirror(draft: Draft, body: Doc) -> Mapping[str, Any]:
    port = check_port(draft, body["port_id"])
    if port[VIF_TYPE] == BRIDGE:
        raise refuse_bridges(port, "take copies to a collector")
    most = MOST_ID[body["mirror_type"]]
    for id in body["directions"].values():
        if id > most:
            raise ApiError(400, "InvalidInput", f"Tunnel id {id} is above {most}, the most of {body['mirror_type']}.")
    project = body.get("project_id") or draft.context.requester.project_id
    used = {id for other in draft.find("tap_mirror", "project_id", project) for id in other["directions"].values()}
    clash = sorted(used & set(body["directions"].values()))
    if clash:
        raise conflict("TapMirrorTunnelConflict", f"Tunnel id {clash[0]} is used already by a mirror of the project.")
    return {"status": port["status"] if port["status"] == ACTIVE else DOWN}


def make_delete(kind: str) -> Callable[..., Outcome]:
    def delete(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
        draft = Draft(snapshot, context)
        draft.remove(kind, old["id"])
        return draft.finish()

    return delete


# -- parsing -----------------------------------------------------------------------------------------------------------


def parse_directions(value: Any) -> dict[str, int]:
    """{"IN": tunnel id, "OUT": tunnel id}, one of them or both, not the same."""
    if not isinstance(value, dict) or not value or not value.keys() <= {IN, OUT}:
        raise ValueError(f"'{kinds.show(value)}' does not say IN or OUT, or both")
    found = {name: kinds.parse_any_int(id) for name, id in value.items()}
    if any(id < 0 for id in found.values()):
        raise ValueError("a tunnel id is not below 0")
    if len(set(found.values())) < len(found):
        raise ValueError("the two directions need tunnel ids of their own")
    return found


def parse_vlans(value: Any) -> str | None:
    """VLANs as "1-3,9"; null for all."""
    if value is None:
        return None
    if not isinstance(value, str) or not list(read_vlans(value)):
        raise ValueError(f"'{kinds.show(value)}' is no list of VLANs")
    return value


def read_vlans(text: str) -> Iterator[int]:
    """The VLANs of a filter. ValueError for what is none."""
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not (first.isdecimal() and (last or first).isdecimal()):
            raise ValueError(f"'{kinds.show(part)}' is no VLAN")
        low, high = int(first), int(last or first)
        if not 0 <= low <= high <= 4095:
            raise ValueError(f"'{kinds.show(part)}' is no VLAN")
        yield from range(low, high + 1)


_ID = {"type": "integer", "minimum": 0}
DIRECTIONS = Kind("directions", parse_directions, {"type": "object", "properties": {IN: _ID, OUT: _ID}})
VLANS = Kind("vlan_filter", parse_vlans, {"type": ["string", "null"]})
_RULES = Rules(ADMIN_OR_MEMBER, ADMIN_OR_READER, ADMIN_OR_MEMBER, ADMIN_OR_MEMBER)
_STATUS = Field("status", kinds.NAME, "ACTIVE once its ports are.", GENERATED, post=False, sort=True)
_PROJECT = index_by("project_id")

TAP_SERVICE = Resource(
    "tap_service",
    "tap_services",
    "A port that gets copies of what others send and receive.",
    stamp.standard_fields(
        Field("port_id", kinds.UUID, "The port that the copies go to.", REQUIRED, sort=True), _STATUS
    ),
    _RULES,
    indexes=(_PROJECT, index_by("port_id")),
    filters=stamp.STANDARD_FILTERS,
    create=make_put("tap_service", check_service),
    update=make_update("tap_service"),
    delete=delete_service,
    alias="taas",
    url="taas/tap_services",
)

TAP_FLOW = Resource(
    "tap_flow",
    "tap_flows",
    "A port whose traffic is copied to a tap service.",
    stamp.standard_fields(
        Field("tap_service_id", kinds.UUID, "Where the copies go.", REQUIRED, sort=True),
        Field("source_port", kinds.UUID, "The port that is tapped.", REQUIRED, sort=True),
        Field(
            "direction", kinds.choice_kind(IN, OUT, BOTH), "What it receives, what it sends, or both.", REQUIRED,
            sort=True,
        ),
        Field("vlan_filter", VLANS, "Only frames with one of these tags.", None, alias="taas-vlan-filter"),
        _STATUS,
    ),
    _RULES,
    indexes=(
        _PROJECT,
        index_by("tap_service_id"),
        index_by("source_port"),
    ),
    filters=stamp.STANDARD_FILTERS,
    create=make_put("tap_flow", check_flow),
    update=make_update("tap_flow"),
    delete=make_delete("tap_flow"),
    alias="taas",
    url="taas/tap_flows",
)  # fmt: skip

TAP_MIRROR = Resource(
    "tap_mirror",
    "tap_mirrors",
    "A port whose traffic is copied to a collector outside, in GRE or ERSPAN.",
    stamp.standard_fields(
        Field("port_id", kinds.UUID, "The port that is tapped.", REQUIRED, sort=True),
        Field("directions", DIRECTIONS, "By direction, the tunnel id that its copies have.", REQUIRED, filter=False),
        Field("remote_ip", kinds.IP, "The collector.", REQUIRED, sort=True),
        Field("mirror_type", kinds.choice_kind(*MIRROR_TYPES), "How copies are wrapped.", REQUIRED, sort=True),
        _STATUS,
    ),
    _RULES,
    indexes=(
        _PROJECT,
        index_by("port_id"),
        index_by("remote_ip"),
    ),
    filters=stamp.STANDARD_FILTERS,
    create=make_put("tap_mirror", check_mirror),
    update=make_update("tap_mirror"),
    delete=make_delete("tap_mirror"),
    alias="tap-mirror",
    url="taas/tap_mirrors",
)

RESOURCES: tuple[Resource, ...] = (TAP_SERVICE, TAP_FLOW, TAP_MIRROR)

EXTENSIONS = (
    Extension(
        "taas", "Neutron Tap as a Service", "Traffic of ports is copied to another port.",
        "2015-01-14T10:00:00-00:00",
    ),
    Extension(
        "taas-vlan-filter", "VLAN filtering for Neutron Tap as a Service", "Only frames with some tags are copied.",
        "2018-01-14T10:00:00-00:00",
    ),
    Extension(
        "tap-mirror", "Tap as a Service GRE or ERSPAN mirror", "Traffic is copied to a collector outside.",
        "2023-05-05T11:45:00-00:00",
    ),
)  # fmt: skip
