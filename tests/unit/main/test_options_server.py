"""Options of the server: what a file says becomes values, and what it may not say stops the start with a name."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from oslo_config import cfg

from netloom.intent.quota import DEFAULTS
from netloom.main.options import server as options_module
from netloom.main.options import table as option_table
from netloom.main.options.checks import OptionError
from netloom.main.options.server import ServerOptions, check_listen, load_server_options
from netloom.main.options.table import GROUPS, make_conf, make_quota_option, render_reference

NEUTRON = """
[DEFAULT]
core_plugin = ml2
service_plugins = router,qos
bind_port = 9797
transport_url = rabbit://guest:guest@localhost
global_physnet_mtu = 9000
dns_domain = example.org.

[database]
connection = sqlite:////srv/netloom.db

[nova]
region_name = one
"""
ML2 = """
[ml2]
type_drivers = flat,vlan,vxlan
tenant_network_types = vlan, vxlan
mechanism_drivers = openvswitch,l2population
extension_drivers = port_security
physical_network_mtus = physnet2:1500
path_mtu = 9100

[ml2_type_vlan]
network_vlan_ranges = physnet1:300:399,physnet1:100:199,physnet2

[ml2_type_vxlan]
vni_ranges = 1:1000
vxlan_group = 239.1.1.1
"""


def load(tmp_path: Path, text: str = "", **sets: str) -> ServerOptions:
    file = tmp_path / "netloom.conf"
    file.write_text(text)
    return load_server_options([file], {"state_path": str(tmp_path), **sets})


def test_neutrons_two_files_are_read_as_they_are(tmp_path: Path) -> None:
    """neutron.conf and ml2_conf.ini give their values; what Netloom has no use for is named in a note."""
    files = [tmp_path / "neutron.conf", tmp_path / "ml2_conf.ini"]
    for file, text in zip(files, (NEUTRON, ML2), strict=True):
        file.write_text(text)
    options = load_server_options(files)
    assert (options.bind_port, options.database_url) == (9797, "sqlite:////srv/netloom.db")
    settings = options.settings
    assert settings.type_drivers == ("flat", "vlan", "vxlan")
    assert settings.tenant_network_types == ("vlan", "vxlan")
    assert settings.network_vlan_ranges == {"physnet1": ((100, 199), (300, 399)), "physnet2": ()}
    assert settings.vni_ranges["vxlan"] == ((1, 1000),)
    assert settings.physical_network_mtus == {"physnet2": 1500}
    assert (settings.path_mtu, settings.global_physnet_mtu, settings.dns_domain) == (9100, 9000, "example.org.")
    assert options.mechanism_drivers == ("openvswitch",)
    assert options.notes == (
        f"{files[0]}: not used by Netloom: core_plugin, service_plugins",
        f"{files[1]}: not used by Netloom: [ml2] extension_drivers, [ml2_type_vxlan] vxlan_group",
    )


def test_the_last_file_wins_and_the_command_line_wins_over_it(tmp_path: Path) -> None:
    """A later --config-file overrides an earlier one, --set overrides both."""
    first, second = tmp_path / "a.conf", tmp_path / "b.conf"
    first.write_text("[DEFAULT]\nbind_port = 1001\nagent_down_time = 10\n")
    second.write_text("[DEFAULT]\nbind_port = 1002\n")
    assert load_server_options([first, second]).bind_port == 1002
    assert load_server_options([first, second], {"bind_port": "1003"}).bind_port == 1003
    assert load_server_options([first, second]).settings.agent_down_time == 10


def test_nothing_given_is_a_server_that_works(tmp_path: Path) -> None:
    """With no option at all: builtin users, a store in state_path, VXLAN networks, no limit on pages."""
    options = load(tmp_path)
    assert (options.auth_strategy, options.database_url) == ("builtin", f"sqlite:///{tmp_path}/netloom.db")
    assert options.settings.tenant_network_types == ("vxlan",)
    assert (options.api.pagination_max_limit, options.quotas) == (-1, DEFAULTS)
    assert (options.keystone, options.policy_file, options.tls_cert, options.notes) == (None, None, None, ())


def test_quotas_of_any_resource_have_an_option(tmp_path: Path) -> None:
    """[QUOTAS] quota_<resource> of all that has a quota; default_quota for what has no number; Neutron's old names."""
    path = tmp_path / "neutron.conf"
    path.write_text("[QUOTAS]\ndefault_quota = 3\nquota_network = 7\nquota_rbac_entry = 4\nquota_driver = x\n")
    options = load_server_options([path])
    assert set(options.quotas) == set(DEFAULTS)
    assert (options.quotas["network"], options.quotas["rbac_policy"], options.quotas["port"]) == (
        7,
        4,
        DEFAULTS["port"],
    )
    assert options.settings.quotas == options.quotas
    assert all(options.quotas[name] == 3 for name, limit in DEFAULTS.items() if limit < 0)
    assert [note.partition(": ")[2] for note in options.notes] == ["not used by Netloom: [quotas] quota_driver"]


