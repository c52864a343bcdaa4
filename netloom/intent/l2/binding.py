"""Where a port is plugged, and how: decided inside the write by a pure function of the host's agent.

A mechanism looks at the port, the segments of its network and the host's agent, and says how the port is plugged, or
why it cannot be. A host where none can gives binding_failed, never an error: the request stands, the port waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from netloom.intent.draft import Draft
from netloom.intent.l2.binding_kinds import (
    NIC_AGENT,
    VF_TYPES,
    WHOLE,
    find_nic_segment,
    nic_details,
    refuse_nic,
    socket_details,
    uses_sockets,
)
from netloom.intent.l2.guarantees import refuse_guarantee
from netloom.intent.l2.qinq import QINQ
from netloom.intent.l2.segments import TYPES, SegmentType, find_segments
from netloom.intent.schema import Doc
from netloom.model.encapsulation import explain_underlay

HOST, VNIC_TYPE, PROFILE = "binding:host_id", "binding:vnic_type", "binding:profile"
VIF_TYPE, VIF_DETAILS = "binding:vif_type", "binding:vif_details"
UNBOUND, FAILED, BRIDGE = "unbound", "binding_failed", "bridge"
OVS_AGENT = "Open vSwitch agent"
BRIDGE_AGENT = "Linux bridge agent"
SPREAD_OWNER = "network:router_interface_distributed"
SWITCH_AGENTS = (OVS_AGENT, BRIDGE_AGENT)
"""What a host's switch is called as an agent; a host has one of them."""
VNIC_TYPES = (
    "normal", "direct", "macvtap", "baremetal", "direct-physical", "virtio-forwarder", "smart-nic", "vdpa",
    "accelerator-direct", "accelerator-direct-physical", "remote-managed",
)  # fmt: skip


def is_bound(port: Doc) -> bool:
    """Whether a host is to carry the port: it has one, and the binding there did not fail."""
    return bool(port[HOST]) and port[VIF_TYPE] not in (UNBOUND, FAILED)


