"""Floating IP pools: where a project may take floating IPs from."""

from __future__ import annotations

from netloom.intent.l3.floatingip_pool import list_pools
from netloom.intent.operation import Requester
from netloom.intent.schema import Doc
from tests.unit.intent.floatingip_kit import OTHER, Outside
from tests.unit.intent.intent_kit import MISSING, SETTINGS


def pools(w: Outside, project: str = "p1", admin: bool = False, id: str | None = None) -> list[Doc]:
    requester = Requester(project_id=project, is_admin=admin)
    return list(list_pools(w.snapshot, SETTINGS, requester, id))


def test_every_ipv4_subnet_of_an_external_network_is_one() -> None:
    """A pool says its subnet, network and prefix, and is said to be of the requester's project."""
    w = Outside()
    w.subnet(w.outer, "2001:db8::/64")
    assert pools(w) == [
        {
            "subnet_id": w.outer_subnet["id"], "subnet_name": "", "network_id": w.outer["id"],
            "cidr": "203.0.113.0/24", "project_id": "p1",
        }
    ]  # fmt: skip
    assert pools(w, id=w.outer_subnet["id"]) == pools(w)
    assert pools(w, id=MISSING) == []


def test_a_network_that_is_not_open_gives_none() -> None:
    """An external network for some projects only is a pool for them, its owner and administrators."""
    w = Outside()
    closed = w.network(router__external=True)
    subnet = w.subnet(closed, "198.51.100.0/24")
    everyone = w.snapshot.lookup("rbac_policy", "grant", ("network", closed["id"], "access_as_external", "*"))
    assert everyone is not None
    target = "00000000000040008000000000000042"
    w.admin = True
    w.update("rbac_policy", everyone, target_tenant=target)
    cidrs = {project: [pool["cidr"] for pool in pools(w, project)] for project in ("p1", target, OTHER)}
    assert subnet["cidr"] in cidrs["p1"]
    assert subnet["cidr"] in cidrs[target]
    assert subnet["cidr"] not in cidrs[OTHER]
    assert subnet["cidr"] in [pool["cidr"] for pool in pools(w, OTHER, admin=True)]
