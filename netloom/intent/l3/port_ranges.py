"""Ranges of transport ports as the Networking API writes them: 80 or "80:90"."""

from __future__ import annotations

from typing import Any

from netloom.intent.kinds import show
from netloom.intent.schema import Kind

FIRST, LAST = 1, 65535

Range = tuple[int, int]


def parse_range(value: Any) -> str | None:
    """A port, or two with a colon between them, as text; null is none."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("Port range must be two integers separated by a colon")
    parts = str(value).split(":")
    if len(parts) > 2 or not all(parts):
        raise ValueError("Port range must be two integers separated by a colon")
    ports = [parse_port(part) for part in parts]
    if ports[0] > ports[-1]:
        raise ValueError("First port in a port range must be lower than the second port")
    return ":".join(str(port) for port in ports)


def parse_port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 6 or int(text) > LAST:
        raise ValueError(f"Invalid port: {show(text)}")
    if int(text) < FIRST:
        raise ValueError(f"Invalid port: {text}, the port must be in the range [{FIRST}, {LAST}]")
    return int(text)


def read_range(text: str) -> Range:
    first, _, last = text.partition(":")
    return int(first), int(last or first)


def write_range(ports: Range) -> str:
    return f"{ports[0]}:{ports[1]}"


def overlap(one: Range, other: Range) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


PORT_RANGE = Kind("port_range", parse_range, {"type": ["string", "integer", "null"]})
