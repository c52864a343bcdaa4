"""What an agent is told. Law: a host needs neither the server's code nor its options."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from netloom.agent.metadata import MetadataSettings
from netloom.feed.dial import split_addresses
from netloom.main.options import checks
from netloom.main.options.host_placement import Providers, load_providers
from netloom.main.options.host_uplinks import Uplinks, load_uplinks
from netloom.main.options.reading import Read, find_state_path, read_options
from netloom.main.options.table import TUNNEL_TYPES
from netloom.main.watching.logs import LogOptions, make_log_options
from netloom.model.facts import ConnectionSync


@dataclass(frozen=True, slots=True)
class HostOptions:
    """All that an agent is told. `feed_server` is empty when the agent is to live from its slices on disk alone."""

    host: str
    state_path: Path
    feed_server: str
    ovs_rundir: Path
    netns_path: Path = Path("/run/netns")
    integration_bridge: str = "br-int"
    tunnel_bridge: str = "br-tun"
    local_ip: str = ""
    tunnel_mtu: int = 0  # of the device that has local_ip; 0: nobody looked
    bridge_mappings: Mapping[str, str] = field(default_factory=dict)
    datapath_type: str = "system"
    switch: str = "openvswitch"
    hybrid: bool = False  # security groups are kept by iptables, on a bridge of each instance's own
    tunnel_types: tuple[str, ...] = ()
    permitted_ethertypes: tuple[int, ...] = ()
    availability_zone: str = "nova"
    dns_domain: str = "openstacklocal"
    dhcp_lease_duration: int = 86400
    metadata: MetadataSettings | None = field(default_factory=MetadataSettings)
    metadata_path: str = "host"
    metadata_route: str = "isolated"
    connection_sync: ConnectionSync | None = None  # between copies of routers
    uplinks: Uplinks = field(default_factory=Uplinks)
    providers: Providers = field(default_factory=Providers)
    log: LogOptions = field(default_factory=LogOptions)
    metrics_listen: str = ""
    otel_endpoint: str = ""
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
    hybrid = find_hybrid(read)
    types = checks.parse_names(given("agent", "tunnel_types"), read.value("agent", "tunnel_types"), TUNNEL_TYPES)
    options = HostOptions(
        host=read.value("DEFAULT", "host") or socket.gethostname(),
        state_path=find_state_path(read, "agent"),
        feed_server=find_feed_server(read),
        ovs_rundir=Path(read.value("netloom", "ovs_rundir")),
        netns_path=Path(read.value("netloom", "netns_path")),
        integration_bridge=bridges["integration_bridge"],
        tunnel_bridge=bridges["tunnel_bridge"],
        local_ip=local_ip,
        tunnel_mtu=0,
        bridge_mappings=checks.parse_bridge_mappings(mappings, read.value("ovs", "bridge_mappings")),
        datapath_type=read.value("ovs", "datapath_type"),
        tunnel_types=types if local_ip else (),
        permitted_ethertypes=checks.parse_ethertypes(
            given("securitygroup", "permitted_ethertypes"), read.value("securitygroup", "permitted_ethertypes")
        ),
        availability_zone=read.value("agent", "availability_zone"),
        dns_domain=read.value("DEFAULT", "dns_domain"),
        dhcp_lease_duration=read.value("DEFAULT", "dhcp_lease_duration"),
        metadata=find_metadata(read),
        metadata_path=read.value("netloom", "metadata_path"),
        metadata_route=find_metadata_route(read),
        connection_sync=find_connection_sync(read),
        hybrid=hybrid,
        uplinks=load_uplinks(read),
        log=make_log_options(read),
        metrics_listen=checks.find_endpoint(
            given("netloom", "metrics_listen"), read.value("netloom", "metrics_listen")
        ),
        otel_endpoint=checks.parse_url(given("netloom", "otel_endpoint"), read.value("netloom", "otel_endpoint")),
        notes=read.notes,
    )
    if read.value("netloom", "switch") == "linuxbridge":
        options = put_bridges(read, options)
    devices = options.bridge_mappings.values()
    return replace(options, providers=load_providers(read, devices, options.uplinks.device_mappings))


FIREWALLS = ("openvswitch", "noop", "iptables", "nftables", "iptables_hybrid")
"""What operators name; of these, iptables_hybrid alone changes anything: each switch has a firewall of its own."""


def find_hybrid(read: Read) -> bool:
    name = str(read.value("securitygroup", "firewall_driver"))
    if name and "." not in name and name not in FIREWALLS:
        raise read.given("securitygroup", "firewall_driver").refuse(name, f"allowed: {', '.join(FIREWALLS)}")
    return name == "iptables_hybrid" or name.endswith("OVSHybridIptablesFirewallDriver")


def put_bridges(read: Read, options: HostOptions) -> HostOptions:
    """The same for a host with Linux bridges: its NICs, and VXLAN as its only kind of tunnel."""
    mappings = read.given("linux_bridge", "physical_interface_mappings")
    found = checks.parse_bridge_mappings(mappings, read.value("linux_bridge", "physical_interface_mappings"))
    local_ip = checks.parse_address(read.given("vxlan", "local_ip"), read.value("vxlan", "local_ip"))
    local_ip = (local_ip or options.local_ip) if read.value("vxlan", "enable_vxlan") else ""
    types = tuple(name for name in ("vxlan",) if local_ip)
    return replace(
        options, switch="linuxbridge", hybrid=False, bridge_mappings=found, local_ip=local_ip, tunnel_types=types
    )


def find_metadata(read: Read) -> MetadataSettings | None:
    """None: this host does not answer for the metadata service."""
    if read.value("netloom", "metadata_path") == "off":
        return None
    paths = {}
    for name in ("auth_ca_cert", "nova_client_cert", "nova_client_priv_key"):
        value = read.value("DEFAULT", name)
        paths[name] = str(checks.parse_file(read.given("DEFAULT", name), value)) if value else ""
    return MetadataSettings(
        host=str(read.value("DEFAULT", "nova_metadata_host")),
        port=read.value("DEFAULT", "nova_metadata_port"),
        protocol=read.value("DEFAULT", "nova_metadata_protocol"),
        secret=read.value("DEFAULT", "metadata_proxy_shared_secret"),
        insecure=read.value("DEFAULT", "nova_metadata_insecure"),
        authorities=paths["auth_ca_cert"],
        certificate=paths["nova_client_cert"],
        key=paths["nova_client_priv_key"],
    )


def find_connection_sync(read: Read) -> ConnectionSync | None:
    """None: copies of routers do not tell each other of connections."""
    if not read.value("DEFAULT", "ha_conntrackd_enabled"):
        return None
    found = {name: read.value("DEFAULT", f"ha_conntrackd_{option}") for name, option in SYNC.items()}
    given = read.given("DEFAULT", "ha_conntrackd_ipv4_mcast_addr")
    return ConnectionSync(**found | {"group": checks.parse_multicast(given, found["group"])})


SYNC = {
    "hash_size": "hashsize", "hash_limit": "hashlimit", "backlog": "unix_backlog", "buffer": "socketbuffersize",
    "most_buffer": "socketbuffersize_max_grown", "group": "ipv4_mcast_addr", "port": "group",
    "send_buffer": "sndsocketbuffer", "receive_buffer": "rcvsocketbuffer",
}  # fmt: skip
"""What each is called in Neutron's files, after ha_conntrackd_."""


def find_metadata_route(read: Read) -> str:
    """To whom DHCP tells the way to the metadata service: "all", "isolated" subnets, or nobody."""
    if read.value("netloom", "metadata_path") == "off":
        return ""
    if read.value("DEFAULT", "force_metadata"):
        return "all"
    return "isolated" if read.value("DEFAULT", "enable_isolated_metadata") else ""


def find_feed_server(read: Read) -> str:
    value = read.value("netloom", "feed_server")
    given = read.given("netloom", "feed_server")
    return ",".join(checks.parse_endpoint(given, one) for one in split_addresses(value or ""))
