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
    "regular_user": PolicyRule("", "Everyone with a token."),
    "default": PolicyRule("rule:admin_or_owner", "What has no rule of its own."),
    # The second half lets the rule hold for what is on a shared network (a port, a subnet), as it does in Neutron.
    "shared": PolicyRule("field:networks:shared=True or True:%(network:shared)s", "Shared networks and all on them."),
    "external": PolicyRule("field:networks:router:external=True", "External networks."),
    "external_network": PolicyRule("field:subnets:router:external=True", "Subnets of external networks."),
    "network_device": PolicyRule("field:port:device_owner=~^network:", "Ports of the network's own services."),
    "compute_device": PolicyRule("field:port:device_owner=~^compute:", "Ports of instances."),
    "baremetal_device": PolicyRule("field:port:device_owner=~^baremetal:", "Ports of bare-metal machines."),
    "manila_device": PolicyRule("field:port:device_owner=~^manila:", "Ports of file shares."),
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
