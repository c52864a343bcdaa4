"""A little cloud with one object at least of every resource, of the project demo where a project may have it.

Law: every object is made by a request, as a client makes it; what hosts bring is reported as a host reports.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from netloom.intent.agents.agent import report_host
from netloom.intent.catalog import CATALOG
from netloom.intent.operation import Requester
from tests.unit.api.api_client import ADMIN, MEMBER, Client, Memory, make_client

FRIEND = "f0000000-0000-4000-8000-000000000000"
"""A project that the network is opened to."""
HOSTS = ("h1", "h2")
Doc = dict[str, Any]


class FullCloud:
    """`made`: the first object of each resource, by the resource's name; `start`: the snapshot with all of them."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.member = make_client(MEMBER, memory=self.memory)
        self.admin = self.member.as_user(ADMIN)
        self.made: dict[str, Doc] = {}
        for host in HOSTS:
            self.report(host)
        self.make_networks()
        self.make_routers()
        self.make_groups()
        self.make_services()
        self.make_taps()
        self.make_admin_things()
        self.start = self.memory.snapshot

    def report(self, host: str) -> None:
        asyncio.run(self.memory(lambda s, c: report_host(s, c, host, {"tunnel_types": ["vxlan"]}, "nova"), Requester()))

    def renew(self) -> None:
        """As it was made, whatever was done to it since: a snapshot is a value."""
        self.memory.snapshot = self.start.apply((), self.memory.snapshot.revision + 1)

    def new(self, kind: str, by: Client, under: str = "", /, **body: Any) -> Doc:
        """A new object of the resource; `under`: the URL of the object that it is below."""
        resource = CATALOG[kind]
        reply = by.post(f"{under or '/v2.0'}/{resource.path}", {kind: body})
        assert reply.status == 201, (kind, reply.body)
        made: Doc = reply.json[kind]
        self.made.setdefault(kind, made)
        return made

    def id(self, name: str) -> str:
        return str(self.made[name]["id"])

    def do(self, by: Client, url: str, body: Mapping[str, Any], status: int = 200) -> None:
        reply = by.put(url, body) if status == 200 else by.post(url, body)
        assert reply.status == status, (url, reply.body)

    # -- what it has ---------------------------------------------------------------------------------------------------

    def make_networks(self) -> None:
        scope = self.new("address_scope", self.member, name="scope", ip_version=4)
        self.new("subnetpool", self.member, name="pool", prefixes=["10.8.0.0/16"], address_scope_id=scope["id"])
        wide = self.new("address_scope", self.admin, name="six", ip_version=6, shared=True)
        pool = {"address_scope_id": wide["id"], "default_prefixlen": 64, "shared": True}
        self.pool = self.new("subnetpool", self.admin, name="six", prefixes=["2001:db8::/48"], **pool)
        inner = self.new("network", self.member, name="inner")
        self.new("subnet", self.member, network_id=inner["id"], ip_version=4, cidr="10.0.0.0/24")
        six = {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}
        self.six = self.new(
            "subnet", self.member, network_id=inner["id"], subnetpool_id=self.pool["id"], ip_version=6, **six
        )
        self.new("port", self.member, network_id=inner["id"], name="p1", device_owner="compute:nova")
        self.outer = self.new("network", self.admin, name="outer", **{"router:external": True, "is_default": True})
        self.new("subnet", self.admin, network_id=self.outer["id"], ip_version=4, cidr="203.0.113.0/24")
        self.new("subnet", self.admin, network_id=self.outer["id"], subnetpool_id=self.pool["id"], ip_version=6)
        here = {"device_owner": "compute:nova", "binding:host_id": "h1"}
        bound = self.new("port", self.admin, network_id=inner["id"], **here)
        self.new("binding", self.admin, f"/v2.0/ports/{bound['id']}", host="h2")
        self.new("segment", self.admin, network_id=inner["id"], network_type="vxlan", segmentation_id=7777)

    def make_routers(self) -> None:
        gateway = {"network_id": self.outer["id"]}
        router = self.new("router", self.member, name="r1", external_gateway_info=gateway)
        url = f"/v2.0/routers/{router['id']}"
        for subnet in (self.id("subnet"), self.six["id"]):
            self.do(self.member, f"{url}/add_router_interface", {"subnet_id": subnet})
        self.new("conntrack_helper", self.member, url, protocol="tcp", port=21, helper="ftp")
        self.do(self.member, url, {"router": {"enable_ndp_proxy": True}})
        port = self.made["port"]
        self.four, six = sorted((one["ip_address"] for one in port["fixed_ips"]), key=len)
        self.new("ndp_proxy", self.member, router_id=router["id"], port_id=port["id"], ip_address=six)
        fip = self.new("floatingip", self.member, floating_network_id=self.outer["id"])
        self.new(
            "port_forwarding", self.member, f"/v2.0/floatingips/{fip['id']}", internal_port_id=port["id"],
            internal_ip_address=self.four, protocol="tcp", internal_port=22, external_port=2222,
        )  # fmt: skip

    def make_groups(self) -> None:
        group = self.new("security_group", self.member, name="web")
        self.new("security_group_rule", self.member, security_group_id=group["id"], direction="ingress", protocol="tcp")
        self.new("address_group", self.member, name="offices", addresses=["192.0.2.0/24"])
        used = {"used_in_default_sg": True, "used_in_non_default_sg": True}
        self.new("default_security_group_rule", self.admin, direction="ingress", protocol="icmp", **used)
        self.new("security_groups_default_statefulness", self.admin, project_id="demo", stateful=True)

    def make_services(self) -> None:
        network = self.id("network")
        self.new("trunk", self.member, port_id=self.new("port", self.member, network_id=network)["id"])
        local = self.new("local_ip", self.member, network_id=network)
        under = f"/v2.0/local_ips/{local['id']}"
        self.new("port_association", self.member, under, fixed_port_id=self.id("port"), fixed_ip=self.four)
        policy = self.new("policy", self.admin, name="gold", project_id="demo")
        limits: Mapping[str, Doc] = {
            "bandwidth_limit_rule": {"max_kbps": 1000}, "dscp_marking_rule": {"dscp_mark": 10},
            "minimum_bandwidth_rule": {"min_kbps": 10}, "minimum_packet_rate_rule": {"min_kpps": 1},
            "packet_rate_limit_rule": {"max_kpps": 100},
        }  # fmt: skip
        for kind, values in limits.items():
            self.new(kind, self.admin, f"/v2.0/qos/policies/{policy['id']}", **values)
        label = self.new("metering_label", self.admin, name="count", project_id="demo")
        rule = {"direction": "egress", "remote_ip_prefix": "192.0.2.0/24"}
        self.new("metering_label_rule", self.admin, metering_label_id=label["id"], **rule)
        group = self.id("security_group")
        self.new("log", self.admin, resource_type="security_group", resource_id=group, project_id="demo")

    def make_taps(self) -> None:
        """Copies of the first port's frames, to another port and to a collector."""
        source, towards = self.id("port"), self.new("port", self.member, network_id=self.id("network"))
        service = self.new("tap_service", self.member, name="tap", port_id=towards["id"])
        self.new("tap_flow", self.member, tap_service_id=service["id"], source_port=source, direction="BOTH")
        way = {"directions": {"IN": 11}, "remote_ip": "192.0.2.9", "mirror_type": "gre"}
        self.new("tap_mirror", self.member, port_id=source, **way)

    def make_admin_things(self) -> None:
        flavor = self.new("flavor", self.admin, name="single", service_type="L3_ROUTER_NAT")
        driver = "neutron.services.l3_router.service_providers.single_node.SingleNodeDriver"
        profile = self.new("service_profile", self.admin, driver=driver)
        tie = {"service_profile": {"id": profile["id"]}}
        self.do(self.admin, f"/v2.0/flavors/{flavor['id']}/service_profiles", tie, 201)
        self.new(
            "network_segment_range", self.admin, name="more", network_type="vxlan", minimum=9000, maximum=9009,
            shared=False, project_id="demo",
        )  # fmt: skip
        grant = {"object_type": "network", "object_id": self.id("network"), "action": "access_as_shared"}
        self.new("rbac_policy", self.member, **grant, target_tenant=FRIEND)
        agents = self.admin.get("/v2.0/agents").json["agents"]
        self.made["agent"] = next(one for one in agents if one["agent_type"] == "L3 agent")
