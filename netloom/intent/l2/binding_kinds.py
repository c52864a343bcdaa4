"""How ports are plugged past the switch: by a NIC's virtual function (SR-IOV), by macvtap on one, by vhost-user.

Law: these are the same pure functions as those of switches (see `binding`); names of vif types and of details are
those that Nova's plug libraries know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netloom.intent.schema import Doc

NIC_AGENT = "NIC Switch agent"
VF_TYPES = {"direct": "hw_veb", "macvtap": "hw_veb", "accelerator-direct": "hw_veb",
            "direct-physical": "hostdev_physical", "accelerator-direct-physical": "hostdev_physical"}  # fmt: skip
"""By vnic_type that SR-IOV plugs: the vif_type."""
WHOLE = ("direct-physical", "accelerator-direct-physical")
"""The instance has all of the NIC: no agent sets anything in it."""
SOCKET_NAME = 14
"""Characters of a vhost-user socket's name, as Neutron's driver makes it."""


def refuse_nic(port: Doc, agent: Doc | None, host: str) -> str:
    """Why the host's NICs cannot take the port; empty: they can."""
    vnic_type = port["binding:vnic_type"]
    if vnic_type not in VF_TYPES:
        return f"SR-IOV does not plug ports of vnic_type {vnic_type}"
    if "switchdev" in (port["binding:profile"].get("capabilities") or ()):
        return "the NIC is in switchdev mode: its functions are plugged into Open vSwitch"
    if vnic_type in WHOLE:
        return ""
    if agent is None:
        return f"there is no {NIC_AGENT} on host {host}"
    if not agent["alive"]:
        return f"the {NIC_AGENT} on host {host} is not alive"
    return ""


def find_nic_segment(segments: Sequence[Doc], agent: Doc | None) -> tuple[Doc | None, str]:
    """(the first segment that a NIC of the host carries, why none does)."""
    reasons = []
    for segment in segments:
        kind, physical = segment["network_type"], segment["physical_network"]
        if kind not in ("flat", "vlan"):
            reasons.append(f"SR-IOV carries flat and VLAN networks, not {kind}")
        elif agent is not None and physical not in (agent["configurations"].get("device_mappings") or {}):
            reasons.append(f"host {agent['host']} has no NIC for SR-IOV on physical network {physical}")
        else:
            return segment, ""
    return None, "; ".join(reasons) or "its network has no segment"


def nic_details(segment: Doc) -> dict[str, Any]:
    vlan = segment["segmentation_id"] if segment["network_type"] == "vlan" else 0
    return {
        "port_filter": False, "connectivity": "l2", "vlan": str(vlan), "bound_drivers": {"0": "sriovnicswitch"},
    }  # fmt: skip


def uses_sockets(configurations: Mapping[str, Any]) -> bool:
    """Whether instances on the host are plugged by vhost-user: the switch is in userspace and has such ports."""
    kinds = (configurations.get("ovs_capabilities") or {}).get("iface_types") or ()
    return configurations.get("datapath_type") == "netdev" and bool(find_socket_kind(kinds))


def find_socket_kind(kinds: Sequence[str]) -> str:
    return next((kind for kind in ("dpdkvhostuserclient", "dpdkvhostuser") if kind in kinds), "")


def socket_details(port: Doc, configurations: Mapping[str, Any]) -> dict[str, Any]:
    """Where the socket is, and which end makes it: the instance, where the switch is the client. Nova's plug library is
    to put no filter beside it."""
    kinds = (configurations.get("ovs_capabilities") or {}).get("iface_types") or ()
    folder = configurations.get("vhostuser_socket_dir") or "/var/run/openvswitch"
    name = f"vhu{port['id']}"[:SOCKET_NAME]
    mode = "server" if find_socket_kind(kinds) == "dpdkvhostuserclient" else "client"
    return {
        "port_filter": False, "ovs_hybrid_plug": False,
        "vhostuser_mode": mode, "vhostuser_ovs_plug": True, "vhostuser_socket": f"{folder}/{name}",
    }  # fmt: skip
