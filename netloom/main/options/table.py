"""Every option of Netloom, declared once: oslo.config checks types and simple bounds, the reference page is made of it.

Law: an option has Neutron's section and name where it means what Neutron means; what is ours alone is in [netloom].
Nothing is registered globally: `make_conf` gives a set of options of its own at every call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from oslo_config import cfg
from oslo_config.types import HostAddress

from netloom.intent.l2.segments import TYPES
from netloom.intent.operation import CONNTRACK_HELPERS
from netloom.intent.quota import DEFAULTS as QUOTAS
from netloom.intent.quota import UNLIMITED
from netloom.main.options import nova_table, placement_table, rabbit_table

AUTH_STRATEGIES = ("builtin", "keystone", "noauth")
TUNNEL_TYPES = tuple(name for name, kind in TYPES.items() if kind.tunnel)
MECHANISMS = ("openvswitch", "linuxbridge", "sriovnicswitch")
IGNORED_MECHANISMS = ("l2population", "baremetal", "logger")
"""Drivers that operators name and that need no counterpart: what they do is always done, or there is nothing to do."""

DHCP_DRIVERS = ("distributed", "dnsmasq", "neutron.agent.linux.dhcp.Dnsmasq")
"""The last one is what operators have in dhcp_agent.ini; it means the same as dnsmasq."""

MAX_MTU = 65535
MIN_MTU = 68  # RFC 791: every link carries this much

CONFIG_FILES = ("/etc/netloom/netloom.conf",)
"""Read when no --config-file is given, if they exist."""

WORD = "(-1: any number)."
OLD_QUOTAS: Mapping[str, str] = {"rbac_policy": "quota_rbac_entry"}


def make_quota_option(name: str, limit: int) -> cfg.Opt:
    """`limit`: what holds without the option; where that is no limit, default_quota decides."""
    words = name.replace("_", " ")
    plural = f"{words[:-1]}ies" if words.endswith("cy") else f"{words}s"
    what = f"How many {plural} a project may have {WORD}"
    default, help_ = (limit, what) if limit >= 0 else (None, f"{what} Else default_quota.")
    return cfg.IntOpt(f"quota_{name}", default=default, min=UNLIMITED, help=help_, deprecated_name=OLD_QUOTAS.get(name))


DEFAULT: Sequence[cfg.Opt] = (
    cfg.Opt("bind_host", HostAddress(), default="0.0.0.0", help="Address that the API listens on."),
    cfg.PortOpt("bind_port", default=9696, help="Port that the API listens on; 0: any free one."),
    cfg.IntOpt(
        "api_workers", default=1, min=0, max=64,
        help="Processes that serve the API and the hosts, on the same ports; each holds all that is stored.",
    ),
    cfg.StrOpt(
        "state_path",
        help="Folder for what is kept: the store, certificates, clouds.yaml, an agent's slices. Else, for root, "
        "/var/lib/netloom, of an agent /var/lib/netloom-agent, of a relay /var/lib/netloom-relay.",
    ),
    cfg.StrOpt(
        "auth_strategy", default="builtin", choices=AUTH_STRATEGIES,
        help="builtin: users of Netloom's own; keystone: those of a Keystone; noauth: everybody is an administrator.",
    ),
    cfg.BoolOpt("debug", default=False, help="Log every step."),
    cfg.BoolOpt("use_json", default=False, help="Log one JSON object a line; as --log-format json."),
    cfg.StrOpt("base_mac", default="fa:16:3e:00:00:00", help="MACs begin with its first three bytes, or four."),
    cfg.IntOpt(
        "global_physnet_mtu", default=1500, min=MIN_MTU, max=MAX_MTU, help="MTU of physical networks, in bytes."
    ),
    cfg.StrOpt("dns_domain", default="openstacklocal", help="Domain of the names of ports."),
    cfg.IntOpt("max_dns_nameservers", default=5, min=0, help="How many DNS servers a subnet may have."),
    cfg.IntOpt("max_subnet_host_routes", default=20, min=0, help="How many routes a subnet may have."),
    cfg.BoolOpt(
        "ipv6_pd_enabled",
        default=False,
        help="Whether use_default_subnetpool means, for IPv6, a prefix that is delegated from upstream.",
    ),
    cfg.IntOpt("max_fixed_ips_per_port", default=5, min=1, help="How many addresses a port may have."),
    cfg.IntOpt("max_allowed_address_pair", default=10, min=0, help="How many address pairs a port may have."),
    cfg.IntOpt("dhcp_lease_duration", default=86400, min=-1, help="Seconds that a DHCP lease holds; -1: for ever."),
    cfg.ListOpt("default_availability_zones", default=[], help="Zones of a network that names none."),
    cfg.IntOpt("agent_down_time", default=75, min=1, help="Seconds of silence after which an agent counts as dead."),
    cfg.StrOpt("pagination_max_limit", default="-1", help="Most objects that a list gives; -1 or infinite: no limit."),
    cfg.BoolOpt("allow_bulk", default=True, help="Whether one request may create several objects."),
    cfg.BoolOpt("filter_validation", default=True, help="Whether a list refuses filters that it does not know."),
    cfg.BoolOpt("use_ssl", default=False, help="Whether the API speaks TLS; see [ssl]."),
    cfg.ListOpt(
        "allowed_conntrack_helpers",
        default=[f"{name}:{protocol}" for name, protocol in CONNTRACK_HELPERS],
        help="Application protocols that a router may follow, each with its transport protocol: ftp:tcp, tftp:udp.",
    ),
    cfg.StrOpt("host", help="The name of this host, as Nova calls it; else what the system says."),
)  # fmt: skip

ROUTERS: Sequence[cfg.Opt] = (
    cfg.BoolOpt("router_distributed", default=False, help="Whether a router is distributed where nothing is said."),
    cfg.BoolOpt("l3_ha", default=False, help="Whether a router has copies on several hosts where nothing is said."),
    cfg.IntOpt("max_l3_agents_per_router", default=3, min=0, help="How many copies that is; 0: as many as there are."),
    cfg.StrOpt("l3_ha_net_cidr", default="169.254.192.0/18", help="Prefix of the networks that join the copies."),
    cfg.StrOpt(
        "l3_ha_network_type", default="", choices=("", *TYPES), help="Type of those networks; else as any project's."
    ),
    cfg.StrOpt("l3_ha_network_physical_name", default="", help="Physical network of those networks."),
    cfg.BoolOpt("enable_snat_by_default", default=True, help="Whether a gateway hides addresses without being told."),
    cfg.BoolOpt("enable_ndp_proxy_by_default", default=False, help="Whether routers answer for IPv6 addresses inside."),
    cfg.BoolOpt("enable_default_route_ecmp", default=False, help="Whether routers use all their gateways at once."),
    cfg.BoolOpt("router_auto_schedule", default=True, help="Whether an L3 agent that comes takes routers that wait."),
    cfg.BoolOpt(
        "allow_automatic_l3agent_failover", default=True,
        help="Whether routers of a host that is gone for agent_down_time are given to others.",
    ),
    cfg.BoolOpt("network_auto_schedule", default=True, help="Whether a DHCP agent that comes takes networks."),
    cfg.BoolOpt(
        "allow_automatic_dhcp_failover", default=True,
        help="Whether networks of a host that is gone for agent_down_time are given to other DHCP agents.",
    ),
    cfg.StrOpt(
        "dhcp_driver", default="distributed", choices=DHCP_DRIVERS,
        help="distributed: each host answers its own instances; dnsmasq: servers in namespaces, on the network's "
        "DHCP agents.",
    ),
    cfg.IntOpt("dhcp_agents_per_network", default=1, min=1, help="How many DHCP agents a network is shown to have."),
)  # fmt: skip
"""What routers are, and which agents have routers and networks."""

METADATA: Sequence[cfg.Opt] = (
    cfg.Opt("nova_metadata_host", HostAddress(), default="127.0.0.1", help="Where Nova's metadata service is."),
    cfg.PortOpt("nova_metadata_port", default=8775, help="Its port."),
    cfg.StrOpt("nova_metadata_protocol", default="http", choices=("http", "https"), help="What it speaks."),
    cfg.BoolOpt("nova_metadata_insecure", default=False, help="With https: take any certificate of it."),
    cfg.StrOpt("auth_ca_cert", help="With https: the authorities that it must come from, PEM."),
    cfg.StrOpt("nova_client_cert", help="With https: a certificate to show to it, PEM."),
    cfg.StrOpt("nova_client_priv_key", help="The key of that certificate, PEM."),
    cfg.StrOpt(
        "metadata_proxy_shared_secret", default="", secret=True,
        help="What Nova checks our word by, as in its own configuration: who an instance is.",
    ),
    cfg.BoolOpt(
        "enable_isolated_metadata", default=True,
        help="Tell instances of subnets without a router the way to the metadata service, by DHCP.",
    ),
    cfg.BoolOpt("force_metadata", default=False, help="Tell it to instances of all subnets."),
)  # fmt: skip
"""What instances are told of themselves; named as in metadata_agent.ini and dhcp_agent.ini."""

COPIES = (
    cfg.BoolOpt("ha_conntrackd_enabled", default=False, help="Whether copies of a router share connections."),
    cfg.IntOpt("ha_conntrackd_hashsize", default=32768, min=1, help="Buckets of conntrackd's tables."),
    cfg.IntOpt("ha_conntrackd_hashlimit", default=131072, min=1, help="How many connections it holds at most."),
    cfg.IntOpt("ha_conntrackd_unix_backlog", default=20, min=1, help="Backlog of its socket."),
    cfg.IntOpt("ha_conntrackd_socketbuffersize", default=262142, min=1, help="Bytes for events of the kernel."),
    cfg.IntOpt("ha_conntrackd_socketbuffersize_max_grown", default=655355, min=1, help="And at most."),
    cfg.StrOpt("ha_conntrackd_ipv4_mcast_addr", default="225.0.0.50", help="Multicast address that it speaks to."),
    cfg.IntOpt("ha_conntrackd_group", default=3780, min=0, max=65280, help="Port, to which a router adds its number."),
    cfg.IntOpt("ha_conntrackd_sndsocketbuffer", default=24985600, min=1, help="Bytes that wait to be sent."),
    cfg.IntOpt("ha_conntrackd_rcvsocketbuffer", default=24985600, min=1, help="Bytes that wait to be read."),
)
"""Of hosts that have copies of routers, as Neutron's L3 agent has them."""

