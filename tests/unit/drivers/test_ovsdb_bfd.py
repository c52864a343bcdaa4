"""Tunnels that are watched by BFD, as rows and as things."""

from __future__ import annotations

from typing import Any

from netloom.drivers.ovs.ovsdb import MONITORED
from netloom.drivers.ovs.rows import describe_port, put_port, read_silent, read_strays
from netloom.model.device import SwitchPort, make_pairs

WATCHED = SwitchPort("vxlan", make_pairs(remote_ip="192.0.2.2", key="flow"), bfd=make_pairs(enable="true"))
LOST = {"diagnostic": "Control Detection Time Expired", "state": "down"}


def make_tables(status: dict[str, str], mark: str = "made") -> dict[str, dict[str, dict[str, Any]]]:
    interface = {
        "name": "nlb-1", "type": "vxlan", "options": dict(WATCHED.options), "ofport": 7, "ofport_request": [],
        "external_ids": {}, "mac_in_use": "", "error": "", "bfd": dict(WATCHED.bfd), "bfd_status": status,
    }  # fmt: skip
    port = {"name": "nlb-1", "interfaces": "i", "external_ids": {"netloom": mark} if mark else {}}
    bridge = {"name": "br-tun", "ports": "p"}
    return {"Bridge": {"b": bridge}, "Port": {"p": port}, "Interface": {"i": interface}}


def test_what_is_watched_comes_back_as_it_was_wanted() -> None:
    """Else it would be put anew in every turn."""
    assert {"bfd", "bfd_status"} <= set(MONITORED["Interface"])
    tables = make_tables({})
    assert describe_port(tables["Interface"]["i"]) == WATCHED
    (change,) = put_port(tables, "br-tun", "nlb-1", WATCHED)
    assert change["row"]["bfd"] == ["map", [["enable", "true"]]]


def test_who_is_silent() -> None:
    """Who was heard of and is no more; not who never was, and not who is back."""
    assert read_silent(make_tables(LOST), "br-tun") == {"192.0.2.2"}
    assert not read_silent(make_tables({**LOST, "state": "up"}), "br-tun")
    assert not read_silent(make_tables({"diagnostic": "No Diagnostic", "state": "down"}), "br-tun")
    assert not read_silent(make_tables(LOST), "br-int")


def test_what_a_watched_host_sends_comes_by_its_own_port() -> None:
    """Whoever made that port: flows are made for it as for one of others."""
    for mark in ("made", ""):
        assert read_strays(make_tables({}, mark), "br-tun") == {("vxlan", "192.0.2.2"): 7}
