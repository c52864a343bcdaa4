"""Segments: how a network's frames travel. Allocated inside the write, so that two networks never share one.

Law: a segment is taken from the moment the operation that made it commits until the one that deletes its network.
A table says what each type may hold; there is one code path for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netloom.intent import kinds, stamp
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, conflict, invalid_operation
from netloom.intent.l2.segment_choice import find_ranges, has_vlans
from netloom.intent.operation import Settings
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Snapshot
from netloom.model.encapsulation import IP_HEADER, OVERHEAD

NETWORK_TYPE = "provider:network_type"
PHYSICAL_NETWORK = "provider:physical_network"
SEGMENTATION_ID = "provider:segmentation_id"
PROVIDER = (NETWORK_TYPE, PHYSICAL_NETWORK, SEGMENTATION_ID)


@dataclass(frozen=True, slots=True)
class SegmentType:
    """What a network type is: its numbers, and the bytes that encapsulation takes from the MTU besides the IP header.

    Overheads as in Neutron: VXLAN 30 (Ethernet 14, UDP 8, VXLAN 8), Geneve 30 without options, GRE 22 (Ethernet 14,
    GRE with key 8).
    """

    name: str
    physical: bool = False
    first: int = 0
    last: int = 0
    overhead: int = 0

    @property
    def tunnel(self) -> bool:
        return self.overhead > 0


TYPES = {
    kind.name: kind
    for kind in (
        SegmentType("local"),
        SegmentType("flat", physical=True),
        SegmentType("vlan", physical=True, first=1, last=4094),
        SegmentType("vxlan", first=1, last=2**24 - 1, overhead=OVERHEAD["vxlan"]),
        SegmentType("gre", first=1, last=2**32 - 1, overhead=OVERHEAD["gre"]),
        SegmentType("geneve", first=1, last=2**24 - 1, overhead=OVERHEAD["geneve"]),
    )
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A segment as a request describes it, in part or in full."""

    network_type: str
    physical_network: str | None
    segmentation_id: int | None


def parse_wanted(given: Mapping[str, Any]) -> Wanted:
    network_type = given.get(NETWORK_TYPE)
    if not network_type:
        raise invalid_operation("network_type required")
    return Wanted(network_type, given.get(PHYSICAL_NETWORK) or None, given.get(SEGMENTATION_ID))


def find_wanted(body: Doc) -> list[Wanted]:
    """The segments that a network's create request names; none: allocate one."""
    has_provider = any(body.get(name) not in (None, "") for name in PROVIDER)
    segments = body.get("segments") or []
    if has_provider and segments:
        raise invalid_operation(
            "Segments and provider values cannot both be set", type="SegmentsSetInConjunctionWithProviders"
        )
    wanted = [parse_wanted(body)] if has_provider else [parse_wanted(one) for one in segments]
    whole = [
        one for one in wanted if one.segmentation_id is not None or not TYPES.get(one.network_type, TYPES["local"]).last
    ]
    if len(set(whole)) != len(whole):
        raise invalid_operation("Duplicate segment entry in request", type="SegmentsContainDuplicateEntry")
    return wanted


# -- checks ------------------------------------------------------------------------------------------------------------


def check_wanted(draft: Draft, wanted: Wanted) -> None:
    """Raises InvalidInput, in the words of Neutron's type drivers, for a segment that cannot be."""
    settings = draft.context.settings
    kind = TYPES.get(wanted.network_type)
    if kind is None or kind.name not in settings.type_drivers:
        raise invalid_operation(f"network_type value '{kinds.show(wanted.network_type)}' not supported")
    if kind.tunnel:
        check_tunnel(kind, wanted)
    elif kind.name == "vlan":
        check_vlan(draft, wanted)
    elif kind.name == "flat":
        check_flat(wanted, settings)
    elif wanted.physical_network or wanted.segmentation_id is not None:
        name = "physical_network" if wanted.physical_network else "segmentation_id"
        raise invalid_operation(f"{name} prohibited for local provider network")


