"""What a host says of itself, looked at before anybody else sees it.

Law 9: other hosts are made from what this one reports (its tunnel address, its types), so nothing passes here that they
could stumble over.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from netloom.feed.messages import MessageError

MAX_VALUES = 2000
"""Values, at any depth, that a report may have."""
MAX_TEXT = 255
TEXTS = ("datapath_type", "integration_bridge", "tunnel_bridge", "agent_mode")


def parse_report(configurations: Mapping[str, Any], zone: str | None = None) -> tuple[dict[str, Any], str | None]:
    """(`configurations` of a host, its zone), plain and with the types that readers expect. Raises MessageError."""
    if zone is not None and not is_text(zone):
        raise MessageError(f"a zone's name has at most {MAX_TEXT} characters")
    if count_plain(configurations) > MAX_VALUES:
        raise MessageError(f"a report may have {MAX_VALUES} values")
    found = dict(configurations)
    for name in TEXTS:
        require(found, name, is_text, "a text")
    require(found, "tunnel_types", is_texts, "a list of texts")
    require(found, "bridge_mappings", is_mapping_of_texts, "texts by text")
    if "tunneling_ip" in found:
        found["tunneling_ip"] = parse_tunnel_address(found["tunneling_ip"])
    return found, zone


def require(found: Mapping[str, Any], name: str, fits: Any, what: str) -> None:
    if name in found and not fits(found[name]):
        raise MessageError(f"{name} of a report must be {what}")


def is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT


def is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(is_text(one) for one in value)


def is_mapping_of_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(is_text(key) and is_text(one) for key, one in value.items())


def parse_tunnel_address(value: Any) -> str:
    """An address that one host can have, in canonical form; nothing: no tunnels."""
    if value in ("", None):
        return ""
    try:
        address = ip_address(value) if isinstance(value, str) else None
    except ValueError:
        address = None
    if address is None or address.is_multicast or address.is_unspecified or getattr(address, "scope_id", None):
        raise MessageError("tunneling_ip of a report must be the address of one host")
    return str(address)


def count_plain(value: Any, depth: int = 0) -> int:
    """How many values there are in it. Raises MessageError for what JSON could not hold, and for deep nests."""
    if depth > 8:
        raise MessageError("a report may be eight levels deep")
    if isinstance(value, Mapping):
        if not all(is_text(key) for key in value):
            raise MessageError(f"a report's names are texts of at most {MAX_TEXT} characters")
        return 1 + sum(count_plain(one, depth + 1) for one in value.values())
    if isinstance(value, list):
        return 1 + sum(count_plain(one, depth + 1) for one in value)
    if value is None or isinstance(value, bool | int | float | str):
        return 1 + (len(value) // MAX_TEXT if isinstance(value, str) else 0)
    raise MessageError(f"a report may not hold {type(value).__name__}")
