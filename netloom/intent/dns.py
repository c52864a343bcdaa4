"""Names of hosts and domains: how they are parsed, and which one each address of a port has."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from netloom.intent.errors import ConversionError
from netloom.intent.kinds import array_of, show
from netloom.intent.operation import Settings
from netloom.intent.schema import Kind


def dns_parser(limit: int) -> Callable[[Any], str]:
    """A host or domain name, lower case (RFC 952, RFC 1123 section 2.1); empty is none."""

    def parse_dns(value: Any) -> str:
        if not isinstance(value, str):
            raise ConversionError(f"Input value {show(value)} must be string type")
        low = value.lower()
        reason = find_dns_fault(low, limit)
        if reason:
            raise ValueError(f"'{show(low)}' not a valid PQDN or FQDN. Reason: {reason}")
        return low

    return parse_dns


_LABEL = re.compile(r"^[a-z0-9-]{1,63}\Z")


def find_dns_fault(name: str, limit: int) -> str:
    """What is wrong with a name; empty: nothing. A period at the end says that it is fully qualified."""
    if not name:
        return ""
    trimmed = name.removesuffix(".")
    if len(trimmed) > limit:
        return f"'{show(trimmed)}' exceeds the {limit} character FQDN limit"
    labels = trimmed.split(".")
    for label in labels:
        if not label:
            return "Encountered an empty component"
        if label.startswith("-") or label.endswith("-"):
            return f"Name '{show(label)}' must not start or end with a hyphen"
        if not _LABEL.match(label):
            return (
                f"Name '{show(label)}' must be 1-63 characters long, each of which can only be alphanumeric or a hyphen"
            )
    if len(labels) > 1 and labels[-1].isdigit():
        return f"TLD '{labels[-1]}' must not be all numeric"
    return ""


DNS_NAME = Kind("dns_name", dns_parser(255), {"type": "string", "maxLength": 255})
DNS_DOMAIN = Kind("dns_domain", dns_parser(255), {"type": "string", "maxLength": 255})
DNS_ASSIGNMENT = Kind(
    "dns_assignment",
    lambda value: value,
    array_of({"ip_address": {"type": "string"}, "hostname": {"type": "string"}, "fqdn": {"type": "string"}}),
)


def assign_name(dns_name: str, ip: str, settings: Settings) -> dict[str, str]:
    """The name of one address: the port's, or one made of the address, in the domain of the option dns_domain."""
    hostname = dns_name.removesuffix(".").split(".")[0] or "host-" + ip.replace(".", "-").replace(":", "-")
    domain = settings.dns_domain.removesuffix(".")
    fqdn = f"{hostname}.{domain}." if domain else hostname
    if dns_name.endswith("."):
        fqdn = dns_name
    return {"ip_address": ip, "hostname": hostname, "fqdn": fqdn}
