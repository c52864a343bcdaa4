"""Octavia's own driver (`AllowedAddressPairsDriver`) asks a Networking API. Runs where Octavia is; imports nothing of
ours.

    python octavia_driver.py facts.json      a line {"step": …, "wrong": …} for each step, in their order

Nova, which plugs the ports of load balancers' instances, is played: it names instance and host of a port and forgets
them. The steps are the life of one load balancer on two instances.
"""

from __future__ import annotations

import json
import sys
import traceback
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openstack
from octavia.common import config, constants, data_models
from octavia.network import base
from octavia.network.drivers.neutron.allowed_address_pairs import AllowedAddressPairsDriver

FACTS = json.loads(Path(sys.argv[1]).read_text()) if __name__ == "__main__" else {}
STEPS: list[Callable[[Site], None]] = []
CONFIG = """
[controller_worker]
compute_driver = compute_noop_driver
[networking]
port_detach_timeout = 20
retry_interval = 1
max_retries = 3
[service_auth]
auth_type = password
auth_url = {keystone}
username = nova
password = {password}
project_name = service
user_domain_id = default
project_domain_id = default
[neutron]
region_name = RegionOne
"""


class Compute:
    """Nova as far as Octavia asks it."""

    def __init__(self, network: Any) -> None:
        self.network = network

    def attach_network_or_port(self, compute_id: str, network_id: Any = None, ip_address: Any = None,
                               port_id: Any = None) -> Any:  # fmt: skip
        port = self.network.update_port(
            port_id, device_id=compute_id, device_owner="compute:nova", binding_host_id="h1"
        )
        return SimpleNamespace(net_id=port.network_id, port_id=port.id, fixed_ips=port.fixed_ips)

    def detach_port(self, compute_id: str, port_id: str) -> None:
        self.network.update_port(port_id, device_id="", device_owner="")


class Site:
    """The driver, a member's and an administrator's clients, and what the steps share."""

    def __init__(self) -> None:
        self.driver = AllowedAddressPairsDriver()
        self.network = self.driver.network_proxy
        self.driver.compute = Compute(self.network)
        self.mia = log_in("mia", "demo")
        self.net = self.mia.create_network(name="vips")
        self.four = self.mia.create_subnet(network_id=self.net.id, ip_version=4, cidr="10.70.0.0/24")
        self.six = self.mia.create_subnet(network_id=self.net.id, ip_version=6, cidr="fd70::/64")
        self.balancer = self.make_balancer()
        self.instances: list[Any] = []

    def make_balancer(self, address: str | None = None) -> Any:
        id = str(uuid.uuid4())
        vip = data_models.Vip(load_balancer_id=id, network_id=self.net.id, subnet_id=self.four.id, ip_address=address)
        more = data_models.AdditionalVip(load_balancer_id=id, subnet_id=self.six.id)
        return data_models.LoadBalancer(
            id=id, project_id=self.net.project_id, name="web", vip=own(vip), additional_vips=[more],
            topology=constants.TOPOLOGY_ACTIVE_STANDBY,
        )  # fmt: skip

    @property
    def vip(self) -> Any:
        return self.balancer.vip

    def find_rules(self) -> set[tuple[str, str, int, str]]:
        group = self.driver.get_security_group(f"lb-{self.balancer.id}")
        rules = self.network.security_group_rules(security_group_id=group.id)
        return {
            (one.protocol, one.ether_type, one.port_range_max, one.remote_ip_prefix)
            for one in rules if one.direction == "ingress"
        }  # fmt: skip


def log_in(user: str, project: str) -> Any:
    return openstack.connect(
        auth_url=FACTS["keystone"], username=user, password=FACTS["password"], project_name=project,
        user_domain_id="default", project_domain_id="default", region_name="RegionOne",
    ).network  # fmt: skip


def own(vip: Any) -> Any:
    """An address whose groups are Octavia's to choose."""
    vip.sg_ids = []
    return vip


def expect(error: type[Exception], ask: Callable[[], Any]) -> None:
    try:
        ask()
    except error:
        return
    raise AssertionError(f"{error.__name__} was expected")


def step(run: Callable[[Site], None]) -> Callable[[Site], None]:
    STEPS.append(run)
    return run


# -- the steps ---------------------------------------------------------------------------------------------------------


@step
def addresses_are_allocated(site: Site) -> None:
    """One of each version on one port of the member's; asked for again, they are found."""
    vip, more = site.driver.allocate_vip(site.balancer)
    site.balancer.vip, site.balancer.additional_vips = own(vip), more
    site.vip.load_balancer = site.balancer
    assert vip.ip_address.startswith("10.70.0.") and more[0].ip_address.startswith("fd70::"), (vip, more)
    port = site.network.get_port(vip.port_id)
    assert (port.project_id, port.device_owner) == (site.net.project_id, "Octavia") and not port.is_admin_state_up
    again, _ = site.driver.allocate_vip(site.balancer)
    assert again.port_id == vip.port_id


@step
def an_address_in_use_is_refused(site: Site) -> None:
    """By the error that Octavia's API gives its user."""
    expect(base.VIPInUseException, lambda: site.driver.allocate_vip(site.make_balancer(site.vip.ip_address)))


