"""Every resource that is served, and the extensions by which clients find out what works.

Law: this file lists; what a thing is, its own file says.
"""

from __future__ import annotations

from collections.abc import Mapping

from netloom.intent import rbac
from netloom.intent.addressing import address_scope, dns, ip_availability
from netloom.intent.addressing.subnet import SUBNET
from netloom.intent.addressing.subnetpool import EXTENSIONS as SUBNETPOOL_EXTENSIONS
from netloom.intent.addressing.subnetpool import SUBNETPOOL
from netloom.intent.agents import agent_extensions, flavor, service_provider
from netloom.intent.agents.agent import AGENT
from netloom.intent.agents.availability_zone import AVAILABILITY_ZONE
from netloom.intent.extension import CORE, Extension
from netloom.intent.l2 import (
    mac,
    port_binding,
    port_extras,
    pvlan,
    qinq,
    segment,
    segment_range,
    taas,
    trunk,
    vlan_transparent,
)
from netloom.intent.l2.network import NETWORK
from netloom.intent.l2.port import PORT
from netloom.intent.l3 import (
    auto_topology,
    conntrack_helper,
    floatingip,
    floatingip_pool,
    local_ip,
    local_ip_association,
    metering,
    ndp_proxy,
    port_forwarding,
    router,
)
from netloom.intent.qos import qos
from netloom.intent.quota import EXTENSIONS as QUOTA_EXTENSIONS
from netloom.intent.quota import QUOTA
from netloom.intent.schema import Catalog
from netloom.intent.security import (
    address_group,
    default_security_group_rule,
    log,
    security_group,
    security_group_rule,
    security_group_statefulness,
)

RESOURCES = (
    NETWORK,
    SUBNET,
    SUBNETPOOL,
    address_scope.ADDRESS_SCOPE,
    ip_availability.NETWORK_IP_AVAILABILITY,
    auto_topology.AUTO_ALLOCATED_TOPOLOGY,
    PORT,
    segment.SEGMENT,
    segment_range.NETWORK_SEGMENT_RANGE,
    AGENT,
    QUOTA,
    AVAILABILITY_ZONE,
    rbac.RBAC_POLICY,
    *qos.RESOURCES,
    port_binding.BINDING,
    *log.RESOURCES,
    trunk.TRUNK,
    *taas.RESOURCES,
    security_group.SECURITY_GROUP,
    security_group_rule.SECURITY_GROUP_RULE,
    default_security_group_rule.DEFAULT_SECURITY_GROUP_RULE,
    security_group_statefulness.SECURITY_GROUPS_DEFAULT_STATEFULNESS,
    address_group.ADDRESS_GROUP_RESOURCE,
    floatingip.FLOATINGIP,
    floatingip_pool.FLOATINGIP_POOL,
    port_forwarding.PORT_FORWARDING,
    local_ip.LOCAL_IP,
    local_ip_association.PORT_ASSOCIATION,
    metering.METERING_LABEL,
    metering.METERING_LABEL_RULE,
    router.ROUTER,
    flavor.FLAVOR,
    flavor.SERVICE_PROFILE,
    service_provider.SERVICE_PROVIDER,
    conntrack_helper.CONNTRACK_HELPER,
    ndp_proxy.NDP_PROXY,
)
CATALOG: Catalog = {resource.name: resource for resource in RESOURCES}

EXTENSIONS: Mapping[str, Extension] = {
    extension.alias: extension
    for extension in (
        *CORE,
        *rbac.EXTENSIONS,
        *SUBNETPOOL_EXTENSIONS,
        *address_scope.EXTENSIONS,
        *ip_availability.EXTENSIONS,
        *auto_topology.EXTENSIONS,
        *QUOTA_EXTENSIONS,
        *dns.EXTENSIONS,
        *mac.EXTENSIONS,
        *security_group.EXTENSIONS,
        *security_group_rule.EXTENSIONS,
        *security_group_statefulness.EXTENSIONS,
        *default_security_group_rule.EXTENSIONS,
        *address_group.EXTENSIONS,
        *qos.EXTENSIONS,
        *pvlan.EXTENSIONS,
        *port_extras.EXTENSIONS,
        *port_binding.EXTENSIONS,
        *log.EXTENSIONS,
        *segment.EXTENSIONS,
        *segment_range.EXTENSIONS,
        *trunk.EXTENSIONS,
        *taas.EXTENSIONS,
        *vlan_transparent.EXTENSIONS,
        *qinq.EXTENSIONS,
        *local_ip.EXTENSIONS,
        *metering.EXTENSIONS,
        *router.EXTENSIONS,
        *agent_extensions.EXTENSIONS,
        *flavor.EXTENSIONS,
        *service_provider.EXTENSIONS,
        *floatingip.EXTENSIONS,
        *floatingip_pool.EXTENSIONS,
        *port_forwarding.EXTENSIONS,
        *conntrack_helper.EXTENSIONS,
        *ndp_proxy.EXTENSIONS,
    )
}
"""By alias."""
