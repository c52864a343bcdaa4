"""What an agent's options say of its host, held against what the host has, before anything is done.

Law: what cannot be so stops the start, with the option's name and with what there is instead. What cannot be seen now
(a switch that does not answer) stops nothing: the agent waits for it as at any other time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address

from pyroute2 import IPRoute

from netloom.main.options.checks import OptionError
from netloom.main.options.host import HostOptions


@dataclass(frozen=True, slots=True)
class Seen:
    """`addresses`: device by address. `mtus`: by device. `bridges`: the switch's; None: it does not answer."""

    addresses: Mapping[str, str]
    mtus: Mapping[str, int]
    bridges: frozenset[str] | None = None


def read_devices() -> Seen:
    """Of the network namespace that this process is in. Raises OSError."""
    with IPRoute() as ipr:
        links = {link["index"]: link for link in ipr.get_links()}
        found = [(one.get("local") or one.get("address"), one["index"]) for one in ipr.get_addr()]
    names = {index: str(link.get("ifname")) for index, link in links.items()}
    return Seen(
        {str(ip_address(text)): names[index] for text, index in found if text and index in names},
        {names[index]: int(link.get("mtu") or 0) for index, link in links.items()},
    )


def check_host(options: HostOptions, seen: Seen) -> HostOptions:
    """The options, with what the tunnels' device carries. Raises OptionError for what this host has not."""
    check_tunnel_address(options, seen)
    if options.switch == "linuxbridge":
        check_devices(options, seen)
    else:
        check_bridges(options, seen)
        check_nics(options, seen)
    return replace(options, tunnel_mtu=seen.mtus.get(seen.addresses.get(options.local_ip, ""), 0))


def check_tunnel_address(options: HostOptions, seen: Seen) -> None:
    if not options.local_ip or options.local_ip in seen.addresses:
        return
    own = [address for address in seen.addresses if not (ip := ip_address(address)).is_loopback | ip.is_link_local]
    name = "[vxlan] local_ip" if options.switch == "linuxbridge" else "[ovs] local_ip"
    raise OptionError(name, options.local_ip, f"this host has no such address; it has {list_names(own)}")


def check_bridges(options: HostOptions, seen: Seen) -> None:
    if seen.bridges is None:
        return
    for physical, bridge in options.bridge_mappings.items():
        if bridge not in seen.bridges:
            has = f"this host has no such bridge; it has {list_names(seen.bridges)} (ovs-vsctl add-br {bridge})"
            raise OptionError("[ovs] bridge_mappings", f"{physical}:{bridge}", has)


def check_devices(options: HostOptions, seen: Seen) -> None:
    for physical, device in options.bridge_mappings.items():
        if device not in seen.mtus:
            has = f"this host has no such device; it has {list_names(seen.mtus)}"
            raise OptionError("[linux_bridge] physical_interface_mappings", f"{physical}:{device}", has)


def check_nics(options: HostOptions, seen: Seen) -> None:
    """Of SR-IOV: a NIC that is not there has no functions, and never will."""
    for physical, devices in options.uplinks.device_mappings.items():
        for device in devices:
            if device not in seen.mtus:
                has = f"this host has no such NIC; it has {list_names(seen.mtus)}"
                raise OptionError("[sriov_nic] physical_device_mappings", f"{physical}:{device}", has)


def list_names(names: Mapping[str, int] | frozenset[str] | list[str]) -> str:
    return ", ".join(sorted(names)) or "none"
