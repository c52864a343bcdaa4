"""Nova's own code (`nova.network.neutron.API`) asks a Networking API. Runs where Nova is; imports nothing of ours.

    python nova_driver.py facts.json      a line {"step": …, "wrong": …} for each step, in their order

Nova keeps what it learns of an instance's network in its database; here it keeps it in the object alone. The steps are
one life of a few instances, told by the docstrings of what follows.
"""

from __future__ import annotations

import json
import sys
import traceback
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nova.conf
from keystoneauth1 import identity, session
from neutronclient.v2_0 import client
from nova import config, context, exception, objects
from nova.network import model, neutron
from nova.network import security_group_api as groups

FACTS = json.loads(Path(sys.argv[1]).read_text()) if __name__ == "__main__" else {}
STEPS: list[Callable[[Site], None]] = []
WEB = "web"
LOGIN = """
auth_type = password
auth_url = {keystone}
username = nova
password = {password}
project_name = service
user_domain_id = default
project_domain_id = default
"""
CONFIG = "[neutron]\nregion_name = RegionOne\n{login}\n[service_user]\nsend_service_user_token = true\n{login}"


class Person:
    """Somebody with a token: as Nova's request context, and as a client of the Networking API."""

    def __init__(self, user: str, project: str) -> None:
        auth = identity.Password(
            auth_url=FACTS["keystone"], username=user, password=FACTS["password"], project_name=project,
            user_domain_id="default", project_domain_id="default",
        )  # fmt: skip
        shown = session.Session(auth=auth)
        access = auth.get_access(shown)
        self.client = client.Client(session=shown)
        self.context = context.RequestContext(
            user_id=access.user_id, project_id=access.project_id, roles=access.role_names,
            is_admin="admin" in (access.role_names or ()), auth_token=access.auth_token,
            service_catalog=[describe_service(one) for one in access.service_catalog.catalog],
        )  # fmt: skip


