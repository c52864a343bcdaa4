"""A host with Linux bridges under a real server: leases, forging, restarts, and what somebody changed by hand."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dataplane.bridge_rig import BridgeRig, make_bridge_rig
from tests.dataplane.conftest import why_not
from tests.dataplane.dhcp_clients import get_note, make_script, read_note
from tests.dataplane.frames import await_frame, drain
from tests.dataplane.group_kit import make_row
from tests.dataplane.ovs import PATIENCE_S, run, wait_until
from tests.dataplane.rig import Instance
from tests.dataplane.rule_field import say
from tests.dataplane.settled import wait_active, wait_planned, wait_quiet
from tests.dataplane.wire import Pinging, await_ping, open_socket

pytestmark = pytest.mark.dataplane


class House:
    """Two instances that may say all, of a network with DHCP in both IP versions."""

    def __init__(self, rig: BridgeRig) -> None:
        self.rig = rig
        self.network = rig.make_network("n0", "10.0.0.0/24")
        stateful = {"ipv6_ra_mode": "dhcpv6-stateful", "ipv6_address_mode": "dhcpv6-stateful"}
        six = {"network_id": self.network, "cidr": "2001:db8::/64", "ip_version": 6, **stateful}
        rig.ask("POST", "subnets", {"subnet": six})
        group = rig.ask("POST", "security-groups", {"security_group": {"name": "all"}})["security_group"]["id"]
        for ethertype in ("IPv4", "IPv6"):
            rule = {"security_group_id": group, "direction": "ingress", "ethertype": ethertype}
            rig.ask("POST", "security-group-rules", {"security_group_rule": rule})
        self.group = group
        self.ports = rig.make_ports(self.network, 2, security_groups=[group])
        self.a, self.b = (rig.boot(port, number) for number, port in enumerate(self.ports))
        wait_active(rig)


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    if reason := why_not():
        pytest.skip(reason)
    with make_bridge_rig() as rig:
        rig.start_agent()
        yield House(rig)


def inside(one: Instance, *command: str) -> str:
    return run("ip", "netns", "exec", one.netns, *command)


def find_ip(port: dict[str, Any], version: int) -> str:
    found = (fixed["ip_address"] for fixed in port["fixed_ips"])
    return str(next(ip for ip in found if (":" in ip) == (version == 6)))


def test_an_instance_gets_its_lease_and_mtu(house: House, tmp_path: Path) -> None:
    """BusyBox's client gets the port's address, and the MTU that a VXLAN network has."""
    script = make_script(tmp_path)
    inside(
        house.a, "udhcpc", "-i", house.a.device, "-f", "-q", "-n", "-t", "30", "-T", "1", "-s", str(script), "-O", "mtu"
    )
    got = read_note(tmp_path, "bound")
    assert (got["ip"], got["mtu"], got["subnet"]) == (find_ip(house.ports[0], 4), "1450", "255.255.255.0")
    shown = run("ip", "-n", house.rig.host.netns, "link", "show", house.a.tap)
    assert "mtu 1450" in shown


def is_renewed(client: subprocess.Popen[bytes], told: Path) -> bool:
    """Whether BusyBox's client, told to renew its lease, has it renewed without asking everybody.

    Trap: it loses an answer that comes before it has closed the socket that it asked by.
    """
    said = len(told.read_text())
    client.send_signal(signal.SIGUSR1)
    wait_until(lambda: " obtained " in told.read_text()[said:])
    return "sending renew" in told.read_text()[said:] and "broadcasting" not in told.read_text()[said:]


def test_a_lease_is_renewed_where_addresses_may_be_unknown(house: House, tmp_path: Path) -> None:
    """By unicast, to an address that no port has: also where a tunnel device answers nothing, as ports with address
    pairs, or without port security, may be asked for what the server does not know; and on a network of one host."""
    rig = house.rig
    network = rig.make_network("pairs", "10.7.0.0/24")
    (paired,) = rig.make_ports(network, 1, allowed_address_pairs=[{"ip_address": "10.7.0.99"}])
    (free,) = rig.make_ports(network, 1, port_security_enabled=False)
    local = rig.make_network("local", "10.8.0.0/24", **{"provider:network_type": "local"})
    instances = [rig.boot(port, number) for number, port in enumerate((paired, free, *rig.make_ports(local, 2)), 20)]
    wait_active(rig)
    wait_planned(rig)
    for one in instances:
        command = ["udhcpc", "-i", one.device, "-f", "-t", "9", "-T", "3", "-s", "/bin/true"]
        told = tmp_path / one.device
        with told.open("w") as out:
            client = subprocess.Popen(["ip", "netns", "exec", one.netns, *command], stdout=out, stderr=out)
        try:
            wait_until(lambda told=told: " obtained " in told.read_text())  # type: ignore[misc]
            wait_until(lambda client=client, told=told: is_renewed(client, told))  # type: ignore[misc]
        finally:
            client.kill()
            client.wait(PATIENCE_S)
    wait_planned(rig)


def test_an_instance_gets_its_ipv6_lease(house: House, tmp_path: Path) -> None:
    """ISC's client, for IPv6: four messages, and the port's address."""
    (port,) = house.rig.make_ports(house.network, 1, security_groups=[house.group])
    one = house.rig.boot(port, 9)
    inside(one, "sysctl", "-qw", f"net.ipv6.conf.{one.device}.disable_ipv6=0")
    wait_active(house.rig)
    assert get_note(one.netns, one.device, tmp_path, 6, "BOUND6")["new_ip6_address"] == find_ip(port, 6)


def test_nobody_speaks_in_the_name_of_another(house: House) -> None:
    """From another MAC or address, as a DHCP server, as a router, or about another's address in ARP: nothing passes."""
    mine, other = make_row(house.ports[0]), make_row(house.ports[1])
    with (
        open_socket(house.a.netns, house.a.device) as out,
        open_socket(house.b.netns, house.b.device) as into,
    ):
        frame = say("udp 53", mine, other)
        forged = {
            "another MAC": frame[:6] + bytes.fromhex("020000000099") + frame[12:],
            "another address": say("udp 53", make_row(forge(house.ports[0], "10.0.0.77")), other),
            "a DHCP server": say("udp 68 from 67", mine, other),
            "an ARP reply for another": make_arp(house.a, "10.0.0.77"),
            "a VLAN": frame[:12] + b"\x81\x00\x00\x05" + frame[12:],
        }
        drain(into)
        for what, made in forged.items():
            out.send(made)
            assert not await_frame(into, made, 0.1), f"{what} arrives"
        for made in (frame, make_arp(house.a, house.a.address)):
            out.send(made)
            assert await_frame(into, made, 10)


