"""Extensions: the aliases by which clients find out what works, and those of the core resources.

Law: an alias is listed when what it promises is true, and not before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Extension:
    """What GET /v2.0/extensions says of one alias. A family of resources lists those that it brings in its own file."""

    alias: str
    name: str
    description: str
    updated: str
    links: tuple[Mapping[str, str], ...] = field(default=())


CORE = (
    Extension("agent", "agent", "The agents that serve hosts.", "2013-02-03T10:00:00-00:00"),
    Extension(
        "aap-reject-multicast",
        "Allowed address pairs reject multicast extension",
        "No port has a multicast address for its own.",
        "2026-04-01T00:00:00-00:00",
    ),
    Extension(
        "allowed-address-pairs",
        "Allowed Address Pairs",
        "Addresses that a port may use besides its own.",
        "2013-07-23T10:00:00-00:00",
    ),
    Extension(
        "availability_zone",
        "Availability Zone",
        "Parts of the cloud that fail on their own.",
        "2015-01-01T10:00:00-00:00",
    ),
    Extension(
        "availability_zone_filter",
        "Availability Zone Filter Extension",
        "Filters on the list of zones.",
        "2018-06-22T10:00:00-00:00",
    ),
    Extension(
        "binding",
        "Port Binding",
        "Which host a port is on, and how it is plugged there.",
        "2014-02-03T10:00:00-00:00",
    ),
    Extension(
        "dns-integration", "DNS Integration", "Names of ports, as DHCP gives them out.", "2015-08-15T18:00:00-00:00"
    ),
    Extension(
        "empty-string-filtering",
        "Empty String Filtering Extension",
        "Filters by an empty value.",
        "2018-05-01T10:00:00-00:00",
    ),
    Extension("external-net", "Neutron external network", "Networks that lead outside.", "2013-01-14T10:00:00-00:00"),
    Extension("extra_dhcp_opt", "Neutron Extra DHCP options", "DHCP options of a port.", "2013-03-17T12:00:00-00:00"),
    Extension(
        "filter-validation",
        "Filter parameters validation",
        "A filter that does not exist is refused.",
        "2018-07-04T10:00:00-00:00",
    ),
    Extension(
        "ip-substring-filtering",
        "IP address substring filtering",
        "Ports by a part of their address.",
        "2017-11-28T09:00:00-00:00",
    ),
    Extension("ip_allocation", "IP Allocation", "How a port got its addresses.", "2016-06-10T23:00:00-00:00"),
    Extension("l2_adjacency", "L2 Adjacency", "Whether a network is one Ethernet.", "2016-04-12T16:00:00-00:00"),
    Extension("multi-provider", "Multi Provider Network", "Networks of several segments.", "2013-06-27T10:00:00-00:00"),
    Extension("net-mtu", "Network MTU", "The MTU of a network.", "2015-03-25T10:00:00-00:00"),
    Extension(
        "net-mtu-writable",
        "Network MTU (writable)",
        "The MTU of a network may be chosen.",
        "2017-07-12T00:00:00-00:00",
    ),
    Extension(
        "network_availability_zone",
        "Network Availability Zone",
        "Zones that serve a network.",
        "2015-01-01T10:00:00-00:00",
    ),
    Extension("pagination", "Pagination support", "Lists by the page.", "2016-06-12T00:00:00-00:00"),
    Extension(
        "port-mac-address-regenerate",
        "Neutron Port MAC address regenerate",
        "A null MAC makes a new one.",
        "2018-05-03T10:00:00-00:00",
    ),
    Extension("port-security", "Port Security", "Anti-spoofing may be switched off.", "2012-07-23T10:00:00-00:00"),
    Extension("project-id", "project_id field enabled", "Owners are called project_id.", "2016-09-09T09:09:09-09:09"),
    Extension("provider", "Provider Network", "How a network's frames travel.", "2012-09-07T10:00:00-00:00"),
    Extension(
        "quota_details", "Quota details management support", "What of a quota is used.", "2017-02-10T10:00:00-00:00"
    ),
    Extension("quotas", "Quota management support", "How much a project may have.", "2012-07-29T10:00:00-00:00"),
    Extension(
        "revision-if-match",
        "If-Match constraints based on revision_number",
        "Changes only to what the requester knows.",
        "2016-12-11T00:00:00-00:00",
    ),
    Extension("sorting", "Sorting support", "Lists in the order that is asked for.", "2016-06-12T00:00:00-00:00"),
    Extension(
        "standard-attr-description",
        "standard-attr-description",
        "Words for people on every object.",
        "2016-02-10T10:00:00-00:00",
    ),
    Extension(
        "standard-attr-revisions",
        "Resource revision numbers",
        "A number that grows with each change.",
        "2016-04-11T10:00:00-00:00",
    ),
    Extension(
        "standard-attr-tag",
        "Tag support for resources with standard attribute",
        "Marks on every object.",
        "2017-01-01T00:00:00-00:00",
    ),
    Extension(
        "standard-attr-timestamp",
        "Resource timestamps",
        "When an object was made and last changed.",
        "2016-09-12T10:00:00-00:00",
    ),
    Extension(
        "subnet-external-network",
        "Subnet belongs to an external network",
        "Subnets say router:external of their network.",
        "2024-02-05T18:00:00-00:00",
    ),
    Extension(
        "subnet-service-types",
        "Subnet service types",
        "Subnets for the ports of some owners only.",
        "2016-03-15T18:00:00-00:00",
    ),
    Extension(
        "tag-creation",
        "Tag creation extension",
        "Tags in the request that creates, and several at once.",
        "2024-23-07T10:00:00-00:00",
    ),
    Extension(
        "tag-ports-during-bulk-creation",
        "Tag Ports During Bulk Creation",
        "Tags of ports in a bulk request.",
        "2019-12-29T19:00:00-00:00",
    ),
    Extension(
        "uplink-status-propagation",
        "Uplink status propagation extension",
        "propagate_uplink_status of ports.",
        "2018-05-31T18:00:00-00:00",
    ),
)
"""What networks, subnets, ports, agents and lists bring."""
