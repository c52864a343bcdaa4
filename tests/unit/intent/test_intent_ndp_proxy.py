"""NDP proxies: addresses inside that a router answers for outside."""

from __future__ import annotations

from typing import Any

import pytest

from netloom.intent.schema import Doc
from tests.unit.intent.floatingip_kit import OTHER, Outside
from tests.unit.intent.intent_kit import MISSING, refused


class Scoped(Outside):
    """An external and an inner network with prefixes of one IPv6 address scope."""

    def __init__(self) -> None:
        super().__init__()
        scope = self.create("address_scope", {"name": "as", "ip_version": 6})[0]
        self.pool = self.make_pool(scope, "2001:abc::/96")
        self.outer6 = self.network(router__external=True)
        self.outer6_subnet = self.scoped(self.outer6, "2001:abc::1:0/112")
        self.inner6 = self.network()
        self.inner6_subnet = self.scoped(self.inner6, "2001:abc::2:0/112")
        self.router6 = self.make_router(self.inner6_subnet, outer=self.outer6, enable_ndp_proxy=True)

    def make_pool(self, scope: Doc, prefix: str) -> Doc:
        body = {"name": "sp", "address_scope_id": scope["id"], "prefixes": [prefix], "default_prefixlen": 112}
        return self.create("subnetpool", body)[0]

    def scoped(self, network: Doc, cidr: str, pool: Doc | None = None) -> Doc:
        return self.subnet(network, cidr, subnetpool_id=(pool or self.pool)["id"])

    def proxy(self, port: Doc, router: Doc | None = None, **body: Any) -> Doc:
        return self.create("ndp_proxy", {"router_id": (router or self.router6)["id"], "port_id": port["id"], **body})[0]


@pytest.fixture
def w() -> Scoped:
    return Scoped()


def test_a_proxy_is_for_the_ports_address(w: Scoped) -> None:
    """The address that the router reaches is taken where none is named."""
    port = w.port(w.inner6)
    made = w.proxy(port, name="np", description="d")
    assert made["ip_address"] == port["fixed_ips"][0]["ip_address"]
    assert (made["router_id"], made["port_id"], made["name"], made["project_id"]) == (
        w.router6["id"], port["id"], "np", "p1",
    )  # fmt: skip
    assert w.update("ndp_proxy", made, name="other")["revision_number"] == 2
    w.delete("ndp_proxy", made)
    assert w.snapshot.count("ndp_proxy") == 0


def test_which_address(w: Scoped) -> None:
    """An address that is named is the port's own, and one that the router reaches; it has one proxy."""
    port = w.port(w.inner6)
    with refused(400, "InvalidAddress", "not belong to the port"):
        w.proxy(port, ip_address="2001:abc::2:99")
    far = w.scoped(w.inner6, "2001:abc::3:0/112")
    both = w.port(w.inner6, fixed_ips=[{"ip_address": "2001:abc::3:7"}, {"ip_address": "2001:abc::2:7"}])
    with refused(400, "InvalidAddress", "cannot reach the router"):
        w.proxy(both, ip_address="2001:abc::3:7")
    assert w.proxy(both)["ip_address"] == "2001:abc::2:7"
    with refused(409, "NeutronDbObjectDuplicateEntry"):
        w.proxy(both)
    with refused(409, "PortUnreachableRouter"):
        w.proxy(w.port(w.inner6, fixed_ips=[{"subnet_id": far["id"]}]))


def test_the_port_must_be_reached(w: Scoped) -> None:
    """A port without IPv6, on a network that the router has no leg in, or not there, is refused."""
    with refused(400, "BadRequest", "must allocate one IPv6 address"):
        w.proxy(w.port(w.inner6, fixed_ips=[]))
    with refused(409, "PortUnreachableRouter"):
        w.proxy(w.port(w.inner))
    with refused(404, "PortNotFound"):
        w.proxy({"id": MISSING})
    guest = w.network(project_id=OTHER)
    with refused(404, "PortNotFound"):
        w.proxy(w.port(guest, project_id=OTHER))


