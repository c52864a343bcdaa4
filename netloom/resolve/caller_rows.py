"""Rows by which a host answers for the metadata service in namespaces of routers and DHCP servers: who has an address.

Law 9: whose ports are is told to a host that says that it does so (metadata_path) alone, and of networks that a router
or a DHCP server of it is on. Where each host answers its own instances nobody is told.
"""

from __future__ import annotations

from collections.abc import Iterator

from netloom.intent.l2.binding import BRIDGE_AGENT, HOST, OVS_AGENT, is_bound
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Snapshot
from netloom.model.slices import Address, CallerRow, FollowRow, Row

RowKey = tuple[str, str]
CARRIERS = ("network:dhcp", "network:router_interface", "network:ha_router_replicated_interface")
"""Owners of ports in whose namespaces a host may answer."""


SWITCHES = (OVS_AGENT, BRIDGE_AGENT)
"""The agents by which a host says how it answers, whatever it switches with."""


def is_answering(snapshot: Snapshot, host: str) -> bool:
    found = (snapshot.lookup("agent", "host_type", (host, kind)) for kind in SWITCHES)
    return any(agent["configurations"].get("metadata_path") == "namespace" for agent in found if agent is not None)


def is_caller(doc: Doc) -> bool:
    return not str(doc["device_owner"]).startswith("network:")


def touch_port(snapshot: Snapshot, doc: Doc) -> Iterator[RowKey]:
    name = f"callers/{doc['network_id']}"
    if is_caller(doc):
        yield name, f"caller/{doc['id']}"
    elif is_bound(doc) and doc["device_owner"] in CARRIERS:
        yield f"host/{doc[HOST]}", f"follow/{name}"


def touch_network(doc: Doc) -> Iterator[RowKey]:
    """The slice comes and goes with its network; a network is in no row of it."""
    yield f"callers/{doc['id']}", f"caller/{doc['id']}"


def touch_agent(snapshot: Snapshot, doc: Doc) -> Iterator[RowKey]:
    """What it says of itself decides whether it is told."""
    for key in find_leads(snapshot, doc["host"]) if doc["agent_type"] in SWITCHES else ():
        yield f"host/{doc['host']}", key


def find_leads(snapshot: Snapshot, host: str) -> Iterator[str]:
    """The keys by which a host may follow callers."""
    for port in snapshot.find("port", HOST, host):
        if port["device_owner"] in CARRIERS:
            yield f"follow/callers/{port['network_id']}"


def resolve_lead(snapshot: Snapshot, host: str, network: str) -> Row | None:
    if not is_answering(snapshot, host):
        return None
    table = snapshot.records("port")
    found = (table[id] for id in snapshot.find_ids("port", "network_host", (network, host)))
    held = [record for record in found if is_bound(record.doc) and record.doc["device_owner"] in CARRIERS]
    return FollowRow(f"callers/{network}", max(record.revision for record in held)) if held else None


def find_caller_keys(snapshot: Snapshot, network: str) -> Iterator[str]:
    return (f"caller/{id}" for id in snapshot.find_ids("port", "network_id", network))


def resolve_caller(snapshot: Snapshot, network: str, id: str) -> Row | None:
    found = snapshot.record("port", id)
    if found is None or found.doc["network_id"] != network or not is_caller(found.doc):
        return None
    doc = found.doc
    addresses = tuple(Address(fixed["ip_address"], fixed["subnet_id"]) for fixed in doc["fixed_ips"])
    return CallerRow(id, doc["device_id"], doc["project_id"], addresses, doc["mac_address"], found.revision)
