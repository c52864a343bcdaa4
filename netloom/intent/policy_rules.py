"""The named rules that check strings refer to, and the check strings that several declarations share.

Names and defaults are those of Neutron 2026 (new defaults: admin, manager, member, reader and service roles).
An operator's policy.yaml overrides any of them by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """An oslo.policy check string, and who or what it lets through, in words."""

    check: str
    doc: str


ADMIN = "rule:admin_only"
SERVICE = "rule:service_api"
ADVSVC = "rule:context_is_advsvc"
PROJECT_MANAGER = "role:manager and project_id:%(project_id)s"
PROJECT_MEMBER = "role:member and project_id:%(project_id)s"
PROJECT_READER = "role:reader and project_id:%(project_id)s"
NETWORK_MANAGER = "role:manager and rule:network_owner"
NETWORK_MEMBER = "role:member and rule:network_owner"
NETWORK_READER = "role:reader and rule:network_owner"


def any_of(*checks: str) -> str:
    """One check string that holds where one of `checks` does."""
    return " or ".join(f"({check})" if " " in check else check for check in checks)


ADMIN_OR_SERVICE = any_of(ADMIN, SERVICE)
ADMIN_OR_PARENT_MEMBER = any_of(ADMIN, "role:member and rule:ext_parent_owner")
ADMIN_OR_PARENT_READER = any_of(ADMIN, "role:reader and rule:ext_parent_owner")
ADMIN_OR_MANAGER = any_of(ADMIN, PROJECT_MANAGER)
ADMIN_OR_MEMBER = any_of(ADMIN, PROJECT_MEMBER)
ADMIN_OR_READER = any_of(ADMIN, PROJECT_READER)
_CHOOSES_ADDRESS = any_of(ADMIN, SERVICE, NETWORK_MEMBER)
_CHOOSES_SUBNET = any_of(ADMIN, SERVICE, NETWORK_MEMBER, "rule:shared")
_PAIRS = any_of(ADMIN, NETWORK_MEMBER, SERVICE)

POLICY_RULES: Mapping[str, PolicyRule] = {
    "context_is_admin": PolicyRule("role:admin", "Who administers the cloud."),
    "context_with_global_access": PolicyRule("!", "Who sees the resources of every project without being admin."),
    "context_is_advsvc": PolicyRule("role:advsvc", "The old role of services that make ports for others."),
    "service_api": PolicyRule("role:service", "Services that speak to the API for themselves."),
    "owner": PolicyRule("project_id:%(project_id)s", "The project that owns the object."),
    "admin_only": PolicyRule("rule:context_is_admin", "Administrators."),
    "admin_or_owner": PolicyRule("rule:context_is_admin or rule:owner", "Administrators and the owner."),
    "network_owner": PolicyRule("project_id:%(network:project_id)s", "The owner of the object's network."),
    "admin_or_network_owner": PolicyRule(
        "rule:context_is_admin or rule:network_owner", "Administrators and the network's owner."
    ),
    "admin_owner_or_network_owner": PolicyRule(
        "rule:owner or rule:admin_or_network_owner", "Administrators, the owner and the network's owner."
    ),
    "ext_parent_owner": PolicyRule("project_id:%(ext_parent:project_id)s", "The owner of what the object is part of."),
    "admin_or_ext_parent_owner": PolicyRule(
        "rule:context_is_admin or rule:ext_parent_owner", "Administrators and the owner of what it is part of."
    ),
    "regular_user": PolicyRule("", "Everyone with a token."),
    "default": PolicyRule("rule:admin_or_owner", "What has no rule of its own."),
    # The second half lets the rule hold for what is on a shared network (a port, a subnet), as it does in Neutron.
    "shared": PolicyRule("field:networks:shared=True or True:%(network:shared)s", "Shared networks and all on them."),
    "shared_subnetpools": PolicyRule("field:subnetpools:shared=True", "Subnet pools that the project may use."),
    "shared_address_scopes": PolicyRule("field:address_scopes:shared=True", "Address scopes that the project may use."),
    "external": PolicyRule("field:networks:router:external=True", "External networks."),
    "external_network": PolicyRule("field:subnets:router:external=True", "Subnets of external networks."),
    "admin_or_data_plane_int": PolicyRule(
        "rule:context_is_admin or role:data_plane_integrator", "Administrators and those who watch the data plane."
    ),
    "shared_qos_policy": PolicyRule("field:policies:shared=True", "QoS policies that the project may use."),
    "sg_owner": PolicyRule("project_id:%(security_group:project_id)s", "The owner of a rule's security group."),
    "admin_or_sg_owner": PolicyRule(
        "rule:context_is_admin or project_id:%(security_group:project_id)s",
        "Administrators and the owner of a rule's security group.",
    ),
    "admin_owner_or_sg_owner": PolicyRule(
        "rule:owner or rule:admin_or_sg_owner", "Administrators, the owner and the owner of a rule's security group."
    ),
    "shared_security_group": PolicyRule("field:security_groups:shared=True", "Security groups that are shared."),
    "rule_default_sg": PolicyRule(
        "field:security_group_rules:belongs_to_default_sg=True", "Rules of a project's default security group."
    ),
    "shared_address_groups": PolicyRule("field:address_groups:shared=True", "Address groups that are shared."),
    "network_device": PolicyRule("field:port:device_owner=~^network:", "Ports of the network's own services."),
    "compute_device": PolicyRule("field:port:device_owner=~^compute:", "Ports of instances."),
    "baremetal_device": PolicyRule("field:port:device_owner=~^baremetal:", "Ports of bare-metal machines."),
    "manila_device": PolicyRule("field:port:device_owner=~^manila:", "Ports of file shares."),
    "create_router:external_gateway_info:network_id": PolicyRule(ADMIN_OR_MEMBER, "Give a new router a gateway."),
    "create_router:external_gateway_info:enable_snat": PolicyRule(ADMIN, "Say whether a new router hides addresses."),
    "create_router:external_gateway_info:external_fixed_ips": PolicyRule(ADMIN, "Choose a new gateway's addresses."),
    "update_router:external_gateway_info:network_id": PolicyRule(ADMIN_OR_MEMBER, "Give a router another gateway."),
    "update_router:external_gateway_info:enable_snat": PolicyRule(ADMIN, "Say whether a router hides addresses."),
    "update_router:external_gateway_info:external_fixed_ips": PolicyRule(ADMIN, "Choose a gateway's addresses."),
    "create_port:fixed_ips:ip_address": PolicyRule(_CHOOSES_ADDRESS, "Choose a port's address at creation."),
    "create_port:fixed_ips:subnet_id": PolicyRule(_CHOOSES_SUBNET, "Choose a port's subnet at creation."),
    "update_port:fixed_ips:ip_address": PolicyRule(_CHOOSES_ADDRESS, "Choose a port's address later."),
    "update_port:fixed_ips:subnet_id": PolicyRule(_CHOOSES_SUBNET, "Choose a port's subnet later."),
    "create_port:allowed_address_pairs:mac_address": PolicyRule(_PAIRS, "Give an address pair a MAC at creation."),
    "create_port:allowed_address_pairs:ip_address": PolicyRule(_PAIRS, "Give an address pair an address at creation."),
    "update_port:allowed_address_pairs:mac_address": PolicyRule(_PAIRS, "Give an address pair a MAC later."),
    "update_port:allowed_address_pairs:ip_address": PolicyRule(_PAIRS, "Give an address pair an address later."),
}
"""Every rule that no declaration brings: name → check string and what it is for."""