@step
def listeners_are_let_through(site: Site) -> None:
    """One rule for each protocol, port and network that is allowed, and for VRRP; less when one goes."""
    make = data_models.Listener
    cidrs = [data_models.ListenerCidr(cidr=one) for one in ("10.0.0.0/8", "fd00::/8")]
    state = {"provisioning_status": constants.ACTIVE}
    site.balancer.listeners = [
        make(id="1", protocol="HTTP", protocol_port=80, peer_port=1025, **state),
        make(id="2", protocol="UDP", protocol_port=53, peer_port=1026, allowed_cidrs=cidrs, **state),
        make(id="3", protocol="SCTP", protocol_port=99, peer_port=1027, **state),
    ]
    site.driver.update_vip_sg(site.balancer, site.vip)
    rules = site.find_rules()
    assert {("udp", "IPv4", 53, "10.0.0.0/8"), ("udp", "IPv6", 53, "fd00::/8")} <= rules, rules
    assert {("sctp", "IPv6", 99, None), ("112", "IPv4", None, None), ("51", "IPv4", None, None)} <= rules, rules
    site.driver.update_vip(site.balancer)
    assert site.find_rules() == rules
    del site.balancer.listeners[1]
    site.driver.update_vip(site.balancer)
    assert not [one for one in site.find_rules() if one[0] == "udp" or one[2] == 1026]


@step
def instances_are_plugged(site: Site) -> None:
    """Each has a port of its own that may have the address too."""
    subnet = site.driver.get_subnet(site.four.id)
    for _ in range(2):
        made = data_models.Amphora(
            id=str(uuid.uuid4()), compute_id=str(uuid.uuid4()), lb_network_ip="192.0.2.1",
            status=constants.AMPHORA_ALLOCATED, load_balancer=site.balancer, load_balancer_id=site.balancer.id,
        )  # fmt: skip
        found = site.driver.plug_aap_port(site.balancer, site.vip, made, subnet)
        made.vrrp_ip, made.vrrp_port_id = found.vrrp_ip, found.vrrp_port_id
        made.ha_ip, made.ha_port_id = found.ha_ip, found.ha_port_id
        port = site.network.get_port(made.vrrp_port_id)
        assert {site.vip.ip_address} < {one["ip_address"] for one in port.allowed_address_pairs}, port
        site.instances.append(made)
    site.balancer.amphorae = site.instances
    assert len(site.driver.get_network_configs(site.balancer)) == 2
    assert len(site.driver.get_plugged_networks(site.instances[0].compute_id)) == 1


@step
def an_instance_gets_an_address_more(site: Site) -> None:
    """And gives it back; Octavia sends the port's addresses with what it knows of their subnets."""
    port_id = site.instances[0].vrrp_port_id
    port = site.driver.plug_fixed_ip(port_id, site.six.id)
    assert {one.subnet_id for one in port.fixed_ips} == {site.four.id, site.six.id}, port
    port = site.driver.unplug_fixed_ip(port_id, site.six.id)
    assert [one.subnet_id for one in port.fixed_ips] == [site.four.id], port


@step
def a_policy_is_applied(site: Site) -> None:
    """And taken away."""
    policy = log_in("admin", "admin").create_qos_policy(name="gold", shared=True)
    assert site.driver.qos_enabled() and site.driver.get_qos_policy(policy.id).id == policy.id
    for id in (policy.id, None):
        site.driver.apply_qos_on_port(id, site.vip.port_id)
        assert site.network.get_port(site.vip.port_id).qos_policy_id == id


@step
def members_are_reached(site: Site) -> None:
    """A port on another network, with addresses for the connections to members."""
    net = site.mia.create_network(name="members")
    subnet = site.mia.create_subnet(network_id=net.id, ip_version=4, cidr="10.71.0.0/24")
    port = site.driver.create_port(
        net.id, name="m", fixed_ips=[{"subnet_id": subnet.id}], secondary_ips=["10.71.0.200"], admin_state_up=True
    )
    shown = site.network.get_port(port.id)
    assert [one["ip_address"] for one in shown.allowed_address_pairs] == ["10.71.0.200"], shown
    site.driver.delete_port(port.id)
    expect(base.PortNotFound, lambda: site.driver.get_port(port.id))


@step
def things_are_found(site: Site) -> None:
    """By name, by what they belong to; and what is not there is said to be missing."""
    driver, missing = site.driver, str(uuid.uuid4())
    assert driver.get_network_by_name("vips").id == site.net.id
    port = driver.get_port_by_net_id_device_id(site.net.id, site.instances[0].compute_id)
    assert port.id == site.instances[0].vrrp_port_id
    assert driver.get_network_ip_availability(driver.get_network(site.net.id)).total_ips
    expect(base.SubnetNotFound, lambda: driver.get_subnet(missing))
    expect(base.NetworkNotFound, lambda: driver.get_network(missing))


@step
def an_instance_fails(site: Site) -> None:
    """Its ports' names are taken away for the one that takes over."""
    site.driver.failover_preparation(site.instances[1])
    assert not site.network.get_port(site.instances[1].vrrp_port_id).dns_name


@step
def all_of_it_goes(site: Site) -> None:
    """Nothing of the load balancer is left, and the network can go."""
    site.driver.unplug_vip(site.balancer, site.vip)
    site.driver.deallocate_vip(site.vip)
    assert [one.name for one in site.network.ports(network_id=site.net.id)] == []
    expect(base.SecurityGroupNotFound, lambda: site.driver.get_security_group(f"lb-{site.balancer.id}"))
    site.mia.delete_network(site.net.id, ignore_missing=False)


def main() -> None:
    path = Path(sys.argv[1]).with_name("octavia.conf")
    path.write_text(CONFIG.format(**FACTS))
    config.init(["--config-file", str(path)])
    site = Site()
    for run in STEPS:
        wrong = ""
        try:
            run(site)
        except Exception as error:  # whatever it is: the steps after it are judged as well
            where = traceback.extract_tb(error.__traceback__)
            line = next((one.lineno for one in reversed(where) if one.filename == __file__), 0)
            wrong = f"{type(error).__name__}: {error} (line {line})"[:1000]
        print(json.dumps({"step": run.__name__.replace("_", " "), "wrong": wrong}), flush=True)


if __name__ == "__main__":
    main()
