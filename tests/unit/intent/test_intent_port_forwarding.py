"""Port forwardings: one floating IP for services of several machines."""

from __future__ import annotations

from typing import Any

import pytest

from netloom.intent.errors import ApiError
from netloom.intent.schema import parse_create, parse_update
from tests.unit.intent.floatingip_kit import OTHER, Outside
from tests.unit.intent.intent_kit import MISSING, refused


@pytest.fixture
def w() -> Outside:
    return Outside()


def test_a_forwarding_leads_from_an_outer_port_to_an_inner_one(w: Outside) -> None:
    """Both forms of each side's ports are shown, whichever was given."""
    fip, port = w.floatingip(), w.port(w.inner)
    made = w.forward(fip, port, 2222, 22, description="ssh")
    assert (made["external_port"], made["external_port_range"]) == (2222, "2222:2222")
    assert (made["internal_port"], made["internal_port_range"]) == (22, "22:22")
    assert (made["floatingip_id"], made["project_id"], made["description"]) == (fip["id"], "p1", "ssh")


def test_the_floating_ip_shows_its_forwardings(w: Outside) -> None:
    """A floating IP lists what it forwards, and goes through the router of its forwardings."""
    fip, port = w.floatingip(), w.port(w.inner)
    made = w.forward(fip, port, 2222, 22)
    seen = w.get("floatingip", fip)
    assert seen["port_forwardings"] == [
        {
            "id": made["id"], "protocol": "tcp", "internal_ip_address": port["fixed_ips"][0]["ip_address"],
            "internal_port_id": port["id"], "internal_port": 22, "external_port": 2222,
        }
    ]  # fmt: skip
    assert (seen["router_id"], seen["port_id"]) == (w.router["id"], None)
    assert seen["revision_number"] > fip["revision_number"]
    w.delete("port_forwarding", made)
    left = w.get("floatingip", fip)
    assert (left["port_forwardings"], left["router_id"]) == ([], None)


def test_ranges(w: Outside) -> None:
    """As many inner ports as outer ones, or one inner port for all of them."""
    fip, port = w.floatingip(), w.port(w.inner)
    given = {
        "internal_port_id": port["id"], "internal_ip_address": port["fixed_ips"][0]["ip_address"], "protocol": "udp",
    }  # fmt: skip
    made = w.below(
        "port_forwarding", fip, {**given, "external_port_range": "100:109", "internal_port_range": "200:209"}
    )[0]
    assert (made["external_port"], made["internal_port"], made["external_port_range"]) == (None, None, "100:109")
    w.below("port_forwarding", fip, {**given, "external_port_range": "300:309", "internal_port_range": "80"})
    with refused(400, "BadRequest", "must be N-N or 1-N"):
        w.below("port_forwarding", fip, {**given, "external_port_range": "1:9", "internal_port_range": "1:3"})
    with refused(400, "BadRequest", "internal_port or internal_port_range must be given"):
        w.below("port_forwarding", fip, {**given, "external_port": 7})
    with refused(400, "BadRequest", "do not agree"):
        w.below("port_forwarding", fip, {**given, "external_port": 7, "internal_port": 8, "external_port_range": "9:9"})


@pytest.mark.parametrize(
    "outer, inner, words",
    [
        ({"external_port_range": "105:120", "internal_port": 9}, "", "external_port_range"),
        ({"external_port": 100, "internal_port": 9}, "", "100:109 and 100:100"),
        ({"external_port": 99, "internal_port": 205}, "same", "internal_port_range"),
    ],
)
def test_ports_do_not_collide(w: Outside, outer: dict[str, Any], inner: str, words: str) -> None:
    """An outer port leads to one place, and an inner port is led to by one forwarding."""
    fip, port, other = w.floatingip(), w.port(w.inner), w.port(w.inner)

    def end(one: Any) -> dict[str, Any]:
        return {
            "internal_port_id": one["id"], "internal_ip_address": one["fixed_ips"][0]["ip_address"], "protocol": "tcp"
        }  # fmt: skip

    w.below("port_forwarding", fip, {**end(port), "external_port_range": "100:109", "internal_port_range": "200:209"})
    with refused(400, "BadRequest", "port collision", words):
        w.below("port_forwarding", fip, {**end(port if inner else other), **outer})
    w.below("port_forwarding", fip, {**end(port if inner else other), **outer, "protocol": "udp"})


