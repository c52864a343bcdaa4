"""The aliases that routers and the scheduling of routers and networks bring."""

from __future__ import annotations

from netloom.intent.extension import Extension
from netloom.intent.l3.router_default_route import EXTENSIONS as DEFAULT_ROUTE

EXTENSIONS = (
    Extension("router", "Neutron L3 Router", "Routers between networks.", "2012-07-20T10:00:00-00:00"),
    Extension(
        "ext-gw-mode",
        "Neutron L3 Configurable external gateway mode",
        "Whether a router's gateway hides addresses.",
        "2013-03-28T10:00:00-00:00",
    ),
    Extension(
        "external-gateway-multihoming",
        "Neutron L3 External Gateway Multihoming",
        "Several gateways of one router.",
        "2023-01-18T00:00:00-00:00",
    ),
    Extension("extraroute", "Neutron Extra Route", "Static routes of a router.", "2013-02-01T10:00:00-00:00"),
    Extension(
        "extraroute-atomic",
        "Atomically add/remove extra routes",
        "Routes are added and taken away without knowing the others.",
        "2019-07-10T00:00:00+00:00",
    ),
    Extension("dvr", "Distributed Virtual Router", "Each host forwards for its own.", "2014-06-1T10:00:00-00:00"),
    Extension("l3-ha", "HA Router extension", "Copies of a router on several hosts.", "2014-04-26T00:00:00-00:00"),
    Extension(
        "router_availability_zone",
        "Router Availability Zone",
        "Zones that host a router.",
        "2015-01-01T10:00:00-00:00",
    ),
    Extension("l3-flavors", "Router Flavor Extension", "Routers by flavor.", "2016-05-17T00:00:00-00:00"),
    Extension(
        "router-admin-state-down-before-update",
        "Enforce Router's Admin State Down Before Update Extension",
        "A router is switched off before its form changes.",
        "2019-07-02T15:56:00",
    ),
    Extension(
        "l3-port-ip-change-not-allowed",
        "Prevent L3 router ports IP address change extension",
        "A router's ports keep their IPv4 addresses.",
        "2018-10-09T10:00:00-00:00",
    ),
    Extension("l3_agent_scheduler", "L3 Agent Scheduler", "Which agents host a router.", "2013-02-07T10:00:00-00:00"),
    Extension("network_ha", "Network HA creation flag", "Networks of HA routers.", "2023-04-27T10:00:00-00:00"),
    *DEFAULT_ROUTE,
)
