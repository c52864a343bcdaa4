"""Laws 1, 4 and 10 for distributed routers: flows come of what there is alone, of missing rows less and never an error,
and each keeps to the pipeline and says why."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.drivers.ovs.openflow.check import find_fault
from netloom.model.flow import Flow
from netloom.model.plan import Thing
from netloom.model.slices import Slice, Slices
from netloom.render.host import Groups, render_host
from netloom.render.pipeline import check_flow
from netloom.testing.story_cloud import Cloud
from tests.examples import count_examples
from tests.property.test_distributed_oracle import Step, attempt, make_cloud, steps

OUTSIDE = "provider:network_type=flat provider:physical_network=physnet router:external=true"


def make_open_cloud() -> Cloud:
    """With an external network that two hosts carry, gateways on it, and floating IPs; one router has two hosts. One
    tenant has all that a router may have: limits, a helper, an address scope, a network of another MTU."""
    cloud = make_cloud()
    for name in ("h1", "h2"):
        cloud.tell_host(name, ["bridge_mappings={physnet: br-ex}"])
    cloud.create("network", "ext", OUTSIDE.split())
    cloud.create("subnet", "ext4", ["network_id=ext", "cidr=203.0.113.0/24"])
    cloud.create("network", "back", [])
    cloud.create("subnet", "back4", ["network_id=back", "cidr=10.4.0.0/24"])
    cloud.create("router", "spare", ["distributed=true", "ha=true", "external_gateway_info={network_id: ext}"])
    cloud.do("spare", "add_router_interface", ["subnet_id=back4"])
    for router in ("xr1", "yr1"):
        cloud.update(router, ["external_gateway_info={network_id: ext}"])
    for number, port in enumerate(("xred-11", "yblue-11")):
        cloud.create("floatingip", f"f{number}", ["floating_network_id=ext", f"port_id={port}"])
    dress(cloud)
    return cloud


def dress(cloud: Cloud) -> None:
    cloud.create("policy", "slow", [])
    for direction in ("egress", "ingress"):
        words = ["qos_policy_id=slow", "max_kbps=1000", f"direction={direction}"]
        cloud.create("bandwidth_limit_rule", f"rule-{direction}", words)
    cloud.update("f0", ["qos_policy_id=slow"])
    cloud.update("xr1", ["external_gateway_info={network_id: ext, qos_policy_id: slow}"])
    cloud.create("conntrack_helper", "ftp", ["router_id=xr1", "protocol=tcp", "port=21", "helper=ftp"])
    cloud.update("xblue", ["mtu=1300"])
    cloud.create("address_scope", "scope", ["ip_version=4"])
    cloud.create("subnetpool", "pool", ["prefixes=[10.9.0.0/16]", "address_scope_id=scope", "default_prefixlen=24"])
    cloud.create("network", "scoped", [])
    cloud.create("subnet", "scoped4", ["network_id=scoped", "subnetpool_id=pool", "cidr=10.9.0.0/24"])
    cloud.do("xr1", "add_router_interface", ["subnet_id=scoped4"])


def flatten(groups: Groups) -> dict[str, set[Thing]]:
    return {name: set(things) for name, things in groups.items() if things}


@settings(max_examples=count_examples(12), deadline=None)
@given(st.lists(st.tuples(steps, st.sampled_from(("", "h1", "h2"))), min_size=3, max_size=6))
def test_law_1_what_is_remembered_changes_nothing(story: list[tuple[Step, str]]) -> None:
    """A renderer that saw it all come gives what a new one gives; also while hosts are silent and come back."""
    cloud = make_open_cloud()
    for step, silent in story:
        attempt(cloud, step)
        for host in cloud.hosts.values():
            lost = frozenset({cloud.hosts[silent].told["tunneling_ip"]} if silent and silent != host.name else ())
            facts = replace(cloud.make_facts(host), silent=lost)
            assert flatten(host.renderer.render(host.slices, facts)) == flatten(render_host(host.slices, facts))


@settings(max_examples=count_examples(8), deadline=None)
@given(st.lists(steps, max_size=6), st.randoms(use_true_random=False))
def test_law_4_and_10_of_routers(story: list[Step], chance) -> None:  # type: ignore[no-untyped-def]
    """Whatever rows are not here yet: no error, no flow that a switch refuses or that the pipeline does not know."""
    cloud = make_open_cloud()
    for step in story:
        attempt(cloud, step)
    for host in cloud.hosts.values():
        facts = cloud.make_facts(host)
        assert check_things(render_host(host.slices, facts), facts.tunnel_bridge)
        check_things(render_host(drop_rows(host.slices, chance), facts), facts.tunnel_bridge)


def drop_rows(slices: Slices, chance) -> Slices:  # type: ignore[no-untyped-def]
    """Some rows, and some slices, did not come yet."""
    return {
        name: Slice(name, held.revision, {key: row for key, row in held.rows.items() if chance.random() > 0.2})
        for name, held in slices.items()
        if chance.random() > 0.1
    }


def check_things(groups: Groups, tunnel_bridge: str) -> int:
    """How many flows; each is looked at."""
    count = 0
    for things in groups.values():
        for thing in things:
            if thing.kind == "flow":
                _, bridge, table, priority, match = thing.key
                check_flow(
                    Flow(bridge, table, priority, match, thing.value.actions),
                    "tun" if bridge == tunnel_bridge else "int",
                )
                assert find_fault(match) == "", (table, match)
                assert thing.why.by, thing
                count += 1
    return count


def test_the_spare_router_is_on_two_hosts() -> None:
    """So what the laws are tried on has a host that waits."""
    cloud = make_open_cloud()
    hosts = cloud.hosts["h1"].slices[f"router/{cloud.names['spare'][1]}"].rows
    assert any(len(getattr(row, "hosts", ())) > 1 for row in hosts.values())