def check_tunnel(kind: SegmentType, wanted: Wanted) -> None:
    if wanted.physical_network:
        raise invalid_operation(f"provider:physical_network specified for {kind.name} network")
    check_number(kind, wanted.segmentation_id)


def check_vlan(draft: Draft, wanted: Wanted) -> None:
    known = draft.context.settings.network_vlan_ranges
    if wanted.physical_network is None:
        if wanted.segmentation_id is not None:
            raise invalid_operation("segmentation_id requires physical_network for VLAN provider network")
    elif wanted.physical_network not in known and not has_vlans(draft, wanted.physical_network):
        raise invalid_operation(
            f"physical_network '{kinds.show(wanted.physical_network)}' unknown for VLAN provider network"
        )
    check_number(TYPES["vlan"], wanted.segmentation_id)


def check_flat(wanted: Wanted, settings: Settings) -> None:
    if wanted.physical_network is None:
        raise invalid_operation("physical_network required for flat provider network")
    if not settings.flat_networks:
        raise invalid_operation("Flat provider networks are disabled")
    if "*" not in settings.flat_networks and wanted.physical_network not in settings.flat_networks:
        raise invalid_operation(
            f"physical_network '{kinds.show(wanted.physical_network)}' unknown for flat provider network"
        )
    if wanted.segmentation_id is not None:
        raise invalid_operation("segmentation_id prohibited for flat provider network")


def check_number(kind: SegmentType, number: int | None) -> None:
    if number is not None and not kind.first <= number <= kind.last:
        raise invalid_operation(f"segmentation_id out of range ({kind.first} through {kind.last})")


# -- allocation --------------------------------------------------------------------------------------------------------


def allocate_segments(draft: Draft, network: Doc, wanted: Sequence[Wanted]) -> list[Doc]:
    """The new segments of a network, taken in the draft. Raises ApiError where one is in use or none is left."""
    for one in wanted:
        check_wanted(draft, one)
    project = network["project_id"]
    if not wanted:
        return [put_segment(draft, network, 0, allocate_project_segment(draft, project))]
    return [put_segment(draft, network, n, complete(draft, one, project)) for n, one in enumerate(wanted)]


def put_segment(
    draft: Draft, network: Doc, position: int, found: Wanted, name: str | None = None, description: str = ""
) -> Doc:
    body = {
        "network_id": network["id"], "project_id": network["project_id"], "name": name, "description": description,
        "network_type": found.network_type, "physical_network": found.physical_network,
        "segmentation_id": found.segmentation_id, "position": position,
    }  # fmt: skip
    return draft.put("segment", stamp.make_created(draft.context.new_id(), body, draft.context, tags=False))


def complete(draft: Draft, wanted: Wanted, project_id: str) -> Wanted:
    """The segment that was asked for, with what was left open filled in from what the project may have."""
    kind = TYPES[wanted.network_type]
    if not kind.last:
        if kind.physical and is_taken(draft, wanted):
            raise conflict(
                "FlatNetworkInUse",
                f"Unable to create the flat network. Physical network {wanted.physical_network} is in use.",
            )
        return wanted
    if wanted.segmentation_id is None:
        found = first_segment(draft, kind.name, wanted.physical_network, project_id)
        if found is None:
            raise no_network_available()
        return found
    if is_taken(draft, wanted):
        raise in_use(wanted)
    return wanted


def allocate_project_segment(draft: Draft, project_id: str) -> Wanted:
    """A free segment of the first of tenant_network_types that has one."""
    for name in draft.context.settings.tenant_network_types:
        found = Wanted("local", None, None) if name == "local" else first_segment(draft, name, None, project_id)
        if found is not None:
            return found
    raise no_network_available()


