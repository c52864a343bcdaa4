"""Floating IPs and their kin over HTTP: paths, what each role may do, and what it sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.unit.api.api_client import ADMIN, MEMBER, OTHER, READER, Client, make_client

MISSING = "99999999-9999-4999-8999-999999999999"
MANAGER = {"X-Project-Id": "demo", "X-User-Id": "u4", "X-Roles": "manager,member,reader"}
OTHER_READER = {"X-Project-Id": "other", "X-User-Id": "u5", "X-Roles": "reader"}
OTHER_MANAGER = {"X-Project-Id": "other", "X-User-Id": "u7", "X-Roles": "manager,member,reader"}
SERVICE = {"X-Project-Id": "services", "X-User-Id": "u6", "X-Roles": "service"}
ROLES = {
    "admin": ADMIN, "manager": MANAGER, "member": MEMBER, "reader": READER, "other": OTHER,
    "other_reader": OTHER_READER, "other_manager": OTHER_MANAGER, "service": SERVICE,
}  # fmt: skip
Doc = dict[str, Any]


class Cloud:
    """An API with an external network, and of the project demo a network behind a router, a port and a floating IP."""

    def __init__(self) -> None:
        self.member = make_client(MEMBER)
        self.admin = self.member.as_user(ADMIN)
        self.outer = self.admin.make("network", name="public", **{"router:external": True})
        self.outer_subnet = self.admin.make("subnet", network_id=self.outer["id"], cidr="203.0.113.0/24", ip_version=4)
        self.inner = self.member.make("network")
        subnet = self.member.make("subnet", network_id=self.inner["id"], cidr="10.0.0.0/24", ip_version=4)
        self.router = self.member.make("router", external_gateway_info={"network_id": self.outer["id"]})
        added = self.member.put(f"/v2.0/routers/{self.router['id']}/add_router_interface", {"subnet_id": subnet["id"]})
        assert added.status == 200, added.body
        self.port = self.member.make("port", network_id=self.inner["id"])
        self.fip = self.member.make("floatingip", floating_network_id=self.outer["id"])

    def as_role(self, role: str) -> Client:
        return self.member.as_user(ROLES[role])

    def new(self, path: str, name: str, body: Mapping[str, Any], by: Client | None = None) -> Doc:
        reply = (by or self.member).post(f"/v2.0/{path}", {name: body})
        assert reply.status == 201, reply.body
        made: Doc = reply.json[name]
        return made

    def forwarding(self, **body: Any) -> Doc:
        return {
            "internal_port_id": self.port["id"], "internal_ip_address": self.port["fixed_ips"][0]["ip_address"],
            "protocol": "tcp", "internal_port": 22, "external_port": 2222, **body,
        }  # fmt: skip


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


# -- what is shown -----------------------------------------------------------------------------------------------------


def test_a_floating_ip_is_shown_with_what_it_leads_to(cloud: Cloud) -> None:
    """The attributes are Neutron's and what it waits for; the port that holds the address is not among them."""
    reply = cloud.member.put(f"/v2.0/floatingips/{cloud.fip['id']}", {"floatingip": {"port_id": cloud.port["id"]}})
    assert reply.status == 200
    assert set(reply.json["floatingip"]) == {
        "id", "project_id", "tenant_id", "floating_network_id", "floating_ip_address", "port_id", "fixed_ip_address",
        "router_id", "status", "port_details", "port_forwardings", "dns_name", "dns_domain", "qos_policy_id",
        "waits_for", "description", "tags", "revision_number", "created_at", "updated_at",
    }  # fmt: skip
    shown = cloud.member.get(f"/v2.0/floatingips/{cloud.fip['id']}").json["floatingip"]
    assert shown == reply.json["floatingip"]
    assert (shown["router_id"], shown["port_details"]["network_id"]) == (cloud.router["id"], cloud.inner["id"])
    cleared = cloud.member.put(f"/v2.0/floatingips/{cloud.fip['id']}", {"floatingip": {}})
    assert cleared.json["floatingip"]["port_id"] is None


@pytest.mark.parametrize(
    "query, found",
    [
        ("floating_ip_address={fip[floating_ip_address]}", 1),
        ("floating_network_id={outer[id]}", 1),
        ("router_id={router[id]}", 0),
        ("port_id={port[id]}", 0),
        ("status=DOWN", 1),
        ("status=ACTIVE", 0),
        ("tags=none", 0),
        ("description=", 1),
        ("sort_key=floating_ip_address&sort_dir=desc&limit=1", 1),
    ],
)
def test_filters(cloud: Cloud, query: str, found: int) -> None:
    """Floating IPs are found by what clients look for them with."""
    asked = query.format(fip=cloud.fip, outer=cloud.outer, router=cloud.router, port=cloud.port)
    reply = cloud.member.get(f"/v2.0/floatingips?{asked}")
    assert reply.status == 200
    assert len(reply.json["floatingips"]) == found


