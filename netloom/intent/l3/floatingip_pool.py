"""Floating IP pools: the IPv4 subnets of external networks that the requester may take floating IPs from.

Law: nothing of it is stored; a subnet that a project may not take an address of is not in its list.
"""

from __future__ import annotations

from collections.abc import Sequence

from netloom.intent import kinds, rbac
from netloom.intent.extension import Extension
from netloom.intent.operation import Requester, Settings
from netloom.intent.policy_rules import ADMIN_OR_READER
from netloom.intent.schema import GENERATED, Doc, Field, Resource, Rules
from netloom.intent.snapshot import Snapshot


def list_pools(snapshot: Snapshot, settings: Settings, requester: Requester, id: str | None) -> Sequence[Doc]:
    """One pool for each such subnet; each is said to be of the requester's own project, as in Neutron."""
    networks = [network for network in snapshot.docs("network") if is_open(snapshot, network, requester)]
    subnets = [subnet for network in networks for subnet in find_subnets(snapshot, network)]
    return [make_pool(subnet, requester) for subnet in subnets if id in (None, subnet["id"])]


def is_open(snapshot: Snapshot, network: Doc, requester: Requester) -> bool:
    if not network["router:external"]:
        return False
    if requester.is_admin or network["shared"] or network["external_to_all"]:
        return True
    project = requester.project_id
    if network["project_id"] == project:
        return True
    return any(
        rbac.is_granted(snapshot, "network", network["id"], action, project) for action in (rbac.EXTERNAL, rbac.SHARED)
    )


def find_subnets(snapshot: Snapshot, network: Doc) -> list[Doc]:
    found = [snapshot.get("subnet", id) for id in network["subnets"]]
    return [subnet for subnet in found if subnet is not None and subnet["ip_version"] == 4]


def make_pool(subnet: Doc, requester: Requester) -> Doc:
    return {
        "subnet_id": subnet["id"], "subnet_name": subnet["name"], "network_id": subnet["network_id"],
        "cidr": subnet["cidr"], "project_id": requester.project_id,
    }  # fmt: skip


FLOATINGIP_POOL = Resource(
    "floatingip_pool",
    "floatingip_pools",
    "A subnet that floating IPs may be taken from.",
    (
        Field("subnet_id", kinds.UUID, "The subnet.", GENERATED, post=False, filter=False),
        Field("subnet_name", kinds.NAME, "The subnet's name.", GENERATED, post=False, filter=False),
        Field("network_id", kinds.UUID, "The external network.", GENERATED, post=False, filter=False),
        Field("cidr", kinds.CIDR, "The subnet's prefix.", GENERATED, post=False, filter=False),
        Field("project_id", kinds.PROJECT, "The requester's project.", GENERATED, post=False, filter=False),
    ),
    Rules(None, ADMIN_OR_READER, None, None),
    key="subnet_id",
    tags=False,
    alias="floatingip-pools",
    derive=list_pools,
)

EXTENSIONS = (
    Extension(
        "floatingip-pools", "Floating IP Pools Extension", "Where floating IPs may be taken from.",
        "2018-03-21T10:00:00-00:00",
    ),
)  # fmt: skip
