"""`netloom agent sweep`, where there is no switch that could be asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from netloom.main.hosts.sweep import SweepError, sweep_host
from netloom.main.options.host import HostOptions, load_host_options


def make_options(tmp_path: Path, **given: str) -> HostOptions:
    return load_host_options((), {"host": "h1", "state_path": str(tmp_path), **given})


def test_a_switch_that_is_away_is_named(tmp_path: Path) -> None:
    """Nothing is swept by guess: who asks is told where the switch was looked for."""
    options = make_options(tmp_path, **{"netloom.ovs_rundir": str(tmp_path / "ovs")})
    with pytest.raises(SweepError, match=f"Open vSwitch at {tmp_path}/ovs does not answer"):
        list(sweep_host(options, really=True, patience_s=0.1))


def test_with_linux_bridges_there_is_nothing_of_others(tmp_path: Path) -> None:
    """What is in a bridge or table of Netloom's is Netloom's, and put right by the agent."""
    options = make_options(tmp_path, **{"netloom.switch": "linuxbridge", "vxlan.local_ip": "192.0.2.1"})
    assert list(sweep_host(options, really=True)) == []
