"""`netloom agent why`: what is wanted on a host, found by a word of it, with its reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from netloom.feed.cache import Cache
from netloom.main.hosts.why import WhyError, explain_host, find_reasons
from netloom.main.options.host import HostOptions, load_host_options
from netloom.model.flow import make_match
from netloom.model.slices import FloatingRow
from netloom.model.why import Why
from netloom.render.make import make_flow, make_thing
from tests.unit.render.space_kit import INSIDE, OUTSIDE, ROUTER, make_slices, render

FIP = FloatingRow("f1", "ext", "203.0.113.9", "fa:16:3e:00:00:09", "10.1.0.5", "p1")


def make_options(tmp_path: Path) -> HostOptions:
    return load_host_options(
        (), {"host": "h1", "state_path": str(tmp_path), "netloom.ovs_rundir": str(tmp_path / "ovs")}
    )


def test_a_floating_ip_is_found_in_all_that_translates_it() -> None:
    """Each element of its maps says that it is there for the floating IP, and at which revision."""
    lines = list(find_reasons({"space/r1": tuple(render(ROUTER, INSIDE, OUTSIDE, FIP))}, "203.0.113.9"))
    assert len(lines) >= 2
    assert all("floatingip/f1" in line and "at revision" in line for line in lines)


def test_a_flow_is_told_as_the_switch_tells_it() -> None:
    """Found by an address in its match or by what it is there for, and by nothing else."""
    why = Why(7, ("port/p1", "network/n1"), "ports.render_port")
    flow = make_thing(make_flow("br-int", 60, 77, make_match(eth_type=0x800, ip_dst="192.0.2.9"), (), 1, why))
    told = (
        "br-int table=60,priority=77,eth_type=0x800,ip_dst=192.0.2.9: "
        "port/p1, network/n1 at revision 7 by ports.render_port"
    )
    assert list(find_reasons({"a": (flow,)}, "192.0.2.9")) == [told]
    assert list(find_reasons({"a": (flow,)}, "network/n1")) == [told]
    assert list(find_reasons({"a": (flow,)}, "192.0.2.8")) == []


def test_a_host_that_followed_nobody_is_told_so(tmp_path: Path) -> None:
    """There is nothing to work it out from; no folder is made."""
    with pytest.raises(WhyError, match=f"{tmp_path}/slices has no slices"):
        explain_host(make_options(tmp_path), "x")
    assert list(tmp_path.iterdir()) == []


def test_a_switch_that_is_away_is_told_so(tmp_path: Path) -> None:
    """What is wanted depends on which devices are plugged, so nothing is guessed."""
    for found in make_slices(ROUTER, INSIDE, OUTSIDE).values():
        Cache(tmp_path / "slices").save(found)
    with pytest.raises(WhyError, match="the switch of host h1 does not answer"):
        explain_host(make_options(tmp_path), "x", patience_s=0.1)