GROUPS: Mapping[str, Sequence[cfg.Opt]] = {
    "DEFAULT": (*DEFAULT, *ROUTERS, *COPIES, *METADATA, *nova_table.DEFAULT, *rabbit_table.DEFAULT),
    "nova": nova_table.NOVA,
    "placement": placement_table.PLACEMENT,
    "oslo_messaging_notifications": rabbit_table.NOTIFICATIONS,
    "oslo_messaging_rabbit": rabbit_table.RABBIT,
    "database": (
        cfg.StrOpt(
            "connection", secret=True,
            help="sqlite:////folder/file, postgresql://user:password@host/database or "
            "mysql+pymysql://user:password@host/database; else netloom.db in state_path.",
        ),
    ),
    "oslo_middleware": (
        cfg.IntOpt("max_request_body_size", default=16 << 20, min=1024, help="Longest request, in bytes."),
    ),
    "oslo_policy": (
        cfg.StrOpt("policy_file", default="policy.yaml", help="Rules that replace the default ones."),
        cfg.FloatOpt(
            "remote_timeout", default=10.0, min=0.1, help="Seconds to wait for a server that decides a rule (http:)."
        ),
        cfg.StrOpt(
            "remote_content_type", default="application/x-www-form-urlencoded",
            choices=("application/x-www-form-urlencoded", "application/json"), help="What such a server is sent.",
        ),
        cfg.BoolOpt("remote_ssl_verify_server_crt", default=False, help="Check the certificate of such a server."),
        cfg.StrOpt("remote_ssl_ca_crt_file", help="Authorities that it must come from, PEM."),
        cfg.StrOpt("remote_ssl_client_crt_file", help="Certificate to show to such a server, PEM."),
        cfg.StrOpt("remote_ssl_client_key_file", help="Its key, PEM."),
    ),
    "ssl": (
        cfg.StrOpt("cert_file", help="Certificate of the API and of those that signed it, PEM."),
        cfg.StrOpt("key_file", help="Its key, PEM."),
    ),
    "ml2": (
        cfg.ListOpt("type_drivers", default=list(TYPES), help=f"Network types there may be, of: {', '.join(TYPES)}."),
        cfg.ListOpt("tenant_network_types", default=["vxlan"], help="Types for networks of projects, in this order."),
        cfg.ListOpt("mechanism_drivers", default=list(MECHANISMS), help="What may bind ports."),
        cfg.IntOpt("path_mtu", default=0, min=0, max=MAX_MTU, help="MTU of the underlay, in bytes; 0: as physical."),
        cfg.ListOpt("physical_network_mtus", default=[], help="MTUs that differ: physical_network:bytes, …"),
        placement_table.TUNNELLED,
        cfg.IntOpt("overlay_ip_version", default=4, choices=(4, 6), help="IP version that tunnels run over."),
    ),
    "ml2_type_flat": (
        cfg.ListOpt("flat_networks", default=["*"], help="Physical networks that may be flat; *: any."),
    ),
    "ml2_type_vlan": (
        cfg.ListOpt(
            "network_vlan_ranges", default=[],
            help="physical_network:min:max, … are VLANs for projects; physical_network alone: for administrators.",
        ),
    ),
    "ml2_type_vxlan": (cfg.ListOpt("vni_ranges", default=["1:16777215"], help="VNIs for projects: min:max, …"),),
    "ml2_type_gre": (cfg.ListOpt("tunnel_id_ranges", default=["1:16777215"], help="Keys for projects: min:max, …"),),
    "ml2_type_geneve": (cfg.ListOpt("vni_ranges", default=["1:16777215"], help="VNIs for projects: min:max, …"),),
    "quotas": (
        cfg.IntOpt("default_quota", default=UNLIMITED, min=UNLIMITED, help=f"For what has no number of its own {WORD}"),
        *(make_quota_option(name, limit) for name, limit in QUOTAS.items()),
    ),
    "keystone_authtoken": (
        cfg.StrOpt("auth_url", help="Where Keystone is, for auth_strategy = keystone."),
        cfg.StrOpt("username", help="The service user that validates tokens."),
        cfg.StrOpt("password", secret=True, help="Its password."),
        cfg.StrOpt("project_name", default="service", help="Its project."),
        cfg.StrOpt("user_domain_name", default="Default", help="Its domain."),
        cfg.StrOpt("project_domain_name", default="Default", help="The domain of its project."),
        cfg.StrOpt("www_authenticate_uri", default="", help="What clients without a token are told; else auth_url."),
        cfg.StrOpt("cafile", default="", help="Authorities that Keystone's certificate must come from, PEM."),
        cfg.BoolOpt("insecure", default=False, help="Do not check Keystone's certificate."),
        cfg.IntOpt("http_connect_timeout", default=10, min=1, help="Seconds to wait for Keystone."),
        cfg.IntOpt(
            "token_cache_time", default=300, min=-1,
            help="Seconds until Keystone is asked of a token again: a revoked one is refused; -1: each time.",
        ),
    ),
    "ovs": (
        cfg.StrOpt("integration_bridge", default="br-int", help="The bridge that every port of this host is on."),
        cfg.StrOpt("tunnel_bridge", default="br-tun", help="The bridge of tunnels."),
        cfg.StrOpt("local_ip", default="", help="This host's tunnel address; none: no tunnels."),
        cfg.ListOpt("bridge_mappings", default=[], help="physical_network:bridge, …"),
        cfg.StrOpt(
            "datapath_type", default="system", choices=("system", "netdev"),
            help="system: in the kernel; netdev: in userspace.",
        ),
        *placement_table.make_provider_options("bridge"),
        *placement_table.PACKETS,
        cfg.StrOpt("vhostuser_socket_dir", default="/var/run/openvswitch", help="Where vhost-user sockets are."),
    ),
    "sriov_nic": (
        cfg.ListOpt("physical_device_mappings", default=[], help="physical_network:NIC, … for SR-IOV."),
        cfg.ListOpt("exclude_devices", default=[], help="NIC:slot;slot, …: functions that are left alone."),
        cfg.StrOpt("sysfs", default="/sys", help="The device tree that NICs and their functions are found in."),
        *placement_table.make_provider_options("NIC"),
    ),
    "linux_bridge": (
        cfg.ListOpt(
            "physical_interface_mappings", default=[],
            help="physical_network:NIC, … for Linux bridges; the NIC has no addresses of the host's.",
        ),
    ),
    "vxlan": (
        cfg.StrOpt("local_ip", default="", help="As [ovs] local_ip, for a host with Linux bridges."),
        cfg.BoolOpt("enable_vxlan", default=True, help="Whether a host with Linux bridges has tunnels."),
    ),
    "securitygroup": (
        cfg.StrOpt(
            "firewall_driver", default="",
            help="iptables_hybrid: rules on each instance's own bridge, as Nova plugs it; else the switch's own.",
        ),
        cfg.ListOpt(
            "permitted_ethertypes", default=[],
            help="0x8847, …: frames of other protocols than IP and ARP that ports with port security may exchange.",
        ),
    ),
    "agent": (
        cfg.ListOpt("tunnel_types", default=list(TUNNEL_TYPES), help=f"Of: {', '.join(TUNNEL_TYPES)}."),
        cfg.StrOpt("availability_zone", default="nova", help="The zone of this host."),
    ),
    "netloom": (
        cfg.ListOpt(
            "bonds", default=[],
            help="bridge:name:NIC+NIC:mode:lacp, … of an agent: NICs that are one (balance-tcp; LACP active).",
        ),
        cfg.ListOpt("netflow_targets", default=[], help="address:port, …: NetFlow collectors of an agent's switch."),
        cfg.ListOpt("sflow_targets", default=[], help="address:port, …: sFlow collectors of an agent's switch."),
        cfg.ListOpt("ipfix_targets", default=[], help="address:port, …: IPFIX collectors of an agent's switch."),
        cfg.IntOpt("export_sampling", default=64, min=0, help="sFlow and IPFIX: one packet in so many; 0: as OVS."),
        cfg.ListOpt(
            "feed_listen", default=["0.0.0.0:9697"],
            help="Where the server waits for agents: address:port, [v6]:port or unix:/path, …",
        ),
        cfg.StrOpt(
            "peer_listen", default="",
            help="Where other servers of the same database reach this one: address:port, for each of api_workers the "
            "next port; else a socket file in state_path, for servers of this machine.",
        ),
        cfg.StrOpt(
            "switch", default="openvswitch", choices=("openvswitch", "linuxbridge"),
            help="What this host switches with.",
        ),
        cfg.StrOpt(
            "feed_server",
            help="Where the agent finds the server: host:port, [v6]:port or unix:/path; of several (relays, servers), "
            "with commas between them, the first that answers.",
        ),
        cfg.StrOpt(
            "role", default="server", choices=("server", "relay"),
            help="relay: no store and no API; it follows `upstream` for the hosts that come to it.",
        ),
        cfg.ListOpt(
            "upstream", default=[],
            help="Of a relay: servers or relays that it follows, host:port, …; the first that answers.",
        ),
        cfg.ListOpt(
            "nats_servers", default=[], secret=True,
            help="nats://host:4222, …: a broker (JetStream) by which a server tells all its relays at once; needs "
            "netloom[nats]. None: each relay by its own connection.",
        ),
        cfg.IntOpt(
            "history_revisions", default=100_000, min=-1,
            help="How many revisions the store's log keeps at most (1000 or more); -1: all of them.",
        ),
        cfg.IntOpt(
            "history_days", default=-1, min=-1, max=36500,
            help="How many days the log keeps a revision at most; the newest 1000 stay in any case; -1: any time.",
        ),
        cfg.IntOpt(
            "agent_certificate_days", default=90, min=1, max=825,
            help="How long a host's certificate is good; its agent gets the next after two thirds of that.",
        ),
        cfg.FloatOpt(
            "project_rate", default=0.0, min=0.0,
            help="Requests a second that the users of one project may make, administrators aside; 0: any number.",
        ),
        cfg.FloatOpt("token_rate", default=0.0, min=0.0, help="The same for one token; 0: any number."),
        cfg.FloatOpt(
            "rate_burst", default=5.0, min=1.0, help="Seconds' worth of requests that may come at once, with a rate."
        ),
        cfg.IntOpt("max_bulk_items", default=10_000, min=1, help="How many objects one request may make."),
        cfg.IntOpt(
            "max_header_size", default=65536, min=8192, help="Longest request line and headers together, in bytes."
        ),
        cfg.IntOpt(
            "client_timeout", default=60, min=1,
            help="Seconds that a client may be silent inside a request, or take nothing of its answer.",
        ),
        cfg.StrOpt(
            "metrics_listen", default="",
            help="Where figures for Prometheus are shown: address:port, for each of api_workers the next port. "
            "A server shows those of one of its processes at /metrics of the API as well; an agent and a relay nowhere "
            "else. A relay answers /healthcheck there, too.",
        ),
        cfg.StrOpt(
            "otel_endpoint", default="",
            help="Where spans go (OTLP over HTTP), such as http://collector:4318; needs netloom[otel]; none: no spans.",
        ),
        cfg.StrOpt(
            "public_url", default="",
            help="The API as clients reach it, such as https://network.example.org:9696; else as each client did.",
        ),
        cfg.StrOpt(
            "ovs_rundir", default="/var/run/openvswitch", help="Where the agent finds the sockets of Open vSwitch."
        ),
        cfg.StrOpt(
            "metadata_path", default="host", choices=("host", "namespace", "off"),
            help="host: each host answers instances for the metadata service itself; namespace: in namespaces of "
            "routers and DHCP servers, as Neutron's agents do; off: nobody does.",
        ),
        cfg.StrOpt(
            "netns_path", default="/run/netns", help="Where routers' namespaces have their names, as for ip netns."
        ),
    ),
}  # fmt: skip


