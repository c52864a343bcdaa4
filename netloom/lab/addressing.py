"""How an instance gets its addresses: the clients that a guest would run, and what they do with an answer.

Law: an address comes from the wire. Only where a subnet hands out nothing is it set by hand from the API's answer, as
cloud-init does from a config drive.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from netloom.lab import processes
from netloom.lab.shell import CommandFailed, LabError, run, wait_for

UDHCPC_SCRIPT = r"""#!/bin/sh
# Called by udhcpc with what the server said: see its manual, "Script". Made by `netloom lab`.
resolv=/etc/netns/@NETNS@/resolv.conf
case "$1" in
deconfig)
    ip -4 addr flush dev "$interface"
    ip link set "$interface" up
    ;;
bound | renew)
    [ -n "$mtu" ] && ip link set "$interface" mtu "$mtu"
    ip -4 addr replace "$ip/$mask" dev "$interface"
    # RFC 3442: with classless routes the router option is not to be used.
    if [ -n "$staticroutes" ]; then
        set -- $staticroutes
        while [ $# -gt 1 ]; do
            if [ "$2" = 0.0.0.0 ]; then ip route replace "$1" dev "$interface"
            else ip route replace "$1" via "$2" dev "$interface" onlink; fi
            shift 2
        done
    else
        for gateway in $router; do ip route replace default via "$gateway" dev "$interface" && break; done
    fi
    mkdir -p "${resolv%/*}"
    {
        [ -n "$domain" ] && echo "search $domain"
        for server in $dns; do echo "nameserver $server"; done
    } >"$resolv"
    ;;
esac
exit 0
"""

DHCLIENT6_SCRIPT = r"""#!/bin/sh
# Called by dhclient -6: see dhclient-script(8). Made by `netloom lab`.
case "$reason" in
BOUND6 | REBOOT6 | RENEW6 | REBIND6)
    [ -n "$new_ip6_address" ] && ip -6 addr replace "$new_ip6_address/128" dev "$interface" \
        valid_lft "${new_max_life:-forever}" preferred_lft "${new_preferred_life:-forever}"
    ;;
EXPIRE6 | RELEASE6 | STOP6)
    [ -n "$old_ip6_address" ] && ip -6 addr del "$old_ip6_address/128" dev "$interface"
    ;;
esac
exit 0
"""

NIC = "eth0"
GIVEN_BY = {"": "static", "slaac": "slaac", "dhcpv6-stateless": "slaac", "dhcpv6-stateful": "dhcpv6"}
"""How a v6 address comes, by its subnet's ipv6_address_mode (Networking API, "IPv6 subnet attributes")."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An address that the API has given the port: `how` it comes is dhcp, dhcpv6, slaac or static."""

    ip: str
    prefix: int
    gateway: str
    how: str

    @property
    def version(self) -> int:
        return 6 if ":" in self.ip else 4


def find_wanted(port: Mapping[str, Any], subnets: Iterable[Mapping[str, Any]], use_dhcp: bool) -> tuple[Wanted, ...]:
    """The port's addresses and how each is to come."""
    by_id = {subnet["id"]: subnet for subnet in subnets}
    wanted = []
    for fixed in port["fixed_ips"]:
        subnet = by_id[fixed["subnet_id"]]
        how = choose_way(subnet) if use_dhcp else "static"
        prefix = ip_network(subnet["cidr"]).prefixlen
        wanted.append(Wanted(fixed["ip_address"], prefix, subnet["gateway_ip"] or "", how))
    return tuple(wanted)


def choose_way(subnet: Mapping[str, Any]) -> str:
    if not subnet["enable_dhcp"]:
        return "static"
    return "dhcp" if subnet["ip_version"] == 4 else GIVEN_BY[subnet["ipv6_address_mode"] or ""]


def configure(
    netns: str, directory: Path, owner: Path, wanted: Iterable[Wanted], deadline_s: float = 20, device: str = NIC
) -> None:
    """Run what gets these addresses and wait until the instance has them. Raises LabError, naming those it lacks."""
    wanted = tuple(wanted)
    ways = {address.how for address in wanted}
    for address in wanted:
        if address.how == "static":
            set_static(netns, address, device)
    if "dhcpv6" in ways:
        start_dhclient6(netns, directory, owner, device)
    if "dhcp" in ways:
        run_udhcpc(netns, directory, owner, device)
    wait_for(
        f"addresses of {netns}", lambda: not find_lacking(netns, wanted, device), deadline_s,
        lambda: f"it lacks {', '.join(f'{a.ip} ({a.how})' for a in find_lacking(netns, wanted, device))}",
    )  # fmt: skip


def find_lacking(netns: str, wanted: Iterable[Wanted], device: str = NIC) -> tuple[Wanted, ...]:
    """Those that are not on the device, or are still being tried for duplicates."""
    shown = run("ip", "-n", netns, "-o", "addr", "show", "dev", device, "-tentative")
    ready = {line.split()[3].partition("/")[0] for line in shown.splitlines()}
    return tuple(address for address in wanted if address.ip not in ready)


def set_static(netns: str, address: Wanted, device: str = NIC) -> None:
    extra = ("nodad",) if address.version == 6 else ()
    run("ip", "-n", netns, "addr", "replace", f"{address.ip}/{address.prefix}", "dev", device, *extra)
    if address.gateway not in ("", address.ip):
        family = f"-{address.version}"
        run("ip", family, "-n", netns, "route", "replace", "default", "via", address.gateway, "dev", device, "onlink")


def run_udhcpc(netns: str, directory: Path, owner: Path, device: str = NIC) -> None:
    """Busybox's client; it stays and renews. Raises LabError with what it said when nobody answers."""
    script = write_script(directory / "udhcpc", UDHCPC_SCRIPT.replace("@NETNS@", netns))
    try:
        run(
            "ip", "netns", "exec", netns, "udhcpc", "-i", device, "-s", str(script), "-n", "-t", "20",
            "-T", "1", "-O", "staticroutes",
            "-p", str(directory / "udhcpc.pid"), env=processes.marked(owner),
        )  # fmt: skip
    except CommandFailed as error:
        raise LabError(f"no DHCP answer in {netns}: {error.output}") from None


def start_dhclient6(netns: str, directory: Path, owner: Path, device: str = NIC) -> None:
    """ISC's client for DHCPv6, once the link-local address that it speaks from is known to be unique."""
    script = write_script(directory / "dhclient6", DHCLIENT6_SCRIPT)
    wait_for(f"the link-local address of {netns}", lambda: has_link_local(netns, device), 10)
    processes.start(
        (
            "dhclient", "-6", "-d", "-sf", str(script), "-cf", "/dev/null",
            "-lf", str(directory / "dhclient6.leases"), "-pf", str(directory / "dhclient6.pid"), device,
        ),
        owner, directory / "dhclient6.log", netns,
    )  # fmt: skip


def has_link_local(netns: str, device: str = NIC) -> bool:
    shown = run("ip", "-n", netns, "-6", "-o", "addr", "show", "dev", device, "scope", "link", "-tentative")
    return bool(shown.strip())


def write_script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path