def test_the_aliases_are_announced(cloud: Cloud) -> None:
    """A client finds the extensions of this family."""
    found = {one["alias"] for one in cloud.member.get("/v2.0/extensions").json["extensions"]}
    assert found >= {
        "fip-port-details", "floating-ip-router-writable", "floatingip-pools", "floating-ip-port-forwarding",
        "floating-ip-port-forwarding-detail", "floating-ip-port-forwarding-description",
        "floating-ip-port-forwarding-port-ranges", "expose-port-forwarding-in-fip", "l3-conntrack-helper",
        "expose-l3-conntrack-helper", "l3-ndp-proxy", "l3-ext-ndp-proxy", "local_ip", "metering",
        "metering_source_and_destination_fields",
    }  # fmt: skip


def test_pools(cloud: Cloud) -> None:
    """Each project sees the external subnets as pools of its own; both spellings of the path do."""
    for path in ("floatingip_pools", "floatingip-pools"):
        pools = cloud.member.get(f"/v2.0/{path}").json["floatingip_pools"]
        assert [(pool["subnet_id"], pool["cidr"], pool["project_id"]) for pool in pools] == [
            (cloud.outer_subnet["id"], "203.0.113.0/24", "demo")
        ]
    assert cloud.as_role("other").get("/v2.0/floatingip_pools").json["floatingip_pools"][0]["project_id"] == "other"
    refused = cloud.member.post("/v2.0/floatingip_pools", {"floatingip_pool": {}})
    assert refused.status == 405


def test_port_forwardings(cloud: Cloud) -> None:
    """Made, listed, filtered, shown, changed and deleted below their floating IP."""
    path = f"floatingips/{cloud.fip['id']}/port_forwardings"
    made = cloud.new(path, "port_forwarding", cloud.forwarding(description="ssh"))
    assert set(made) == {
        "id", "external_port", "internal_port", "external_port_range", "internal_port_range", "internal_ip_address",
        "internal_port_id", "protocol", "description",
    }  # fmt: skip
    assert cloud.member.get(f"/v2.0/{path}").json["port_forwardings"] == [made]
    assert cloud.member.get(f"/v2.0/{path}?external_port=9").json["port_forwardings"] == []
    assert cloud.member.get(f"/v2.0/{path}?protocol=tcp&fields=id").json["port_forwardings"] == [{"id": made["id"]}]
    changed = cloud.member.put(f"/v2.0/{path}/{made['id']}", {"port_forwarding": {"internal_port": 33}})
    assert changed.json["port_forwarding"]["internal_port"] == 33
    other = cloud.member.make("floatingip", floating_network_id=cloud.outer["id"])
    lost = cloud.member.get(f"/v2.0/floatingips/{other['id']}/port_forwardings/{made['id']}")
    assert lost.error[:2] == (404, "PortForwardingNotFound")
    assert cloud.member.get(f"/v2.0/floatingips/{MISSING}/port_forwardings").error[:2] == (404, "FloatingIPNotFound")
    assert cloud.member.delete(f"/v2.0/floatingips/{cloud.fip['id']}").error[:2] == (409, "FipInUseByPortForwarding")
    assert cloud.member.delete(f"/v2.0/{path}/{made['id']}").status == 204
    assert cloud.member.delete(f"/v2.0/floatingips/{cloud.fip['id']}").status == 204


def test_conntrack_helpers(cloud: Cloud) -> None:
    """Made, listed, changed and deleted below their router."""
    path = f"routers/{cloud.router['id']}/conntrack_helpers"
    made = cloud.new(path, "conntrack_helper", {"helper": "tftp", "protocol": "udp", "port": 69})
    assert set(made) == {"id", "protocol", "port", "helper"}
    assert cloud.member.get(f"/v2.0/{path}").json["conntrack_helpers"] == [made]
    changed = cloud.member.put(f"/v2.0/{path}/{made['id']}", {"conntrack_helper": {"port": 6969}})
    assert changed.json["conntrack_helper"]["port"] == 6969
    router = cloud.member.get(f"/v2.0/routers/{cloud.router['id']}").json["router"]
    assert router["conntrack_helpers"] == [{"protocol": "udp", "port": 6969, "helper": "tftp"}]
    assert cloud.member.delete(f"/v2.0/{path}/{made['id']}").status == 204
    assert cloud.member.get(f"/v2.0/{path}/{made['id']}").error[:2] == (404, "ConntrackHelperNotFound")