def make_conf() -> cfg.ConfigOpts:
    """A fresh set of all options, with no value read yet."""
    conf = cfg.ConfigOpts()
    for group, options in GROUPS.items():
        conf.register_opts(options, group=None if group == "DEFAULT" else group)
    return conf


HOW_GIVEN = (
    "An option is given in a file (`--config-file FILE`, again and again, the last one wins; without any,",
    f"`{CONFIG_FILES[0]}` where there is one), in the environment (`OS_<SECTION>__<OPTION>`, which wins over files),",
    "or on the command line (`--set name=value` for [DEFAULT], `--set section.name=value`), which wins over both.",
)


def render_reference() -> str:
    """The page that lists every option, for the documentation."""
    lines = ["# Options", "", "Made from `netloom/main/options/table.py` by `make docs`.", "", *HOW_GIVEN, ""]
    for group, options in GROUPS.items():
        lines += [f"## [{group}]", "", "| option | default | meaning |", "|---|---|---|"]
        lines += [f"| {o.name} | {render_default(o)} | {o.help} |" for o in options]
        lines.append("")
    return "\n".join(lines)


def render_default(option: cfg.Opt) -> str:
    value = option.default
    value = [f"{name}:{text}" for name, text in value.items()] if isinstance(value, dict) else value
    text = ", ".join(value) if isinstance(value, list) else "" if value is None else str(value)
    return f"`{text}`" if text else ""
