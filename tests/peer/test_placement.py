"""A real server tells a real Placement what a host has, as Neutron would; and Neutron's own code beside ours."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from netloom.intent.l2.binding import OVS_AGENT
from netloom.main.hosts.agent import describe_host
from netloom.main.options.host import load_host_options
from netloom.notify.placement_wanted import KINDS, render_trees
from tests.faults.host import attached
from tests.faults.server import Server
from tests.faults.test_nova_is_told import ask
from tests.peer.judges import ROOT, VENV, install, plain_environment
from tests.peer.placement import Placement

AGENT = "h1.example.org:Open vSwitch agent"
HYPERVISOR = "11111111-1111-4111-8111-111111111111"
OPTIONS = {
    "host": "h1", "ovs.bridge_mappings": "physnet0:br-ex,p-1:br-b",
    "ovs.resource_provider_default_hypervisor": "h1.example.org",
    "ovs.resource_provider_bandwidths": "br-ex:10000:20000,br-b::5,rp_tunnelled:7:",
    "ovs.resource_provider_inventory_defaults": "allocation_ratio:1.5,min_unit:2,step_size:1,reserved:3",
    "ovs.resource_provider_packet_processing_without_direction": ":900",
}  # fmt: skip


def describe(tmp_path: Path, **more: str) -> dict[str, Any]:
    changed = {name.replace("__", "."): text for name, text in more.items()}
    return describe_host(load_host_options((), {"state_path": str(tmp_path), **OPTIONS, **changed}))


def ask_neutron(agents: list[dict[str, Any]], options: dict[str, Any]) -> dict[str, Any]:
    install()
    done = subprocess.run(
        [str(VENV / "bin" / "python"), str(ROOT / "tests/peer/placement_facts.py")],
        input=json.dumps({"agents": agents, "options": options}), env=plain_environment(), capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_neutron_would_tell_the_same(tmp_path: Path) -> None:
    """Providers, ids, parents, traits and inventories; and options are read as its agents read them."""
    told = describe(tmp_path)
    kind = KINDS[OVS_AGENT]
    agent = {"agent_type": OVS_AGENT, "host": "h1", "configurations": told, "namespace": str(kind.namespace),
             "vnic_types": kind.vnic_types}  # fmt: skip
    each = describe(
        tmp_path,
        ovs__resource_provider_packet_processing_without_direction="",
        ovs__resource_provider_packet_processing_with_direction="h1.example.org:5:6",
    )
    lines = {
        "host": "h1.example.org", "bandwidths": ["br-ex:10000:20000", "br-b::5", "rp_tunnelled:7:"],
        "without": [":900"], "with": [], "inventory": {"allocation_ratio": "1.5", "reserved": "3"},
    }  # fmt: skip
    theirs = ask_neutron([agent, {**agent, "configurations": each}], lines)
    read = theirs["read"]
    assert told["resource_provider_bandwidths"] == read["bandwidths"]
    assert told["resource_provider_packet_processing_without_direction"] == read["without"]
    assert read["inventory"].items() <= told["resource_provider_inventory_defaults"].items()
    for one, configurations in zip(theirs["told"], (told, each), strict=True):
        (tree,) = render_trees({**agent, "configurations": configurations}, "rp_tunnelled")
        for provider in tree.wanted:
            found = one["providers"].pop(provider.id)
            parent = HYPERVISOR if provider.id == tree.agent_id else tree.agent_id
            assert (found["name"], found["parent"]) == (provider.name, parent)
            assert found["traits"] == sorted(provider.traits)
            assert found["inventories"].keys() == provider.inventories.keys()
            for name, inventory in found["inventories"].items():
                assert inventory.items() <= provider.inventories[name].items()
        assert one["providers"] == {}


def wait_for(true: Callable[[], bool], what: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, what()
        time.sleep(0.1)


def test_nova_can_place_what_a_host_guarantees(tmp_path: Path) -> None:
    """The hypervisor comes after the agent; a port's own request finds the bridge; the host changes, Placement is
    away and comes back, and what is allocated keeps its provider; what somebody takes away is there after a start."""
    placement = Placement(tmp_path / "placement")
    extra = {"placement.auth_type": "noauth", "placement.auth_section": placement.url}
    server = Server(tmp_path / "s", extra=tuple(w for n, v in extra.items() for w in ("--set", f"{n}={v}")))

    def synced() -> Any:
        agents = ask(server, "GET", "agents?agent_type=Open%20vSwitch%20agent")["agents"]
        return agents[0]["resources_synced"] if agents else None

    def tree() -> dict[str, dict[str, Any]]:
        return placement.list_tree(HYPERVISOR)

    def total(name: str) -> int | None:
        held = placement.find_inventories(f"{AGENT}:{name}")
        found: int | None = held.get("NET_BW_EGR_KILOBIT_PER_SEC", {}).get("total")
        return found

    try:
        placement.start()
        server.start()
        with attached(server, "h1", told=describe(tmp_path)):
            wait_for(lambda: synced() is False, synced)
            placement.ask("POST", "/resource_providers", {"name": "h1.example.org", "uuid": HYPERVISOR})
            wait_for(lambda: synced() is True, synced)
            check_request(server, placement, tree())
        changed = describe(tmp_path, ovs__resource_provider_bandwidths="br-ex:30000:20000,rp_tunnelled:8:")
        placement.stop()
        with attached(server, "h1", join=False, told=changed):
            wait_for(lambda: synced() is False, synced)
            placement.start()
            wait_for(lambda: total("br-ex") == 30000, tree)
            wait_for(lambda: synced() is True, synced)
            assert (total("rp_tunnelled"), len(tree())) == (8, 4)
        server.kill()
        before = tree()
        meddled = before.pop(f"{AGENT}:rp_tunnelled")
        inventory = {"inventories": {}, "resource_provider_generation": meddled["generation"]}
        placement.ask("PUT", f"/resource_providers/{meddled['uuid']}/inventories", inventory)
        server.start()
        wait_for(lambda: total("rp_tunnelled") == 8, tree)
        assert {name: one for name, one in tree().items() if name in before} == before
    finally:
        if server.process is not None and server.process.poll() is None:
            server.stop()
        placement.stop()


def check_request(server: Server, placement: Placement, tree: dict[str, dict[str, Any]]) -> None:
    """What a port with a guarantee asks for is found, and taken, as Nova takes it."""
    policy = ask(server, "POST", "qos/policies", policy={"name": "p"})["policy"]["id"]
    rule = {"min_kbps": 4000, "direction": "egress"}
    ask(server, "POST", f"qos/policies/{policy}/minimum_bandwidth_rules", minimum_bandwidth_rule=rule)
    provider = {"provider:network_type": "flat", "provider:physical_network": "physnet0"}
    network = ask(server, "POST", "networks", network=provider)["network"]["id"]
    port = ask(server, "POST", "ports", port={"network_id": network, "qos_policy_id": policy})["port"]
    (group,) = port["resource_request"]["request_groups"]
    resources = ",".join(f"{name}:{amount}" for name, amount in group["resources"].items())
    query = f"resources1={resources}&required1={','.join(group['required'])}&group_policy=none"
    (found,) = placement.ask("GET", f"/allocation_candidates?{query}")["allocation_requests"]
    bridge = tree[f"{AGENT}:br-ex"]["uuid"]
    assert found["allocations"].keys() == {bridge}
    consumer = {
        "allocations": found["allocations"], "project_id": "p", "user_id": "u", "consumer_generation": None,
    }  # fmt: skip
    placement.ask("PUT", "/allocations/22222222-2222-4222-8222-222222222222", consumer)
    # Three ports of 4,000 fit into (10,000 - 3) × 1.5, and no fourth: it has no candidate, and is not taken either.
    for number in (3, 4):
        assert placement.ask("GET", f"/allocation_candidates?{query}")["allocation_requests"]
        placement.ask("PUT", f"/allocations/{number}2222222-2222-4222-8222-222222222222", consumer)
    assert not placement.ask("GET", f"/allocation_candidates?{query}")["allocation_requests"]
    with pytest.raises(urllib.error.HTTPError, match="409"):
        placement.ask("PUT", "/allocations/52222222-2222-4222-8222-222222222222", consumer)
    with pytest.raises(urllib.error.HTTPError, match="409"):  # it is in use
        placement.ask("DELETE", f"/resource_providers/{bridge}")
