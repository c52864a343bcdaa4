"""Attributes of ports that tell hosts, Nova and Cyborg how a port wants to be plugged; a Part of the port."""

from __future__ import annotations

from typing import Any

from netloom.intent import kinds
from netloom.intent.draft import Draft
from netloom.intent.errors import conflict
from netloom.intent.extension import Extension
from netloom.intent.l2.binding import HOST, PROFILE, is_bound
from netloom.intent.part import Part, Values
from netloom.intent.policy_rules import ADMIN, any_of
from netloom.intent.schema import GENERATED, Doc, Field, Kind

HINTS = {"openvswitch": {"other_config": {"tx-steering": ("thread", "hash")}}}
"""Every hint that there is, nested as it is given, and its values."""
NUMA_POLICIES = ("required", "preferred", "legacy", "socket")
OFFLOADS = ("switchdev",)


def parse_hints(value: Any) -> dict[str, Any] | None:
    """Hints as given; none at all is null."""
    return parse_level(value, HINTS) or None if value is not None else None


def parse_level(value: Any, known: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"'{kinds.show(value)}' is not a dictionary")
    unknown = sorted(kinds.show(name) for name in value if name not in known)
    if unknown:
        raise ValueError(f"Unexpected keys supplied: {', '.join(unknown)}")
    return {name: parse_hint(one, known[name]) for name, one in value.items()}


def parse_hint(value: Any, known: Any) -> Any:
    return parse_level(value, known) if isinstance(known, dict) else kinds.choice_parser(known)(value)


def hint_schema(known: Any, nullable: bool = False) -> dict[str, Any]:
    if not isinstance(known, dict):
        return {"enum": list(known)}
    properties = {name: hint_schema(one) for name, one in known.items()}
    type = ["object", "null"] if nullable else "object"
    return {"type": type, "properties": properties, "additionalProperties": False}


def create(draft: Draft, doc: Doc) -> Values:
    values: dict[str, Any] = {name: doc.get(name) for name in PLAIN}
    profile = dict(doc[PROFILE])
    if values["hardware_offload_type"]:
        capabilities = list(profile.get("capabilities") or ())
        if values["hardware_offload_type"] not in capabilities:
            capabilities.append(values["hardware_offload_type"])
        profile["capabilities"] = capabilities
    return {**values, PROFILE: mark_trusted(profile, values["trusted"])}


def update(draft: Draft, old: Doc, new: Doc, changes: Doc) -> Values:
    if "numa_affinity_policy" in changes and is_bound(old):
        raise conflict(
            "PortBoundNUMAAffinityPolicy",
            f"Unable to complete operation on port {old['id']}, port is already bound to host {old[HOST]}, "
            f"numa_affinity_policy value given {changes['numa_affinity_policy']}.",
        )
    if not changes.keys() & {"trusted", PROFILE}:
        return {}
    return {PROFILE: mark_trusted(dict(new[PROFILE]), new.get("trusted"))}


def mark_trusted(profile: dict[str, Any], trusted: bool | None) -> dict[str, Any]:
    """The binding profile, with what was said of trust for those who read it there."""
    return profile if trusted is None else {**profile, "trusted": trusted}


_HINTS = Kind("hints", parse_hints, hint_schema(HINTS, nullable=True))

PORT_PART = Part(
    fields=(
        Field(
            "data_plane_status", kinds.choice_kind(None, "ACTIVE", "DOWN"),
            "What somebody outside knows of the wire below: ACTIVE, DOWN or null.", None, post=False, put=True,
            filter=False, change=any_of(ADMIN, "role:data_plane_integrator"), alias="data-plane-status",
        ),
        Field(
            "device_profile", kinds.text_kind(255, nullable=True), "The Cyborg device profile that it needs.", None,
            filter=False, alias="port-device-profile",
        ),
        Field(
            "hardware_offload_type", kinds.choice_kind(*OFFLOADS), "What of it hardware is to do: switchdev.",
            GENERATED, filter=False, alias="port-hardware-offload-type",
        ),
        Field(
            "hints", _HINTS, "Tuning for one kind of host, which others ignore.", None, put=True, filter=False,
            set=ADMIN, change=ADMIN, see=ADMIN, alias="port-hints",
        ),
        Field(
            "numa_affinity_policy", kinds.choice_kind(*NUMA_POLICIES, None),
            "How near its instance has to be to its NIC.", None, put=True, filter=False,
            alias="port-numa-affinity-policy",
        ),
        Field(
            "trusted", kinds.BOOL, "Whether its virtual function may do what an untrusted one may not.", GENERATED,
            put=True, filter=False, set=ADMIN, change=ADMIN, see=ADMIN, alias="port-trusted-vif",
        ),
    ),
    create=create,
    update=update,
)  # fmt: skip
PLAIN = tuple(field.name for field in PORT_PART.fields)

EXTENSIONS = (
    Extension(
        "data-plane-status",
        "Port data plane status extension",
        "What is known of the wire below a port.",
        "2017-01-24T10:00:00-00:00",
    ),
    Extension(
        "port-device-profile", "Port device profile", "The Cyborg device of a port.", "2020-12-17T10:00:00-00:00"
    ),
    Extension(
        "port-hardware-offload-type",
        "Port hardware offload",
        "What of a port hardware is to do.",
        "2023-05-09T10:00:00-00:00",
    ),
    Extension("port-hints", "Port hints", "Tuning for one kind of host.", "2023-01-01T00:00:00-00:00"),
    Extension(
        "port-hint-ovs-tx-steering",
        "Port hint: Open vSwitch Tx steering",
        "How Open vSwitch spreads what a port sends.",
        "2023-01-01T00:00:00-00:00",
    ),
    Extension(
        "port-numa-affinity-policy",
        "Port NUMA affinity policy",
        "How near an instance has to be to a port's NIC.",
        "2020-07-08T10:00:00-00:00",
    ),
    Extension(
        "port-numa-affinity-policy-socket",
        'Port NUMA affinity policy "socket"',
        "The same socket is near enough.",
        "2024-02-09T10:00:00-00:00",
    ),
    Extension(
        "port-trusted-vif",
        "Port trusted vif",
        "Whether a port's virtual function is trusted.",
        "2024-07-10T10:00:00-00:00",
    ),
    Extension(
        "uplink-status-propagation-updatable",
        "Uplink status propagation updatable extension",
        "propagate_uplink_status may change.",
        "2024-09-03T18:00:00-00:00",
    ),
)
