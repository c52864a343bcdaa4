"""What a rule of a security group says: its values, how each is parsed, and which of them go together.

Law: a rule that is stored is in its canonical form, so two rules that say the same have the same `same_key`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from ipaddress import ip_interface
from typing import Any

from netloom.intent import kinds
from netloom.intent.errors import ApiError
from netloom.intent.schema import REQUIRED, Doc, Field, Kind

INGRESS, EGRESS = "ingress", "egress"
ETHERTYPES = ("IPv4", "IPv6")
PROTOCOLS: Mapping[str, int] = {
    "ah": 51, "dccp": 33, "egp": 8, "esp": 50, "gre": 47, "hopopt": 0, "icmp": 1, "igmp": 2, "ip": 0, "ipip": 4,
    "ipv6-encap": 41, "ipv6-frag": 44, "ipv6-icmp": 58, "icmpv6": 58, "ipv6-nonxt": 59, "ipv6-opts": 60,
    "ipv6-route": 43, "ospf": 89, "pgm": 113, "rsvp": 46, "sctp": 132, "tcp": 6, "udp": 17, "udplite": 136,
    "vrrp": 112,
}  # fmt: skip
"""Names that the API knows for protocol numbers (IANA, Assigned Internet Protocol Numbers)."""
NAMES: Mapping[str, str] = {str(number): name for name, number in PROTOCOLS.items() if name != "icmpv6"}
ANY = "any"
WITH_PORTS = ("dccp", "sctp", "tcp", "udp", "udplite")
PORT_NUMBERS = frozenset(PROTOCOLS[name] for name in WITH_PORTS)
ICMP, ICMPV6 = 1, 58
OLD_ICMPV6 = ("icmp", "icmpv6")
ONLY_IPV6 = frozenset(name for name in PROTOCOLS if name.startswith("ipv6-")) | {"icmpv6"}
ONLY_IPV6_VALUES = ONLY_IPV6 | {str(PROTOCOLS[name]) for name in ONLY_IPV6}
EVERYWHERE = ("0.0.0.0/0", "::/0", None)
REMOTES = ("remote_ip_prefix", "remote_group_id", "remote_address_group_id")
FIRST_PORT, LAST_PORT = 1, 65535


def refuse(type: str, message: str) -> ApiError:
    return ApiError(400, type, message)


# -- values ------------------------------------------------------------------------------------------------------------


def parse_protocol(value: Any) -> str | None:
    """A name that is known or a number of 0 … 255, as text; None: any protocol."""
    if value is None:
        return None
    text = str(value).strip().lower() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if text == ANY:
        return None
    if text in PROTOCOLS:
        return text
    if text.isascii() and text.isdigit() and len(text) < 8 and int(text) <= 255:
        return str(int(text))
    raise refuse(
        "SecurityGroupRuleInvalidProtocol",
        f"Security group rule protocol {kinds.show(value)} not supported. Only protocol values "
        f"{[None, ANY, *PROTOCOLS]} and integer representations [0 to 255] are supported.",
    )


def parse_ethertype(value: Any) -> str:
    for ethertype in ETHERTYPES:
        if isinstance(value, str) and value.lower() == ethertype.lower():
            return ethertype
    raise refuse(
        "SecurityGroupRuleInvalidEtherType",
        f"Security group rule for ethertype '{kinds.show(value)}' not supported. Allowed values are "
        f"{list(ETHERTYPES)}.",
    )


def parse_port_value(value: Any) -> int | None:
    """A port, an ICMP type or an ICMP code; None where nothing is said."""
    if value is None:
        return None
    try:
        number = kinds.parse_any_int(value)
    except ValueError:
        number = -1
    if 0 <= number <= LAST_PORT:
        return number
    raise bad_port(value)


def bad_port(value: Any) -> ApiError:
    return refuse("SecurityGroupInvalidPortValue", f"Invalid value for port {kinds.show(value)}")


def parse_prefix(value: Any) -> str | None:
    """A prefix as it was given, host bits and all; an address is a prefix of full length."""
    if value is None or value == "":
        return None
    try:
        if not isinstance(value, str) or "%" in value:
            raise ValueError
        return ip_interface(value).with_prefixlen
    except ValueError:
        raise refuse("InvalidCIDR", f"Invalid CIDR {kinds.show(value)} given as IP prefix.") from None


def normalize_prefix(prefix: str | None) -> str | None:
    """The prefix without host bits."""
    return None if prefix is None else str(ip_interface(prefix).network)


def parse_reference(value: Any) -> str | None:
    """An id of something that may or may not be there: what is no id is simply not there."""
    return None if value is None or value == "" else kinds.parse_short_text(value)


DIRECTION = kinds.choice_kind(INGRESS, EGRESS)
ETHERTYPE = Kind("ethertype", parse_ethertype, {"type": "string", "enum": list(ETHERTYPES)})
PROTOCOL = Kind(
    "protocol",
    parse_protocol,
    {
        "anyOf": [
            {"type": "null"},
            {"type": "integer", "minimum": 0, "maximum": 255},
            {"type": "string", "enum": [ANY, *PROTOCOLS]},
            {"type": "string", "pattern": "^(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])$"},
        ]
    },
)
PORT_VALUE = Kind(
    "port", parse_port_value, {"type": ["integer", "null"], "minimum": 0, "maximum": LAST_PORT}, kinds.filter_int
)
PREFIX = Kind("prefix", parse_prefix, {"type": ["string", "null"], "format": "cidr"})
REFERENCE = Kind("reference", parse_reference, {"type": ["string", "null"], "maxLength": 255})


# -- what goes together ------------------------------------------------------------------------------------------------


def check_rule(body: Doc) -> dict[str, Any]:
    """The rule in its canonical form. Raises ApiError 400 for values that contradict each other."""
    rule = {**body, "protocol": name_icmpv6(body["protocol"], body["ethertype"])}
    if (rule["port_range_min"], rule["port_range_max"]) == (FIRST_PORT, LAST_PORT):
        rule["port_range_min"] = rule["port_range_max"] = None
    check_ports(rule)
    prefix, ethertype, protocol = rule["remote_ip_prefix"], rule["ethertype"], rule["protocol"]
    if prefix and f"IPv{ip_interface(prefix).version}" != ethertype:
        raise refuse("SecurityGroupRuleParameterConflict", f"Conflicting value ethertype {ethertype} for CIDR {prefix}")
    if ethertype == "IPv4" and protocol in ONLY_IPV6_VALUES:
        raise refuse(
            "SecurityGroupEthertypeConflictWithProtocol", f"Invalid ethertype {ethertype} for protocol {protocol}."
        )
    if sum(bool(rule[name]) for name in REMOTES) > 1:
        raise refuse("SecurityGroupMultipleRemoteEntites", f"Only one of {' or '.join(REMOTES)} may be provided.")
    return rule


def name_icmpv6(protocol: str | None, ethertype: str) -> str | None:
    """ICMP of IPv6 by its own name or number, whatever it was called."""
    if ethertype != "IPv6":
        return protocol
    return {"icmp": "ipv6-icmp", "icmpv6": "ipv6-icmp", "1": "58"}.get(protocol or "", protocol)


def find_number(protocol: str) -> int:
    return PROTOCOLS[protocol] if protocol in PROTOCOLS else int(protocol)


def check_ports(rule: Doc) -> None:
    low, high, protocol = rule["port_range_min"], rule["port_range_max"], rule["protocol"]
    if low is None and high is None:
        return
    if not protocol:
        raise refuse("SecurityGroupProtocolRequiredWithPorts", "A port range needs a protocol, which is not given.")
    number = find_number(protocol)
    if number in PORT_NUMBERS:
        check_range(low, high)
    elif number in (ICMP, ICMPV6):
        check_icmp(low, high)
    else:
        raise refuse(
            "SecurityGroupInvalidProtocolForPort",
            f"Ports cannot be specified for protocol {number}. Ports are only supported for "
            f"{', '.join(WITH_PORTS).upper()}.",
        )


def check_range(low: int | None, high: int | None) -> None:
    if low == 0 or high == 0:
        raise bad_port(0)
    if low is None or high is None or low > high:
        raise refuse("SecurityGroupInvalidPortRange", "For TCP/UDP protocols, port_range_min must be <= port_range_max")


def check_icmp(type: int | None, code: int | None) -> None:
    """A type, or a type and a code; RFC 792, RFC 4443."""
    for field, attribute, value in (("type", "port_range_min", type), ("code", "port_range_max", code)):
        if value is not None and value > 255:
            raise refuse(
                "SecurityGroupInvalidIcmpValue",
                f"Invalid value for ICMP {field} ({attribute}) {value}. It must be 0 to 255.",
            )
    if type is None:
        raise refuse(
            "SecurityGroupMissingIcmpType",
            f"ICMP code (port-range-max) {code} is provided but ICMP type (port-range-min) is missing.",
        )


def same_key(rule: Doc) -> tuple[Hashable, ...]:
    """What two rules of a group have in common where they say the same."""
    protocol = rule["protocol"]
    prefix = rule["remote_ip_prefix"]
    return (
        rule["direction"], rule["ethertype"], NAMES.get(protocol, protocol), rule["port_range_min"],
        rule["port_range_max"], None if prefix in EVERYWHERE else prefix, rule["remote_group_id"],
        rule["remote_address_group_id"],
    )  # fmt: skip


def rule_fields(remote_group: str) -> tuple[Field, ...]:
    """The attributes that say what a rule lets through; `remote_group` says what remote_group_id stands for."""
    return (
        Field("direction", DIRECTION, "ingress or egress, as the port sees it.", REQUIRED, sort=True),
        Field("ethertype", ETHERTYPE, "IPv4 or IPv6.", "IPv4", sort=True),
        Field("protocol", PROTOCOL, "A protocol by name or number; null or any: all of them.", None, sort=True),
        Field("port_range_min", PORT_VALUE, "The first port, or the ICMP type.", None, sort=True),
        Field("port_range_max", PORT_VALUE, "The last port, or the ICMP code.", None, sort=True),
        Field("remote_ip_prefix", PREFIX, "Whom it lets speak: a prefix.", None, sort=True),
        Field("remote_group_id", REFERENCE, remote_group, None, sort=True),
        Field(
            "remote_address_group_id",
            REFERENCE,
            "Whom it lets speak: the addresses of an address group.",
            None,
            sort=True,
            alias="security-groups-remote-address-group",
        ),
    )
