"""Networks that span a host with Open vSwitch and one with Linux bridges: tunnelled, flat, and what cannot be."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.dataplane.bridge_rig import make_mixed_cloud
from tests.dataplane.conftest import why_not
from tests.dataplane.group_kit import connect, listen
from tests.dataplane.ovs import PATIENCE_S, run, wait_until
from tests.dataplane.rig import Instance
from tests.dataplane.rig_cloud import Cloud, wait_ping
from tests.dataplane.wire import Pinging, open_socket

pytestmark = pytest.mark.dataplane


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """h1 has Open vSwitch, h2 has Linux bridges."""
    if reason := why_not():
        pytest.skip(reason)
    with make_mixed_cloud() as made:
        yield made


def boot_pair(cloud: Cloud, network: str, secure: bool = False) -> tuple[Instance, Instance]:
    """`secure`: both are in the default group, and have no other addresses than the API gave them."""
    ports = [{"network_id": network, "binding:host_id": host, "port_security_enabled": secure} for host in ("h1", "h2")]
    made = cloud.api.ask("POST", "ports", {"ports": ports})["ports"]
    assert [port["binding:vif_type"] for port in made] == ["ovs", "bridge"]
    found = []
    for port, rig in zip(made, (cloud.hosts["h1"], cloud.hosts["h2"]), strict=True):
        cloud.count += 1
        one = rig.boot(port, cloud.count)
        run("ip", "-n", one.netns, "link", "set", one.device, "mtu", "1450")  # as DHCP would have told it
        rig.plug([one])
        found.append(one)
    for one in found:
        wait_until(lambda one=one: cloud.api.ask("GET", f"ports/{one.id}")["port"]["status"] == "ACTIVE")  # type: ignore[misc]
    return found[0], found[1]


def test_a_network_spans_both_switches(cloud: Cloud) -> None:
    """The same VNI: they ping and speak TCP both ways, a full MTU passes, and nothing is asked for by broadcast."""
    network = cloud.api.make_network("both", "10.0.5.0/24")
    one, other = boot_pair(cloud, network)
    wait_ping(one.netns, other.address)
    wait_ping(other.netns, one.address)
    run("ip", "netns", "exec", other.netns, "ping", "-c", "2", "-M", "do", "-s", "1422", one.address)
    for client, server in ((one, other), (other, one)):
        with listen(server, 8080) as door, connect(client, server, 8080) as speaker, door.accept()[0] as held:
            held.settimeout(PATIENCE_S)
            speaker.sendall(b"x" * 50_000)
            got = 0
            while got < 50_000:
                got += len(held.recv(65536))


def test_what_is_known_is_not_flooded(cloud: Cloud) -> None:
    """ARP for an address on another host is answered here: the question does not leave the host."""
    network = cloud.api.make_network("quiet", "10.0.6.0/24")
    one, other = boot_pair(cloud, network, secure=True)
    wait_ping(other.netns, one.address)
    run("ip", "-n", other.netns, "neigh", "flush", "dev", other.device)
    with open_socket(cloud.hosts["h2"].host.netns, "eth0") as wire:
        wait_ping(other.netns, one.address)
        asked = 0
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            try:
                frame = wire.recv(4096)
            except BlockingIOError:
                time.sleep(0.01)
                continue
            asked += frame[23:24] == b"\x11" and frame[62:64] == b"\x08\x06" and frame[50:56] == b"\xff" * 6
    assert asked == 0


def test_an_address_of_a_pair_is_found_from_another_host(cloud: Cloud) -> None:
    """A port on a Linux bridge that gets an address pair is asked for it, and answers, while the network is in use."""
    network = cloud.api.make_network("pairs", "10.0.8.0/24")
    one, other = boot_pair(cloud, network, secure=True)
    wait_ping(one.netns, other.address)
    run("ip", "-n", other.netns, "addr", "add", "10.0.8.99/24", "dev", other.device)
    cloud.api.ask("PUT", f"ports/{other.id}", {"port": {"allowed_address_pairs": [{"ip_address": "10.0.8.99"}]}})
    wait_ping(one.netns, "10.0.8.99")
    wait_ping(one.netns, other.address)


def test_a_port_that_moves_is_found_on_its_new_host(cloud: Cloud) -> None:
    """From a host with Open vSwitch to one with Linux bridges: whoever speaks to it finds it there."""
    network = cloud.api.make_network("moving", "10.0.7.0/24")
    one, other = boot_pair(cloud, network)
    wait_ping(other.netns, one.address)
    (port,) = cloud.api.ask("GET", f"ports?id={one.id}")["ports"]
    cloud.api.ask("PUT", f"ports/{one.id}", {"port": {"binding:host_id": "h2"}})
    run("ip", "-n", one.netns, "link", "set", one.device, "down")
    cloud.count += 1
    moved = cloud.hosts["h2"].boot(port, cloud.count)
    wait_ping(other.netns, moved.address)
    wait_ping(moved.netns, other.address)


def test_a_flat_network_spans_both_switches(cloud: Cloud) -> None:
    """By the NIC that is the physical network's, straight to the machine outside as well."""
    external = cloud.make_external()
    one, other = boot_pair(cloud, external)
    for target in (one.address, "203.0.113.1"):
        wait_ping(other.netns, target)
    pinging = Pinging(other, "203.0.113.1", 0.05)
    wait_ping(one.netns, other.address)
    assert pinging.stop()[1] == []


