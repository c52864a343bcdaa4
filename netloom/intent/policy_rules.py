"""The named policy rules that the declarations' check strings refer to, as data: Neutron's names and today's defaults.

Source: the policy reference of the Networking service. An operator's policy.yaml overrides any of them by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """An oslo.policy check string, and who it lets through in words."""

    check: str
    doc: str


POLICY_RULES: Mapping[str, PolicyRule] = {
    "context_is_admin": PolicyRule("role:admin", "Who is an administrator."),
    "service_api": PolicyRule("role:service", "Other services of the cloud, such as Nova."),
    "context_is_advsvc": PolicyRule("role:advsvc", "Advanced network services."),
    "admin_only": PolicyRule("rule:context_is_admin", "Administrators alone."),
    "owner": PolicyRule("tenant_id:%(tenant_id)s", "The project that owns the object."),
    "admin_or_owner": PolicyRule("rule:context_is_admin or rule:owner", "Administrators and the owning project."),
    "regular_user": PolicyRule("", "Anyone with a token."),
    "network_owner": PolicyRule("tenant_id:%(network:tenant_id)s", "The project that owns the object's network."),
    "shared": PolicyRule("field:networks:shared=True", "Something that every project may use."),
    "external": PolicyRule("field:networks:router:external=True", "A network that leads outside."),
    "external_network": PolicyRule("field:subnets:router:external=True", "A subnet of a network that leads outside."),
    "network_device": PolicyRule("field:port:device_owner=~^network:", "A port of the network's own devices."),
}


def any_of(*checks: str) -> str:
    """Passes where one of the checks does."""
    return " or ".join(f"({check})" for check in checks)


ADMIN = "rule:admin_only"
SERVICE = "rule:service_api"
ADVSVC = "rule:context_is_advsvc"
PROJECT_MANAGER = "role:manager and project_id:%(project_id)s"
PROJECT_MEMBER = "role:member and project_id:%(project_id)s"
PROJECT_READER = "role:reader and project_id:%(project_id)s"
NETWORK_MANAGER = "role:manager and rule:network_owner"
NETWORK_MEMBER = "role:member and rule:network_owner"
NETWORK_READER = "role:reader and rule:network_owner"
ADMIN_OR_SERVICE = any_of(ADMIN, SERVICE)
ADMIN_OR_MANAGER = any_of(ADMIN, PROJECT_MANAGER)
ADMIN_OR_MEMBER = any_of(ADMIN, PROJECT_MEMBER)
ADMIN_OR_READER = any_of(ADMIN, PROJECT_READER)
