"""What Placement should hold of a host: providers below its hypervisor, what they have, and what they are good for.

Law: it follows from what the host says of itself, and from nothing else. Ids and names are those that Neutron's agents
of the same type have (neutron_lib.placement), so that allocations which were made before fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

from netloom.intent.l2.binding import BRIDGE_AGENT, OVS_AGENT
from netloom.intent.l2.binding_kinds import NIC_AGENT, VF_TYPES
from netloom.intent.qos.qos_placement import CLASSES, TUNNEL_TRAIT, find_network_trait, make_trait
from netloom.intent.schema import Doc

MOST = 2**31 - 1
"""The largest number that Placement takes; and its max_unit where none is given."""
COUNTS: Mapping[str, int] = {"min_unit": 1, "max_unit": MOST, "step_size": 1, "reserved": 0}
RATIO = "allocation_ratio"
Inventory = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of agent: where the ids of its providers are made, what ports it carries, who names its devices."""

    namespace: UUID
    vnic_types: tuple[str, ...]
    mappings: str = "bridge_mappings"


KINDS: Mapping[str, Kind] = {
    OVS_AGENT: Kind(UUID("87ee7d5c-73bb-11e8-9008-c4d987b2a692"), ("normal", "direct", "smart-nic", "vdpa")),
    NIC_AGENT: Kind(UUID("87f1895c-73bb-11e8-9008-c4d987b2a692"), tuple(VF_TYPES), "device_mappings"),
    BRIDGE_AGENT: Kind(UUID("6d1f2b4e-0e0c-5f53-8f6e-3d6a27c0b1e9"), ("normal",)),
}
"""The last namespace is our own: Neutron tells Placement nothing of Linux bridges."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One that is wanted; its parent is the agent's provider, or the hypervisor for that one."""

    id: str
    name: str
    traits: frozenset[str]
    inventories: Mapping[str, Inventory] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tree:
    """What an agent wants below one hypervisor; nothing: whatever it had there is to go.

    `agent_id`: of the agent's provider, wanted or not. `agent_name`: its name, with which its devices' names begin.
    """

    hypervisor: str
    namespace: UUID
    agent_id: str
    agent_name: str
    agent: Provider | None = None
    devices: tuple[Provider, ...] = ()

    @property
    def wanted(self) -> tuple[Provider, ...]:
        """Parents first."""
        return (*((self.agent,) if self.agent else ()), *self.devices)


def render_trees(agent: Doc, tunnelled: str) -> tuple[Tree, ...]:
    """A tree for each hypervisor that the agent serves. `tunnelled`: the device that stands for all tunnels."""
    kind, told = KINDS.get(agent["agent_type"]), agent["configurations"]
    if kind is None or not isinstance(told.get("resource_provider_bandwidths"), Mapping):
        return ()
    homes = find_hypervisors(agent)
    rates = read_amounts(told, find_rates(told))
    return tuple(render_tree(agent, kind, name, rates.get(name, {}), tunnelled) for name in sorted({*homes, *rates}))


def find_hypervisors(agent: Doc) -> dict[str, list[str]]:
    """Devices by hypervisor; without a word of theirs, that is called as the host."""
    told, homes = agent["configurations"], agent["configurations"].get("resource_provider_hypervisors")
    given = {k: v for k, v in homes.items() if isinstance(v, str) and v} if isinstance(homes, Mapping) else {}
    found: dict[str, list[str]] = {name: [] for name in given.values()}
    for device in told["resource_provider_bandwidths"]:
        found.setdefault(given.get(device) or agent["host"], []).append(device)
    return found


def render_tree(agent: Doc, kind: Kind, hypervisor: str, rates: Mapping[str, int], tunnelled: str) -> Tree:
    told = agent["configurations"]
    name = f"{hypervisor}:{agent['agent_type']}"
    vnic = frozenset(make_trait(f"VNIC_TYPE_{one}") for one in kind.vnic_types)
    amounts = read_amounts(told, "resource_provider_bandwidths")
    devices = []
    for device in sorted(set(find_hypervisors(agent).get(hypervisor, ())) & amounts.keys()):
        traits = frozenset(find_traits(told.get(kind.mappings), device, tunnelled))
        inventories = make_inventories(
            "minimum_bandwidth", amounts[device], told, "resource_provider_inventory_defaults"
        )
        if traits:
            devices.append(make_device(kind.namespace, name, hypervisor, device, traits | vnic, inventories))
    packets = make_inventories("minimum_packet_rate", rates, told, PACKET_DEFAULTS)
    id = str(uuid5(kind.namespace, hypervisor))
    own = Provider(id, name, vnic, packets) if devices or packets else None
    return Tree(hypervisor, kind.namespace, id, name, own, tuple(devices))


