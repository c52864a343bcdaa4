"""Options: read from files and the command line, checked, and given to the parts as frozen values.

Law: nothing but this package reads configuration; a part receives the few values that it needs. Operators' neutron.conf
and ml2_conf.ini may be given as they are: what Netloom has no use for is left out with a note, what it uses is checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from netloom import __version__
from netloom.api.identity.keystone import KeystoneSettings
from netloom.api.limits import Rates
from netloom.api.parts import ApiSettings
from netloom.feed.pki import HOST_LIFE
from netloom.intent.l2.segments import TYPES
from netloom.intent.operation import Settings
from netloom.intent.quota import DEFAULTS as QUOTAS
from netloom.main.options import checks
from netloom.main.options.checks import Given, OptionError
from netloom.main.options.nova import NovaOptions, make_nova
from netloom.main.options.placement import PlacementOptions, make_placement
from netloom.main.options.places import check_endpoint, check_free
from netloom.main.options.rabbit import make_rabbit
from netloom.main.options.reading import Read, find_state_path, read_options
from netloom.main.options.relay import find_nats
from netloom.main.options.table import IGNORED_MECHANISMS, MECHANISMS, ROUTERS
from netloom.main.watching.logs import LogOptions, make_log_options
from netloom.notify.rabbit_settings import RabbitSettings
from netloom.store.history import LEAST, History

PARSED = frozenset({"l3_ha_net_cidr", "dhcp_driver"})
"""Options of routers and networks that are not taken as they stand."""


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """All that a server is told. `quotas`: default limits by resource name. `notes` are for the log."""

    bind_host: str
    bind_port: int
    state_path: Path
    database_url: str
    auth_strategy: str
    feed_listen: tuple[str, ...]
    settings: Settings
    api: ApiSettings
    quotas: Mapping[str, int]
    mechanism_drivers: tuple[str, ...]
    history: History
    public_url: str = ""
    api_workers: int = 1
    peer_listen: str = ""
    nats_servers: tuple[str, ...] = ()
    certificate_life: timedelta = HOST_LIFE
    keystone: KeystoneSettings | None = None
    nova: NovaOptions | None = None
    placement: PlacementOptions | None = None
    rabbit: RabbitSettings | None = None
    policy_file: Path | None = None
    policy_remote: Mapping[str, Any] = field(default_factory=dict)
    tls_cert: Path | None = None
    tls_key: Path | None = None
    log: LogOptions = field(default_factory=LogOptions)
    max_header_size: int = 65536
    client_timeout_s: float = 60.0
    otel_endpoint: str = ""
    metrics_listen: str = ""
    notes: tuple[str, ...] = ()


def load_server_options(files: Sequence[Path] = (), overrides: Mapping[str, str] | None = None) -> ServerOptions:
    """From the files in order, then `overrides` ("bind_port" or "ml2.path_mtu" → text). Raises OptionError."""
    read = read_options(files, overrides or {})
    state_path = find_state_path(read)
    return ServerOptions(
        bind_host=read.value("DEFAULT", "bind_host"),
        bind_port=read.value("DEFAULT", "bind_port"),
        state_path=state_path,
        database_url=read.value("database", "connection") or f"sqlite:///{state_path}/netloom.db",
        auth_strategy=read.value("DEFAULT", "auth_strategy"),
        feed_listen=make_listen(read),
        settings=make_settings(read),
        api=make_api_settings(read),
        quotas=make_quotas(read),
        mechanism_drivers=make_mechanisms(read),
        history=make_history(read),
        public_url=checks.parse_url(read.given("netloom", "public_url"), read.value("netloom", "public_url")),
        api_workers=max(1, read.value("DEFAULT", "api_workers")),
        peer_listen=find_peer_listen(read),
        nats_servers=find_nats(read),
        certificate_life=timedelta(days=read.value("netloom", "agent_certificate_days")),
        keystone=make_keystone(read),
        nova=make_nova(read),
        placement=make_placement(read),
        rabbit=make_rabbit(read),
        policy_file=find_policy_file(read),
        policy_remote=make_remote(read),
        **make_tls(read),
        log=make_log_options(read),
        max_header_size=read.value("netloom", "max_header_size"),
        metrics_listen=checks.find_endpoint(
            read.given("netloom", "metrics_listen"), read.value("netloom", "metrics_listen")
        ),
        client_timeout_s=float(read.value("netloom", "client_timeout")),
        otel_endpoint=checks.parse_url(read.given("netloom", "otel_endpoint"), read.value("netloom", "otel_endpoint")),
        notes=read.notes,
    )


# -- values for the parts ----------------------------------------------------------------------------------------------


def make_settings(read: Read) -> Settings:
    value, given = read.value, read.given
    types = checks.parse_names(given("ml2", "type_drivers"), value("ml2", "type_drivers"), TYPES)
    tenant = checks.parse_names(given("ml2", "tenant_network_types"), value("ml2", "tenant_network_types"), TYPES)
    checks.check_subset(given("ml2", "tenant_network_types"), tenant, types, "[ml2] type_drivers")
    vlans = checks.parse_vlan_ranges(
        given("ml2_type_vlan", "network_vlan_ranges"), value("ml2_type_vlan", "network_vlan_ranges")
    )
    if "vlan" in tenant and not any(vlans.values()):
        raise given("ml2", "tenant_network_types").refuse("vlan", "[ml2_type_vlan] network_vlan_ranges has no range")
    return Settings(
        base_mac=checks.parse_base_mac(given("DEFAULT", "base_mac"), value("DEFAULT", "base_mac")),
        global_physnet_mtu=value("DEFAULT", "global_physnet_mtu"),
        path_mtu=checks.parse_mtu_floor(given("ml2", "path_mtu"), value("ml2", "path_mtu")),
        physical_network_mtus=checks.parse_mtus(
            given("ml2", "physical_network_mtus"), value("ml2", "physical_network_mtus")
        ),
        tenant_network_types=tenant,
        type_drivers=types,
        mechanism_drivers=make_mechanisms(read),
        flat_networks=tuple(value("ml2_type_flat", "flat_networks")),
        network_vlan_ranges=vlans,
        vni_ranges=make_vni_ranges(read),
        overlay_ip_version=value("ml2", "overlay_ip_version"),
        default_availability_zones=tuple(value("DEFAULT", "default_availability_zones")),
        quotas=make_quotas(read),
        allowed_conntrack_helpers=checks.parse_helpers(
            given("DEFAULT", "allowed_conntrack_helpers"), value("DEFAULT", "allowed_conntrack_helpers")
        ),
        l3_ha_net_cidr=checks.parse_ha_cidr(given("DEFAULT", "l3_ha_net_cidr"), value("DEFAULT", "l3_ha_net_cidr")),
        dhcp_driver="distributed" if value("DEFAULT", "dhcp_driver") == "distributed" else "dnsmasq",
        **{option.name: value("DEFAULT", option.name) for option in ROUTERS if option.name not in PARSED},
        **{
            name: value("DEFAULT", name)
            for name in (
                "dns_domain",
                "max_fixed_ips_per_port",
                "max_dns_nameservers",
                "max_subnet_host_routes",
                "ipv6_pd_enabled",
                "max_allowed_address_pair",
                "dhcp_lease_duration",
                "agent_down_time",
            )
        },
    )


def make_vni_ranges(read: Read) -> dict[str, tuple[checks.Range, ...]]:
    names = {"vxlan": "vni_ranges", "gre": "tunnel_id_ranges", "geneve": "vni_ranges"}
    return {
        kind: checks.parse_ranges(read.given(f"ml2_type_{kind}", name), read.value(f"ml2_type_{kind}", name), kind)
        for kind, name in names.items()
    }


def make_api_settings(read: Read) -> ApiSettings:
    limit = read.given("DEFAULT", "pagination_max_limit")
    return ApiSettings(
        pagination_max_limit=checks.parse_max_limit(limit, read.value("DEFAULT", "pagination_max_limit")),
        allow_bulk=read.value("DEFAULT", "allow_bulk"),
        filter_validation=read.value("DEFAULT", "filter_validation"),
        max_request_body_size=read.value("oslo_middleware", "max_request_body_size"),
        max_bulk_items=read.value("netloom", "max_bulk_items"),
        rates=Rates(*(read.value("netloom", name) for name in ("project_rate", "token_rate", "rate_burst"))),
        version=__version__,
    )


def make_quotas(read: Read) -> dict[str, int]:
    """The limit of each resource that has one, by resource name; -1: none."""
    found = {name: read.value("quotas", f"quota_{name}") for name in QUOTAS}
    default: int = read.value("quotas", "default_quota")
    return {name: default if limit is None else limit for name, limit in found.items()}


def make_remote(read: Read) -> dict[str, Any]:
    """What oslo.policy's own checks read of section [oslo_policy]: how a server elsewhere is asked."""
    group = "oslo_policy"
    files = [f"remote_ssl_{name}_file" for name in ("ca_crt", "client_crt", "client_key")]
    for name in files:
        if read.value(group, name):
            checks.parse_file(read.given(group, name), read.value(group, name))
    names = ("remote_timeout", "remote_content_type", "remote_ssl_verify_server_crt", *files)
    return {name: value for name in names if (value := read.value(group, name)) is not None}


