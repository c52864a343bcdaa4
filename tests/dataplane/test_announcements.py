"""What the kernel of a machine outside makes of an announcement."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import pytest

from netloom.render.answers.announce import announce_frame
from tests.dataplane.conftest import why_not
from tests.dataplane.ovs import drop_namespaces, run, wait_until
from tests.dataplane.wire import open_socket

pytestmark = pytest.mark.dataplane

ADDRESSES = {4: "203.0.113.50", 6: "2001:db8::50"}


@pytest.fixture
def machine() -> Iterator[str]:
    """A namespace whose device v0 is met by v1."""
    if reason := why_not():
        pytest.skip(reason)
    netns = f"nla-{uuid4().hex[:6]}"
    run("ip", "netns", "add", netns)
    try:
        run("ip", "-n", netns, "link", "add", "v0", "up", "type", "veth", "peer", "name", "v1")
        run("ip", "-n", netns, "link", "set", "v1", "up")
        for address in ("203.0.113.1/24", "2001:db8::1/64"):
            run("ip", "-n", netns, "addr", "add", address, "dev", "v0", "nodad")
        yield netns
    finally:
        drop_namespaces(netns)


@pytest.mark.parametrize("version", ADDRESSES)
def test_it_is_believed_whatever_was_heard_just_before(machine: str, version: int) -> None:
    """An address goes from host to host and is announced by each, one right after the other: it is at the last."""
    address = ADDRESSES[version]
    run("ip", "-n", machine, "neigh", "add", address, "dev", "v0", "lladdr", "02:00:00:00:00:01", "nud", "reachable")
    with closing(open_socket(machine, "v1")) as wire:
        for mac in ("02:00:00:00:00:02", "02:00:00:00:00:03"):
            wire.send(announce_frame(mac, address))
            wait_until(lambda mac=mac: mac in run("ip", "-n", machine, "neigh", "show", address), 5)  # type: ignore[misc]