def test_local_ips(cloud: Cloud) -> None:
    """A Local IP and its associations, which are named by their port."""
    made = cloud.new("local_ips", "local_ip", {"network_id": cloud.inner["id"]})
    assert "tags" not in made
    path = f"local_ips/{made['id']}/port_associations"
    tied = cloud.new(path, "port_association", {"fixed_port_id": cloud.port["id"]})
    assert set(tied) == {"local_ip_id", "local_ip_address", "fixed_port_id", "fixed_ip", "host"}
    assert cloud.member.get(f"/v2.0/{path}").json["port_associations"] == [tied]
    assert cloud.member.get(f"/v2.0/{path}?fixed_port_id={MISSING}").json["port_associations"] == []
    assert cloud.member.get(f"/v2.0/{path}/{cloud.port['id']}").json["port_association"] == tied
    assert cloud.member.delete(f"/v2.0/local-ips/{made['id']}").error[:2] == (409, "LocalIPInUse")
    assert cloud.member.delete(f"/v2.0/{path}/{cloud.port['id']}").status == 204
    lost = cloud.member.get(f"/v2.0/{path}/{cloud.port['id']}")
    assert lost.error[:2] == (404, "LocalIPAssociationNotFound")
    assert cloud.member.delete(f"/v2.0/local_ips/{made['id']}").status == 204


def test_metering(cloud: Cloud) -> None:
    """Labels and rules below /metering; an id that cannot be finds nothing."""
    made = cloud.new("metering/metering-labels", "metering_label", {"name": "web"}, cloud.admin)
    assert set(made) == {"id", "name", "description", "project_id", "tenant_id", "shared"}
    body = {"metering_label_id": made["id"], "direction": "ingress", "remote_ip_prefix": "10.0.0.0/24"}
    rule = cloud.new("metering/metering-label-rules", "metering_label_rule", body, cloud.admin)
    assert set(rule) == {
        "id", "metering_label_id", "direction", "excluded", "remote_ip_prefix", "source_ip_prefix",
        "destination_ip_prefix",
    }  # fmt: skip
    assert cloud.admin.get("/v2.0/metering/metering-labels?id=33").json["metering_labels"] == []
    found = cloud.admin.get(f"/v2.0/metering/metering-label-rules?metering_label_id={made['id']}").json
    assert found["metering_label_rules"] == [rule]
    changed = cloud.admin.put(f"/v2.0/metering/metering-labels/{made['id']}", {"metering_label": {"name": "x"}})
    assert changed.status in (400, 405)
    assert cloud.admin.delete(f"/v2.0/metering/metering-labels/{made['id']}").status == 204
    lost = cloud.admin.get(f"/v2.0/metering/metering-label-rules/{rule['id']}")
    assert lost.error[:2] == (404, "MeteringLabelRuleNotFound")


# -- who may do what ---------------------------------------------------------------------------------------------------

Make = Callable[[Cloud], Doc]
OWNERS = {"admin": 1, "manager": 1, "member": 1, "reader": 0}
"""1: may; 0: sees it and may not. Who is not named does not see it."""
MANAGERS = {"admin": 1, "manager": 1, "member": 0, "reader": 0}


def make_fip(cloud: Cloud) -> tuple[str, str, Doc]:
    return f"floatingips/{cloud.fip['id']}", "floatingip", {"description": "x"}


def make_forwarding(cloud: Cloud) -> tuple[str, str, Doc]:
    path = f"floatingips/{cloud.fip['id']}/port_forwardings"
    made = cloud.new(path, "port_forwarding", cloud.forwarding())
    return f"{path}/{made['id']}", "port_forwarding", {"description": "x"}


def make_helper(cloud: Cloud) -> tuple[str, str, Doc]:
    path = f"routers/{cloud.router['id']}/conntrack_helpers"
    made = cloud.new(path, "conntrack_helper", {"helper": "ftp", "protocol": "tcp", "port": 21})
    return f"{path}/{made['id']}", "conntrack_helper", {"port": 2121}


