"""The kinds of value that attributes have: how each is parsed, filtered by and described in OpenAPI.

`parse` raises ValueError with the reason that the Networking API prints after "Invalid input for <attribute>. Reason:",
or ConversionError where the API calls the value one of the wrong type.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Any

from netloom.intent.errors import ConversionError
from netloom.intent.schema import Kind
from netloom.model.address import parse_mac

_UUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
_PLAIN_UUID = re.compile(r"^[0-9a-f]{32}\Z")
"""An id without dashes is one as well, as in Neutron; of our objects none has such an id, so it is simply not there."""
_TRUE, _FALSE = ("1", "t", "true", "on", "y", "yes"), ("0", "f", "false", "off", "n", "no")
_SHOWN = 200
"""How much of a bad value an error repeats."""

Parse = Callable[[Any], Any]


def show(value: Any) -> str:
    """A value as an error message repeats it: shortened, and fit for JSON and terminals."""
    text = value if isinstance(value, str) else repr(value)
    text = text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


# -- single values -----------------------------------------------------------------------------------------------------


def parse_uuid(value: Any) -> str:
    if isinstance(value, str):
        low = value.lower()
        if _UUID.match(low) or _PLAIN_UUID.match(low):
            return low
    raise ValueError(f"'{show(value)}' is not a valid UUID")


def parse_bool(value: Any) -> bool:
    if value is True or value is False:
        return bool(value)
    text = str(value).strip().lower() if isinstance(value, str | int) else ""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ConversionError(f"'{show(value)}' cannot be converted to boolean")


def refuse_control(value: str) -> str:
    """Text that SQL, JSON and terminals all carry: no NUL, no lone surrogate."""
    if (not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value)) or "\x00" in value:
        raise ValueError(f"'{show(value)}' is not a valid string")
    return value


def text_parser(limit: int) -> Parse:
    def parse_text(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError(f"'{show(value)}' is not a valid string")
        if len(value) > limit:
            raise ValueError(f"'{show(value)}' exceeds maximum length of {limit}")
        return refuse_control(value)

    return parse_text


parse_short_text = text_parser(255)


def parse_name(value: Any) -> str:
    """A name: characters that print, and none that does not at either end."""
    text: str = parse_short_text(value)
    if text == text.strip() and (text.isprintable() or all(is_printable(c) for c in text)):
        return text
    raise ValueError(f"'{show(value)}' is not a valid string")


def is_printable(character: str) -> bool:
    category = unicodedata.category(character)
    return category == "Zs" or category[0] not in "CZ"


def int_parser(low: int, high: int) -> Parse:
    def parse_int(value: Any) -> int:
        number = parse_any_int(value)
        if number < 0 <= low:
            raise ValueError(f"'{show(value)}' should be non-negative")
        if number < low:
            raise ValueError(f"'{show(value)}' is too small - must be at least '{low}'")
        if number > high:
            raise ValueError(f"'{show(value)}' is too large - must be no larger than '{high}'")
        return number

    return parse_int


def parse_any_int(value: Any) -> int:
    """What Neutron takes for an integer: a number, cut off after the point, true and false, or digits."""
    if isinstance(value, int | float | str) and len(str(value)) <= 40:
        try:
            return int(value)
        except (ValueError, OverflowError):
            pass
    raise ConversionError(f"'{show(value)}' is not an integer")


def or_none(parse: Parse) -> Parse:
    return lambda value: None if value is None else parse(value)


def parse_mac_address(value: Any) -> str:
    """A unicast address of a station, in its canonical form."""
    try:
        mac = parse_mac(value if isinstance(value, str) else "")
    except ValueError:
        mac = None
    if mac is None or mac == "00:00:00:00:00:00" or int(mac[1], 16) & 1:
        raise ValueError(f"'{show(value)}' is not a valid MAC address")
    return mac


def parse_ip_address(value: Any) -> str:
    if not isinstance(value, str) or "%" in value:
        raise ValueError(f"'{show(value)}' is not a valid IP address")
    try:
        return str(ip_address(value))
    except ValueError:
        raise refuse_address(value) from None


def refuse_address(value: str) -> ValueError:
    """Leading zeros are neither octal nor decimal for certain: the error says how to write the address."""
    parts = value.split(".")
    if len(parts) == 4 and all(p.isascii() and p.isdigit() and len(p) < 9 and int(p) < 256 for p in parts):
        better = IPv4Address(".".join(str(int(p)) for p in parts))
        return ValueError(f"'{value}' is not an accepted IP address, '{better}' is recommended")
    return ValueError(f"'{show(value)}' is not a valid IP address")


def parse_cidr(value: Any) -> str:
    """A prefix. A plain address is one of full length; host bits are dropped, as Neutron does with a subnet's cidr."""
    if not isinstance(value, str) or "%" in value or not value.strip():
        raise ConversionError(f"{show(value)} is not in a CIDR format")
    try:
        return str(ip_network(value, strict=False))
    except ValueError:
        raise ConversionError(f"{show(value)} is not in a CIDR format") from None


