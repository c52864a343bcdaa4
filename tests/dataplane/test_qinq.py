"""VLANs within a VLAN on real switches: instances on two hosts that tag their own frames, and the wire between."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack, closing

import pytest

from tests.dataplane.ovs import wait_until
from tests.dataplane.rig_cloud import Cloud, wait_ping
from tests.dataplane.settled import wait_planned
from tests.dataplane.tagged import add_tag, listen_tags, read_tags
from tests.dataplane.wire import make_echo, open_socket

pytestmark = pytest.mark.dataplane

OUTER, INNER = 101, 77
VLAN = {"provider:network_type": "vlan", "provider:physical_network": "physnet"}


def listen(netns: str, device: str, stack: ExitStack) -> socket.socket:
    wire = stack.enter_context(closing(open_socket(netns, device)))
    listen_tags(wire)
    return wire


def find_tags(wire: socket.socket, mark: bytes) -> list[list[tuple[int, int]]]:
    """The tags of each frame with that mark that came so far."""
    found: list[list[tuple[int, int]]] = []
    while True:
        try:
            tags, frame = read_tags(wire)
        except BlockingIOError:
            return found
        if mark in frame and frame[34:35] == b"\x08":
            found.append(tags)


def send_until(wire: socket.socket, frame: bytes, hearer: socket.socket, mark: bytes) -> list[tuple[int, int]]:
    """Send again and again until the frame comes out; under which tags."""
    came: list[list[tuple[int, int]]] = []

    def look() -> bool:
        wire.send(frame)
        came.extend(find_tags(hearer, mark))
        return bool(came)

    wait_until(look)
    return came[0]


def test_a_tag_within_the_networks_own(cloud: Cloud) -> None:
    """Bound once the switches read two tags; then what an instance tags arrives so, and on the wire it is within a
    service tag (0x88a8). On a VLAN without qinq it goes nowhere, and neither does what a second tag hides."""
    api = cloud.api
    network = cloud.make_plain_network("stack", qinq=True, **VLAN, **{"provider:segmentation_id": OUTER})
    cloud.make_subnet(network, "10.1.0.0/24")
    (early,) = api.make_ports(network, 1)
    assert early["binding:vif_type"] == "binding_failed"
    for rig in cloud.hosts.values():
        rig.host.vsctl("set", "Open_vSwitch", ".", "other_config:vlan-limit=2")
    wait_until(lambda: api.list_ports(id=early["id"])[0]["binding:vif_type"] == "ovs")
    wait_until(lambda: count_capable(cloud) == 2)
    one, other = cloud.boot("h1", network, ""), cloud.boot("h2", network, "")
    wait_ping(one.netns, other.address)
    mark = os.urandom(16)
    frame = add_tag(make_echo(one, other.mac, other.address, mark), INNER)
    with ExitStack() as stack:
        wire, hearer = (listen(i.netns, i.device, stack) for i in (one, other))
        between = listen(cloud.underlay, "p1", stack)
        assert send_until(wire, frame, hearer, mark) == [(0x8100, INNER)]
        assert [(0x88A8, OUTER), (0x8100, INNER)] in find_tags(between, mark)
        wait_planned(*cloud.hosts.values())
    check_no_stacks(cloud)


def count_capable(cloud: Cloud) -> int:
    agents = cloud.api.ask("GET", "agents?agent_type=Open%20vSwitch%20agent")["agents"]
    assert all("vxlan" in agent["configurations"]["ovs_capabilities"]["iface_types"] for agent in agents)
    return sum(agent["configurations"].get("vlan_limit") == 2 for agent in agents)


def check_no_stacks(cloud: Cloud) -> None:
    """Of a network that carries no tags: frames with one, or with two of which the first names none, go nowhere."""
    network = cloud.make_plain_network("plain", **VLAN)
    cloud.make_subnet(network, "10.2.0.0/24")
    one, other = cloud.boot("h1", network, ""), cloud.boot("h1", network, "")
    with ExitStack() as stack:
        wire, hearer = (listen(i.netns, i.device, stack) for i in (one, other))
        between = listen(cloud.underlay, "p1", stack)
        wait_ping(one.netns, other.address)
        mark = os.urandom(16)
        plain = make_echo(one, other.mac, other.address, mark)
        lost = make_echo(one, "02:00:00:00:00:77", other.address, mark)  # nobody's address: to the physical network
        for echo in (plain, lost):
            wire.send(add_tag(echo, INNER))
            wire.send(add_tag(add_tag(echo, INNER), 0))
        last = os.urandom(16)
        assert send_until(wire, add_tag(make_echo(one, other.mac, other.address, last), 0), hearer, last) == []
        assert find_tags(hearer, mark) == find_tags(between, mark) == []
