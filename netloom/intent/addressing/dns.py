"""Names of hosts and domains: how they are parsed, and which one each address of a port has.

A domain may hold keywords (<project_id>); they stand for what is known when the domain is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from netloom.intent.draft import Draft
from netloom.intent.errors import ConversionError, invalid_input
from netloom.intent.extension import Extension
from netloom.intent.kinds import BOOL, array_of, parse_short_text, show
from netloom.intent.operation import Settings
from netloom.intent.part import NOTHING, Part, Values
from netloom.intent.schema import Doc, Field, Kind

DEFAULT_DOMAIN = "openstacklocal"
"""What the option dns_domain is where nobody set it: no domain that a name must be in."""
MAX_NAME = 255


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


KEYWORDS = ("project_id", "project_name", "user_name", "user_id")
_LABEL = re.compile(rf"^([a-z0-9-]{{1,63}}|<({'|'.join(KEYWORDS)})>)\Z")


def parse_domain(value: Any) -> str:
    """A domain, lower case, with a period at its end; empty is none."""
    text: str = parse_short_text(value.lower() if isinstance(value, str) else value)
    if text and not text.endswith("."):
        raise ValueError(f"'{show(text)}' is not a FQDN")
    domain: str = _parse_name(text)
    if len(domain) > MAX_NAME - 2:
        raise ValueError(
            f"'{show(domain)}' contains {len(domain)} characters. Adding a sub-domain will cause it to exceed the "
            f"maximum length of a FQDN of '{MAX_NAME}'"
        )
    return domain


def parse_relative(value: Any) -> str:
    """A name that a domain is yet to be put behind, lower case; empty is none."""
    name: str = parse_short_text(value.lower() if isinstance(value, str) else value)
    if name.endswith("."):
        raise ValueError(f"'{show(name)}' is a FQDN. It should be a relative domain name")
    parsed: str = _parse_name(name)
    if len(parsed) > MAX_NAME - 3:
        raise ValueError(
            f"'{show(parsed)}' contains {len(parsed)} characters. Adding a domain name will cause it to exceed the "
            f"maximum length of a FQDN of '{MAX_NAME}'"
        )
    return parsed


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


def check_name(name: str, settings: Settings) -> None:
    """A port's name and the site's domain make a name that can be; a full name is in that domain."""
    domain = settings.dns_domain.removesuffix(".")
    if not name or domain in ("", DEFAULT_DOMAIN):
        return
    above = f".{domain}."
    if not name.endswith("."):
        if len(name) + len(above) > MAX_NAME:
            raise invalid_input(
                "dns_name",
                f"The dns_name passed is a PQDN and its size is '{len(name)}'. The dns_domain option in "
                f"neutron.conf is set to {domain}, with a length of '{len(above) - 1}'. When the two are "
                "concatenated to form a FQDN (with a '.' at the end), the resulting length exceeds the maximum size "
                f"of '{MAX_NAME}'",
            )
    elif not name.endswith(above):
        raise invalid_input(
            "dns_name",
            "The dns_name passed is a FQDN. Its higher level labels must be equal to the dns_domain option in "
            f"neutron.conf, that has been set to '{domain}'. It must also include one or more valid DNS labels to the "
            f"left of '{domain}'",
        )


def find_domain(network: Doc) -> str:
    """The domain that a network's hosts are in, its keywords filled in; empty: the site's, as where one is unknown.

    A project's id may be any text that an administrator chose; one that is no part of a name makes none.
    """
    domain: str = (network.get("dns_domain") or "").replace("<project_id>", network["project_id"])
    return "" if "<" in domain or find_dns_fault(domain.lower(), MAX_NAME) else domain


_parse_name = dns_parser(MAX_NAME)
_DOMAIN_SCHEMA = {"type": "string", "maxLength": MAX_NAME - 2}
DNS_NAME = Kind("dns_name", _parse_name, {"type": "string", "maxLength": MAX_NAME})
RELATIVE_NAME = Kind("dns_name", parse_relative, {"type": "string", "maxLength": MAX_NAME - 3})
DNS_DOMAIN = Kind("dns_domain", parse_domain, _DOMAIN_SCHEMA)
DNS_ASSIGNMENT = Kind(
    "dns_assignment",
    lambda value: value,
    array_of({"ip_address": {"type": "string"}, "hostname": {"type": "string"}, "fqdn": {"type": "string"}}),
)


def assign_name(dns_name: str, ip: str, settings: Settings) -> dict[str, str]:
    """The name of one address: the port's, or one made of the address, in the domain of the option dns_domain."""
    hostname = dns_name or "host-" + ip.replace(".", "-").replace(":", "-")
    domain = settings.dns_domain.removesuffix(".")
    fqdn = f"{hostname}.{domain}." if domain else hostname
    if dns_name.endswith("."):
        fqdn = dns_name
    return {"ip_address": ip, "hostname": hostname, "fqdn": fqdn}


# -- what names bring to ports and subnets -----------------------------------------------------------------------------


def create(draft: Draft, doc: Doc) -> Values:
    check_name(doc["dns_name"], draft.context.settings)
    return NOTHING


def update(draft: Draft, old: Doc, new: Doc, changes: Doc) -> Values:
    if "dns_name" in changes:
        check_name(new["dns_name"], draft.context.settings)
    return NOTHING


PORT_PART = Part(
    fields=(
        Field(
            "dns_domain",
            DNS_DOMAIN,
            "The domain of its name, for a DNS service outside.",
            "",
            put=True,
            filter=False,
            alias="dns-domain-ports",
        ),
    ),
    create=create,
    update=update,
)

SUBNET_PART = Part(
    fields=(
        Field(
            "dns_publish_fixed_ip",
            BOOL,
            "Whether a DNS service outside is told of addresses here.",
            False,
            put=True,
            filter=False,
            alias="subnet-dns-publish-fixed-ip",
        ),
    )
)

EXTENSIONS = (
    Extension("dns-domain-ports", "dns_domain for ports", "Domains of single ports.", "2017-04-24T10:00:00-00:00"),
    Extension(
        "dns-integration-domain-keywords",
        "DNS domain names with keywords allowed",
        "Domains may hold <project_id> and the like.",
        "2020-06-15T18:00:00-00:00",
    ),
    Extension(
        "subnet-dns-publish-fixed-ip",
        "Subnet DNS publish fixed IP",
        "Which subnets' addresses are for a DNS service outside.",
        "2019-05-24T10:00:00-00:00",
    ),
)
