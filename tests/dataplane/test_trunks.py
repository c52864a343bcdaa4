"""A trunk on a real switch, from request to wire: an instance that tags its own frames, by raw sockets."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from netloom.model.address import Mac
from netloom.render.answers.frames import render_frame
from netloom.testing.story_answers import ask_dhcp4
from tests.dataplane.conftest import why_not
from tests.dataplane.ovs import wait_until
from tests.dataplane.rig import Instance, Rig, make_rig
from tests.dataplane.settled import wait_active, wait_planned
from tests.dataplane.tagged import add_tag, exchange, listen_tags, read_tagged
from tests.dataplane.wire import make_echo, open_socket, to_bytes

pytestmark = pytest.mark.dataplane


@pytest.fixture
def rig() -> Iterator[Rig]:
    if reason := why_not():
        pytest.skip(reason)
    with make_rig() as made:
        made.start_agent()
        made.wait_log("following")
        yield made


def make_port(rig: Rig, network: str, **given: Any) -> dict[str, Any]:
    port: dict[str, Any] = rig.ask("POST", "ports", {"port": {"network_id": network, **given}})["port"]
    return port


def make_open_group(rig: Rig) -> str:
    """A group that lets all of IPv4 out, as groups do when they are made, and in."""
    group: str = rig.ask("POST", "security-groups", {"security_group": {"name": "open"}})["security_group"]["id"]
    rule = {"security_group_id": group, "direction": "ingress", "ethertype": "IPv4"}
    rig.ask("POST", "security-group-rules", {"security_group_rule": rule})
    return group


def as_instance(port: dict[str, Any], device: Instance) -> Instance:
    """A subport as whoever is behind `device` uses it."""
    return Instance(
        port["id"], device.tap, device.netns, device.device, port["mac_address"], port["fixed_ips"][0]["ip_address"]
    )


def ping_tagged(wire: socket.socket, one: Instance, other: Instance, vlan: int, timeout_s: float = 5.0) -> int | None:
    """Ping `other` from a subport, tagged; the tag of the answer, None where there is none."""
    mark = os.urandom(16)
    frame = add_tag(make_echo(one, other.mac, other.address, mark), vlan)
    found = exchange(wire, frame, lambda _, got: got[42:58] == mark and got[34:35] == b"\0", timeout_s)
    return found[0] if found else None


def ask_arp(one: Instance, address: str) -> bytes:
    head = b"\xff" * 6 + to_bytes(one.mac) + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)
    return head + to_bytes(one.mac) + socket.inet_aton(one.address) + bytes(6) + socket.inet_aton(address)


def test_a_trunk_is_used_by_an_instance_that_tags_its_frames(rig: Rig) -> None:
    """Ping, ARP and DHCP of a subport under its tag; one more while it runs, and gone again."""
    red, blue = rig.make_network("red", "10.1.0.0/24"), rig.make_network("blue", "10.2.0.0/24")
    parent, sub, late = (make_port(rig, network, port_security_enabled=False) for network in (red, blue, blue))
    trunk = rig.ask("POST", "trunks", {"trunk": {"port_id": parent["id"], "sub_ports": [
        {"port_id": sub["id"], "segmentation_type": "vlan", "segmentation_id": 100}]}})["trunk"]  # fmt: skip
    assert trunk["status"] == "DOWN"
    rig.ask("PUT", f"ports/{parent['id']}", {"port": {"binding:host_id": "h1"}})
    (other,) = rig.make_ports(blue, 1, port_security_enabled=False)
    device, peer = rig.boot(parent, 1), rig.boot(other, 2)
    rig.plug([device, peer])
    wait_active(rig, device_owner="trunk:subport")
    wait_until(lambda: rig.ask("GET", f"trunks/{trunk['id']}")["trunk"]["status"] == "ACTIVE")

    mine, later = as_instance(sub, device), as_instance(late, device)
    with closing(open_socket(device.netns, device.device)) as wire:
        listen_tags(wire)
        wait_until(lambda: ping_tagged(wire, mine, peer, 100) == 100)
        assert ping_tagged(wire, mine, peer, 101, 0.5) is None
        answer = exchange(wire, add_tag(ask_arp(mine, peer.address), 100), lambda _, got: got[12:14] == b"\x08\x06")
        assert answer is not None and (answer[0], answer[1][22:28]) == (100, to_bytes(peer.mac))
        offer = exchange(
            wire, add_tag(render_frame(ask_dhcp4(Mac(mine.mac))), 100), lambda _, got: got[23:24] == b"\x11"
        )
        assert offer is not None and (offer[0], socket.inet_ntoa(offer[1][58:62])) == (100, mine.address)

        seat = [{"port_id": late["id"], "segmentation_type": "vlan", "segmentation_id": 101}]
        rig.ask("PUT", f"trunks/{trunk['id']}/add_subports", {"sub_ports": seat})
        wait_until(lambda: rig.ask("GET", f"ports/{late['id']}")["port"]["status"] == "ACTIVE")
        wait_until(lambda: ping_tagged(wire, later, peer, 101) == 101)
        frame = add_tag(make_echo(mine, later.mac, later.address, b"hairpin, tagged!"), 100)
        found = exchange(wire, frame, lambda vlan, got: vlan == 101 and got[42:58] == b"hairpin, tagged!")
        assert found is not None, "from one subport to another of the same device"
        rig.ask("PUT", f"trunks/{trunk['id']}/remove_subports", {"sub_ports": [{"port_id": late["id"]}]})
        wait_until(lambda: ping_tagged(wire, later, peer, 101, 0.2) is None)
        assert ping_tagged(wire, mine, peer, 100) == 100
        wait_planned(rig)


def test_a_subport_has_a_guard_of_its_own(rig: Rig) -> None:
    """Port security and groups hold for a subport as for any port: the parent's address does not get out by it."""
    red, blue = rig.make_network("red", "10.1.0.0/24"), rig.make_network("blue", "10.2.0.0/24")
    group = make_open_group(rig)
    parent, sub = (make_port(rig, network, security_groups=[group]) for network in (red, blue))
    rig.ask("POST", "trunks", {"trunk": {"port_id": parent["id"], "sub_ports": [
        {"port_id": sub["id"], "segmentation_type": "vlan", "segmentation_id": 100}]}})  # fmt: skip
    rig.ask("PUT", f"ports/{parent['id']}", {"port": {"binding:host_id": "h1"}})
    (other,) = rig.make_ports(blue, 1, port_security_enabled=False)
    device, peer = rig.boot(parent, 1), rig.boot(other, 2)
    rig.plug([device, peer])
    wait_active(rig)
    mine = as_instance(sub, device)
    sender, hearer = open_socket(device.netns, device.device), open_socket(peer.netns, peer.device)
    with closing(sender) as wire, closing(hearer) as heard:
        listen_tags(wire)
        wait_until(lambda: ping_tagged(wire, mine, peer, 100) == 100)
        for forged in (Instance(sub["id"], "", "", "", mine.mac, device.address),
                       Instance(sub["id"], "", "", "", device.mac, device.address)):  # fmt: skip
            mark = os.urandom(16)
            wire.send(add_tag(make_echo(forged, peer.mac, peer.address, mark), 100))
            assert ping_tagged(wire, mine, peer, 100) == 100  # what was sent before it has been seen to
            assert not any(mark in frame for frame in drain(heard))


