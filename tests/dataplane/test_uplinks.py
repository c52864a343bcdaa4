"""What configuration says of a switch, seen from outside: collectors that get what it tells, NICs that are one."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
from pyroute2 import netns as spaces

from netloom.drivers.ovs.driver import OvsDriver
from netloom.lab.flow_records import Decoder, Seen
from netloom.model.address import ip_int, mac_int
from netloom.model.device import Bond, Bridge, Export, Pairs, make_pairs
from netloom.model.flow import IPV4, UDP
from netloom.model.plan import Put, Remove, Thing
from tests.dataplane.conftest import why_not
from tests.dataplane.frames import encode_packet
from tests.dataplane.ovs import OvsHost, happens, run, wait_until
from tests.dataplane.rig import make_rig
from tests.dataplane.settled import wait_active, wait_planned
from tests.dataplane.wire import open_socket

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
    with closing(make_collector(ovs_host.netns)) as wire:
        yield wire


def make_collector(netns: str) -> socket.socket:
    """A UDP socket in that namespace."""
    made: list[socket.socket] = []

    def work() -> None:
        spaces.setns(netns)
        made.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        made[0].bind(("127.0.0.1", 0))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return made[0]


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
    with closing(open_socket(host.netns, "ep1")) as wire:

        def told() -> bool:
            wire.send(encode_packet(PACKET))
            return SEEN in read_all(collector, decoder, name)

        wait_until(told)
        assert decoder.version == version
        apply(host, Remove(thing))
        assert host.vsctl("get", "bridge", "br-int", name) == "[]"


EXPORTS = ("netflow", "sflow", "ipfix")


def test_an_agent_has_its_switch_tell_and_stop_telling() -> None:
    """By its options, of what one instance sends to another, in all three protocols; without them the switch has
    none of it left."""
    if reason := why_not():
        pytest.skip(reason)
    with make_rig() as rig, ExitStack() as stack:
        wires = {name: stack.enter_context(closing(make_collector(rig.host.netns))) for name in EXPORTS}
        targets = {f"netloom.{name}_targets": f"127.0.0.1:{wire.getsockname()[1]}" for name, wire in wires.items()}
        rig.extra = {**targets, "netloom.export_sampling": "1"}
        rig.start_agent()
        pair = [rig.boot(port, n) for n, port in enumerate(rig.make_ports(rig.make_network("n0", "10.1.0.0/24"), 2))]
        rig.plug(pair)
        wait_active(rig)
        one, other = pair
        ends = {"eth_src": mac_int(one.mac), "eth_dst": mac_int(other.mac)}
        frame = encode_packet({**PACKET, **ends, "ip_src": ip_int(one.address), "ip_dst": ip_int(other.address)})
        seen = Seen(one.address, other.address, UDP, 4001, 4002)
        out = stack.enter_context(closing(open_socket(one.netns, one.device)))
        missing = {name: Decoder() for name in EXPORTS}

        def told(*names: str) -> bool:
            for name in names:
                if name in missing and seen in read_all(wires[name], missing[name], name):
                    del missing[name]
            return missing.keys().isdisjoint(names)

        wait_until(lambda: out.send(frame) and told("sflow", "ipfix"), seen=missing.keys)
        wait_until(lambda: told("netflow"), seen=missing.keys)  # of a flow that is over, so nothing is sent meanwhile
        rig.stop_agent()
        rig.extra = {}
        rig.start_agent()
        wait_until(lambda: all(rig.host.vsctl("get", "bridge", "br-int", name) == "[]" for name in EXPORTS))
        wait_planned(rig)


def read_all(wire: socket.socket, decoder: Decoder, how: str) -> list[Seen]:
    """All that was told within a tenth of a second."""
    found: list[Seen] = []
    while select.select([wire], [], [], 0.1)[0]:
        found += decoder.read(how, wire.recv(65536))
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