def first_segment(draft: Draft, name: str, physical_network: str | None, project_id: str) -> Wanted | None:
    """The lowest free number of the project's ranges, of this physical network or, for None, of any."""
    for physical, first, last in find_ranges(draft, name, project_id):
        if physical_network in (None, physical):
            number = draft.first_free("segment", "number", (name, physical), first, last)
            if number is not None:
                return Wanted(name, physical or None, number)
    return None


def is_taken(draft: Draft, wanted: Wanted) -> bool:
    bucket = (wanted.network_type, wanted.physical_network or "")
    return draft.taken("segment", "number", bucket, wanted.segmentation_id or 0)


def in_use(wanted: Wanted) -> ApiError:
    if wanted.network_type == "vlan":
        return conflict(
            "VlanIdInUse",
            f"Unable to create the network. The VLAN {wanted.segmentation_id} on physical network "
            f"{wanted.physical_network} is in use.",
        )
    return conflict("TunnelIdInUse", f"Unable to create the network. The tunnel ID {wanted.segmentation_id} is in use.")


def no_network_available() -> ApiError:
    return ApiError(
        503, "NoNetworkAvailable", "Unable to create the network. No project network is available for allocation."
    )


def release_segments(draft: Draft, network_id: str) -> None:
    for segment in list(draft.find("segment", "network_id", network_id)):
        draft.remove("segment", segment["id"])


def find_segments(source: Snapshot | Draft, network_id: str) -> list[Doc]:
    """The segments of a network, in the order in which its request named them."""
    return sorted(source.find("segment", "network_id", network_id), key=lambda s: (s["position"], s["id"]))


def change_vlan(draft: Draft, network: Doc, number: int) -> None:
    """Give a VLAN network another segmentation_id, the one thing of a segment that may change."""
    segments = find_segments(draft, network["id"])
    if len(segments) > 1:
        raise invalid_operation(
            "Provider network attributes can be updated only in provider networks with a single segment"
        )
    if [segment["network_type"] for segment in segments] != ["vlan"]:
        raise invalid_operation("Only VLAN type networks can be updated")
    segment = segments[0]
    wanted = Wanted("vlan", segment["physical_network"], number)
    check_wanted(draft, wanted)
    if is_taken(draft, wanted):
        raise in_use(wanted)
    draft.put("segment", stamp.make_updated(segment, {"segmentation_id": number}, draft.context))


def provider_values(segments: Sequence[Doc]) -> dict[str, Any]:
    """What a network shows of its segments: the provider attributes of the one (null of none), or `segments`."""
    if not segments:
        return dict.fromkeys(PROVIDER)
    shown = [
        dict(zip(PROVIDER, (s["network_type"], s["physical_network"], s["segmentation_id"]), strict=True))
        for s in segments
    ]
    return shown[0] if len(shown) == 1 else {"segments": shown}


def find_max_mtu(segments: Sequence[Doc], settings: Settings) -> int:
    """The largest MTU that all the segments carry; 0: no limit is known."""
    limits = [limit for s in segments if (limit := segment_mtu(s["network_type"], s["physical_network"], settings))]
    return min(limits) if limits else settings.global_physnet_mtu


def segment_mtu(name: str, physical_network: str | None, settings: Settings) -> int:
    kind = TYPES[name]
    if kind.tunnel:
        outer = [mtu for mtu in (settings.global_physnet_mtu, settings.path_mtu) if mtu > 0]
        return max(min(outer) - IP_HEADER[settings.overlay_ip_version] - kind.overhead, 0) if outer else 0
    own = settings.physical_network_mtus.get(physical_network or "", 0) if kind.physical else 0
    outer = [mtu for mtu in (settings.global_physnet_mtu, own) if mtu > 0]
    return min(outer) if outer else 0


def number_keys(doc: Doc) -> tuple[tuple[tuple[str, str], int], ...]:
    if doc["network_type"] == "local":
        return ()
    return (((doc["network_type"], doc["physical_network"] or ""), doc["segmentation_id"] or 0),)