def test_the_router_must_be_enabled(w: Scoped) -> None:
    """A router that is not enabled has no proxies, nor one that another project owns."""
    w.update("router", w.router6, enable_ndp_proxy=False)
    port = w.port(w.inner6)
    with refused(409, "RouterNDPProxyNotEnable", w.router6["id"]):
        w.proxy(port)


def test_both_sides_are_in_one_address_scope(w: Scoped) -> None:
    """An address of another scope is not routed to outside, so there is no proxy for it."""
    other = w.make_pool(w.create("address_scope", {"name": "b", "ip_version": 6})[0], "2002::/96")
    net = w.network()
    w.act(w.router6, "add_router_interface", subnet_id=w.scoped(net, "2002::1:0/112", other)["id"])
    with refused(409, "AddressScopeConflict"):
        w.proxy(w.port(net))


def test_enabling_needs_an_ipv6_gateway(w: Scoped) -> None:
    """enable_ndp_proxy asks for a gateway with IPv6 in an address scope, on create and on update."""
    with refused(409, "RouterGatewayNotValid"):
        w.create("router", {"enable_ndp_proxy": True})
    with refused(409, "RouterGatewayNotValid"):
        w.make_router(enable_ndp_proxy=True)
    with refused(409, "RouterGatewayNotValid", w.router["id"]):
        w.update("router", w.router, enable_ndp_proxy=True)
    assert w.make_router(outer=w.outer6)["enable_ndp_proxy"] is False
    assert w.make_router(outer=w.outer6, enable_ndp_proxy=None)["enable_ndp_proxy"] is False


def test_a_router_without_its_gateway_is_not_enabled(w: Scoped) -> None:
    """The gateway's going switches it off; a change of name does not."""
    assert w.update("router", w.router6, name="x")["enable_ndp_proxy"] is True
    gone = w.update("router", w.get("router", w.router6), external_gateway_info=None)
    assert gone["enable_ndp_proxy"] is False
    with refused(409, "RouterGatewayNotValid"):
        w.update("router", gone, enable_ndp_proxy=True)


def test_what_a_proxy_needs_stays(w: Scoped) -> None:
    """The gateway and the leg that a proxy goes through are not taken away, nor is the router."""
    made = w.proxy(w.port(w.inner6))
    with refused(409, "RouterGatewayInUseByNDPProxy", w.router6["id"]):
        w.update("router", w.router6, external_gateway_info=None)
    with refused(409, "RouterGatewayInUseByNDPProxy"):
        w.update("router", w.router6, external_gateway_info={"network_id": w.outer["id"]})
    with refused(409, "RouterInterfaceInUseByNDPProxy", w.inner6_subnet["id"]):
        w.act(w.router6, "remove_router_interface", subnet_id=w.inner6_subnet["id"])
    w.delete("ndp_proxy", made)
    w.act(w.router6, "remove_router_interface", subnet_id=w.inner6_subnet["id"])
    w.delete("router", w.get("router", w.router6))


def test_the_gateway_keeps_ipv6_while_enabled(w: Scoped) -> None:
    """An enabled router's gateway is not moved to addresses of IPv4 only."""
    four = w.subnet(w.outer6, "198.51.100.0/24")
    with refused(409, "RouterIPv6GatewayInUse"):
        w.update(
            "router", w.get("router", w.router6),
            external_gateway_info={"network_id": w.outer6["id"], "external_fixed_ips": [{"subnet_id": four["id"]}]},
        )  # fmt: skip


def test_proxies_go_with_their_port_and_address(w: Scoped) -> None:
    """A port that goes, or loses the address, has no proxy any more."""
    port = w.port(w.inner6)
    w.proxy(port)
    w.update("port", port, fixed_ips=[{"ip_address": "2001:abc::2:77"}])
    assert w.snapshot.count("ndp_proxy") == 0
    w.proxy(port)
    w.delete("port", w.get("port", port))
    assert w.snapshot.count("ndp_proxy") == 0