def parse_route_destination(value: Any) -> str:
    try:
        if not isinstance(value, str) or "/" not in value or "%" in value:
            raise ValueError
        net = ip_network(value)
    except ValueError:
        raise ValueError(f"'{show(value)}' is not a valid CIDR") from None
    if net.is_loopback:
        raise ValueError(f"'{value}' is not a routable CIDR")
    return str(net)


def choice_parser(allowed: Sequence[Any]) -> Parse:
    listed = list(allowed)

    def parse_choice(value: Any) -> Any:
        if not isinstance(value, str | int | None) or isinstance(value, bool) or value not in listed:
            raise ValueError(f"'{show(value)}' is not in {listed}")
        return value

    return parse_choice


# -- values made of values ---------------------------------------------------------------------------------------------


def list_parser(item: Parse, unique: bool = False) -> Parse:
    def parse_list(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise ValueError(f"'{show(value)}' is not a list")
        items = [item(one) for one in value]
        if unique:
            refuse_repeats(items, "Duplicate items in the list: '{}'")
        return items

    return parse_list


def refuse_repeats(items: Sequence[Any], message: str) -> None:
    for n, one in enumerate(items):
        if one in items[:n]:
            raise ValueError(message.format(show(one)))


def parse_exact_dict(value: Any, keys: Mapping[str, Parse]) -> dict[str, Any]:
    """An object with exactly these keys."""
    if not isinstance(value, dict):
        raise ValueError(f"Invalid input. '{show(value)}' must be a dictionary with keys: {list(keys)}")
    if value.keys() != keys.keys():
        raise ValueError(
            f"Validation of dictionary's keys failed. Expected keys: {sorted(keys)} "
            f"Provided keys: {sorted(show(k) for k in value)}"
        )
    return {key: parse(value[key]) for key, parse in keys.items()}


def parse_object(value: Any) -> dict[str, Any]:
    """Any JSON object, such as a binding profile."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"'{show(value)}' is not a dictionary")
    refuse_deep(value)
    return value


def refuse_deep(value: Any, depth: int = 0) -> None:
    if depth > 8:
        raise ValueError("the value is nested more than 8 deep")
    if isinstance(value, str):
        refuse_control(value)
    elif isinstance(value, dict):
        for key, one in value.items():
            refuse_control(str(key))
            refuse_deep(one, depth + 1)
    elif isinstance(value, list):
        for one in value:
            refuse_deep(one, depth + 1)


def parse_pools(value: Any) -> list[dict[str, str]]:
    """Ranges of addresses; null is none."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f"Invalid data format for IP pool: '{show(value)}'")
    return [parse_exact_dict(pool, {"start": parse_ip_address, "end": parse_ip_address}) for pool in value]


def parse_fixed_ips(value: Any) -> list[dict[str, str]]:
    if not isinstance(value, list):
        raise ValueError(f"Invalid data format for fixed IP: '{show(value)}'")
    fixed = [parse_fixed_ip(one) for one in value]
    refuse_repeats([one["ip_address"] for one in fixed if "ip_address" in one], "Duplicate IP address '{}'")
    return fixed


def parse_fixed_ip(value: Any) -> dict[str, str]:
    """Other keys beside its own are let pass and left out, as Neutron does: Octavia sends its own `subnet` along."""
    if not isinstance(value, dict):
        raise ValueError(f"Invalid data format for fixed IP: '{show(value)}'")
    fixed = {}
    if value.get("subnet_id") is not None:
        fixed["subnet_id"] = parse_uuid(value["subnet_id"])
    if value.get("ip_address") is not None:
        fixed["ip_address"] = parse_ip_address(value["ip_address"])
    unknown = sorted(show(key) for key in value if key not in ("subnet_id", "ip_address"))
    if unknown and not fixed:
        raise ValueError(f"Unexpected keys supplied: {', '.join(unknown)}")
    return fixed


def parse_nameservers(value: Any) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f"Invalid data format for nameserver: '{show(value)}'")
    hosts = [parse_nameserver(host) for host in value]
    refuse_repeats(hosts, "Duplicate nameserver '{}'")
    return hosts


def parse_nameserver(value: Any) -> str:
    try:
        return parse_ip_address(value)
    except ValueError as error:
        raise ValueError(f"'{show(value)}' is not a valid nameserver. {error}") from None


def parse_host_routes(value: Any) -> list[dict[str, str]]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f"Invalid data format for hostroute: '{show(value)}'")
    keys = {"destination": parse_route_destination, "nexthop": parse_ip_address}
    routes = [parse_exact_dict(route, keys) for route in value]
    refuse_repeats(routes, "Duplicate hostroute '{}'")
    return routes


parse_short_list = list_parser(parse_short_text, unique=True)


def parse_tags(value: Any) -> list[str]:
    """In the order of their letters, as clients of Neutron get them."""
    tags: list[str] = sorted(parse_short_list(value))
    if len(tags) > 50:
        raise ValueError("The number of tags exceed the per-resource limit of 50")
    return tags