def test_a_network_that_carries_tags(rig: Rig) -> None:
    """Between two instances of a VLAN-transparent network a tag stays; on another network the frame goes nowhere."""
    for transparent in (True, False):
        body = {"network": {"name": "red", "vlan_transparent": transparent}}
        network = rig.ask("POST", "networks", body)["network"]["id"]
        rig.ask("POST", "subnets", {"subnet": {"network_id": network, "cidr": "10.1.0.0/24", "ip_version": 4}})
        ports = rig.make_ports(network, 2, port_security_enabled=False)
        one, other = (rig.boot(port, 10 * transparent + n) for n, port in enumerate(ports, 1))
        rig.plug([one, other])
        wait_active(rig)
        sender, hearer = open_socket(one.netns, one.device), open_socket(other.netns, other.device)
        with closing(sender) as wire, closing(hearer) as heard:
            listen_tags(heard)
            mark = os.urandom(16)
            wire.send(add_tag(make_echo(one, other.mac, other.address, mark), 77))
            wire.send(make_echo(one, other.mac, other.address, mark))
            came: list[int] = []

            def listen(came: list[int] = came, heard: socket.socket = heard, mark: bytes = mark) -> bool:
                try:
                    vlan, frame = read_tagged(heard)
                except BlockingIOError:
                    return False
                if mark in frame and frame[34:35] == b"\x08":
                    came.append(vlan)
                return 0 in came

            wait_until(listen)
            assert came == ([77, 0] if transparent else [0])


def drain(wire: socket.socket) -> Iterator[bytes]:
    """All that came so far."""
    while True:
        try:
            yield wire.recv(4096)
        except BlockingIOError:
            return