def test_an_option_without_a_number_is_default_quota(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A resource that Netloom does not limit by itself takes default_quota, unless it has an option of its own."""
    table = replace_option("quotas", make_quota_option("thing", -1))
    monkeypatch.setitem(option_table.GROUPS, "quotas", table)
    monkeypatch.setattr(options_module, "QUOTAS", {"thing": -1})
    assert load(tmp_path).quotas == {"thing": -1}
    assert load(tmp_path, **{"quotas.default_quota": "9"}).quotas == {"thing": 9}
    assert load(tmp_path, **{"quotas.default_quota": "9", "quotas.quota_thing": "2"}).quotas == {"thing": 2}


def replace_option(group: str, option: cfg.Opt) -> tuple[cfg.Opt, ...]:
    return (*(one for one in option_table.GROUPS[group] if one.name != option.name), option)


def test_two_readings_do_not_share_values(tmp_path: Path) -> None:
    """Options are values: what one reading was told is not what another one finds."""
    assert load(tmp_path, bind_port="1").bind_port == 1
    assert load(tmp_path).bind_port == 9696


BAD = [
    ("DEFAULT", "bind_port", "http", "a port number"),
    ("DEFAULT", "api_workers", "-1", "at least 0"),
    ("netloom", "peer_listen", "here", "host:port"),
    ("DEFAULT", "bind_port", "70000", "at most 65535"),
    ("DEFAULT", "bind_host", "two words", "an address or a host's name"),
    ("DEFAULT", "auth_strategy", "basic", "builtin, keystone, noauth"),
    ("DEFAULT", "notify_nova_on_port_data_changes", "perhaps", "true or false"),
    ("DEFAULT", "notify_nova_on_port_status_changes", "perhaps", "true or false"),
    ("DEFAULT", "debug", "perhaps", "true or false"),
    ("DEFAULT", "use_json", "perhaps", "true or false"),
    ("netloom", "project_rate", "-1", "at least 0"),
    ("netloom", "token_rate", "many", "a number"),
    ("netloom", "rate_burst", "0", "at least 1"),
    ("netloom", "max_bulk_items", "0", "at least 1"),
    ("netloom", "max_header_size", "100", "at least 8192"),
    ("netloom", "client_timeout", "0", "at least 1"),
    ("netloom", "metrics_listen", "9698", "host:port"),
    ("netloom", "otel_endpoint", "collector:4318", "http://"),
    ("DEFAULT", "base_mac", "fa:16", "a unicast MAC"),
    ("DEFAULT", "base_mac", "01:00:5e:00:00:00", "multicast"),
    ("DEFAULT", "global_physnet_mtu", "67", "at least 68"),
    ("DEFAULT", "agent_down_time", "0", "at least 1"),
    ("DEFAULT", "dhcp_lease_duration", "-2", "at least -1"),
    ("DEFAULT", "max_fixed_ips_per_port", "0", "at least 1"),
    ("DEFAULT", "router_distributed", "2", "true or false"),
    ("DEFAULT", "l3_ha", "2", "true or false"),
    ("DEFAULT", "max_l3_agents_per_router", "-1", "at least 0"),
    ("DEFAULT", "l3_ha_net_cidr", "169.254.192.1/18", "an IPv4 prefix"),
    ("DEFAULT", "l3_ha_net_cidr", "fd00::/64", "an IPv4 prefix"),
    ("DEFAULT", "l3_ha_network_type", "wifi", "local, flat, vlan"),
    ("DEFAULT", "enable_snat_by_default", "2", "true or false"),
    ("DEFAULT", "enable_ndp_proxy_by_default", "2", "true or false"),
    ("DEFAULT", "enable_default_route_ecmp", "2", "true or false"),
    ("DEFAULT", "ha_conntrackd_enabled", "2", "true or false"),
    ("DEFAULT", "ha_conntrackd_hashsize", "0", "at least 1"),
    ("DEFAULT", "ha_conntrackd_hashlimit", "0", "at least 1"),
    ("DEFAULT", "ha_conntrackd_unix_backlog", "0", "at least 1"),
    ("DEFAULT", "ha_conntrackd_socketbuffersize", "0", "at least 1"),
    ("DEFAULT", "ha_conntrackd_socketbuffersize_max_grown", "0", "at least 1"),
    ("DEFAULT", "ha_conntrackd_group", "65281", "at most 65280"),
    ("DEFAULT", "ha_conntrackd_sndsocketbuffer", "0", "at least 1"),
    ("DEFAULT", "ha_conntrackd_rcvsocketbuffer", "0", "at least 1"),
    ("DEFAULT", "allowed_conntrack_helpers", "ftp", "name:protocol"),
    ("DEFAULT", "allowed_conntrack_helpers", "ftp:smtp", "of the protocols dccp"),
    ("DEFAULT", "router_auto_schedule", "2", "true or false"),
    ("DEFAULT", "allow_automatic_l3agent_failover", "2", "true or false"),
    ("DEFAULT", "network_auto_schedule", "2", "true or false"),
    ("DEFAULT", "dhcp_agents_per_network", "0", "at least 1"),
    ("DEFAULT", "allow_automatic_dhcp_failover", "2", "true or false"),
    ("DEFAULT", "dhcp_driver", "isc", "distributed, dnsmasq"),
    ("DEFAULT", "nova_metadata_host", "two words", "an address or a host's name"),
    ("DEFAULT", "nova_metadata_port", "70000", "at most 65535"),
    ("DEFAULT", "nova_metadata_protocol", "ftp", "http, https"),
    ("DEFAULT", "nova_metadata_insecure", "2", "true or false"),
    ("DEFAULT", "enable_isolated_metadata", "2", "true or false"),
    ("DEFAULT", "force_metadata", "2", "true or false"),
    ("netloom", "metadata_path", "router", "host, namespace, off"),
    ("DEFAULT", "pagination_max_limit", "0", "1 or more"),
    ("DEFAULT", "pagination_max_limit", "many", "1 or more"),
    ("DEFAULT", "allow_bulk", "2", "true or false"),
    ("oslo_middleware", "max_request_body_size", "1", "at least 1024"),
    ("ml2", "type_drivers", "vlan,token_ring", "local, flat, vlan"),
    ("ml2", "type_drivers", "vlan,vlan", "once"),
    ("ml2", "tenant_network_types", "wifi", "local, flat, vlan"),
    ("ml2", "tenant_network_types", "vlan", "network_vlan_ranges has no range"),
    ("ml2", "mechanism_drivers", "openvswitch,hyperv", "openvswitch"),
    ("ml2", "path_mtu", "60", "68 and more"),
    ("ml2", "path_mtu", "70000", "at most 65535"),
    ("ml2", "physical_network_mtus", "physnet1", "physical_network:bytes"),
    ("ml2", "physical_network_mtus", "physnet1:12", "68"),
    ("ml2", "physical_network_mtus", "p:1500,p:9000", "given twice"),
    ("ml2", "overlay_ip_version", "5", "4, 6"),
    ("ml2_type_vlan", "network_vlan_ranges", "physnet1:1", "physical_network:min:max"),
    ("ml2_type_vlan", "network_vlan_ranges", "physnet1:0:10", "1 ≤ min"),
    ("ml2_type_vlan", "network_vlan_ranges", "physnet1:1:4095", "max ≤ 4094"),
    ("ml2_type_vlan", "network_vlan_ranges", "physnet1:20:10", "min ≤ max"),
    ("ml2_type_vlan", "network_vlan_ranges", ":1:10", "physical_network"),
    ("ml2_type_vlan", "network_vlan_ranges", "p:1:10,p:10:20", "overlap"),
    ("ml2_type_vxlan", "vni_ranges", "0:10", "1 ≤ min"),
    ("ml2_type_vxlan", "vni_ranges", "1:16777216", "max ≤ 16777215"),
    ("ml2_type_vxlan", "vni_ranges", "1:100,50:200", "overlap"),
    ("ml2_type_gre", "tunnel_id_ranges", "1:4294967296", "max ≤ 4294967295"),
    ("ml2_type_geneve", "vni_ranges", "a:b", "min:max"),
    ("quotas", "quota_port", "-2", "at least -1"),
    ("quotas", "default_quota", "lots", "a whole number"),
    ("netloom", "agent_certificate_days", "0", "at least 1"),
    ("oslo_policy", "remote_timeout", "soon", "a number"),
    ("oslo_policy", "remote_content_type", "text/plain", "application/json"),
    ("oslo_policy", "remote_ssl_ca_crt_file", "missing.pem", "can be read"),
    ("netloom", "feed_listen", "9697", "host:port"),
    ("netloom", "feed_listen", "unix:feed.sock", "a path from the root"),
    ("netloom", "feed_listen", "0.0.0.0:99999", "host:port"),
    ("oslo_policy", "policy_file", "missing.yaml", "can be read"),
]


@pytest.mark.parametrize(("group", "name", "value", "allowed"), BAD)
def test_a_bad_option_stops_the_start(tmp_path: Path, group: str, name: str, value: str, allowed: str) -> None:
    """In a file or on the command line, a bad option is named with its value, its file and what is allowed."""
    shown = name if group == "DEFAULT" else f"[{group}] {name}"
    key = name if group == "DEFAULT" else f"{group}.{name}"
    with pytest.raises(OptionError) as in_file:
        load(tmp_path, f"[{group}]\n{name} = {value}\n")
    with pytest.raises(OptionError) as on_line:
        load(tmp_path, **{key: value})
    for error in (in_file, on_line):
        assert error.value.option == shown
        assert str(error.value).startswith(f"{shown} = ")
        assert allowed in str(error.value)
    assert str(tmp_path / "netloom.conf") in str(in_file.value)


def test_every_option_that_can_be_bad_is_tried() -> None:
    """No option with bounds, choices or a grammar of its own is missing from the list above."""
    tried = {(group, name) for group, name, _, _ in BAD}
    plain = {
        "control_exchange",
        "transport_url",
        "flat_networks",
        "default_availability_zones",
        "dns_domain",
        "state_path",
        "l3_ha_network_physical_name",
        "tunnelled_network_rp_name",
        "metadata_proxy_shared_secret",
        "auth_ca_cert",
        "nova_client_cert",
        "nova_client_priv_key",
        "ha_conntrackd_ipv4_mcast_addr",
    }
    server = ("DEFAULT", "oslo_middleware", "ml2", "ml2_type_vlan", "ml2_type_vxlan", "ml2_type_gre", "ml2_type_geneve")
    same = {
        "max_dns_nameservers",
        "max_subnet_host_routes",
        "max_allowed_address_pair",
        "filter_validation",
        "use_ssl",
        "ipv6_pd_enabled",
    }
    missing = {
        (group, option.name)
        for group in server
        for option in GROUPS[group]
        if (group, option.name) not in tried and option.name not in plain | same | {"host"}
    }
    assert missing == set()


@pytest.mark.parametrize(
    ("text", "driver"),
    [
        ("", "distributed"),
        ("dhcp_driver = dnsmasq", "dnsmasq"),
        ("dhcp_driver = neutron.agent.linux.dhcp.Dnsmasq", "dnsmasq"),
    ],
)
def test_neutrons_dhcp_driver_means_dnsmasq(tmp_path: Path, text: str, driver: str) -> None:
    """What operators have in dhcp_agent.ini is understood."""
    assert load(tmp_path, f"[DEFAULT]\n{text}\n").settings.dhcp_driver == driver


def test_an_unknown_option_on_the_command_line_is_refused(tmp_path: Path) -> None:
    """A slip of the pen in --set is an error, as nobody else can have meant it."""
    with pytest.raises(OptionError, match=r"ml2\.mtu = 1: there is no such option"):
        load(tmp_path, **{"ml2.mtu": "1"})


def test_a_file_that_is_missing_or_garbled_is_named(tmp_path: Path) -> None:
    """A --config-file that cannot be read, or is no option file, stops the start with its path."""
    with pytest.raises(OptionError, match=r"--config-file = .*none\.conf: .*No such file"):
        load_server_options([tmp_path / "none.conf"])
    with pytest.raises(OptionError, match=r"--config-file = .*netloom\.conf: line not understood"):
        load(tmp_path, "bind_port 9696\n")


def test_tenant_types_must_be_loaded(tmp_path: Path) -> None:
    """A type for projects that is not among type_drivers is refused with the ones that are."""
    with pytest.raises(OptionError, match=r"tenant_network_types = vxlan: .*type_drivers too; that has flat"):
        load(tmp_path, "[ml2]\ntype_drivers = flat\n")


def test_no_tenant_types_is_allowed(tmp_path: Path) -> None:
    """A site may leave networks to administrators alone."""
    assert load(tmp_path, "[ml2]\ntenant_network_types =\n").settings.tenant_network_types == ()


def test_keystone_needs_to_know_where_and_who(tmp_path: Path) -> None:
    """auth_strategy = keystone names the option of [keystone_authtoken] that is missing, and then works."""
    text = "[DEFAULT]\nauth_strategy = keystone\n[keystone_authtoken]\n"
    for line, missing in (
        ("", "auth_url"),
        ("auth_url = http://k:5000\n", "username"),
        ("username = netloom\n", "password"),
    ):
        text += line
        with pytest.raises(
            OptionError, match=rf"\[keystone_authtoken\] {missing} = : auth_strategy = keystone needs it"
        ):
            load(tmp_path, text)
    keystone = load(tmp_path, text + "password = s3cret\n").keystone
    assert keystone is not None
    assert (keystone.v3, keystone.username, keystone.password) == ("http://k:5000/v3", "netloom", "s3cret")
    with pytest.raises(OptionError, match=r"auth_url = k:5000: allowed: http://"):
        load(tmp_path, text + "password = x\nauth_url = k:5000\n")
    with pytest.raises(OptionError, match=r"cafile = /none: allowed: a file that can be read"):
        load(tmp_path, text + "password = x\ncafile = /none\n")


def test_tls_needs_both_files(tmp_path: Path) -> None:
    """use_ssl without a certificate or key stops the start; with them they are given on."""
    with pytest.raises(OptionError, match=r"\[ssl\] cert_file = : use_ssl = true needs it"):
        load(tmp_path, "[DEFAULT]\nuse_ssl = true\n")
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("")
    text = f"[DEFAULT]\nuse_ssl = true\n[ssl]\ncert_file = {tmp_path}/cert.pem\nkey_file = {tmp_path}/key.pem\n"
    assert load(tmp_path, text).tls_key == tmp_path / "key.pem"
    with pytest.raises(OptionError, match=r"\[ssl\] key_file = .*none\.pem"):
        load(tmp_path, text.replace("key.pem", "none.pem"))


def test_policy_file_lies_beside_the_configuration(tmp_path: Path) -> None:
    """policy.yaml is used if it is there; any other name must be there."""
    assert load(tmp_path).policy_file is None
    (tmp_path / "policy.yaml").write_text("{}")
    assert load(tmp_path).policy_file == tmp_path / "policy.yaml"


def test_a_port_in_use_stops_the_start(tmp_path: Path) -> None:
    """The API's and the feed's ports are tried before anything else is opened."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        text = f"[DEFAULT]\nbind_host = 127.0.0.1\nbind_port = {port}\n"
        with pytest.raises(OptionError, match=rf"bind_port = 127\.0\.0\.1:{port}: Address already in use; allowed"):
            check_listen(load(tmp_path, text))
        text = f"[DEFAULT]\nbind_port = 0\n[netloom]\nfeed_listen = 127.0.0.1:{port}\n"
        with pytest.raises(OptionError, match=r"\[netloom\] feed_listen = "):
            check_listen(load(tmp_path, text))
    check_listen(load(tmp_path, f"[DEFAULT]\nbind_port = 0\n[netloom]\nfeed_listen = unix:{tmp_path}/f, 127.0.0.1:0\n"))


def test_infinite_pages(tmp_path: Path) -> None:
    """Neutron's word for no limit is understood."""
    assert load(tmp_path, pagination_max_limit="infinite").api.pagination_max_limit == -1
    assert load(tmp_path, pagination_max_limit="50").api.pagination_max_limit == 50


def test_environment_gives_options_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OS_<SECTION>__<OPTION> works as in other OpenStack services, and is named when it is bad."""
    monkeypatch.setenv("OS_DEFAULT__BIND_PORT", "1234")
    assert load(tmp_path).bind_port == 1234
    monkeypatch.setenv("OS_DEFAULT__BIND_PORT", "x")
    with pytest.raises(OptionError, match=r"bind_port = x: allowed: a port number.*\(OS_DEFAULT__BIND_PORT\)"):
        load(tmp_path)


def test_defaults_are_allowed_values_and_listed() -> None:
    """Every default is one that the option itself allows, and the reference page has a row for it."""
    conf, page = make_conf(), render_reference()
    for group, options in GROUPS.items():
        for option in options:
            value = getattr(conf if group == "DEFAULT" else conf[group], option.name)
            assert value == option.default
            assert f"\n| {option.name} |" in page
            assert option.help