def test_a_list_is_all_or_nothing(w: Outside) -> None:
    """Two forwardings that collide in one request: none is made."""
    fip, port = w.floatingip(), w.port(w.inner)
    body = {
        "internal_port_id": port["id"], "internal_ip_address": port["fixed_ips"][0]["ip_address"], "protocol": "tcp",
        "external_port": 80, "internal_port": 8080,
    }  # fmt: skip
    with refused(400, "BadRequest", "collision"):
        w.below("port_forwarding", fip, body, body)
    assert w.snapshot.count("port_forwarding") == 0
    assert w.get("floatingip", fip)["port_forwardings"] == []


def test_what_forwards_leads_nowhere_else(w: Outside) -> None:
    """A floating IP has a port or forwards, not both; nor has a port a floating IP and forwardings."""
    port, other = w.port(w.inner), w.port(w.inner)
    used = w.floatingip(port)
    with refused(409, "FloatingIPPortAlreadyAssociated", used["id"]):
        w.forward(used, other, 80, 80)
    fip = w.floatingip()
    with refused(409, "PortHasBindingFloatingIP", used["id"], port["id"]):
        w.forward(fip, port, 80, 80)
    w.forward(fip, other, 80, 80)
    with refused(409, "FipInUseByPortForwarding", fip["id"]):
        w.update("floatingip", fip, port_id=w.port(w.inner)["id"])
    with refused(409, "FipInUseByPortForwarding", fip["id"]):
        w.delete("floatingip", fip)
    assert w.update("floatingip", w.get("floatingip", fip), description="x")["router_id"] == w.router["id"]


def test_the_port_must_be_reached(w: Outside) -> None:
    """The inner port is there, has the address, and is behind the same router as the others."""
    fip, port = w.floatingip(), w.port(w.inner)
    with refused(400, "BadRequest", "is not suitable for internal neutron port"):
        w.forward(fip, port, 80, 80, internal_ip_address="10.0.0.99")
    with refused(404, "PortNotFound"):
        w.forward(fip, port, 80, 80, internal_port_id=MISSING)
    with refused(400, "BadRequest", "must allocate an IPv4 address"):
        w.forward(fip, port, 80, 80, internal_port_id=w.port(w.inner, fixed_ips=[])["id"])
    alone = w.network()
    subnet = w.subnet(alone, "10.5.0.0/24")
    far = w.port(alone)
    with refused(400, "BadRequest", "is not reachable from subnet"):
        w.forward(fip, far, 80, 80)
    w.make_router(subnet)
    w.forward(fip, port, 80, 80)
    with refused(400, "BadRequest", "had been set on router"):
        w.forward(fip, far, 81, 80)


def test_a_distributed_router_does_not_translate_both_ways(w: Outside) -> None:
    """A port with forwardings gets no floating IP of its own where the router is distributed."""
    net = w.network()
    w.make_router(w.subnet(net, "10.8.0.0/24"), distributed=True)
    port = w.port(net)
    w.forward(w.floatingip(), port, 80, 80)
    with refused(400, "PortHasPortForwarding", port["id"]):
        w.floatingip(port)


def test_an_update(w: Outside) -> None:
    """What is given changes, the rest stays; collisions are refused as on create."""
    fip, port, other = w.floatingip(), w.port(w.inner), w.port(w.inner)
    first, second = w.forward(fip, port, 80, 8080), w.forward(fip, port, 81, 8081)
    moved = w.update("port_forwarding", first, internal_port=3333)
    assert (moved["internal_port"], moved["internal_port_range"], moved["external_port"]) == (3333, "3333:3333", 80)
    shown = [one["internal_port"] for one in w.get("floatingip", fip)["port_forwardings"]]
    assert sorted(shown) == [3333, 8081]
    with refused(400, "BadRequest", "collision"):
        w.update("port_forwarding", second, external_port=80)
    elsewhere = w.update("port_forwarding", second, internal_port_id=other["id"])
    assert elsewhere["internal_ip_address"] == other["fixed_ips"][0]["ip_address"]
    wide = w.update("port_forwarding", elsewhere, external_port_range="90:99", internal_port_range="190:199")
    assert (wide["external_port"], wide["internal_port_range"]) == (None, "190:199")
    with refused(400, "BadRequest", "is not suitable"):
        w.update("port_forwarding", wide, internal_ip_address="10.0.0.99")
    revision = w.snapshot.revision
    assert w.update("port_forwarding", wide, protocol="tcp") == wide
    assert w.snapshot.revision == revision


