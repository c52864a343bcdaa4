"""What a host says of itself is plain and typed before anybody else is made from it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from netloom.feed.messages import MessageError
from netloom.feed.report import parse_report

GOOD = {
    "tunneling_ip": "2001:DB8::1", "tunnel_types": ["vxlan"], "bridge_mappings": {"physnet1": "br-ex"},
    "datapath_type": "system", "l2_population": True, "more": {"deep": [1, None, 2.5, "x"]},
}  # fmt: skip


def test_a_plain_report_passes_with_its_address_in_canonical_form() -> None:
    """What an agent says today, and what one of tomorrow adds, comes through."""
    assert parse_report(GOOD, "nova") == ({**GOOD, "tunneling_ip": "2001:db8::1"}, "nova")
    assert parse_report({"tunneling_ip": None}) == ({"tunneling_ip": ""}, None)
    assert parse_report({}) == ({}, None)
    with pytest.raises(MessageError):
        parse_report({}, "z" * 256)


def nest(depth: int) -> Any:
    return [nest(depth - 1)] if depth else 1


@pytest.mark.parametrize(
    "bad",
    [
        {"tunneling_ip": "nonsense"},
        {"tunneling_ip": 5},
        {"tunneling_ip": ["192.0.2.1"]},
        {"tunneling_ip": "224.0.0.1"},
        {"tunneling_ip": "0.0.0.0"},
        {"tunneling_ip": "fe80::1%eth0"},
        {"tunnel_types": "vxlan"},
        {"tunnel_types": [["vxlan"]]},
        {"bridge_mappings": ["physnet1"]},
        {"bridge_mappings": {"physnet1": 1}},
        {"integration_bridge": {}},
        {"datapath_type": "x" * 256},
        {"x": b"\xff"},
        {"x": msgspec.msgpack.Ext(5, b"")},
        {"x": {1: 2}},
        {"x" * 300: 1},
        {"x": nest(9)},
        {"x": list(range(3000))},
        {"x": "x" * 1_000_000},
    ],
    ids=lambda bad: repr(bad)[:40],
)
def test_what_others_could_stumble_over_does_not_pass(bad: dict[str, Any]) -> None:
    """A report that could break whoever is made from it ends the connection of its own host instead."""
    with pytest.raises(MessageError):
        parse_report(bad)
