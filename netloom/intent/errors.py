"""Errors as the Networking API answers them: a status, a type, and a message that names the field and the mend."""

from __future__ import annotations

from collections.abc import Mapping


class ApiError(Exception):
    """A request that cannot be served. Rendered as {"NeutronError": {"type", "message", "detail"}}.

    `retry_after_s`: after how many seconds the same request may fare better; 0: nothing is known of that.
    """

    def __init__(self, status: int, type: str, message: str, detail: str = "", retry_after_s: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.message = message
        self.detail = detail
        self.retry_after_s = retry_after_s


class ConversionError(ValueError):
    """A value of the wrong type, as against one that is out of bounds: the API answers another error type to it."""


def invalid_input(attribute: str, reason: str) -> ApiError:
    return ApiError(400, "HTTPBadRequest", f"Invalid input for {attribute}. Reason: {reason}.")


def bad_request(message: str) -> ApiError:
    return ApiError(400, "HTTPBadRequest", message)


MISSING: Mapping[str, tuple[str, str]] = {
    "address_scope": ("AddressScopeNotFound", "Address scope {} could not be found."),
    "address_group": ("AddressGroupNotFound", "Address group {} could not be found."),
    "binding": ("PortBindingNotFound", "Binding for host {} could not be found."),
    "bandwidth_limit_rule": ("QosRuleNotFound", "QoS rule {} could not be found."),
    "dscp_marking_rule": ("QosRuleNotFound", "QoS rule {} could not be found."),
    "minimum_bandwidth_rule": ("QosRuleNotFound", "QoS rule {} could not be found."),
    "minimum_packet_rate_rule": ("QosRuleNotFound", "QoS rule {} could not be found."),
    "packet_rate_limit_rule": ("QosRuleNotFound", "QoS rule {} could not be found."),
    "conntrack_helper": ("ConntrackHelperNotFound", "Conntrack Helper {} could not be found."),
    "default_security_group_rule": (
        "DefaultSecurityGroupRuleNotFound",
        "Default Security Group rule {} does not exist",
    ),
    "floatingip": ("FloatingIPNotFound", "Floating IP {} could not be found"),
    "local_ip": ("LocalIPNotFound", "Local IP {} could not be found."),
    "log": ("LogResourceNotFound", "Log {} could not be found."),
    "metering_label": ("MeteringLabelNotFound", "Metering label '{}' does not exist."),
    "metering_label_rule": ("MeteringLabelRuleNotFound", "Metering label rule '{}' does not exist."),
    "ndp_proxy": ("NDPProxyNotFound", "Ndp proxy {} could not be found."),
    "network_ip_availability": ("NetworkNotFound", "Network {} could not be found."),
    "network_segment_range": ("NetworkSegmentRangeNotFound", "Network Segment Range {} could not be found."),
    "policy": ("QosPolicyNotFound", "QoS policy {} could not be found."),
    "port_association": (
        "LocalIPAssociationNotFound",
        "Local IP association with port {} could not be found.",
    ),
    "port_forwarding": ("PortForwardingNotFound", "Port Forwarding {} could not be found."),
    "rbac_policy": ("RbacPolicyNotFound", "RBAC policy with ID {} not found"),
    "security_group": ("SecurityGroupNotFound", "Security group {} does not exist"),
    "security_group_rule": ("SecurityGroupRuleNotFound", "Security group rule {} does not exist"),
    "security_groups_default_statefulness": (
        "SecurityGroupDefaultStatefulnessNotFound",
        "Security group default statefulness {} could not be found.",
    ),
    "service_profile": ("ServiceProfileNotFound", "Service Profile {} could not be found."),
    "subnetpool": ("SubnetPoolNotFound", "Subnet pool {} could not be found."),
}
"""(error type, message) of the kinds whose 404 is not simply made of their name."""


def not_found(name: str, id: str) -> ApiError:
    """The 404 of a kind: ("port", id) → PortNotFound."""
    camel = "".join(part.capitalize() for part in name.split("_"))
    words = camel if "_" in name else name.capitalize()
    type, message = MISSING.get(name, (f"{camel}NotFound", f"{words} {{}} could not be found."))
    return ApiError(404, type, message.format(id))


def invalid_operation(reason: str, type: str = "InvalidInput") -> ApiError:
    """A request whose parts do not go together, or not with what is there."""
    return ApiError(400, type, f"Invalid input for operation: {reason.rstrip('.')}.")


def bad_resource(collection: str, reason: str) -> ApiError:
    return ApiError(400, "BadRequest", f"Bad {collection} request: {reason}.")


def conflict(type: str, message: str) -> ApiError:
    return ApiError(409, type, message)