def make_history(read: Read) -> History:
    revisions: int = read.value("netloom", "history_revisions")
    if 0 <= revisions < LEAST:
        raise read.given("netloom", "history_revisions").refuse(revisions, f"allowed: {LEAST} or more; -1 for all")
    return History(revisions, read.value("netloom", "history_days"))


def make_mechanisms(read: Read) -> tuple[str, ...]:
    names = [name for name in read.value("ml2", "mechanism_drivers") if name not in IGNORED_MECHANISMS]
    return checks.parse_names(read.given("ml2", "mechanism_drivers"), names, MECHANISMS)


def make_keystone(read: Read) -> KeystoneSettings | None:
    """Section [keystone_authtoken], whose options are needed with auth_strategy = keystone only."""
    if read.value("DEFAULT", "auth_strategy") != "keystone":
        return None
    group = "keystone_authtoken"
    for name in ("auth_url", "username", "password"):
        if not read.value(group, name):
            raise OptionError(f"[{group}] {name}", "", "auth_strategy = keystone needs it")
    auth_url = checks.parse_url(read.given(group, "auth_url"), read.value(group, "auth_url"))
    if read.value(group, "cafile"):
        checks.parse_file(read.given(group, "cafile"), read.value(group, "cafile"))
    names = ("username", "password", "project_name", "user_domain_name", "project_domain_name", "www_authenticate_uri")
    return KeystoneSettings(
        auth_url=auth_url,
        cafile=read.value(group, "cafile"),
        insecure=read.value(group, "insecure"),
        http_connect_timeout_s=float(read.value(group, "http_connect_timeout")),
        token_cache_time_s=float(read.value(group, "token_cache_time")),
        **{name: read.value(group, name) for name in names},
    )