def test_a_nic_that_carries_too_little_is_said_so(cloud: Cloud) -> None:
    """The NIC of a physical network gets a smaller MTU, then its own again: on each kind of host its ports say so."""
    network = cloud.api.networks.get("outside") or cloud.make_external()
    pair = boot_pair(cloud, network)
    for one, rig in zip(pair, (cloud.hosts["h1"], cloud.hosts["h2"]), strict=True):
        words = f"the NIC of physical network physnet on host {rig.name} carries 1400"

        def told(one: Instance = one) -> tuple[str, str]:
            (port,) = cloud.api.list_ports(id=one.id)
            return port["status"], port["waits_for"] or ""

        run("ip", "-n", rig.host.netns, "link", "set", "eth1", "mtu", "1400")
        wait_until(lambda: (found := told())[0] == "DOWN" and words in found[1])  # noqa: B023
        run("ip", "-n", rig.host.netns, "link", "set", "eth1", "mtu", "1600")
        wait_until(lambda: told() == ("ACTIVE", ""))


def test_an_underlay_that_carries_too_little_is_said_so(cloud: Cloud) -> None:
    """The device of the tunnels gets a smaller MTU, then its own: what is wired says so, and what comes meanwhile is
    not bound; both heal, and no agent was started anew."""
    network = cloud.make_plain_network("narrow")
    cloud.make_subnet(network, "10.0.9.0/24")
    for one, rig in zip(boot_pair(cloud, network), (cloud.hosts["h1"], cloud.hosts["h2"]), strict=True):
        words = f"need 1500 bytes in vxlan tunnels, and the underlay of host {rig.name} carries 1400"

        def told(id: str = one.id) -> tuple[str, str, str]:
            (port,) = cloud.api.list_ports(id=id)
            return port["status"], port["waits_for"] or "", port["binding:vif_type"]

        had = told()
        device = find_device(rig.host.netns, f"{rig.tunnel_ip}/24")
        run("ip", "-n", rig.host.netns, "link", "set", device, "mtu", "1400")
        wait_until(lambda: (found := told())[0] == "DOWN" and words in found[1])  # noqa: B023
        wait_until(lambda: find_carried(cloud, rig.name) == 1400)  # noqa: B023
        body = {"port": {"network_id": network, "binding:host_id": rig.name}}
        late = cloud.api.ask("POST", "ports", body)["port"]
        assert late["binding:vif_type"] == "binding_failed" and words in late["waits_for"]
        run("ip", "-n", rig.host.netns, "link", "set", device, "mtu", "1600")
        wait_until(lambda: told() == had == ("ACTIVE", "", had[2]))  # noqa: B023
        wait_until(lambda: told(late["id"])[2] == had[2])  # noqa: B023
        cloud.api.ask("DELETE", f"ports/{late['id']}")


def find_device(netns: str, address: str) -> str:
    """The device that has it."""
    shown = run("ip", "-n", netns, "-o", "addr", "show").splitlines()
    return next(line.split()[1] for line in shown if f" {address} " in line)


def find_carried(cloud: Cloud, host: str) -> int:
    """What the host's switch said that its underlay carries."""
    agents = cloud.api.ask("GET", f"agents?host={host}")["agents"]
    return int(next(one["configurations"]["tunnel_mtu"] for one in agents if "tunnel_mtu" in one["configurations"]))


def test_a_vlan_that_this_kernel_has_not_is_said_so(cloud: Cloud) -> None:
    """A port whose network cannot leave the host does not become ACTIVE, and says why; with VLAN devices it is met."""
    rig = cloud.hosts["h2"]
    kind = {"provider:network_type": "vlan", "provider:physical_network": "physnet", "provider:segmentation_id": 107}
    network = cloud.make_plain_network("v", **kind)
    cloud.make_subnet(network, "10.0.8.0/24")
    body = {"network_id": network, "binding:host_id": "h2", "port_security_enabled": False}
    port = cloud.api.ask("POST", "ports", {"port": body})["port"]
    assert port["binding:vif_type"] == "bridge"
    said = len(rig.read_log())
    cloud.count += 1
    one = rig.boot(port, cloud.count)
    done = run("ip", "-n", rig.host.netns, "link", "add", "try", "link", "eth0", "type", "vlan", "id", "5", check=False)
    if "not supported" in done or not run("ip", "-n", rig.host.netns, "link", "show", "try", check=False):
        rig.wait_log("no vlan devices, so the network cannot leave this host", said)
        assert cloud.api.ask("GET", f"ports/{port['id']}")["port"]["status"] == "DOWN"
    else:
        wait_until(lambda: cloud.api.ask("GET", f"ports/{port['id']}")["port"]["status"] == "ACTIVE")
        other = cloud.boot("h1", network, "")
        wait_ping(one.netns, other.address)
        wait_ping(other.netns, one.address)
    cloud.api.ask("DELETE", f"ports/{port['id']}")