@dataclass(frozen=True, slots=True)
class Bound:
    """How a port is plugged on its host."""

    vif_type: str
    vif_details: Mapping[str, Any]
    segment_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a mechanism cannot plug a port, in words for an operator."""

    reason: str


Mechanism = Callable[[Doc, Sequence[Doc], Doc | None], Bound | Refused]
"""(port, segments of its network, the host's agent of that mechanism) → how, or why not."""


def bind_openvswitch(port: Doc, segments: Sequence[Doc], agent: Doc | None) -> Bound | Refused:
    """Plug into the integration bridge of the host's Open vSwitch."""
    host = port[HOST]
    vnic_type = port[VNIC_TYPE]
    offloaded = vnic_type == "direct" and "switchdev" in (port[PROFILE].get("capabilities") or ())
    if vnic_type not in ("normal", "smart-nic", "vdpa") and not offloaded:
        return Refused(f"Open vSwitch does not plug ports of vnic_type {vnic_type}")
    if agent is None:
        return Refused(f"there is no {OVS_AGENT} on host {host}")
    if not agent["alive"]:
        return Refused(f"the {OVS_AGENT} on host {host} is not alive")
    reasons = []
    for segment in segments:
        reason = refuse_segment(segment, agent)
        if not reason:
            return plug_openvswitch(port, segment, agent)
        reasons.append(reason)
    return Refused("; ".join(reasons) or "its network has no segment")


def plug_openvswitch(port: Doc, segment: Doc, agent: Doc) -> Bound:
    """By a device of the kernel's, or by a socket where the switch is one of DPDK's (vhost-user)."""
    details, configurations = ovs_details(agent), agent["configurations"]
    if port[VNIC_TYPE] != "direct" and uses_sockets(configurations):
        return Bound("vhostuser", {**details, **socket_details(port, configurations)}, segment["id"])
    return Bound("ovs", details, segment["id"])


def bind_sriov(port: Doc, segments: Sequence[Doc], agent: Doc | None) -> Bound | Refused:
    """A function of a NIC of the host, or all of a NIC."""
    reason = refuse_nic(port, agent, port[HOST])
    if reason:
        return Refused(reason)
    segment, reason = find_nic_segment(segments, None if port[VNIC_TYPE] in WHOLE else agent)
    if segment is None:
        return Refused(reason)
    return Bound(VF_TYPES[port[VNIC_TYPE]], nic_details(segment), segment["id"])


def bind_linuxbridge(port: Doc, segments: Sequence[Doc], agent: Doc | None) -> Bound | Refused:
    """Plug into the network's own bridge on the host. Not for hosts, and devices, of other kinds."""
    host, vnic_type = port[HOST], port[VNIC_TYPE]
    if vnic_type != "normal":
        return Refused(f"Linux bridges do not plug ports of vnic_type {vnic_type}")
    if agent is None:
        return Refused(f"there is no {BRIDGE_AGENT} on host {host}")
    if not agent["alive"]:
        return Refused(f"the {BRIDGE_AGENT} on host {host} is not alive")
    reasons = [refuse_segment(segment, agent) for segment in segments]
    for segment, reason in zip(segments, reasons, strict=True):
        if not reason:
            details = {"port_filter": True, "connectivity": "l2", "bound_drivers": {"0": "linuxbridge"}}
            return Bound(BRIDGE, details, segment["id"])
    return Refused("; ".join(reasons) or "its network has no segment")


def find_switch(lookup: Callable[[str, str, Any], Doc | None], host: str) -> Doc | None:
    """The agent of the host's switch, whichever that is. `lookup`: a snapshot's, or a draft's."""
    found = (lookup("agent", "host_type", (host, kind)) for kind in SWITCH_AGENTS)
    return next((agent for agent in found if agent is not None), None)


def refuse_segment(segment: Doc, agent: Doc) -> str:
    """Why the agent's host cannot carry a segment; empty: it can."""
    configurations, name = agent["configurations"], segment["network_type"]
    if TYPES[name].tunnel and name not in (configurations.get("tunnel_types") or ()):
        return f"host {agent['host']} has no {name} tunnels"
    physical = segment["physical_network"]
    if TYPES[name].physical and physical not in (configurations.get("bridge_mappings") or {}):
        return f"host {agent['host']} has no bridge for physical network {physical}"
    return ""


def ovs_details(agent: Doc) -> dict[str, Any]:
    """What Nova's plug library is told, as Neutron's Open vSwitch driver tells it."""
    configurations = agent["configurations"]
    return {
        "port_filter": True,
        "connectivity": "l2",
        "ovs_hybrid_plug": bool(configurations.get("ovs_hybrid_plug")),
        "datapath_type": configurations.get("datapath_type") or "system",
        "bridge_name": configurations.get("integration_bridge") or "br-int",
        "bound_drivers": {"0": "openvswitch"},
    }


@dataclass(frozen=True, slots=True)
class MechanismDriver:
    """A mechanism and the type of the agent that it asks for."""

    name: str
    agent_type: str
    bind: Mechanism = field(compare=False)
    takes_whole: bool = False  # it plugs some ports without asking any agent


MECHANISMS = (
    MechanismDriver("openvswitch", OVS_AGENT, bind_openvswitch),
    MechanismDriver("linuxbridge", BRIDGE_AGENT, bind_linuxbridge),
    MechanismDriver("sriovnicswitch", NIC_AGENT, bind_sriov, True),
)
"""In the order in which they are asked."""


def find_mechanisms(draft: Draft, host: str) -> list[tuple[MechanismDriver, Doc | None]]:
    """Those that are switched on and have an agent on the host; where none has, the first alone, to say so."""
    on = [driver for driver in MECHANISMS if driver.name in draft.context.settings.mechanism_drivers]
    found = [(driver, draft.lookup("agent", "host_type", (host, driver.agent_type))) for driver in on]
    asked = [one for one in found if one[1] is not None] or found[:1]
    return asked + [one for one in found if one[0].takes_whole and one not in asked]


def bind_port(draft: Draft, port: Doc) -> dict[str, Any]:
    """The binding attributes of a port, from its host, vnic_type and profile; status DOWN, and what it waits for."""
    host = port[HOST]
    if not host:
        return {VIF_TYPE: UNBOUND, VIF_DETAILS: {}, "bound_segment": "", **wait_for("to be bound to a host")}
    segments = find_segments(draft, port["network_id"])
    if len(segments) > 1:
        segments = prefer_addressed(draft, port, segments)
    refused = []
    for driver, agent in find_mechanisms(draft, host):
        found = driver.bind(port, segments, agent)
        if isinstance(found, Bound) and agent is not None and (reason := refuse_network(draft, port, found, agent)):
            found = Refused(reason)
        if isinstance(found, Bound):
            return {
                VIF_TYPE: found.vif_type, VIF_DETAILS: dict(found.vif_details), "bound_segment": found.segment_id,
                **wait_for_host(port, draft.base.revision + 1),
            }  # fmt: skip
        if agent is not None or not driver.takes_whole:
            refused.append(found.reason)
    return {
        VIF_TYPE: FAILED,
        VIF_DETAILS: {},
        "bound_segment": "",
        **wait_for("; ".join(refused) or "a mechanism driver"),
    }


def refuse_network(draft: Draft, port: Doc, found: Bound, agent: Doc) -> str:
    """Why the host cannot carry what is special of the port and its network; empty: it can, as far as anybody knows."""
    segment, network = draft.get("segment", found.segment_id), draft.get("network", port["network_id"])
    if segment is None or network is None:
        return ""
    if agent["agent_type"] == BRIDGE_AGENT and (reason := refuse_on_bridges(draft, port, network, agent)):
        return reason
    return (
        refuse_tags(network, agent)
        or refuse_mtu(network, TYPES[segment["network_type"]], agent)
        or refuse_guarantee(draft, port, segment, agent)
    )


def refuse_on_bridges(draft: Draft, port: Doc, network: Doc, agent: Doc) -> str:
    """What Linux bridges do not do for a port: tags of instances' own, and gateways that are on every host, which a
    DHCP server has no use for."""
    if network.get("vlan_transparent"):
        return f"the {agent['agent_type']} carries no VLANs of instances' own (vlan_transparent)"
    if port["device_owner"] == "network:dhcp":
        return ""
    for subnet in draft.find("subnet", "network_id", network["id"]):
        gateway = subnet["gateway_ip"] and draft.lookup("port", "ip", (network["id"], subnet["gateway_ip"]))
        if gateway and gateway["device_owner"] == SPREAD_OWNER:
            return (
                f"subnet {subnet['id']} has its gateway on a distributed router, which is on no host with "
                f"Linux bridges, and {agent['host']} is one"
            )
    return ""


def refuse_tags(network: Doc, agent: Doc) -> str:
    if not network.get(QINQ):
        return ""
    if agent["agent_type"] != OVS_AGENT:
        return f"the {agent['agent_type']} carries no VLANs within VLANs (qinq)"
    if (agent["configurations"].get("vlan_limit") or 1) > 1:
        return ""
    return (
        f"the switch of host {agent['host']} reads one VLAN tag, and qinq needs two: "
        "ovs-vsctl set Open_vSwitch . other_config:vlan-limit=2"
    )


def refuse_mtu(network: Doc, kind: SegmentType, agent: Doc) -> str:
    """Why the host's tunnels cannot carry the network's longest frames."""
    told = agent["configurations"]
    carried, address = told.get("tunnel_mtu") or 0, told.get("tunneling_ip") or ""
    return explain_underlay(network["mtu"], kind.name, address, agent["host"], carried)


def prefer_addressed(draft: Draft, port: Doc, segments: list[Doc]) -> list[Doc]:
    """On a routed network, the segments that the port's addresses are on."""
    subnets = (draft.get("subnet", fixed["subnet_id"]) for fixed in port["fixed_ips"])
    ids = {subnet["segment_id"] for subnet in subnets if subnet is not None} - {None}
    return [segment for segment in segments if not ids or segment["id"] in ids]


def wait_for_host(port: Doc, revision: int) -> dict[str, Any]:
    """What a bound port waits for, from the revision that describes it: its host, unless it is switched off."""
    if not port["admin_state_up"]:
        return wait_for("to be switched on: admin_state_up is false")
    return {**wait_for(f"host {port[HOST]} to acknowledge it"), "described_at": revision}


def wait_for(reason: str) -> dict[str, Any]:
    return {"status": "DOWN", "waits_for": reason}