PACKET_DEFAULTS = "resource_provider_packet_processing_inventory_defaults"
PACKET_RATES = (
    "resource_provider_packet_processing_without_direction",
    "resource_provider_packet_processing_with_direction",
)


def find_rates(told: Mapping[str, Any]) -> str:
    """One of the two is given: what a host can do in both directions together, or in each."""
    return next((name for name in PACKET_RATES if told.get(name)), PACKET_RATES[0])


def make_device(
    namespace: UUID, agent: str, hypervisor: str, device: str, traits: frozenset[str], has: Mapping[str, Inventory]
) -> Provider:
    return Provider(make_device_id(namespace, hypervisor, device), f"{agent}:{device}", traits, has)


def make_device_id(namespace: UUID, hypervisor: str, device: str) -> str:
    return str(uuid5(namespace, f"{hypervisor}:{device}"))


def find_traits(mappings: object, device: str, tunnelled: str) -> Iterator[str]:
    """Of the physical networks that the device is on; the one for tunnels may be on one as well."""
    if device == tunnelled:
        yield TUNNEL_TRAIT
    for physical, devices in mappings.items() if isinstance(mappings, Mapping) else ():
        if device == devices or (isinstance(devices, list) and device in devices):
            yield find_network_trait({"physical_network": physical})


def make_inventories(
    type: str, amounts: Mapping[str, int], told: Mapping[str, Any], defaults: str
) -> dict[str, Inventory]:
    """By class of resource; a direction without an amount has none."""
    rest = read_defaults(told.get(defaults))
    return {
        CLASSES[type, direction]: {**rest, "total": amount}
        for direction, amount in amounts.items()
        if (type, direction) in CLASSES
    }


def read_amounts(told: Mapping[str, Any], name: str) -> dict[str, dict[str, int]]:
    """Amounts by direction, by device or hypervisor. What is no amount is left out: hosts are not trusted."""
    found = told.get(name)
    return {
        key: {direction: amount for direction, amount in amounts.items() if is_count(amount) and amount}
        for key, amounts in (found.items() if isinstance(found, Mapping) else ())
        if isinstance(amounts, Mapping)
    }


def read_defaults(given: object) -> dict[str, float]:
    """All that an inventory says beside its total, with what Placement takes where nothing is given."""
    given = given if isinstance(given, Mapping) else {}
    found: dict[str, float] = {name: given[name] if is_count(given.get(name)) else n for name, n in COUNTS.items()}
    ratio = given.get(RATIO)
    return {**found, RATIO: float(ratio) if isinstance(ratio, int | float) and not isinstance(ratio, bool) else 1.0}


def is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST


# -- whose a hypervisor is ---------------------------------------------------------------------------------------------


def find_claims(agents: Iterable[Doc]) -> dict[str, str]:
    """The host of each hypervisor that one names: the host of the same name, else of the same first label, else the
    first that came. So no host can change what another's hypervisor has (law 9)."""
    found: dict[str, tuple[tuple[object, ...], str]] = {}
    for agent in agents:
        if agent["agent_type"] in KINDS and isinstance(
            agent["configurations"].get("resource_provider_bandwidths"), Mapping
        ):
            for name in {*find_hypervisors(agent), *read_amounts(agent["configurations"], find_rates_of(agent))}:
                claim = rank_claim(agent, name), agent["host"]
                found[name] = min(found.get(name, claim), claim)
    return {name: host for name, (_, host) in found.items()}


def find_rates_of(agent: Doc) -> str:
    return find_rates(agent["configurations"])


def rank_claim(agent: Doc, hypervisor: str) -> tuple[object, ...]:
    host = agent["host"]
    return (host != hypervisor, host.split(".")[0] != hypervisor.split(".")[0], agent["created_at"], host)


def find_own(trees: Iterable[Tree], host: str, claims: Mapping[str, str]) -> tuple[Tree, ...]:
    """Those that the host may tell of. Of another's it may not even say that it wants nothing there: that removes."""
    return tuple(tree for tree in trees if claims.get(tree.hypervisor) == host)


def find_refused(trees: Iterable[Tree], host: str, claims: Mapping[str, str]) -> Iterator[str]:
    """Why what the host wants of others is not told."""
    for tree in trees:
        if tree.wanted and claims.get(tree.hypervisor) != host:
            yield f"hypervisor {tree.hypervisor} is that of host {claims.get(tree.hypervisor)}, not of {host}"
