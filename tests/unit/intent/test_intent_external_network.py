"""External networks: who may open one to others, and what keeps them open."""

from __future__ import annotations

from typing import Any

from netloom.intent.schema import Doc
from tests.unit.intent.floatingip_kit import OTHER, Outside
from tests.unit.intent.intent_kit import refused

TARGET = "00000000000040008000000000000042"


def grant(w: Outside, network: Doc, target: str = TARGET) -> Doc:
    body: dict[str, Any] = {
        "object_type": "network", "object_id": network["id"], "action": "access_as_external", "target_tenant": target,
    }  # fmt: skip
    return w.create("rbac_policy", body)[0]


def everyones(w: Outside, network: Doc) -> Doc:
    found = w.snapshot.lookup("rbac_policy", "grant", ("network", network["id"], "access_as_external", "*"))
    assert found is not None
    return found


def test_a_project_opens_its_own_network_to_another() -> None:
    """The owner makes a network external for another project; nobody does so with a network of others."""
    w = Outside()
    net = w.network()
    grant(w, net)
    assert w.get("network", net)["router:external"] is True
    w.project = OTHER
    with refused(400, "InvalidInput", "they do not own"):
        grant(w, net, TARGET[::-1])


def test_the_default_external_network_stays_open_to_everyone() -> None:
    """The network that all projects' routers lead to is not closed while it is the default."""
    w = Outside()
    w.admin = True
    w.update("network", w.outer, is_default=True)
    w.act(w.router, "remove_router_interface", subnet_id=w.inner_subnet["id"])
    w.delete("router", w.get("router", w.router))
    with refused(409, "RbacPolicyInUse", "must be shared to everyone"):
        w.delete("rbac_policy", everyones(w, w.outer))
    w.update("network", w.get("network", w.outer), is_default=False)
    w.delete("rbac_policy", everyones(w, w.outer))


def test_routers_keep_a_network_open_to_their_project() -> None:
    """A grant that another project's router needs is not withdrawn; a floating IP that leads nowhere needs none."""
    w = Outside()
    w.admin = True
    with refused(409, "RbacPolicyInUse", "p1"):
        w.delete("rbac_policy", everyones(w, w.outer))
    with refused(409, "ExternalNetworkInUse", w.outer["id"]):
        w.update("network", w.outer, router__external=False)
    with refused(409, "RbacPolicyInUse", "p1"):
        w.update("rbac_policy", everyones(w, w.outer), target_tenant=TARGET)
    theirs = w.network(router__external=True, project_id="adm")
    w.subnet(theirs, "192.0.2.0/24", project_id="adm")
    w.make_router(outer=theirs, project_id=TARGET)
    w.update("rbac_policy", everyones(w, theirs), target_tenant=TARGET)
    spare = w.network(router__external=True)
    w.subnet(spare, "198.51.100.0/24")
    w.floatingip(floating_network_id=spare["id"], project_id=OTHER)
    assert w.update("network", w.get("network", spare), router__external=False)["router:external"] is False
