"""Taps on real switches: copies to a port of the same host and of another, and to a collector outside."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import pytest

from tests.dataplane.ovs import happens, run, wait_until
from tests.dataplane.rig import Instance
from tests.dataplane.rig_cloud import Cloud
from tests.dataplane.settled import wait_active, wait_planned
from tests.dataplane.tagged import add_tag, listen_tags, read_tagged
from tests.dataplane.wire import make_echo, open_socket

pytestmark = pytest.mark.dataplane


def hears(source: Instance, target: Instance, device: tuple[str, str], find: Callable[[bytes, bytes], bool]) -> bool:
    """Whether a copy of what `source` sends to `target` comes to the device (namespace, name) within a second."""
    sender, hearer = open_socket(source.netns, source.device), open_socket(*device)
    mark = os.urandom(16)
    with closing(sender) as wire, closing(hearer) as heard:
        wire.send(make_echo(source, target.mac, target.address, mark))

        def came() -> bool:
            try:
                while True:
                    if find(heard.recv(4096), mark):
                        return True
            except BlockingIOError:
                return False

        return happens(came, 1)


def request_of(one: Instance) -> Callable[[bytes, bytes], bool]:
    """The frame itself, as it was sent."""
    mac = bytes.fromhex(one.mac.replace(":", ""))
    return lambda frame, mark: frame[6:12] == mac and frame[42:58] == mark and frame[34:35] == b"\x08"


def add_tap(cloud: Cloud, watcher: Instance, tapped: Instance, direction: str) -> str:
    api = cloud.api
    found = [s for s in api.ask("GET", "taas/tap_services")["tap_services"] if s["port_id"] == watcher.id]
    service = found[0] if found else api.ask(
        "POST", "taas/tap_services", {"tap_service": {"port_id": watcher.id}}
    )["tap_service"]  # fmt: skip
    body = {"tap_service_id": service["id"], "source_port": tapped.id, "direction": direction}
    flow = api.ask("POST", "taas/tap_flows", {"tap_flow": body})["tap_flow"]
    assert flow["status"] == "ACTIVE"
    return str(flow["id"])


def test_copies_come_to_a_port_here_and_there(cloud: Cloud) -> None:
    """What a port sends, then both ways, to a watcher on its own host and to one on another; and no more at the end."""
    network = cloud.api.make_network("red", "10.1.0.0/24")
    one, other, near = (cloud.boot("h1", network, "") for _ in range(3))
    far = cloud.boot("h2", network, "")
    for watcher in (near, far):
        device = (watcher.netns, watcher.device)
        assert not hears(one, other, device, request_of(one))
        flow = add_tap(cloud, watcher, one, "OUT")
        wait_until(lambda device=device: hears(one, other, device, request_of(one)))  # type: ignore[misc]
        assert not hears(other, one, device, request_of(other))
        cloud.api.ask("DELETE", f"taas/tap_flows/{flow}")
        flow = add_tap(cloud, watcher, one, "BOTH")
        wait_until(lambda device=device: hears(other, one, device, request_of(other)))  # type: ignore[misc]
        wait_until(lambda device=device: hears(one, other, device, request_of(one)))  # type: ignore[misc]
        wait_planned(*cloud.hosts.values())
        cloud.api.ask("DELETE", f"taas/tap_flows/{flow}")
        wait_until(lambda device=device: not hears(one, other, device, request_of(one)))  # type: ignore[misc]
    wait_until(lambda: "nl" not in cloud.hosts["h1"].host.vsctl("list", "mirror"))


def in_gre(key: int, kind: int) -> Callable[[bytes, bytes], bool]:
    """A frame in GRE (RFC 2890) with the key, or in ERSPAN type II with the session."""

    def find(frame: bytes, mark: bytes) -> bool:
        if frame[12:14] != b"\x08\x00" or frame[23] != 47 or mark not in frame:
            return False
        flags, inner = struct.unpack_from("!HH", frame, 34)
        if inner != kind:
            return False
        if kind == 0x6558:
            return bool(flags & 0x2000) and int(struct.unpack_from("!I", frame, 38)[0]) == key
        at = 38 + (4 if flags & 0x1000 else 0)
        return int(struct.unpack_from("!H", frame, at + 2)[0]) & 0x3FF == key

    return find


@pytest.mark.parametrize(("kind", "ethertype"), [("gre", 0x6558), ("erspanv1", 0x88BE)])
def test_copies_go_to_a_collector(cloud: Cloud, kind: str, ethertype: int) -> None:
    """A machine on the underlay gets what the port sends and receives, each with its own tunnel id."""
    network = cloud.api.make_network("red", "10.1.0.0/24")
    one, other = (cloud.boot("h1", network, "") for _ in range(2))
    collector = "192.0.2.99"
    run("ip", "-n", cloud.underlay, "addr", "add", f"{collector}/24", "dev", "wire")
    body = {"port_id": one.id, "directions": {"IN": 7, "OUT": 8}, "remote_ip": collector, "mirror_type": kind}
    mirror = cloud.api.ask("POST", "taas/tap_mirrors", {"tap_mirror": body})["tap_mirror"]
    device = (cloud.underlay, "wire")
    wait_until(lambda: hears(one, other, device, in_gre(8, ethertype)))
    wait_until(lambda: hears(other, one, device, in_gre(7, ethertype)))
    wait_planned(cloud.api)
    cloud.api.ask("DELETE", f"taas/tap_mirrors/{mirror['id']}")
    wait_until(lambda: not hears(one, other, device, in_gre(8, ethertype)))


def with_tag(one: Instance, vlan: int) -> Callable[[int, bytes, bytes], bool]:
    """The frame as it was sent, under that tag; 0: under none."""
    mac = bytes.fromhex(one.mac.replace(":", ""))
    return lambda tag, frame, mark: tag == vlan and frame[6:12] == mac and mark in frame and frame[34:35] == b"\x08"


def hears_tagged(
    sender: Instance, frame: bytes, mark: bytes, watcher: Instance, wanted: Callable[[int, bytes, bytes], bool]
) -> bool:
    """Whether a copy of the frame comes to the watcher within a second."""
    wires = (open_socket(one.netns, one.device) for one in (sender, watcher))
    with closing(next(wires)) as wire, closing(next(wires)) as heard:
        listen_tags(heard)
        wire.send(frame)

        def came() -> bool:
            try:
                while True:
                    tag, got = read_tagged(heard)
                    if wanted(tag, got, mark):
                        return True
            except BlockingIOError:
                return False

        return happens(came, 1)


def test_a_subport_is_copied_and_a_trunk_whole(cloud: Cloud) -> None:
    """A tap of a subport copies what it sends and gets, under its tag, and nothing of its parent or of another subport;
    one of the parent copies all of it."""
    api = cloud.api
    red, blue = (api.make_network(name, f"10.{n}.0.0/24") for n, name in enumerate(("red", "blue"), 1))
    watcher, peer = cloud.boot("h1", red, ""), cloud.boot("h1", blue, "")
    open_port = {"port_security_enabled": False}
    parent, sub, other = (
        api.ask("POST", "ports", {"port": {"network_id": network, **open_port}})["port"]
        for network in (red, blue, blue)
    )
    seats = [
        {"port_id": port["id"], "segmentation_type": "vlan", "segmentation_id": vlan}
        for port, vlan in ((sub, 100), (other, 101))
    ]
    api.ask("POST", "trunks", {"trunk": {"port_id": parent["id"], "sub_ports": seats}})
    api.ask("PUT", f"ports/{parent['id']}", {"port": {"binding:host_id": "h1"}})
    cloud.count += 1
    device = api.boot(parent, cloud.count)
    api.plug([device])
    wait_active(api, device_owner="trunk:subport")
    mine, second = (
        replace(device, id=port["id"], mac=port["mac_address"], address=port["fixed_ips"][0]["ip_address"])
        for port in (sub, other)
    )

    def sent(one: Instance, vlan: int) -> bool:
        mark = os.urandom(16)
        frame = make_echo(one, peer.mac if vlan else watcher.mac, peer.address, mark)
        return hears_tagged(device, add_tag(frame, vlan) if vlan else frame, mark, watcher, with_tag(one, vlan))

    def got(one: Instance, vlan: int) -> bool:
        mark = os.urandom(16)
        return hears_tagged(peer, make_echo(peer, one.mac, one.address, mark), mark, watcher, with_tag(peer, vlan))

    flow = add_tap(cloud, watcher, mine, "BOTH")
    wait_until(lambda: sent(mine, 100))
    wait_until(lambda: got(mine, 100))
    assert not sent(second, 101) and not got(second, 101)
    wait_planned(api)
    api.ask("DELETE", f"taas/tap_flows/{flow}")
    wait_until(lambda: not sent(mine, 100))
    add_tap(cloud, watcher, device, "BOTH")
    wait_until(lambda: sent(mine, 100))
    for claim in (lambda: sent(second, 101), lambda: got(mine, 100), lambda: got(second, 101)):
        wait_until(claim)