def make_tls(read: Read) -> dict[str, Path | None]:
    """Certificate and key, both or neither, as use_ssl says."""
    if not read.value("DEFAULT", "use_ssl"):
        return {"tls_cert": None, "tls_key": None}
    paths: dict[str, Path | None] = {}
    for name, attribute in (("cert_file", "tls_cert"), ("key_file", "tls_key")):
        if not read.value("ssl", name):
            raise OptionError(f"[ssl] {name}", "", "use_ssl = true needs it")
        paths[attribute] = checks.parse_file(read.given("ssl", name), read.value("ssl", name))
    return paths


def make_listen(read: Read) -> tuple[str, ...]:
    given = read.given("netloom", "feed_listen")
    return tuple(checks.parse_endpoint(given, value) for value in read.value("netloom", "feed_listen"))


def find_peer_listen(read: Read) -> str:
    value: str = read.value("netloom", "peer_listen")
    return checks.parse_endpoint(read.given("netloom", "peer_listen"), value) if value else ""


def check_listen(options: ServerOptions) -> None:
    """Raises OptionError if somebody listens where this server is to: better now than after the store is open."""
    if options.bind_port:
        check_free(Given("bind_host, bind_port"), options.bind_host, options.bind_port)
    for name in ("feed_listen", "peer_listen", "metrics_listen"):
        value = getattr(options, name)
        for endpoint in (value,) if isinstance(value, str) else value:
            check_endpoint(Given(f"[netloom] {name}"), endpoint)


def find_policy_file(read: Read) -> Path | None:
    """As oslo.policy finds it: beside the configuration file. The default name may be missing, another one not."""
    name: str = read.value("oslo_policy", "policy_file")
    if not name:
        return None
    folder = read.files[0].parent if read.files else Path("/etc/netloom")
    path = folder / name
    if path.exists():
        return path
    if name == "policy.yaml":
        return None
    return checks.parse_file(read.given("oslo_policy", "policy_file"), str(path))
