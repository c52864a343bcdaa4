"""What an operation is given and what it gives back: plain values, so that plan, test and replay are the same call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from netloom.intent.schema import Doc
from netloom.intent.snapshot import Change, Snapshot

CONNTRACK_HELPERS = (
    ("amanda", "tcp"), ("ftp", "tcp"), ("h323", "udp"), ("h323", "tcp"), ("irc", "tcp"), ("netbios-ns", "udp"),
    ("pptp", "tcp"), ("sane", "tcp"), ("sip", "udp"), ("sip", "tcp"), ("snmp", "udp"), ("tftp", "udp"),
)  # fmt: skip
"""The application protocols that routers may follow, each with its transport protocol, as Neutron has them."""


@dataclass(frozen=True, slots=True)
class Requester:
    """Who asks. What oslo.policy calls credentials; roles are lower case. `service_roles`: those of a service that
    vouches for the request with a token of its own beside the user's, as Nova does when it deletes a server's ports."""

    user_id: str = ""
    project_id: str = ""
    roles: tuple[str, ...] = ()
    is_admin: bool = False
    project_name: str = ""
    user_name: str = ""
    domain_id: str = ""
    system_scope: str = ""
    service_roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """The options that intent needs, with Neutron's names where they mean the same. Given by main."""

    base_mac: str = "fa:16:3e:00:00:00"
    global_physnet_mtu: int = 1500
    path_mtu: int = 0
    physical_network_mtus: Mapping[str, int] = field(default_factory=dict)
    tenant_network_types: tuple[str, ...] = ("vxlan",)
    mechanism_drivers: tuple[str, ...] = ("openvswitch", "linuxbridge", "sriovnicswitch")
    type_drivers: tuple[str, ...] = ("local", "flat", "vlan", "gre", "vxlan", "geneve")
    flat_networks: tuple[str, ...] = ("*",)
    network_vlan_ranges: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    vni_ranges: Mapping[str, tuple[tuple[int, int], ...]] = field(
        default_factory=lambda: {"vxlan": ((1, 16777215),), "gre": ((1, 16777215),), "geneve": ((1, 16777215),)}
    )
    overlay_ip_version: int = 4
    dns_domain: str = "openstacklocal"
    max_fixed_ips_per_port: int = 5
    max_dns_nameservers: int = 5
    max_subnet_host_routes: int = 20
    max_allowed_address_pair: int = 10
    default_availability_zones: tuple[str, ...] = ()
    quotas: Mapping[str, int] = field(default_factory=dict)  # overrides of Resource.quota by resource name
    dhcp_lease_duration: int = 86400
    agent_down_time: int = 75
    enable_ndp_proxy_by_default: bool = False
    enable_default_route_ecmp: bool = False
    allowed_conntrack_helpers: tuple[tuple[str, str], ...] = CONNTRACK_HELPERS
    ipv6_pd_enabled: bool = False
    router_distributed: bool = False
    l3_ha: bool = False
    max_l3_agents_per_router: int = 3
    l3_ha_net_cidr: str = "169.254.192.0/18"
    l3_ha_network_type: str = ""
    l3_ha_network_physical_name: str = ""
    enable_snat_by_default: bool = True
    router_auto_schedule: bool = True
    allow_automatic_l3agent_failover: bool = True
    network_auto_schedule: bool = True
    dhcp_agents_per_network: int = 1
    dhcp_driver: str = "distributed"  # or "dnsmasq"
    allow_automatic_dhcp_failover: bool = True


@dataclass(frozen=True, slots=True)
class Context:
    """All that an operation may not invent: who asks, when it is, new ids and candidate MACs, and the options.

    `new_id()` and `random_mac()` are given by the shell; a test gives counters. `now` is UTC: 2026-11-21T01:02:03Z.
    """

    requester: Requester
    now: str
    new_id: Callable[[], str]
    random_mac: Callable[[], str]
    settings: Settings = field(default_factory=Settings)
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Changes in the order in which they were decided, and the documents that answer the request."""

    changes: tuple[Change, ...]
    answer: tuple[Doc, ...] = ()


Operation = Callable[[Snapshot, Context], Outcome]
"""A request, ready to run against whatever snapshot is next when its turn comes. May raise ApiError."""


@dataclass(frozen=True, slots=True)
class Committed:
    """An operation that is durable: the revision it got, what it answered, and the snapshot that first shows it."""

    revision: int
    outcome: Outcome
    snapshot: Snapshot


class Submit(Protocol):
    """How a shell hands an operation to the writer: returns once durable, raises what the operation raised."""

    async def __call__(self, operation: Operation, requester: Requester, request_id: str = "") -> Committed: ...