def test_forwardings_go_with_their_port_and_address(w: Outside) -> None:
    """A port that goes, or loses an address, takes the forwardings to it; the router is let go of with the last."""
    fip = w.floatingip()
    port = w.port(w.inner, fixed_ips=[{"ip_address": "10.0.0.50"}, {"ip_address": "10.0.0.51"}])
    w.forward(fip, port, 80, 80)
    w.forward(fip, port, 81, 80, internal_ip_address="10.0.0.51")
    w.update("port", port, fixed_ips=[{"ip_address": "10.0.0.51"}])
    assert [one["external_port"] for one in w.get("floatingip", fip)["port_forwardings"]] == [81]
    w.delete("port", w.get("port", port))
    left = w.get("floatingip", fip)
    assert (left["port_forwardings"], left["router_id"], w.snapshot.count("port_forwarding")) == ([], None, 0)


def test_an_interface_in_use_stays(w: Outside) -> None:
    """The router keeps its leg as long as a forwarding goes through it."""
    made = w.forward(w.floatingip(), w.port(w.inner), 80, 80)
    with refused(409, "RouterInterfaceInUseByFloatingIP"):
        w.act(w.router, "remove_router_interface", subnet_id=w.inner_subnet["id"])
    w.delete("port_forwarding", made)
    w.act(w.router, "remove_router_interface", subnet_id=w.inner_subnet["id"])


def test_another_projects_port_is_not_there(w: Outside) -> None:
    """A port on a network that the project does not see answers 404."""
    far = w.network(project_id=OTHER)
    w.subnet(far, "10.7.0.0/24")
    with refused(404, "PortNotFound"):
        w.forward(w.floatingip(), w.port(far, project_id=OTHER), 80, 80)


GOOD = {"internal_port_id": MISSING, "internal_ip_address": "10.0.0.1", "protocol": "tcp", "external_port": 80}


@pytest.mark.parametrize(
    "body, type, words",
    [
        ({"protocol": "xyz"}, "InvalidInput", "IP protocol 'xyz' is not supported"),
        ({"protocol": "TCP"}, "HTTPBadRequest", "'TCP' is not in"),
        ({"protocol": 6}, "HTTPBadRequest", "'6' is not in"),
        ({"protocol": None}, "InvalidInput", "IP protocol 'None' is not supported"),
        ({"external_port": 0}, "HTTPBadRequest", "'0' is too small"),
        ({"external_port": 333333}, "HTTPBadRequest", "'333333' is too large"),
        ({"external_port_range": "80:70"}, "HTTPBadRequest", "First port in a port range must be lower"),
        ({"external_port_range": "1:2:3"}, "HTTPBadRequest", "two integers separated by a colon"),
        ({"external_port_range": "a:b"}, "HTTPBadRequest", "Invalid port: a"),
        ({"external_port_range": "0:5"}, "HTTPBadRequest", "must be in the range [1, 65535]"),
        ({"external_port_range": [1]}, "HTTPBadRequest", "two integers separated by a colon"),
        ({"internal_ip_address": None}, "HTTPBadRequest", "is not a valid IP address"),
        ({"floatingip_id": MISSING}, "HTTPBadRequest", "Unrecognized attribute(s) 'floatingip_id'"),
    ],
)
def test_bad_bodies(w: Outside, body: dict[str, Any], type: str, words: str) -> None:
    """A body that cannot be a forwarding is refused with the attribute and the reason."""
    with pytest.raises(ApiError) as error:
        parse_create(w.snapshot.catalog["port_forwarding"], {**GOOD, **body})
    assert (error.value.status, error.value.type) == (400, type)
    assert words in error.value.message


def test_a_null_range_is_none(w: Outside) -> None:
    """null and a number both do for a range."""
    resource = w.snapshot.catalog["port_forwarding"]
    assert parse_update(resource, {"external_port_range": None}) == {"external_port_range": None}
    assert parse_update(resource, {"external_port_range": 80}) == {"external_port_range": "80"}
