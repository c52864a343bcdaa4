"""How many addresses of each network are given out, and how many there are. Counted when asked, kept nowhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netloom.intent import kinds
from netloom.intent.addressing.pools import net_range, pool_range
from netloom.intent.extension import Extension
from netloom.intent.operation import Requester, Settings
from netloom.intent.policy_rules import ADMIN_OR_SERVICE
from netloom.intent.schema import GENERATED, Doc, Field, Filter, Kind, Resource, Rules
from netloom.intent.snapshot import Snapshot

DETAILS = "ip_availability_details"


def count_networks(snapshot: Snapshot, settings: Settings, requester: Requester, id: str | None) -> Sequence[Doc]:
    """The figures of every network, or of the one."""
    if id is None:
        return [count_network(snapshot, network) for network in snapshot.docs("network")]
    network = snapshot.get("network", id)
    return [count_network(snapshot, network)] if network else []


def count_network(snapshot: Snapshot, network: Doc) -> Doc:
    subnets = (snapshot.get("subnet", id) for id in network["subnets"])
    return sum_up(
        {"network_id": network["id"], "network_name": network["name"], "project_id": network["project_id"]},
        [count_subnet(snapshot, subnet) for subnet in subnets if subnet],
    )


def sum_up(named: Mapping[str, Any], subnets: Sequence[Doc]) -> Doc:
    """The figures of a network by those of its subnets."""
    total = used = in_subnet = in_pool = used_in_subnet = used_in_pool = 0
    for subnet in subnets:
        details = subnet[DETAILS]
        total += subnet["total_ips"]
        used += subnet["used_ips"]
        in_subnet += details["total_ips_in_subnet"]
        in_pool += details["total_ips_in_allocation_pool"]
        used_in_subnet += details["used_ips_in_subnet"]
        used_in_pool += details["used_ips_in_allocation_pool"]
    return {
        **named, "total_ips": total, "used_ips": used, "subnet_ip_availability": subnets,
        DETAILS: show_details(in_subnet, in_pool, used_in_subnet, used_in_pool),
    }  # fmt: skip


def show_details(in_subnet: int, in_pool: int, used_in_subnet: int, used_in_pool: int) -> dict[str, int]:
    return {
        "total_ips_in_subnet": in_subnet, "total_ips_in_allocation_pool": in_pool,
        "used_ips_in_subnet": used_in_subnet, "used_ips_in_allocation_pool": used_in_pool,
    }  # fmt: skip


def count_subnet(snapshot: Snapshot, subnet: Doc) -> Doc:
    """A subnet's figures. Without allocation pools, all that its prefix holds counts as there to be given."""
    id, cidr, version = subnet["id"], subnet["cidr"], subnet["ip_version"]
    first, last = net_range(cidr)
    used = snapshot.count_taken("port", "address", id, first, last)
    pooled = used_in_pool = 0
    for pool in subnet["allocation_pools"]:
        low, high = pool_range(pool)
        pooled += high - low + 1
        used_in_pool += snapshot.count_taken("port", "address", id, low, high) if used else 0
    reserved = 2 if version == 4 else 0  # IPv4's network and broadcast address
    return {
        "subnet_id": id, "subnet_name": subnet["name"], "cidr": cidr, "ip_version": version,
        "used_ips": used, "total_ips": pooled if subnet["allocation_pools"] else last - first + 1,
        DETAILS: show_details(max(last - first + 1 - reserved, 0), pooled, used, used_in_pool),
    }  # fmt: skip


# -- ip_version=4: the figures of that version alone -------------------------------------------------------------------


def read_versions(values: Sequence[str]) -> set[int]:
    """Raises ValueError for what is no number."""
    return {kinds.filter_int(value) for value in values}


def check_versions(values: Sequence[str]) -> None:
    read_versions(values)


def has_version(doc: Doc, values: Sequence[str]) -> bool:
    return any(subnet["ip_version"] in read_versions(values) for subnet in doc["subnet_ip_availability"])


def show_version(doc: Doc, values: Sequence[str]) -> Doc:
    versions = read_versions(values)
    return sum_up(doc, [subnet for subnet in doc["subnet_ip_availability"] if subnet["ip_version"] in versions])


_COUNT = kinds.int_kind(0, 2**160)
_UUID = {"type": "string", "format": "uuid"}
_COUNTED = {"type": "integer", "minimum": 0}
_DETAILS_SCHEMA = {"type": "object", "properties": dict.fromkeys(show_details(0, 0, 0, 0), _COUNTED)}
_DETAILS = Kind(DETAILS, kinds.parse_object, _DETAILS_SCHEMA)
_SUBNETS = Kind(
    "subnet_ip_availability",
    lambda value: value,
    kinds.array_of(
        {
            "subnet_id": _UUID,
            "subnet_name": {"type": "string"},
            "cidr": {"type": "string", "format": "cidr"},
            "ip_version": {"type": "integer", "enum": [4, 6]},
            "used_ips": _COUNTED,
            "total_ips": _COUNTED,
            DETAILS: _DETAILS_SCHEMA,
        }
    ),
)


def shown(name: str, kind: Kind, doc: str, filter: bool = False, sort: bool = False, alias: str = "") -> Field:
    return Field(name, kind, doc, GENERATED, post=False, filter=filter, sort=sort, alias=alias)


NETWORK_IP_AVAILABILITY = Resource(
    "network_ip_availability",
    "network_ip_availabilities",
    "How many addresses of a network are given out, and how many there are.",
    (
        shown("network_id", kinds.UUID, "The network.", True, True),
        shown("network_name", kinds.NAME, "Its name.", True),
        shown("project_id", kinds.PROJECT, "The project that owns it.", True),
        shown("total_ips", _COUNT, "Addresses that there are, by the allocation pools of its subnets."),
        shown("used_ips", _COUNT, "Addresses that ports have."),
        shown("subnet_ip_availability", _SUBNETS, "The same of each subnet."),
        shown(
            DETAILS,
            _DETAILS,
            "The same, of whole prefixes and of allocation pools.",
            alias="network-ip-availability-details",
        ),
    ),
    Rules(None, ADMIN_OR_SERVICE, None, None),
    filters=(
        Filter(
            "ip_version", has_version, "Those that have subnets of this version, and of those alone.", check_versions,
            show_version,
        ),
    ),
    tags=False,
    alias="network-ip-availability",
    key="network_id",
    derive=count_networks,
)  # fmt: skip

EXTENSIONS = (
    Extension(
        "network-ip-availability",
        "Network IP Availability",
        "How many addresses of a network are left.",
        "2015-09-24T00:00:00-00:00",
    ),
    Extension(
        "network-ip-availability-details",
        "Network IP Availability Details Extension",
        "Whole prefixes and allocation pools told apart.",
        "2025-10-31T00:00:00-00:00",
    ),
)