def make_local_ip(cloud: Cloud) -> tuple[str, str, Doc]:
    made = cloud.new("local_ips", "local_ip", {"network_id": cloud.inner["id"]})
    return f"local_ips/{made['id']}", "local_ip", {"name": "x"}


def make_association(cloud: Cloud) -> tuple[str, str, Doc]:
    path, _, _ = make_local_ip(cloud)
    cloud.new(f"{path}/port_associations", "port_association", {"fixed_port_id": cloud.port["id"]})
    return f"{path}/port_associations/{cloud.port['id']}", "port_association", {}


def make_proxy(cloud: Cloud) -> tuple[str, str, Doc]:
    """With an external network and an inner one in one address scope."""
    scope = cloud.new("address-scopes", "address_scope", {"name": "as", "ip_version": 6}, cloud.admin)
    body = {"name": "sp", "address_scope_id": scope["id"], "prefixes": ["2001:abc::/96"], "default_prefixlen": 112}
    pool = cloud.new("subnetpools", "subnetpool", {**body, "shared": True}, cloud.admin)
    six = {"ip_version": 6, "subnetpool_id": pool["id"]}
    cloud.admin.make("subnet", network_id=cloud.outer["id"], cidr="2001:abc::1:0/112", **six)
    net = cloud.member.make("network")
    subnet = cloud.member.make("subnet", network_id=net["id"], cidr="2001:abc::2:0/112", **six)
    gateway = {"network_id": cloud.outer["id"]}
    router = cloud.member.make("router", external_gateway_info=gateway, enable_ndp_proxy=True)
    added = cloud.member.put(f"/v2.0/routers/{router['id']}/add_router_interface", {"subnet_id": subnet["id"]})
    assert added.status == 200, added.body
    port = cloud.member.make("port", network_id=net["id"])
    made = cloud.new("ndp_proxies", "ndp_proxy", {"router_id": router["id"], "port_id": port["id"]})
    return f"ndp_proxies/{made['id']}", "ndp_proxy", {"name": "x"}


def make_label(cloud: Cloud) -> tuple[str, str, Doc]:
    made = cloud.new("metering/metering-labels", "metering_label", {"project_id": "demo"}, cloud.admin)
    return f"metering/metering-labels/{made['id']}", "metering_label", {}


def make_rule(cloud: Cloud) -> tuple[str, str, Doc]:
    path, _, _ = make_label(cloud)
    body = {"metering_label_id": path.split("/")[-1], "direction": "egress", "remote_ip_prefix": "10.0.0.0/8"}
    made = cloud.new(
        "metering/metering-label-rules", "metering_label_rule", {**body, "project_id": "demo"}, cloud.admin
    )
    return f"metering/metering-label-rules/{made['id']}", "metering_label_rule", {}


THINGS = [
    (make_fip, OWNERS), (make_forwarding, OWNERS), (make_helper, OWNERS), (make_local_ip, OWNERS),
    (make_association, OWNERS), (make_proxy, OWNERS), (make_label, MANAGERS), (make_rule, MANAGERS),
]  # fmt: skip


@pytest.mark.parametrize("make, allowed", THINGS, ids=[make.__name__ for make, _ in THINGS])
def test_who_may_see_change_and_delete(make: Any, allowed: Mapping[str, int]) -> None:
    """The owner's members may, its readers see, other projects find nothing."""
    cloud = Cloud()
    path, name, changes = make(cloud)
    for role in ROLES:
        client, sees = cloud.as_role(role), role in allowed
        assert client.get(f"/v2.0/{path}").status == (200 if sees else 404), role
        may = allowed.get(role)
        if changes:
            expected = {1: 200, 0: 403, None: 404}[may]
            assert client.put(f"/v2.0/{path}", {name: changes}).status == expected, role
        if not may:
            assert client.delete(f"/v2.0/{path}").status == (403 if sees else 404), role
    last = [role for role, may in allowed.items() if may][-1]
    assert cloud.as_role(last).delete(f"/v2.0/{path}").status == 204


