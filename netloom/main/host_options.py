"""What an agent is told. Law: a host needs neither the server's code nor its options."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from netloom.main import option_checks as checks
from netloom.main.option_reading import Read, find_state_path, read_options
from netloom.main.option_table import TUNNEL_TYPES


@dataclass(frozen=True, slots=True)
class HostOptions:
    """All that an agent is told. `feed_server` is empty when the agent is to live from its slices on disk alone."""

    host: str
    state_path: Path
    feed_server: str
    ovs_rundir: Path
    integration_bridge: str = "br-int"
    tunnel_bridge: str = "br-tun"
    local_ip: str = ""
    bridge_mappings: Mapping[str, str] = field(default_factory=dict)
    datapath_type: str = "system"
    tunnel_types: tuple[str, ...] = ()
    availability_zone: str = "nova"
    dns_domain: str = "openstacklocal"
    dhcp_lease_duration: int = 86400
    debug: bool = False
    notes: tuple[str, ...] = ()


def load_host_options(files: Sequence[Path] = (), overrides: Mapping[str, str] | None = None) -> HostOptions:
    """From the files in order, then `overrides` ("host" or "ovs.local_ip" → text). Raises OptionError."""
    read = read_options(files, overrides or {})
    given = read.given
    local_ip = checks.parse_address(given("ovs", "local_ip"), read.value("ovs", "local_ip"))
    bridges = {
        name: checks.parse_device(given("ovs", name), read.value("ovs", name))
        for name in ("integration_bridge", "tunnel_bridge")
    }
    if bridges["integration_bridge"] == bridges["tunnel_bridge"]:
        raise given("ovs", "tunnel_bridge").refuse(bridges["tunnel_bridge"], "it must not be the integration_bridge")
    mappings = read.given("ovs", "bridge_mappings")
    types = checks.parse_names(given("agent", "tunnel_types"), read.value("agent", "tunnel_types"), TUNNEL_TYPES)
    return HostOptions(
        host=read.value("DEFAULT", "host") or socket.gethostname(),
        state_path=find_state_path(read),
        feed_server=find_feed_server(read),
        ovs_rundir=Path(read.value("netloom", "ovs_rundir")),
        **bridges,
        local_ip=local_ip,
        bridge_mappings=checks.parse_bridge_mappings(mappings, read.value("ovs", "bridge_mappings")),
        datapath_type=read.value("ovs", "datapath_type"),
        tunnel_types=types if local_ip else (),
        availability_zone=read.value("agent", "availability_zone"),
        dns_domain=read.value("DEFAULT", "dns_domain"),
        dhcp_lease_duration=read.value("DEFAULT", "dhcp_lease_duration"),
        debug=read.value("DEFAULT", "debug"),
        notes=read.notes,
    )


def find_feed_server(read: Read) -> str:
    value = read.value("netloom", "feed_server")
    return checks.parse_endpoint(read.given("netloom", "feed_server"), value) if value else ""