def forge(port: dict[str, Any], ip: str) -> dict[str, Any]:
    return {**port, "fixed_ips": [{"ip_address": ip}]}


def make_arp(one: Instance, address: str) -> bytes:
    """A reply to everybody: the address is here."""
    mac, ip = bytes.fromhex(one.mac.replace(":", "")), bytes(map(int, address.split(".")))
    head = b"\xff" * 6 + mac + b"\x08\x06" + bytes.fromhex("0001080006040002")
    return head + mac + ip + b"\xff" * 6 + ip


def test_the_host_itself_is_not_there(house: House) -> None:
    """An instance that knows the host's tunnel address gets no answer, neither to ARP nor to a ping."""
    command = ["ip", "netns", "exec", house.a.netns, "arping", "-c", "2", "-w", "1", "-I", house.a.device, "192.0.2.1"]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
def test_a_restart_changes_nothing(house: House, how: signal.Signals) -> None:
    """The agent is killed and comes back while pings go on: none is lost, and there is nothing to do."""
    rig = house.rig
    wait_quiet(rig)
    pinging = Pinging(house.a, house.b.address)
    pinging.wait_more()
    rig.stop_agent(how)
    said = len(rig.read_log())
    rig.start_agent()
    rig.wait_log("ports wired, 0 wait", said)
    pinging.wait_more()
    replies, lost = pinging.stop()
    assert replies >= 20 and lost == []
    assert " ops" not in rig.read_log(said)
    wait_planned(rig)


def test_what_somebody_takes_away_comes_back(house: House) -> None:
    """A tap out of its bridge, a bridge that is deleted, an MTU that is changed: healed within seconds."""
    rig, netns = house.rig, house.rig.host.netns
    bridge = f"brq{house.network}"[:14]
    for command in (
        ("link", "set", house.a.tap, "nomaster"),
        ("link", "set", house.a.tap, "mtu", "1300"),
        ("link", "del", bridge),
        ("link", "del", "vxlan-1"),
    ):
        run("ip", "-n", netns, *command)
        wait_planned(rig)
        with open_socket(house.a.netns, house.a.device) as wire:
            await_ping(wire, house.a, house.b)


def test_nothing_stays_when_nothing_is_wanted(house: House) -> None:
    """The last port of a network goes: its devices, rules and entries go too."""
    rig = house.rig
    for port in rig.list_ports(fields="id"):
        rig.ask("DELETE", f"ports/{port['id']}")

    def is_clean() -> bool:
        shown = run("ip", "-n", rig.host.netns, "-br", "link")
        rules = run("ip", "netns", "exec", rig.host.netns, "nft", "list", "ruleset")
        return "brq" not in shown and "vxlan-" not in shown and "guard_" not in rules and "egress_" not in rules

    wait_until(is_clean)
    wait_planned(rig)