@pytest.mark.parametrize("role", ROLES)
def test_who_may_create(cloud: Cloud, role: str) -> None:
    """Members make what is theirs; below another project's object nobody but an administrator does."""
    client = cloud.as_role(role)
    outer = {"floatingip": {"floating_network_id": cloud.outer["id"]}}
    member = role in ("admin", "manager", "member", "other", "other_manager")
    assert client.post("/v2.0/floatingips", outer).status == (201 if member else 403)
    label = client.post("/v2.0/metering/metering-labels", {"metering_label": {}})
    assert label.status == (201 if role in ("admin", "manager", "other_manager") else 403)
    below = {"port_forwarding": cloud.forwarding()}
    made = client.post(f"/v2.0/floatingips/{cloud.fip['id']}/port_forwardings", below)
    helper = {"conntrack_helper": {"helper": "ftp", "protocol": "tcp", "port": 21}}
    followed = client.post(f"/v2.0/routers/{cloud.router['id']}/conntrack_helpers", helper)
    owner = {"admin": 201, "manager": 201, "member": 201}.get(role, 403)
    assert (made.status, followed.status) == (owner, owner)


@pytest.mark.parametrize("role", ROLES)
def test_who_may_create_the_rest(cloud: Cloud, role: str) -> None:
    """What needs a port or network of another project is not there for others; readers may make nothing."""
    local_ip, _, _ = make_local_ip(cloud)
    label, _, _ = make_label(cloud)
    client = cloud.as_role(role)
    made = client.post("/v2.0/local_ips", {"local_ip": {"network_id": cloud.inner["id"]}})
    proxy = {"ndp_proxy": {"router_id": cloud.router["id"], "port_id": cloud.port["id"]}}
    proxied = client.post("/v2.0/ndp_proxies", proxy)
    tie = {"port_association": {"fixed_port_id": cloud.port["id"]}}
    tied = client.post(f"/v2.0/{local_ip}/port_associations", tie)
    rule = {"metering_label_id": label.split("/")[-1], "direction": "egress", "remote_ip_prefix": "10.0.0.0/8"}
    ruled = client.post("/v2.0/metering/metering-label-rules", {"metering_label_rule": rule})
    owns, member = role in ("admin", "manager", "member"), role in ("other", "other_manager")
    assert made.status == (201 if owns else 404 if member else 403)
    assert proxied.status == (409 if owns else 404 if member else 403)  # the router is not enabled
    assert tied.status == (201 if owns else 403)
    assert ruled.status == (201 if role in ("admin", "manager") else 404 if role == "other_manager" else 403)


@pytest.mark.parametrize("role", ["admin", "manager", "member", "reader", "other"])
def test_who_may_choose_the_address(cloud: Cloud, role: str) -> None:
    """A certain floating address is for managers and administrators to choose; the router for every member."""
    client = cloud.as_role(role)
    wanted = {"floating_network_id": cloud.outer["id"], "floating_ip_address": "203.0.113.77"}
    reply = client.post("/v2.0/floatingips", {"floatingip": wanted})
    assert reply.status == (201 if role in ("admin", "manager") else 403)
    if role in ("manager", "member"):
        body = {"port_id": cloud.port["id"], "router_id": cloud.router["id"]}
        changed = client.put(f"/v2.0/floatingips/{cloud.fip['id']}", {"floatingip": body})
        assert changed.status == 200, changed.body


@pytest.mark.parametrize("role", ["admin", "manager", "member", "reader"])
def test_who_may_tag(cloud: Cloud, role: str) -> None:
    """Members tag their floating IPs; readers read the tags."""
    client, path = cloud.as_role(role), f"/v2.0/floatingips/{cloud.fip['id']}/tags"
    assert client.put(path, {"tags": ["a"]}).status == (403 if role == "reader" else 200)
    assert client.get(path).status == 200


def test_what_has_no_tags(cloud: Cloud) -> None:
    """Local IPs have none, as in Neutron."""
    made = cloud.new("local_ips", "local_ip", {"network_id": cloud.inner["id"]})
    assert cloud.member.get(f"/v2.0/local_ips/{made['id']}/tags").status == 404


def test_lists_are_of_the_own_project(cloud: Cloud) -> None:
    """Another project's floating IPs are in nobody's list but an administrator's."""
    theirs = cloud.as_role("other").make("floatingip", floating_network_id=cloud.outer["id"])
    mine = cloud.member.get("/v2.0/floatingips").json["floatingips"]
    assert [fip["id"] for fip in mine] == [cloud.fip["id"]]
    everyone = cloud.admin.get("/v2.0/floatingips").json["floatingips"]
    assert {fip["id"] for fip in everyone} == {cloud.fip["id"], theirs["id"]}


def test_the_quota_is_shown(cloud: Cloud) -> None:
    """The limit and the use of floating IPs are in the project's quota."""
    found = cloud.admin.get("/v2.0/quotas/demo/details.json").json["quota"]["floatingip"]
    assert found == {"limit": 50, "used": 1, "reserved": 0}
