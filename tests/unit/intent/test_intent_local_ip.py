"""Local IPs and the ports that they lead to."""

from __future__ import annotations

from typing import Any

import pytest

from netloom.intent.schema import Doc
from tests.unit.intent.floatingip_kit import OTHER, Outside
from tests.unit.intent.intent_kit import MISSING, refused


@pytest.fixture
def w() -> Outside:
    return Outside()


def local_ip(w: Outside, **body: Any) -> Doc:
    return w.create("local_ip", body)[0]


def associate(w: Outside, of: Doc, port: Doc, **body: Any) -> Doc:
    return w.below("port_association", of, {"fixed_port_id": port["id"], **body})[0]


def test_on_a_port_that_is_there(w: Outside) -> None:
    """A Local IP has an address of the port that it names."""
    port = w.port(w.inner)
    made = local_ip(w, local_port_id=port["id"], name="dns")
    assert (made["local_ip_address"], made["network_id"]) == (port["fixed_ips"][0]["ip_address"], w.inner["id"])
    assert (made["ip_mode"], made["project_id"], made["name"]) == ("translate", "p1", "dns")
    assert made["revision_number"] == 1
    assert "tags" not in made


def test_on_a_port_of_its_own(w: Outside) -> None:
    """Given a network only, a port is made for it, of its project, and goes with it."""
    made = local_ip(w, network_id=w.inner["id"], local_ip_address="10.0.0.53")
    port = w.snapshot.get("port", made["local_port_id"])
    assert port is not None
    assert (port["device_owner"], port["device_id"], port["project_id"]) == ("network:local_ip", made["id"], "p1")
    assert (port["status"], made["local_ip_address"]) == ("N/A", "10.0.0.53")
    w.delete("local_ip", made)
    assert w.snapshot.get("port", port["id"]) is None


def test_what_it_may_not_be_made_of(w: Outside) -> None:
    """Neither port nor network, a network without IPv4, or what the project does not see, is refused."""
    with refused(400, "LocalIPPortOrNetworkRequired"):
        local_ip(w)
    with refused(400, "BadRequest", f"Port {MISSING} not found"):
        local_ip(w, local_port_id=MISSING)
    with refused(400, "BadRequest", "not found"):
        local_ip(w, local_port_id=w.port(w.inner, project_id=OTHER)["id"])
    with refused(404, "NetworkNotFound"):
        local_ip(w, network_id=w.network(project_id=OTHER)["id"])
    six = w.network()
    w.subnet(six, "2001:db8::/64")
    with refused(400, "BadRequest", "does not contain any IPv4 subnet"):
        local_ip(w, network_id=six["id"])


def test_which_address_of_a_port(w: Outside) -> None:
    """One of several addresses has to be named; a port without any is refused."""
    port = w.port(w.inner, fixed_ips=[{"ip_address": "10.0.0.50"}, {"ip_address": "10.0.0.51"}])
    with refused(400, "LocalIPNoRequestedIP", port["id"]):
        local_ip(w, local_port_id=port["id"])
    with refused(400, "LocalIPRequestedIPNotFound", "10.0.0.99"):
        local_ip(w, local_port_id=port["id"], local_ip_address="10.0.0.99")
    assert local_ip(w, local_port_id=port["id"], local_ip_address="10.0.0.51")["local_ip_address"] == "10.0.0.51"
    with refused(400, "LocalIPNoIP"):
        local_ip(w, local_port_id=w.port(w.inner, fixed_ips=[])["id"])


def test_its_port_stays(w: Outside) -> None:
    """A port is not deleted while a Local IP has its address; a port that was there stays when the Local IP goes."""
    port = w.port(w.inner)
    made = local_ip(w, local_port_id=port["id"])
    with refused(409, "ServicePortInUse", "still referenced by Local IPs"):
        w.delete("port", port)
    assert w.update("local_ip", made, name="x")["revision_number"] == 2
    w.delete("local_ip", made)
    assert w.get("port", port)
    w.delete("port", port)


def test_an_association(w: Outside) -> None:
    """It says which port the address leads to, at which of its addresses, and on which host."""
    w.host("h1")
    made, port = local_ip(w, network_id=w.inner["id"]), w.port(w.inner)
    tied = associate(w, made, port)
    assert (tied["local_ip_id"], tied["fixed_port_id"], tied["host"]) == (made["id"], port["id"], "")
    assert (tied["fixed_ip"], tied["local_ip_address"]) == (
        port["fixed_ips"][0]["ip_address"], made["local_ip_address"],
    )  # fmt: skip
    w.update("port", port, binding__host_id="h1")
    assert w.get("port_association", tied)["host"] == "h1"
    with refused(409, "LocalIPAssociationExists"):
        associate(w, made, port)
    with refused(409, "LocalIPInUse", made["id"]):
        w.delete("local_ip", made)
    w.delete("port_association", tied)
    w.delete("local_ip", made)


def test_which_address_an_association_leads_to(w: Outside) -> None:
    """One of several addresses has to be named; a port of another project is not there."""
    made = local_ip(w, network_id=w.inner["id"])
    port = w.port(w.inner, fixed_ips=[{"ip_address": "10.0.0.50"}, {"ip_address": "10.0.0.51"}])
    with refused(400, "LocalIPNoRequestedIP"):
        associate(w, made, port)
    with refused(400, "LocalIPRequestedIPNotFound", "10.0.0.9"):
        associate(w, made, port, fixed_ip="10.0.0.9")
    with refused(400, "BadRequest", "not found"):
        associate(w, made, {"id": MISSING})
    with refused(404, "LocalIPNotFound"):
        associate(w, {"id": MISSING}, port)
    assert associate(w, made, port, fixed_ip="10.0.0.51")["fixed_ip"] == "10.0.0.51"


def test_associations_go_with_their_port(w: Outside) -> None:
    """A port that goes, or loses the address, is not led to any more."""
    made = local_ip(w, network_id=w.inner["id"])
    port = w.port(w.inner, fixed_ips=[{"ip_address": "10.0.0.50"}])
    associate(w, made, port)
    w.update("port", port, fixed_ips=[{"ip_address": "10.0.0.60"}])
    assert w.snapshot.count("port_association") == 0
    associate(w, made, port)
    w.delete("port", w.get("port", port))
    assert w.snapshot.count("port_association") == 0
    w.delete("local_ip", made)
