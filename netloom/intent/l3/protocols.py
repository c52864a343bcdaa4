"""The transport protocols that address translation knows by name."""

from __future__ import annotations

from typing import Any

from netloom.intent.errors import ConversionError
from netloom.intent.kinds import parse_any_int, show
from netloom.intent.schema import Kind

NAMES = ("dccp", "icmp", "ipv6-icmp", "sctp", "tcp", "udp")


def parse_protocol(value: Any) -> str:
    """One of NAMES. A number, or a name in capitals, is a protocol too, but none that is taken here."""
    if value in NAMES:
        name: str = value
        return name
    if (isinstance(value, str) and value.lower() in NAMES) or is_number(value):
        raise ValueError(f"'{show(value)}' is not in {list(NAMES)}")
    raise ConversionError(
        f"IP protocol '{show(value)}' is not supported. Only protocol names and their integer representation (0 to "
        "255) are supported"
    )


def is_number(value: Any) -> bool:
    try:
        return 0 <= parse_any_int(value) <= 255
    except ConversionError:
        return False


PROTOCOL = Kind("protocol", parse_protocol, {"type": "string", "enum": list(NAMES)})
