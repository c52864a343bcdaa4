"""Security groups over the API of a rig, and instances that try to speak to one another."""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from pyroute2 import netns as spaces

from netloom.model.slices import Address, PortRow
from tests.dataplane.ovs import PATIENCE_S, run
from tests.dataplane.rig import Instance, Rig
from tests.dataplane.wire import make_echo, open_socket, to_bytes


def make_row(port: Mapping[str, Any]) -> PortRow:
    addresses = tuple(Address(fixed["ip_address"]) for fixed in port["fixed_ips"])
    return PortRow(port["id"], port["network_id"], port["mac_address"], addresses=addresses)


def make_group(rig: Rig, name: str, stateful: bool = True, bare: bool = True) -> str:
    """A group; without the rules that new ones have, if it is to be bare."""
    body = {"name": name, "stateful": stateful}
    group = rig.ask("POST", "security-groups", {"security_group": body})["security_group"]
    for rule in group["security_group_rules"] if bare else ():
        rig.ask("DELETE", f"security-group-rules/{rule['id']}")
    return str(group["id"])


def add_rule(rig: Rig, group: str, **rule: Any) -> str:
    body = {"security_group_id": group, **rule}
    return str(rig.ask("POST", "security-group-rules", {"security_group_rule": body})["security_group_rule"]["id"])


def drop_rule(rig: Rig, rule: str) -> None:
    rig.ask("DELETE", f"security-group-rules/{rule}")


def put_in(rig: Rig, port: str, *groups: str) -> None:
    rig.ask("PUT", f"ports/{port}", {"port": {"security_groups": list(groups)}})


def make_dual_network(rig: Rig, name: str) -> str:
    network = rig.make_network(name, "10.0.0.0/16")
    rig.ask("POST", "subnets", {"subnet": {"network_id": network, "cidr": "2001:db8::/64", "ip_version": 6}})
    return network


def make_address_group(rig: Rig, name: str, *addresses: str) -> str:
    body = {"address_group": {"name": name, "addresses": list(addresses)}}
    return str(rig.ask("POST", "address-groups", body)["address_group"]["id"])


def make_members(rig: Rig, group: str, count: int) -> list[str]:
    """Ports on no host, on a network of their own: members that this host knows by their addresses alone."""
    network = rig.make_network("far", "10.128.0.0/16")
    found: list[str] = []
    while len(found) < count:
        some = [{"network_id": network, "security_groups": [group]} for _ in range(min(500, count - len(found)))]
        found += [port["id"] for port in rig.ask("POST", "ports", {"ports": some})["ports"]]
    return found


def introduce(one: Instance, other: Instance) -> None:
    """Each knows the other's MAC address, so that nothing is asked for."""
    for mine, theirs in ((one, other), (other, one)):
        run("ip", "-n", mine.netns, "neigh", "replace", theirs.address, "lladdr", theirs.mac, "dev", mine.device)


# -- connections of the kernel ----------------------------------------------------------------------------------------


def in_space(netns: str, make: Callable[[], socket.socket]) -> socket.socket:
    """A socket of another namespace, made by a thread that went there."""
    made: list[socket.socket | OSError] = []

    def work() -> None:
        spaces.setns(netns)
        try:
            made.append(make())
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]


def listen(one: Instance, port: int) -> socket.socket:
    """A door at an instance; nobody waits there for ever."""
    door = in_space(one.netns, lambda: socket.create_server((one.address, port)))
    door.settimeout(PATIENCE_S)
    return door


def accept(door: socket.socket, client: socket.socket) -> socket.socket:
    """The other end of just this client's connection; those who knocked before are let go."""
    while True:
        held, address = door.accept()
        if address == client.getsockname():
            return held
        held.close()


def connect(one: Instance, other: Instance, port: int, timeout_s: float = PATIENCE_S) -> socket.socket:
    return in_space(one.netns, lambda: socket.create_connection((other.address, port), timeout_s))


class Knocking:
    """Pings that should never be answered, a hundred a second; whoever gets one is caught at his own device."""

    def __init__(self, one: Instance, other: Instance, every_s: float = 0.01) -> None:
        self._one, self._other, self._every_s = one, other, every_s
        self._out, self._into = open_socket(one.netns, one.device), open_socket(other.netns, other.device)
        self.sent, self.came, self._over = 0, 0, threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        head = to_bytes(self._other.mac) + to_bytes(self._one.mac)
        while not self._over.wait(self._every_s):
            mark = struct.pack("!Q", self.sent) + b"intruder"
            self._out.send(make_echo(self._one, self._other.mac, self._other.address, mark))
            self.sent += 1
            while select.select([self._into], [], [], 0)[0]:
                self.came += self._into.recv(2048)[:12] == head

    def stop(self) -> tuple[int, int]:
        """(how many were sent, how many came)."""
        time.sleep(0.1)  # what is under way
        self._over.set()
        self._thread.join()
        self._out.close()
        self._into.close()
        return self.sent, self.came
