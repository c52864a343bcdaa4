"""The list filters of ports that are not 'attribute equals value'."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from netloom.intent.kinds import parse_ip_address
from netloom.intent.schema import Doc, Filter
from netloom.intent.stamp import STANDARD_FILTERS


def split_values(values: Sequence[str]) -> dict[str, list[str]]:
    """{"ip_address": […], "subnet_id": […]} of fixed_ips=ip_address=…&fixed_ips=subnet_id=…

    Raises ValueError with the reason that the API prints for anything else.
    """
    found: dict[str, list[str]] = {}
    for value in values:
        key, equals, wanted = value.partition("=")
        key = key.strip()
        if not equals or not key:
            raise ValueError(f"'{value}' is not of the form <key>=[value]")
        if key not in ("ip_address", "ip_address_substr", "subnet_id"):
            raise ValueError(f"'{key}' is not one of ip_address, ip_address_substr, subnet_id")
        found.setdefault(key, []).append(canonical(key, wanted.strip()))
    return found


def canonical(key: str, wanted: str) -> str:
    if key != "ip_address":
        return wanted
    try:
        return parse_ip_address(wanted)
    except ValueError:
        return wanted


def match_fixed_ips(doc: Doc, values: Sequence[str]) -> bool:
    """Each key that is given is met by one of the port's addresses, not necessarily the same one, as in Neutron."""
    wanted = split_values(values)
    fixed_ips = doc["fixed_ips"]
    return (
        ("ip_address" not in wanted or any(f["ip_address"] in wanted["ip_address"] for f in fixed_ips))
        and ("subnet_id" not in wanted or any(f["subnet_id"] in wanted["subnet_id"] for f in fixed_ips))
        and (
            "ip_address_substr" not in wanted
            or any(part in f["ip_address"] for f in fixed_ips for part in wanted["ip_address_substr"])
        )
    )


def find_fixed_ips(values: Sequence[str]) -> tuple[str, Sequence[Hashable]] | None:
    wanted = split_values(values)
    for key in ("ip_address", "subnet_id"):
        if key in wanted:
            return key, wanted[key]
    return None


PORT_FILTERS = (
    Filter("fixed_ips", match_fixed_ips, "ip_address=…, subnet_id=… or ip_address_substr=…", find_fixed_ips),
    *STANDARD_FILTERS,
)