def describe_service(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry of the catalog in the form that Nova's contexts keep."""
    urls = {one["interface"] + "URL": one["url"] for one in entry["endpoints"]}
    return {"type": entry["type"], "name": entry["name"], "endpoints": [{"region": "RegionOne", **urls}]}


class Site:
    """What the steps share: Nova's API object, people, and what earlier steps have made."""

    def __init__(self) -> None:
        self.api = neutron.API()
        self.mia, self.max = Person("mia", "demo"), Person("max", "other")
        self.admin = Person("admin", "admin")
        self.network = self.subnet = self.group = self.vlan = ""
        self.one = self.make_instance("h1")
        self.two = self.make_instance("h1")
        self.own_port = ""

    def make_instance(self, host: str, person: Person | None = None, hostname: str = "web-1") -> Any:
        ctx = (person or self.mia).context
        made = objects.Instance(
            uuid=str(uuid.uuid4()), project_id=ctx.project_id, user_id=ctx.user_id, host=host, node=host,
            hostname=hostname, display_name=hostname, availability_zone="nova", deleted=False, vm_state="building",
            security_groups=objects.SecurityGroupList(objects=[]), system_metadata={}, task_state=None,
        )  # fmt: skip
        made.info_cache = objects.InstanceInfoCache(instance_uuid=made.uuid, network_info=model.NetworkInfo())
        made.flavor = objects.Flavor(id=1, name="f", memory_mb=64, vcpus=1, extra_specs={})
        made.pci_requests = objects.InstancePCIRequests(requests=[], instance_uuid=made.uuid)
        made.pci_devices = objects.PciDeviceList(objects=[])
        made.numa_topology = made.migration_context = None
        made._context = made.info_cache._context = ctx
        made.obj_reset_changes()
        return made

    def allocate(
        self, instance: Any, *wanted: dict[str, Any], host: str = "h1", person: Person | None = None, **k: Any
    ) -> Any:
        ctx = (person or self.mia).context
        info = self.api.allocate_for_instance(ctx, instance, request(*wanted), bind_host_id=host, **k)
        instance.info_cache.network_info = info
        return info

    def port(self, id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.admin.client.show_port(id)["port"]
        return found

    def port_of(self, instance: Any) -> dict[str, Any]:
        return self.port(instance.info_cache.network_info[0]["id"])


def request(*wanted: dict[str, Any]) -> Any:
    return objects.NetworkRequestList(objects=[objects.NetworkRequest(**one) for one in wanted])


def expect(error: type[Exception], ask: Callable[[], Any]) -> None:
    try:
        ask()
    except error:
        return
    raise AssertionError(f"{error.__name__} was expected")


def migrate(instance: Any, source: str, to: str, kind: str) -> Any:
    return objects.Migration(
        id=1, uuid=str(uuid.uuid4()), source_compute=source, dest_compute=to, source_node=source, dest_node=to,
        migration_type=kind, status="running", instance_uuid=instance.uuid,
    )  # fmt: skip


def step(run: Callable[[Site], None]) -> Callable[[Site], None]:
    STEPS.append(run)
    return run


def addresses(port: dict[str, Any], version: int) -> list[str]:
    mark = "." if version == 4 else ":"
    return [one["ip_address"] for one in port["fixed_ips"] if mark in one["ip_address"]]


# -- the steps ---------------------------------------------------------------------------------------------------------


@step
def extensions_are_found(site: Site) -> None:
    """Nova asks for what it can use, and finds all of it."""
    for name in (
        "has_multi_provider_extension", "has_dns_extension", "has_sg_shared_filter_extension",
        "has_extended_resource_request_extension", "has_fip_port_details_extension",
        "has_substr_port_filtering_extension", "has_segment_extension", "has_port_binding_extension",
    ):  # fmt: skip
        assert getattr(site.api, name)(site.admin.context), name


@step
def a_network_for_the_asking(site: Site) -> None:
    """--nic auto, of a project that has no network."""
    site.api.validate_networks(site.max.context, request({"network_id": "auto"}), 1)
    instance = site.make_instance("h1", site.max)
    info = site.allocate(instance, {"network_id": "auto"}, person=site.max)
    assert info[0]["network"]["label"] == "auto_allocated_network", info
    site.api.deallocate_for_instance(site.max.context, instance, requested_networks=None)


@step
def networks_are_made(site: Site) -> None:
    """A network of both versions, as its project makes it."""
    ask = site.mia.client
    site.network = ask.create_network({"network": {"name": "net"}})["network"]["id"]
    four = {"cidr": "10.77.0.0/24", "dns_nameservers": ["192.0.2.53"], "ip_version": 4,
            "host_routes": [{"destination": "192.0.2.0/24", "nexthop": "10.77.0.9"}]}  # fmt: skip
    six = {"cidr": "fd00:77::/64", "ip_version": 6, "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}
    site.subnet = ask.create_subnet({"subnet": {"network_id": site.network, **four}})["subnet"]["id"]
    ask.create_subnet({"subnet": {"network_id": site.network, **six}})
    site.group = ask.create_security_group({"security_group": {"name": WEB}})["security_group"]["id"]


@step
def networks_are_validated(site: Site) -> None:
    """Before an instance is made: is the network there, and how many ports does the quota allow?"""
    ctx = site.mia.context
    assert site.api.validate_networks(ctx, request({"network_id": site.network}), 3) == 3
    missing = request({"network_id": str(uuid.uuid4())})
    expect(exception.NetworkNotFound, lambda: site.api.validate_networks(ctx, missing, 1))
    used = len(site.mia.client.list_ports(project_id=ctx.project_id)["ports"])
    site.admin.client.update_quota(ctx.project_id, {"quota": {"port": used + 2}})
    try:
        assert site.api.validate_networks(ctx, request({"network_id": site.network}), 5) == 2
    finally:
        site.admin.client.delete_quota(ctx.project_id)


@step
def an_instance_gets_a_port(site: Site) -> None:
    """On a network, with a group by its name; what Nova learns is what libvirt needs."""
    vif = site.allocate(site.one, {"network_id": site.network}, security_groups=[WEB])[0]
    assert (vif["type"], vif["ovs_interfaceid"], vif["network"]["bridge"]) == ("ovs", vif["id"], "br-int"), vif
    assert vif["network"].get_meta("mtu") and "port_filter" in vif["details"], vif
    four = next(one for one in vif["network"]["subnets"] if one["version"] == 4)
    assert four["gateway"]["address"] == "10.77.0.1" and four["dns"][0]["address"] == "192.0.2.53", four
    assert four["routes"] and {one["version"] for one in vif["network"]["subnets"]} == {4, 6}, vif
    port = site.port(vif["id"])
    assert (port["device_id"], port["device_owner"]) == (site.one.uuid, "compute:nova"), port
    assert (port["binding:host_id"], port["security_groups"]) == ("h1", [site.group]), port
    assert port["project_id"] == site.mia.context.project_id, port


@step
def what_is_known_is_read_again(site: Site) -> None:
    """get_instance_nw_info by the user, and afresh by an administrator."""
    before = [one["id"] for one in site.one.info_cache.network_info]
    assert [one["id"] for one in site.api.get_instance_nw_info(site.mia.context, site.one)] == before
    again = site.api.get_instance_nw_info(site.admin.context, site.one, force_refresh=True)
    assert [one["id"] for one in again] == before


@step
def a_port_of_the_users_own(site: Site) -> None:
    """It is used as it is, once, and kept when the instance goes."""
    fixed = [{"subnet_id": site.subnet, "ip_address": "10.77.0.50"}]
    site.own_port = site.mia.client.create_port({"port": {"network_id": site.network, "fixed_ips": fixed}})["port"][
        "id"
    ]
    info = site.allocate(site.two, {"port_id": site.own_port, "tag": "eth0"})
    assert info[0]["id"] == site.own_port and info[0]["preserve_on_delete"], info
    three = site.make_instance("h1")
    expect(exception.PortInUse, lambda: site.allocate(three, {"port_id": site.own_port}))
    assert site.api.get_fixed_ip_by_address(site.mia.context, "10.77.0.50")["instance_uuid"] == site.two.uuid


@step
def an_address_in_use(site: Site) -> None:
    """Is refused before and while an instance is made."""
    wanted = {"network_id": site.network, "address": "10.77.0.50"}
    expect(exception.FixedIpAlreadyInUse, lambda: site.api.validate_networks(site.mia.context, request(wanted), 1))
    expect(exception.FixedIpAlreadyInUse, lambda: site.allocate(site.make_instance("h1"), wanted))


@step
def a_host_that_is_not_there(site: Site) -> None:
    """The binding fails, Nova sees it, and no port is left."""
    lost = site.make_instance("nowhere")
    expect(exception.PortBindingFailed, lambda: site.allocate(lost, {"network_id": site.network}, host="nowhere"))
    assert not site.admin.client.list_ports(device_id=lost.uuid)["ports"]


@step
def what_nova_lists(site: Site) -> None:
    """Networks, ports of an instance, one port."""
    ctx = site.mia.context
    assert site.api.list_ports(ctx, device_id=site.one.uuid)["ports"]
    assert site.api.get(ctx, site.network)["id"] == site.network
    assert site.network in [one["id"] for one in site.api.get_all(ctx)]
    assert site.api.show_port(ctx, site.own_port)["port"]["id"] == site.own_port


@step
def addresses_come_and_go(site: Site) -> None:
    """A second address of an instance, taken away again by its value."""
    network = site.mia.client.create_network({"network": {"name": "four"}})["network"]["id"]
    subnet = {"network_id": network, "ip_version": 4, "cidr": "10.76.0.0/24"}
    site.mia.client.create_subnet({"subnet": subnet})
    instance = site.make_instance("h1")
    site.allocate(instance, {"network_id": network})
    site.api.add_fixed_ip_to_instance(site.mia.context, instance, network)
    both = addresses(site.port_of(instance), 4)
    assert len(both) == 2, both
    site.api.remove_fixed_ip_from_instance(site.mia.context, instance, both[0])
    assert addresses(site.port_of(instance), 4) == both[1:]
    site.api.deallocate_for_instance(site.mia.context, instance, requested_networks=None)


@step
def groups_of_an_instance(site: Site) -> None:
    """The compute API's words for security groups, and rules in its form."""
    ctx, one = site.mia.context, site.one
    rule = {"security_group_id": site.group, "direction": "ingress", "protocol": "tcp", "port_range_min": 22,
            "port_range_max": 22}  # fmt: skip
    site.mia.client.create_security_group_rule({"security_group_rule": rule})
    found = groups.get_instance_security_groups(ctx, one, detailed=True)
    assert [(g["name"], len(g["rules"])) for g in found] == [(WEB, 1)], found
    groups.add_to_instance(ctx, one, "default")
    assert {g["name"] for g in groups.get_instance_security_groups(ctx, one)} == {WEB, "default"}
    groups.remove_from_instance(ctx, one, WEB)
    assert [g["name"] for g in groups.get_instance_security_groups(ctx, one)] == ["default"]
    made = groups.create_security_group(ctx, "made by nova", "of old")
    given = {"group_id": None, "cidr": "192.0.2.0/24", "protocol": "tcp", "from_port": 22, "to_port": 22}
    new = groups.create_security_group_rule(ctx, made, {**given, "parent_group_id": made["id"]})
    groups.remove_rules(ctx, made, [new["id"]])
    groups.destroy(ctx, made)


@step
def a_live_migration(site: Site) -> None:
    """A second binding, made active when the instance arrives; the first one is deleted."""
    ctx, one = site.mia.context, site.one
    id = one.info_cache.network_info[0]["id"]
    made = site.api.bind_ports_to_host(ctx, one, "h2", vnic_types={id: "normal"})[id]
    assert (made["vif_type"], made["status"], made["host"]) == ("ovs", "INACTIVE", "h2"), made
    move = migrate(one, "h1", "h2", "live-migration")
    site.api.migrate_instance_start(ctx, one, move)
    assert site.port(id)["binding:host_id"] == "h2"
    site.api.delete_port_binding(ctx, id, "h1")
    one.host = "h2"
    site.api.migrate_instance_finish(ctx, one, move, provider_mappings=None)
    expect(exception.PortBindingFailed, lambda: site.api.bind_ports_to_host(ctx, one, "nowhere"))
    assert site.port(id)["binding:host_id"] == "h2"


@step
def a_cold_migration(site: Site) -> None:
    """The port is bound to where the instance is started again."""
    one = site.one
    one.host = "h1"
    move = migrate(one, "h2", "h1", "migration")
    site.api.setup_networks_on_host(site.mia.context, one, host="h1")
    site.api.migrate_instance_finish(site.mia.context, one, move, provider_mappings=None)
    assert site.port_of(one)["binding:host_id"] == "h1"


@step
def guaranteed_bandwidth(site: Site) -> None:
    """A port's resource request becomes groups for the scheduler; where it was granted is in the binding's profile."""
    ask, ctx = site.admin.client, site.mia.context
    policy = ask.create_qos_policy({"policy": {"name": "gold", "shared": True}})["policy"]["id"]
    rule = {"min_kbps": 1000, "direction": "egress"}
    ask.create_minimum_bandwidth_rule(policy, {"minimum_bandwidth_rule": rule})
    provider = {"provider:network_type": "vlan", "provider:physical_network": "physnet1", "shared": True}
    site.vlan = ask.create_network({"network": {"name": "vlan", **provider}})["network"]["id"]
    ask.create_subnet({"subnet": {"network_id": site.vlan, "ip_version": 4, "cidr": "10.78.0.0/24"}})
    port = {"network_id": site.vlan, "qos_policy_id": policy, "project_id": ctx.project_id}
    id = ask.create_port({"port": port})["port"]["id"]
    seen, wanted, _ = site.api.create_resource_requests(ctx, request({"port_id": id}))
    assert (set(seen.physnets), seen.tunneled) == ({"physnet1"}, False), seen
    assert wanted[0].resources == {"NET_BW_EGR_KILOBIT_PER_SEC": 1000}, wanted
    assert wanted[0].required_traits == {"CUSTOM_PHYSNET_PHYSNET1", "CUSTOM_VNIC_TYPE_NORMAL"}, wanted
    granted = {one.requester_id: [str(uuid.uuid4())] for one in wanted}
    instance = site.make_instance("h1")
    site.allocate(instance, {"port_id": id}, resource_provider_mapping=granted)
    assert site.port(id)["binding:profile"]["allocation"] == {key: ids[0] for key, ids in granted.items()}
    assert site.api.get_requested_resource_for_instance(ctx, instance.uuid)[0]
    assert site.api.instance_has_extended_resource_request(instance.uuid)
    site.api.deallocate_for_instance(ctx, instance, requested_networks=request({"port_id": id}))
    assert "allocation" not in site.port(id)["binding:profile"]


@step
def networks_are_told_apart(site: Site) -> None:
    """Tunnelled or physical, for the scheduler; a port for a PCI function names its physical network."""
    ctx = site.mia.context
    seen, _, _ = site.api.create_resource_requests(ctx, request({"network_id": site.network}))
    assert seen.tunneled and not seen.physnets, seen
    direct = {"network_id": site.vlan, "binding:vnic_type": "direct"}
    id = site.mia.client.create_port({"port": direct})["port"]["id"]
    devices = objects.InstancePCIRequests(requests=[], instance_uuid=str(uuid.uuid4()))
    site.api.create_resource_requests(ctx, request({"port_id": id}), pci_requests=devices)
    assert devices.requests[0].spec[0]["physical_network"] == "physnet1", devices
    assert site.api.get_segment_ids_for_network(ctx, site.network) == []
    assert site.api.get_segment_id_for_subnet(ctx, site.subnet) is None


@step
def a_floating_address(site: Site) -> None:
    """Pool, allocation, association, what the instance's record says of it, and back."""
    ctx, ask = site.mia.context, site.mia.client
    gateway = {"network_id": FACTS["external"]}
    router = ask.create_router({"router": {"name": "r", "external_gateway_info": gateway}})["router"]["id"]
    ask.add_interface_router(router, {"subnet_id": site.subnet})
    assert [one["id"] for one in site.api.get_floating_ip_pools(ctx)] == [FACTS["external"]]
    outer = site.api.allocate_floating_ip(ctx, "public")
    site.api.associate_floating_ip(ctx, site.one, outer, addresses(site.port_of(site.one), 4)[0])
    info = site.api.get_instance_nw_info(ctx, site.one, force_refresh=True)
    inner = [ip for vif in info for subnet in vif["network"]["subnets"] for ip in subnet["ips"]]
    assert [one["address"] for ip in inner for one in ip.get("floating_ips", ())] == [outer], info
    assert site.api.get_instance_id_by_floating_address(ctx, outer) == site.one.uuid
    floating = site.api.get_floating_ip_by_address(ctx, outer)
    assert site.api.get_floating_ips_by_project(ctx)
    site.api.disassociate_and_release_floating_ip(ctx, site.one, floating)
    assert not ask.list_floatingips()["floatingips"]


@step
def metadata_finds_the_instance(site: Site) -> None:
    """By the address that it asks from, and its network."""
    by = ["ip_address=10.77.0.50"]
    found = site.admin.client.list_ports(network_id=site.network, fixed_ips=by)["ports"]
    assert [one["device_id"] for one in found] == [site.two.uuid]


@step
def instances_are_deleted(site: Site) -> None:
    """By their user, for whom Nova vouches: its ports go, the user's own are unbound."""
    ctx = site.mia.context
    expect(Exception, lambda: site.mia.client.delete_port(site.port_of(site.one)["id"]))
    site.api.deallocate_for_instance(ctx, site.one, requested_networks=request({"network_id": site.network}))
    assert not site.admin.client.list_ports(device_id=site.one.uuid)["ports"]
    site.api.deallocate_for_instance(ctx, site.two, requested_networks=request({"port_id": site.own_port}))
    port = site.port(site.own_port)
    assert (port["device_id"], port["device_owner"], port["binding:host_id"]) == ("", "", ""), port
    assert port["binding:vif_type"] == "unbound", port


@step
def interfaces_are_detached(site: Site) -> None:
    """One by its id; one whose port is gone already is no fault."""
    ctx, instance = site.mia.context, site.make_instance("h1")
    info = site.allocate(instance, {"network_id": site.network})
    site.api.deallocate_port_for_instance(ctx, instance, info[0]["id"])
    assert not site.admin.client.list_ports(device_id=instance.uuid)["ports"]
    info = site.allocate(instance, {"network_id": site.network})
    site.admin.client.delete_port(info[0]["id"])
    site.api.deallocate_for_instance(ctx, instance, requested_networks=None)
    assert list(site.api.get_instance_nw_info(ctx, instance, force_refresh=True)) == []


@step
def names_and_choices(site: Site) -> None:
    """An instance's name is its port's; which of several networks is meant has to be said."""
    instance = site.make_instance("h1", hostname="db-7")
    info = site.allocate(instance, {"network_id": site.network})
    assert site.port(info[0]["id"])["dns_name"] == "db-7"
    site.api.deallocate_for_instance(site.mia.context, instance, requested_networks=None)
    expect(exception.NetworkAmbiguous, lambda: site.allocate(site.make_instance("h1")))


@step
def networks_without_port_security(site: Site) -> None:
    """Groups cannot be given there, nor where there is no subnet."""
    for body, subnet in (({"name": "open", "port_security_enabled": False}, True), ({"name": "bare"}, False)):
        network = site.mia.client.create_network({"network": body})["network"]["id"]
        if subnet:
            wanted = {"network_id": network, "ip_version": 4, "cidr": "10.79.0.0/24"}
            site.mia.client.create_subnet({"subnet": wanted})
        instance = site.make_instance("h1")
        expect(exception.SecurityGroupCannotBeApplied, lambda i=instance, n=network: site.allocate(  # type: ignore[misc]
            i, {"network_id": n}, security_groups=[WEB]))  # fmt: skip


# -- Nova itself -------------------------------------------------------------------------------------------------------


def prepare() -> None:
    """Nova's configuration; and its records of instances stay in memory, for there is no database."""
    login = LOGIN.format(**FACTS)
    path = Path(sys.argv[1]).with_name("nova.conf")
    path.write_text(CONFIG.format(login=login) + f"\n[DEFAULT]\nstate_path = {path.parent}\n")
    config.parse_args(["nova", "--config-file", str(path)], default_config_files=[str(path)], configure_db=False)
    objects.register_all()
    cache, devices = objects.InstanceInfoCache, objects.VirtualInterface
    cache.save = cache.refresh = lambda self, *given, **named: None
    devices.create = devices.save = devices.destroy = lambda self: None
    devices.delete_by_instance_uuid = devices.get_by_uuid = staticmethod(lambda *given, **named: None)
    objects.VirtualInterfaceList.get_by_instance_uuid = staticmethod(lambda *given, **named: [])


def main(steps: Sequence[Callable[[Site], None]]) -> None:
    prepare()
    assert nova.conf.CONF.service_user.send_service_user_token
    site = Site()
    for run in steps:
        wrong = ""
        try:
            run(site)
        except Exception as error:  # whatever it is: the steps after it are judged as well
            where = traceback.extract_tb(error.__traceback__)
            line = next((one.lineno for one in reversed(where) if one.filename == __file__), 0)
            wrong = f"{type(error).__name__}: {error} (line {line})"[:1000]
        print(json.dumps({"step": run.__name__.replace("_", " "), "wrong": wrong}), flush=True)


if __name__ == "__main__":
    main(STEPS)
