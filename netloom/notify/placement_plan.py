"""What is to be asked of Placement so that it holds what is wanted: wanted × held → requests, in order.

Law: planning again after the requests were answered gives none; what is not ours is in no request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isclose
from typing import Any

from netloom.notify.placement_wanted import Inventory, Provider, Tree, make_device_id


@dataclass(frozen=True, slots=True)
class Held:
    """A provider as Placement has it. Traits and inventories are looked at where the provider is wanted."""

    name: str
    parent: str
    generation: int
    traits: frozenset[str] = frozenset()
    inventories: Mapping[str, Inventory] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Actual:
    """What was read for a tree. `root`: the hypervisor's provider; none: Nova has not told of it.

    `providers`: of the hypervisor's tree and of those that are wanted, by id. `traits`: those wanted that there are.
    """

    root: str
    providers: Mapping[str, Held]
    traits: frozenset[str]


@dataclass(frozen=True, slots=True)
class Request:
    """`of`: the provider whose generation goes along, so that nobody's change is lost."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    of: str = ""


def plan(tree: Tree, actual: Actual) -> list[Request]:
    """Traits, then providers with parents first, then what each is and has; what is not wanted any more goes last,
    since it may be in use and is then refused. A wanted tree needs a root."""
    wanted = tree.wanted
    names = sorted({trait for one in wanted for trait in one.traits} - actual.traits)
    return [
        *(Request("PUT", f"/traits/{name}") for name in names),
        *(request for one in wanted for request in plan_provider(one, find_parent(tree, one, actual), actual)),
        *(Request("DELETE", f"/resource_providers/{id}") for id in find_unwanted(tree, actual)),
    ]


def find_parent(tree: Tree, provider: Provider, actual: Actual) -> str:
    return actual.root if provider.id == tree.agent_id else tree.agent_id


def plan_provider(provider: Provider, parent: str, actual: Actual) -> Iterator[Request]:
    path = f"/resource_providers/{provider.id}"
    held = actual.providers.get(provider.id)
    place = {"name": provider.name, "parent_provider_uuid": parent}
    if held is None:
        held = Held(provider.name, parent, 0)
        yield Request("POST", "/resource_providers", {"uuid": provider.id, **place})
    elif (held.name, held.parent) != (provider.name, parent):
        yield Request("PUT", path, place)
    if held.traits != provider.traits:
        yield Request("PUT", f"{path}/traits", {"traits": sorted(provider.traits)}, provider.id)
    if not are_same(held.inventories, provider.inventories):
        yield Request("PUT", f"{path}/inventories", {"inventories": dict(provider.inventories)}, provider.id)


def are_same(held: Mapping[str, Inventory], wanted: Mapping[str, Inventory]) -> bool:
    """Databases keep allocation ratios in single precision."""
    return held.keys() == wanted.keys() and all(
        held[name].keys() >= one.keys() and all(isclose(held[name][k], v, rel_tol=1e-6) for k, v in one.items())
        for name, one in wanted.items()
    )


def find_unwanted(tree: Tree, actual: Actual) -> Sequence[str]:
    """Providers of the agent's that it wants no more: its devices', known by their ids, and at last its own."""
    wanted = {one.id for one in tree.wanted}
    below = [id for id, held in actual.providers.items() if held.parent == tree.agent_id]
    devices = sorted(id for id in below if id not in wanted and is_device(tree, id, actual.providers[id].name))
    gone = tree.agent is None and tree.agent_id in actual.providers and len(devices) == len(below)
    return [*devices, tree.agent_id] if gone else devices


def is_device(tree: Tree, id: str, name: str) -> bool:
    start, _, device = name.rpartition(":")
    return start == tree.agent_name and id == make_device_id(tree.namespace, tree.hypervisor, device)
