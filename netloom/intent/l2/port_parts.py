"""The attributes of a port that are lists of objects: allowed address pairs and extra DHCP options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netloom.intent import kinds
from netloom.intent.blocks import overlap
from netloom.intent.errors import ApiError, bad_request, conflict, invalid_operation
from netloom.intent.operation import Settings
from netloom.intent.schema import Kind
from netloom.model.address import ip_version, parse_ip

MULTICAST = {4: "224.0.0.0/4", 6: "ff00::/8"}
"""RFC 5771 and RFC 4291 section 2.7."""
BLANK_OPTIONS = ("router", "classless-static-route")
"""Options that mean something without a value: none of it."""


# -- allowed address pairs ---------------------------------------------------------------------------------------------


def parse_pairs(value: Any) -> list[dict[str, str]]:
    """Pairs as given; a MAC that is not given is the port's, filled in later."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise bad_request("Allowed address pairs must be a list.")
    pairs = [parse_pair(pair) for pair in value]
    refuse_same_pair(pairs)
    return pairs


def parse_pair(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError(f"'{kinds.show(value)}' is not a dictionary")
    unknown = sorted(kinds.show(name) for name in value if name not in ("mac_address", "ip_address"))
    if unknown:
        raise bad_request(f"Unrecognized attribute(s) '{', '.join(unknown)}'")
    if "ip_address" not in value:
        raise invalid_operation("AllowedAddressPair must contain ip_address", type="AllowedAddressPairsMissingIP")
    pair = {"ip_address": parse_pair_ip(value["ip_address"])}
    if value.get("mac_address") is not None:
        pair["mac_address"] = kinds.parse_mac_address(value["mac_address"])
    return pair


def parse_pair_ip(value: Any) -> str:
    """An address or a prefix, in its canonical form; a multicast one is nobody's."""
    if isinstance(value, str) and "/" in value:
        try:
            value = kinds.parse_cidr(value)
        except ValueError:
            raise ValueError(f"'{kinds.show(value)}' is not a valid IP subnet") from None
        refuse_multicast(value)
    else:
        value = kinds.parse_ip_address(value)
        if parse_ip(value).is_multicast:
            raise ValueError(f"IP {value} is a multicast address, which is not supported")
    return str(value)


def refuse_multicast(cidr: str) -> None:
    """A prefix that holds multicast addresses is refused; all of IPv4 is not, as it means "any"."""
    multicast = MULTICAST[ip_version(cidr)]
    if cidr != "0.0.0.0/0" and overlap([cidr], [multicast]):
        raise ValueError(f"Subnet {cidr} overlaps with multicast range {multicast}, which is not supported")


def refuse_same_pair(pairs: Sequence[Mapping[str, str]]) -> None:
    seen = set()
    for pair in pairs:
        key = (pair.get("mac_address"), pair["ip_address"])
        if key in seen:
            raise invalid_operation(
                f"Request contains duplicate address pair: mac_address {key[0]} ip_address {key[1]}",
                type="DuplicateAddressPairInRequest",
            )
        seen.add(key)


def decide_pairs(
    given: Sequence[Mapping[str, str]], mac: str, secure: bool, settings: Settings
) -> list[dict[str, str]]:
    """The pairs of a port with this MAC. Without port security there is nothing to allow, so pairs are refused."""
    if not given:
        return []
    if len(given) > settings.max_allowed_address_pair:
        raise ApiError(
            400, "AllowedAddressPairExhausted",
            f"The number of allowed address pair exceeds the maximum {settings.max_allowed_address_pair}.",
        )  # fmt: skip
    if not secure:
        raise conflict(
            "AddressPairAndPortSecurityRequired",
            "Port Security must be enabled in order to have allowed address pairs on a port.",
        )
    pairs = [{"mac_address": pair.get("mac_address", mac), "ip_address": pair["ip_address"]} for pair in given]
    refuse_same_pair(pairs)
    return pairs


# -- extra DHCP options ------------------------------------------------------------------------------------------------


def parse_options(value: Any) -> list[dict[str, Any]]:
    """Options as given; opt_value None takes one away."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f"'{kinds.show(value)}' is not a list")
    options = [parse_option(option) for option in value]
    kinds.refuse_repeats(options, "Duplicate items in the list: '{}'")
    return options


def parse_option(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"'{kinds.show(value)}' is not a dictionary")
    good = {"opt_name", "opt_value"} <= value.keys() <= {"opt_name", "opt_value", "ip_version"}
    name, text, version = value.get("opt_name"), value.get("opt_value"), value.get("ip_version", 4)
    if not (good and is_line(name, 64) and is_option_value(str(name), text) and str(version) in ("4", "6")):
        raise invalid_operation(f"extra_dhcp_opts: No valid key specs matched for: {kinds.show(value)}")
    return {"opt_name": name, "opt_value": text, "ip_version": int(version)}


def is_line(value: Any, limit: int) -> bool:
    """One line of text that is not blank."""
    fits = isinstance(value, str) and 0 < len(value) <= limit and bool(value.strip()) and len(value.splitlines()) == 1
    return fits and kinds.refuse_control(value) == value


def is_option_value(name: str, value: Any) -> bool:
    return value is None or (value == "" and name in BLANK_OPTIONS) or is_line(value, 255)


def merge_options(old: Sequence[Mapping[str, Any]], given: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The options after an update: given ones replace those of their name and version, None takes one away."""
    merged = {(o["opt_name"], o["ip_version"]): dict(o) for o in old}
    for option in given:
        key = (option["opt_name"], option["ip_version"])
        if option["opt_value"] is None:
            merged.pop(key, None)
        else:
            merged[key] = dict(option)
    return list(merged.values())


_TEXT = {"type": "string", "maxLength": 255}
PAIRS = Kind(
    "allowed_address_pairs",
    parse_pairs,
    kinds.array_of(
        {"mac_address": {"type": ["string", "null"], "format": "mac"}, "ip_address": _TEXT},
        ("ip_address",),
        nullable=True,
    ),
)
OPTIONS = Kind(
    "extra_dhcp_opts",
    parse_options,
    kinds.array_of(
        {
            "opt_name": {"type": "string", "minLength": 1, "maxLength": 64},
            "opt_value": {"type": ["string", "null"], "maxLength": 255},
            "ip_version": {"type": "integer", "enum": [4, 6]},
        },
        ("opt_name", "opt_value"),
        nullable=True,
    ),
)
