"""What Neutron would tell Placement of agents: reads them as JSON, gives its calls, as JSON. Runs where neutron is
installed; imports nothing of ours."""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import Any
from uuid import UUID


class Names(ModuleType):
    """os-resource-classes, which neutron is installed without here: each of its constants is its own name."""

    def __getattr__(self, name: str) -> str:
        return name


sys.modules.setdefault("os_resource_classes", Names("os_resource_classes"))

# After the stand-in above.
from neutron.agent.common import placement_report  # noqa: E402
from neutron.conf.plugins.ml2 import config  # noqa: E402
from neutron_lib.placement import utils  # noqa: E402

config.register_ml2_plugin_opts()
ROOT = "11111111-1111-4111-8111-111111111111"


class Recorder:
    """In place of Placement's client: providers by id."""

    def __init__(self) -> None:
        self.providers: dict[str, dict[str, Any]] = {}
        self.traits: set[str] = set()

    def update_trait(self, name: str) -> None:
        self.traits.add(name)

    def ensure_resource_provider(self, resource_provider: dict[str, Any]) -> None:
        id = str(resource_provider["uuid"])
        parent = str(resource_provider["parent_provider_uuid"])
        self.providers.setdefault(id, {"name": resource_provider["name"], "parent": parent, "inventories": {}})

    def update_resource_provider_traits(self, resource_provider_uuid: UUID, traits: list[str]) -> None:
        self.providers[str(resource_provider_uuid)]["traits"] = sorted(traits)

    def update_resource_provider_inventories(self, resource_provider_uuid: UUID, inventories: dict[str, Any]) -> None:
        self.providers[str(resource_provider_uuid)]["inventories"] = inventories


def tell(agent: dict[str, Any]) -> dict[str, Any]:
    told, recorder = agent["configurations"], Recorder()
    packets = "resource_provider_packet_processing"
    state = placement_report.PlacementState(
        rp_bandwidths=told["resource_provider_bandwidths"],
        rp_inventory_defaults=told["resource_provider_inventory_defaults"],
        rp_pkt_processing=told[f"{packets}_without_direction"] or told[f"{packets}_with_direction"],
        rp_pkt_processing_inventory_defaults=told[f"{packets}_inventory_defaults"],
        driver_uuid_namespace=UUID(agent["namespace"]),
        agent_type=agent["agent_type"],
        hypervisor_rps={d: {"name": n, "uuid": ROOT} for d, n in told["resource_provider_hypervisors"].items()},
        device_mappings={physical: [device] for physical, device in told["bridge_mappings"].items()},
        supported_vnic_types=agent["vnic_types"],
        client=recorder,
    )
    for call in state.deferred_sync():
        call.execute()
    return {"providers": recorder.providers, "traits": sorted(recorder.traits)}


def parse(lines: dict[str, Any]) -> dict[str, Any]:
    """Options of an agent as Neutron's own parsers read them."""
    return {
        "bandwidths": utils.parse_rp_bandwidths(lines["bandwidths"]),
        "without": utils.parse_rp_pp_without_direction(lines["without"], lines["host"]),
        "with": utils.parse_rp_pp_with_direction(lines["with"], lines["host"]),
        "inventory": utils.parse_rp_inventory_defaults(lines["inventory"]),
    }


given = json.load(sys.stdin)
json.dump({"told": [tell(one) for one in given["agents"]], "read": parse(given["options"])}, sys.stdout)
