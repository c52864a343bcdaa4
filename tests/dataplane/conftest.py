"""Fixtures of the data-plane tests. Where they cannot run they are skipped, and say why."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from pyroute2 import netns

from tests.dataplane.ovs import SCHEMA, OvsHost, run, start_host, stop_host
from tests.dataplane.rig_cloud import Cloud, make_cloud

_TOOLS = ("ip", "ovs-vswitchd", "ovsdb-server", "ovs-vsctl", "nft")


def why_not() -> str:
    """What this machine lacks for data-plane tests; empty when it has all."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None] + ([] if SCHEMA.exists() else [str(SCHEMA)])
    return f"needs {', '.join(missing)}" if missing else ""


@pytest.fixture
def ovs_host() -> Iterator[OvsHost]:
    """A namespace with its own Open vSwitch, gone afterwards. Socket paths must be short, hence not tmp_path."""
    if reason := why_not():
        pytest.skip(reason)
    rundir = Path(tempfile.mkdtemp(prefix="nl-"))
    host = start_host(f"nlt-{rundir.name[3:]}", rundir)
    try:
        yield host
    finally:
        stop_host(host)
        shutil.rmtree(rundir)


@pytest.fixture
def own_space() -> Iterator[str]:
    """The test runs in a new namespace, whose name this is; gone afterwards."""
    if reason := why_not():
        pytest.skip(reason)
    name = f"nlt-{uuid4().hex[:8]}"
    run("ip", "netns", "add", name)
    netns.pushns(name)
    try:
        run("ip", "link", "set", "lo", "up")
        yield name
    finally:
        netns.popns()
        run("ip", "netns", "del", name)


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """Two hosts with Open vSwitch that have nothing yet, their agents running; gone afterwards."""
    if reason := why_not():
        pytest.skip(reason)
    with make_cloud(2) as made:
        yield made
