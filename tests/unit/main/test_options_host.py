"""Options of an agent."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from netloom.main.options.checks import OptionError
from netloom.main.options.host import HostOptions, load_host_options
from netloom.model.facts import ConnectionSync


def load(tmp_path: Path, text: str = "") -> HostOptions:
    file = tmp_path / "netloom.conf"
    file.write_text(f"[DEFAULT]\nstate_path = {tmp_path}\n{text}")
    return load_host_options([file])


def test_an_agents_file_of_neutron_is_read(tmp_path: Path) -> None:
    """openvswitch_agent.ini gives bridges, tunnels and mappings as operators wrote them."""
    options = load(
        tmp_path,
        "host = h7\n[ovs]\nlocal_ip = 2001:DB8::7\nbridge_mappings = physnet1:br-ex, physnet2:br-b\n"
        "[agent]\ntunnel_types = vxlan,gre\nl2_population = true\n[netloom]\nfeed_server = netloom.example.org:9697\n",
    )
    assert (options.host, options.local_ip, options.tunnel_types) == ("h7", "2001:db8::7", ("vxlan", "gre"))
    assert options.bridge_mappings == {"physnet1": "br-ex", "physnet2": "br-b"}
    assert options.feed_server == "netloom.example.org:9697"
    assert options.notes == (f"{tmp_path}/netloom.conf: not used by Netloom: [agent] l2_population",)


def test_a_host_without_tunnel_address_has_no_tunnels(tmp_path: Path) -> None:
    """Without local_ip a host offers no tunnel type, and it is named as the system names it."""
    options = load(tmp_path)
    assert (options.tunnel_types, options.host) == ((), socket.gethostname())


def test_types_of_frames_are_read_as_upstream_has_them(tmp_path: Path) -> None:
    """Hexadecimal numbers, each once."""
    options = load(tmp_path, "[securitygroup]\npermitted_ethertypes = 0x8847, 0x4008,0X8847\n")
    assert options.permitted_ethertypes == (0x4008, 0x8847)


def test_novas_metadata_service_is_named_as_in_neutron(tmp_path: Path) -> None:
    """metadata_agent.ini is read as it is; without it Nova is on this host and DHCP tells isolated subnets the way."""
    options = load(
        tmp_path,
        "nova_metadata_host = fd00::7\nnova_metadata_port = 8776\nnova_metadata_protocol = https\n"
        "metadata_proxy_shared_secret = s3cret\nforce_metadata = true\n",
    )
    assert options.metadata is not None
    assert (options.metadata.url, options.metadata.secret) == ("https://[fd00::7]:8776", "s3cret")
    assert options.metadata_route == "all"
    plain = load(tmp_path)
    assert plain.metadata is not None
    assert (plain.metadata.url, plain.metadata_route) == ("http://127.0.0.1:8775", "isolated")
    off = load(tmp_path, "[netloom]\nmetadata_path = off\n")
    assert (off.metadata, off.metadata_route) == (None, "")


def test_copies_share_connections_as_an_l3_agents_file_says(tmp_path: Path) -> None:
    """Off where nothing is said; with Neutron's names and defaults where it is on."""
    assert load(tmp_path).connection_sync is None
    found = load(tmp_path, "ha_conntrackd_enabled = true\nha_conntrackd_group = 4000\nha_conntrackd_hashsize = 99\n")
    assert found.connection_sync == ConnectionSync(port=4000, hash_size=99)


@pytest.mark.parametrize(
    ("text", "option", "allowed"),
    [
        ("[ovs]\nlocal_ip = 10.0.0.256\n", "[ovs] local_ip", "an IPv4 or IPv6 address"),
        ("[ovs]\nlocal_ip = 224.0.0.1\n", "[ovs] local_ip", "one host can have"),
        ("[ovs]\nintegration_bridge = a-name-that-is-too-long\n", "[ovs] integration_bridge", "1 to 15"),
        ("[ovs]\ntunnel_bridge = br int\n", "[ovs] tunnel_bridge", "1 to 15"),
        ("[ovs]\ntunnel_bridge = br-int\n", "[ovs] tunnel_bridge", "integration_bridge"),
        ("[ovs]\nbridge_mappings = physnet1\n", "[ovs] bridge_mappings", "physical_network:bridge"),
        ("[ovs]\nbridge_mappings = a:br-x,a:br-y\n", "[ovs] bridge_mappings", "twice"),
        ("[ovs]\nbridge_mappings = a:br-x,b:br-x\n", "[ovs] bridge_mappings", "one physical network"),
        ("[ovs]\ndatapath_type = dpdk\n", "[ovs] datapath_type", "system, netdev"),
        ("[agent]\ntunnel_types = vxlan,ipip\n", "[agent] tunnel_types", "vxlan, gre, geneve"),
        ("[securitygroup]\npermitted_ethertypes = 8847\n", "[securitygroup] permitted_ethertypes", "in hexadecimal"),
        ("[securitygroup]\npermitted_ethertypes = 0x05ff\n", "[securitygroup] permitted_ethertypes", "0x0600"),
        ("[securitygroup]\npermitted_ethertypes = 0x800\n", "[securitygroup] permitted_ethertypes", "IPv4, IPv6"),
        ("auth_ca_cert = missing.pem\n", "auth_ca_cert", "can be read"),
        (
            "ha_conntrackd_enabled = true\nha_conntrackd_ipv4_mcast_addr = 10.0.0.1\n",
            "ha_conntrackd_ipv4_mcast_addr",
            "multicast",
        ),
        ("[sriov_nic]\nexclude_devices = ens1:07:00.2\n", "[sriov_nic] exclude_devices", "0000:07:00.2"),
        ("[sriov_nic]\nexclude_devices = ens1\n", "[sriov_nic] exclude_devices", "NIC:slot;slot"),
        ("[netloom]\nfeed_server = somewhere\n", "[netloom] feed_server", "host:port"),
        ("[netloom]\nfeed_server = [::1]:x\n", "[netloom] feed_server", "host:port"),
    ],
)
def test_a_bad_option_stops_the_agent(tmp_path: Path, text: str, option: str, allowed: str) -> None:
    """A bad option is named with what is allowed."""
    with pytest.raises(OptionError) as error:
        load(tmp_path, text)
    assert error.value.option == option
    assert allowed in str(error.value)


def test_functions_that_are_left_alone_and_the_tree_they_are_in(tmp_path: Path) -> None:
    """sriov_agent.ini is read as it is; the tree is the kernel's unless it is said to be elsewhere."""
    uplinks = load(
        tmp_path,
        "[sriov_nic]\nphysical_device_mappings = physnet1:ens1, physnet1:ens2\nsysfs = /host/sys\n"
        "exclude_devices = ens1:0000:07:00.2;0000:07:00.3, ens2:0000:05:00.1\n",
    ).uplinks
    assert uplinks.device_mappings == {"physnet1": ("ens1", "ens2")}
    assert uplinks.excluded == {"0000:07:00.2", "0000:07:00.3", "0000:05:00.1"}
    assert (str(uplinks.sysfs), str(load(tmp_path).uplinks.sysfs)) == ("/host/sys", "/sys")


def test_an_agent_needs_no_server_code() -> None:
    """Reading an agent's options loads neither the API nor SQL."""
    check = (
        "import sys, netloom.main.options.host as _;"
        "print([m for m in sys.modules if m.startswith(('netloom.api', 'netloom.store', 'sqlalchemy', 'starlette'))])"
    )
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout == "[]\n"
