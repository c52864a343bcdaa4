"""Frames that are no IP packets, between ports with port security on a real switch."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.dataplane.conftest import why_not
from tests.dataplane.ovs import wait_until
from tests.dataplane.rig import Rig, make_rig
from tests.dataplane.settled import wait_active, wait_planned
from tests.dataplane.wire import open_socket, to_bytes

pytestmark = pytest.mark.dataplane

PERMITTED, OTHER = 0x8847, 0x8848


@pytest.fixture
def rig() -> Iterator[Rig]:
    if reason := why_not():
        pytest.skip(reason)
    with make_rig() as made:
        made.extra["securitygroup.permitted_ethertypes"] = f"{PERMITTED:#x}"
        made.start_agent()
        made.wait_log("following")
        yield made


def take_marks(wire: socket.socket) -> Iterator[bytes]:
    """Of all frames that came so far, the last 16 bytes."""
    while True:
        try:
            yield wire.recv(4096)[-16:]
        except BlockingIOError:
            return


def test_what_is_permitted_passes_and_nothing_else(rig: Rig) -> None:
    """Both ways between two instances; not another type, and not from a MAC that is not the port's."""
    network = rig.make_network("red", "10.1.0.0/24")
    one, other = (rig.boot(port, number) for number, port in enumerate(rig.make_ports(network, 2), 1))
    rig.plug([one, other])
    wait_active(rig)
    wires = (open_socket(each.netns, each.device) for each in (one, other))
    with closing(next(wires)) as here, closing(next(wires)) as there:
        for source, target, sender, hearer in ((one, other, here, there), (other, one, there, here)):
            lost: list[bytes] = []

            def send(mac: str, kind: int, source_wire: socket.socket = sender, to: str = target.mac) -> bytes:
                mark = os.urandom(16)
                source_wire.send(to_bytes(to) + to_bytes(mac) + kind.to_bytes(2, "big") + bytes(40) + mark)
                return mark

            lost += [send(source.mac, OTHER), send("02:00:00:00:00:77", PERMITTED)]
            wanted, came = send(source.mac, PERMITTED), set[bytes]()

            def look(came: set[bytes] = came, wire: socket.socket = hearer, mark: bytes = wanted) -> bool:
                came.update(take_marks(wire))
                return mark in came

            wait_until(look)
            assert not came.intersection(lost), "a frame that was sent before one that came"
    wait_planned(rig)
