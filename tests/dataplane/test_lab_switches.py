"""A lab whose hosts switch in different ways, with DHCP servers of its own: what a user does is the same on all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from netloom.lab.shell import run, wait_for
from tests.dataplane.hybrid_rig import why_not_hybrid
from tests.dataplane.lab_kit import LabUnderTest, make_lab

pytestmark = pytest.mark.dataplane


@pytest.fixture(scope="module")
def lab() -> Iterator[LabUnderTest]:
    """h1 has iptables before Open vSwitch, h2 has Linux bridges; dnsmasq serves DHCP. Network blue, v4 and v6."""
    if reason := why_not_hybrid():
        pytest.skip(reason)
    with make_lab() as made:
        made.run("up", "--hosts", "2", "--bridge-hosts", "1", "--firewall-driver", "iptables_hybrid",
                 "--dhcp-driver", "dnsmasq", "--host-option", "dns_domain=blue.example")  # fmt: skip
        made.openstack("network create blue")
        made.openstack("subnet create blue4 --network blue --subnet-range 192.0.2.0/24")
        made.openstack(
            "subnet create blue6 --network blue --ip-version 6 --subnet-range fd00:6::/64"
            " --ipv6-ra-mode dhcpv6-stateful --ipv6-address-mode dhcpv6-stateful"
        )
        yield made


def test_a_network_spans_every_way_of_switching(lab: LabUnderTest) -> None:
    """Instances get their addresses from one DHCP server wherever they are, and ping each other in both families."""
    for name, host in (("a", "h1"), ("b", "h2"), ("c", "h2")):
        lab.run("boot", name, "--network", "blue", "--host", host)
    for source, target in (("a", "b"), ("b", "a"), ("b", "c")):
        for family in ("-4", "-6"):
            assert "passed" in lab.run("ping", source, target, family)
    shown = lab.run("status")
    assert "linuxbridge: runs" in shown and "openvswitch: runs" in shown and shown.count("alive") == 2


def test_each_host_is_what_was_asked_for(lab: LabUnderTest) -> None:
    """Ports are bound as each host plugs them; iptables keeps the rules on one, nft on the other."""
    ports = {name: lab.openstack(f"port show {name} -f value -c binding_vif_type").strip() for name in ("a", "b")}
    assert ports == {"a": "ovs", "b": "bridge"}
    device = lab.place.require().instances["a"].device.replace("tap", "qvo")
    assert device in lab.run("exec", "h1", "--", "ovs-vsctl", "list-ports", "br-int")
    assert "neutron-openvswi-FORWARD" in lab.run("exec", "h1", "--", "iptables-save", "-t", "filter")
    assert "table bridge netloom" in lab.run("exec", "h2", "--", "nft", "list", "tables")
    assert "search blue.example" in lab.run("exec", "a", "--", "cat", "/etc/resolv.conf")


def test_an_instance_of_any_host_goes_with_all_of_it(lab: LabUnderTest) -> None:
    """Deleted, it leaves no device on its host: neither its tap nor the bridge that was its own."""
    short = [lab.place.require().instances[name].port_id[:11] for name in ("a", "c")]
    lab.run("delete", "a", "c")
    for host in ("h1", "h2"):
        netns = lab.place.require().host_netns(host)

        def is_clean(netns: str = netns) -> bool:
            shown = run("ip", "-n", netns, "-o", "link", "show")
            return not any(port in shown for port in short)

        wait_for(f"no device on {host}", is_clean, 60)