def parse_ip_version(value: Any) -> int:
    number = parse_any_int(value)
    if number not in (4, 6):
        raise ValueError(f"{show(value)} is not in [4, 6]")
    return number


def filter_bool(text: str) -> bool:
    return parse_bool(text)


def filter_int(text: str) -> int:
    return parse_any_int(text)


def filter_mac(text: str) -> str:
    try:
        return parse_mac(text)
    except ValueError:
        return text


def filter_ip(text: str) -> str:
    """In its canonical form, as it is stored; what is no address is held by nothing."""
    try:
        return parse_ip_address(text)
    except ValueError:
        return text


def filter_cidr(text: str) -> str:
    """As `filter_ip`: a prefix is found by how it was written when it was made."""
    try:
        return parse_cidr(text)
    except ValueError:
        return text


def text_kind(limit: int, nullable: bool = False) -> Kind:
    parse = text_parser(limit)
    schema: dict[str, Any] = {"type": ["string", "null"] if nullable else "string", "maxLength": limit}
    return Kind(f"string{limit}", or_none(parse) if nullable else parse, schema)


def int_kind(low: int, high: int, nullable: bool = False) -> Kind:
    parse = int_parser(low, high)
    schema = {"type": ["integer", "null"] if nullable else "integer", "minimum": low, "maximum": high}
    return Kind("integer", or_none(parse) if nullable else parse, schema, filter_int)


def choice_kind(*allowed: Any) -> Kind:
    return Kind("choice", choice_parser(allowed), {"enum": list(allowed)})


_UUID_SCHEMA = {"type": "string", "format": "uuid"}
_IP_SCHEMA = {"type": "string", "format": "ip"}
_CIDR_SCHEMA = {"type": "string", "format": "cidr"}


def array_of(keys: Mapping[str, Any], required: Sequence[str] = (), nullable: bool = False) -> dict[str, Any]:
    """The JSON schema of a list of objects with these keys and no other."""
    item = {
        "type": "object", "properties": dict(keys), "required": list(required), "additionalProperties": False,
    }  # fmt: skip
    return {"type": ["array", "null"] if nullable else "array", "items": item}


UUID = Kind("uuid", parse_uuid, _UUID_SCHEMA)
UUID_OR_NONE = Kind("uuid", or_none(parse_uuid), {"type": ["string", "null"], "format": "uuid"})
BOOL = Kind("boolean", parse_bool, {"type": "boolean"}, filter_bool)
NAME = Kind("name", parse_name, {"type": "string", "maxLength": 255})
TEXT = text_kind(255)
LONG_TEXT = text_kind(1024)
PROJECT = text_kind(255)
MAC = Kind("mac", parse_mac_address, {"type": "string", "format": "mac"}, filter_mac)
MAC_OR_NONE = Kind("mac", or_none(parse_mac_address), {"type": ["string", "null"], "format": "mac"}, filter_mac)
IP = Kind("ip", parse_ip_address, _IP_SCHEMA, filter_ip)
IP_OR_NONE = Kind("ip", or_none(parse_ip_address), {"type": ["string", "null"], "format": "ip"}, filter_ip)
CIDR = Kind("cidr", parse_cidr, _CIDR_SCHEMA, filter_cidr)
CIDR_OR_NONE = Kind("cidr", or_none(parse_cidr), {"type": ["string", "null"], "format": "cidr"}, filter_cidr)
IP_VERSION = Kind("ip_version", parse_ip_version, {"type": "integer", "enum": [4, 6]}, filter_int)
OBJECT = Kind("object", parse_object, {"type": ["object", "null"], "additionalProperties": True})
TIMESTAMP = Kind("timestamp", text_parser(64), {"type": "string", "format": "date-time"})
COUNT = int_kind(0, 2**63 - 1)
ANY = Kind("any", lambda value: value, {})
TAGS = Kind(
    "tags",
    parse_tags,
    {"type": "array", "maxItems": 50, "uniqueItems": True, "items": {"type": "string", "maxLength": 255}},
)
TEXTS = Kind(
    "strings", parse_short_list, {"type": "array", "uniqueItems": True, "items": {"type": "string", "maxLength": 255}}
)
POOLS = Kind(
    "allocation_pools", parse_pools, array_of({"start": _IP_SCHEMA, "end": _IP_SCHEMA}, ("start", "end"), nullable=True)
)
FIXED_IPS = Kind("fixed_ips", parse_fixed_ips, array_of({"subnet_id": _UUID_SCHEMA, "ip_address": _IP_SCHEMA}))
NAMESERVERS = Kind(
    "nameservers", parse_nameservers, {"type": ["array", "null"], "items": _IP_SCHEMA, "uniqueItems": True}
)
HOST_ROUTES = Kind(
    "host_routes",
    parse_host_routes,
    array_of({"destination": _CIDR_SCHEMA, "nexthop": _IP_SCHEMA}, ("destination", "nexthop"), nullable=True),
)
