"""What configuration says of a switch, seen from outside: collectors that get what it tells, NICs that are one."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest
from pyroute2 import netns as spaces

from netloom.drivers.ovs.driver import OvsDriver
from netloom.model.device import Bond, Bridge, Export, Pairs, make_pairs
from netloom.model.flow import IPV4, UDP
from netloom.model.plan import Put, Remove, Thing
from tests.dataplane.collectors import Decoder, Seen
from tests.dataplane.frames import encode_packet
from tests.dataplane.ovs import OvsHost, happens, run, wait_until
from tests.dataplane.rig import open_socket

pytestmark = pytest.mark.dataplane

PACKET = {
    "eth_dst": 0x020000000002, "eth_src": 0x020000000001, "eth_type": IPV4, "ip_src": 0x0A010001, "ip_dst": 0x0A010002,
    "ip_proto": UDP, "udp_src": 4001, "udp_dst": 4002,
}  # fmt: skip
SEEN = Seen("10.1.0.1", "10.1.0.2", UDP, 4001, 4002)


def apply(host: OvsHost, *ops: Put | Remove) -> None:
    async def whole() -> None:
        driver = OvsDriver(host.rundir, frozenset())
        try:
            assert not await driver.apply(ops)
        finally:
            await driver.close()

    asyncio.run(whole())


def make_bridge(host: OvsHost, name: str) -> None:
    """With all its ports one switch as any."""
    apply(host, Put(Thing(("bridge", name), Bridge("netdev", "standalone", ("OpenFlow10", "OpenFlow14")))))


def add_cable(host: OvsHost, here: str, there: str) -> None:
    run("ip", "-n", host.netns, "link", "add", here, "up", "type", "veth", "peer", "name", there)
    run("ip", "-n", host.netns, "link", "set", there, "up")


@pytest.fixture
def collector(ovs_host: OvsHost) -> Iterator[socket.socket]:
    """A UDP socket in the host's namespace."""
    made: list[socket.socket] = []

    def work() -> None:
        spaces.setns(ovs_host.netns)
        made.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        made[0].bind(("127.0.0.1", 0))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    with closing(made[0]) as wire:
        yield wire


@pytest.mark.parametrize(
    ("name", "version", "settings"),
    [
        ("netflow", 5, make_pairs(active_timeout="1")),
        ("sflow", 5, make_pairs(sampling="1", header="128")),
        ("ipfix", 10, make_pairs(sampling="1")),
    ],
)
def test_a_collector_is_told(
    ovs_host: OvsHost, collector: socket.socket, name: str, version: int, settings: Pairs
) -> None:
    """Of a packet that passes the bridge, in the words of each protocol; and of none once the export is gone."""
    host, decoder = ovs_host, Decoder()
    make_bridge(host, "br-int")
    for port in ("p1", "p2"):
        add_cable(host, port, f"e{port}")
        host.vsctl("add-port", "br-int", port)
    target = f"127.0.0.1:{collector.getsockname()[1]}"
    thing = Thing(("export", "br-int", name), Export((target,), settings))
    apply(host, Put(thing))
    read: Callable[[bytes], list[Seen]] = getattr(decoder, f"read_{name}")
    with closing(open_socket(host.netns, "ep1")) as wire:

        def told() -> bool:
            wire.send(encode_packet(PACKET))
            return SEEN in read_all(collector, read)

        wait_until(told)
        assert decoder.version == version
        apply(host, Remove(thing))
        assert host.vsctl("get", "bridge", "br-int", name) == "[]"


def read_all(wire: socket.socket, read: Callable[[bytes], list[Seen]]) -> list[Seen]:
    """All that was told within a tenth of a second."""
    found: list[Seen] = []
    while select.select([wire], [], [], 0.1)[0]:
        found += read(wire.recv(65536))
    return found


def is_negotiated(host: OvsHost, bond: str, members: int) -> bool:
    """Whether LACP agreed on that bond with so many members in it."""
    shown = run("ovs-appctl", "-t", f"{host.rundir}/vs.ctl", "lacp/show", bond, env=host.env)
    return " negotiated" in shown and shown.count(": current attached") == members


def carries(host: OvsHost, source: str, target: str, flows: int = 8) -> bool:
    """Whether each of several connections passes: they are spread over the members."""
    missing = set[bytes]()
    with ExitStack() as stack:
        wire, hearer = (stack.enter_context(closing(open_socket(host.netns, device))) for device in (source, target))
        for number in range(flows):
            mark = os.urandom(16)
            wire.send(encode_packet({**PACKET, "udp_src": 5000 + number}, mark))
            missing.add(mark)

        def all_came() -> bool:
            while missing and select.select([hearer], [], [], 0.05)[0]:
                frame = hearer.recv(4096)
                missing.difference_update({mark for mark in missing if mark in frame})
            return not missing

        return happens(all_came, 1)


def test_a_bond_goes_on_with_the_leg_that_is_left(ovs_host: OvsHost) -> None:
    """Two switches with two cables between them agree by LACP; a cut cable takes no connection along, and is used again
    when it is mended."""
    host = ovs_host
    for leg in ("0", "1"):
        add_cable(host, f"a{leg}", f"b{leg}")
    for side in ("a", "b"):
        make_bridge(host, f"br-{side}")
        add_cable(host, f"p{side}", f"e{side}")
        host.vsctl("add-port", f"br-{side}", f"p{side}")
        bond = Bond((f"{side}0", f"{side}1"), "balance-tcp", "active" if side == "a" else "passive")
        apply(host, Put(Thing(("bond", f"br-{side}", f"bond-{side}"), bond)))
    wait_until(lambda: all(is_negotiated(host, f"bond-{side}", 2) for side in "ab"), 60)
    wait_until(lambda: carries(host, "ea", "eb") and carries(host, "eb", "ea"))
    for leg in ("0", "1"):
        run("ip", "-n", host.netns, "link", "set", f"a{leg}", "down")
        wait_until(lambda: is_negotiated(host, "bond-a", 1), 60)
        wait_until(lambda: carries(host, "ea", "eb") and carries(host, "eb", "ea"), 60)
        run("ip", "-n", host.netns, "link", "set", f"a{leg}", "up")
        wait_until(lambda: all(is_negotiated(host, f"bond-{side}", 2) for side in "ab"), 120)
