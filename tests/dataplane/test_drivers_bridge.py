"""The drivers of Linux bridges and of packet filters, in a namespace of their own, against the conformance suite."""

from __future__ import annotations

import asyncio

import pytest

from netloom.drivers.bridge.copies import CopyDriver
from netloom.drivers.bridge.driver import BridgeDriver
from netloom.drivers.filter.iptables import IptablesDriver
from netloom.drivers.filter.nft import FilterDriver
from netloom.model.bridge import BridgePort, Copy, Leads, LinuxBridge, Neighbour, VlanDevice, VxlanDevice
from netloom.model.driver import Driver
from netloom.model.filter import FilterSet, IpSet, IptablesChain, Member, Way, make_chain
from netloom.model.plan import Key, Put, Remove, Thing
from netloom.reconcile.plan import plan
from netloom.render.filters.nft_base import BRIDGE, INET, make_table
from netloom.testing.conformance import CHECKS, Check, Subject
from tests.dataplane.hybrid_rig import why_not_hybrid
from tests.dataplane.ovs import run

pytestmark = pytest.mark.dataplane

MAC = "02:00:00:00:00:0a"


@pytest.fixture
def inside(own_space: str) -> str:
    """The test runs in a new namespace with taps, NICs, and what others made there."""
    for one, other in (("tapa", "xa"), ("tapb", "xb"), ("eth1", "x1"), ("eth2", "x2"), ("tapz", "xz")):
        run("ip", "link", "add", one, "type", "veth", "peer", "name", other)
    run("ip", "addr", "add", "192.0.2.1/24", "dev", "eth1")
    run("ip", "link", "add", "virbr0", "type", "bridge")
    run("ip", "link", "set", "tapz", "master", "virbr0", "up")
    return own_space


def thing(*key_and_value: object) -> Thing:
    *key, value = key_and_value
    return Thing(tuple(key), value)


async def stop(driver: Driver) -> None:
    assert isinstance(driver, BridgeDriver | CopyDriver | FilterDriver | IptablesDriver)
    await driver.close()


async def start_bridges() -> Driver:
    return BridgeDriver()


async def start_filter() -> Driver:
    return FilterDriver()


async def start_iptables() -> Driver:
    return IptablesDriver()


async def start_copies() -> Driver:
    return CopyDriver()


BRIDGES = Subject(
    start=start_bridges,
    stop=stop,
    things=(
        thing("brq", "brq1", LinuxBridge(1450)),
        thing("vxlan", "vxlan-7", VxlanDevice(7, "192.0.2.1", 1450)),
        thing("bridge_port", "vxlan-7", BridgePort("brq1", answers=True)),
        thing("bridge_port", "tapa", BridgePort("brq1", 1450)),
        thing("bridge_port", "tapb", BridgePort("brq1", 1450, learning=True, flood=True)),
        thing("bridge_port", "eth2", BridgePort("brq1", learning=True, flood=True)),
        thing("bridge_fdb", "tapa", MAC, Leads()),
        thing("bridge_fdb", "vxlan-7", "02:00:00:00:00:0b", Leads()),
        thing("tunnel_fdb", "vxlan-7", "00:00:00:00:00:00", "192.0.2.2", Leads()),
        thing("tunnel_fdb", "vxlan-7", "00:00:00:00:00:00", "192.0.2.3", Leads()),
        thing("tunnel_fdb", "vxlan-7", "02:00:00:00:00:0b", "192.0.2.2", Leads()),
        thing("neighbour", "vxlan-7", "10.0.0.2", Neighbour("02:00:00:00:00:0b")),
        thing("neighbour", "vxlan-7", "2001:db8::2", Neighbour("02:00:00:00:00:0b")),
        thing("neighbour", "brq1", "10.0.0.1", Neighbour("02:00:00:00:00:0b")),
    ),
    changed=(
        thing("brq", "brq1", LinuxBridge(1400)),
        thing("vxlan", "vxlan-7", VxlanDevice(7, "192.0.2.1", 1400, plain=True, proxy=False)),
        thing("bridge_port", "tapa", BridgePort("brq1", 1400, learning=True)),
        thing("bridge_port", "vxlan-7", BridgePort("brq1")),
        thing("neighbour", "brq1", "10.0.0.1", Neighbour(MAC)),
        thing("neighbour", "vxlan-7", "10.0.0.2", Neighbour("02:00:00:00:00:0c")),
    ),
    impossible=(
        thing("bridge_port", "tapq", BridgePort("brq1", 1450)),
        thing("bridge_port", "eth1", BridgePort("brq1")),
        thing("neighbour", "vxlan-8", "10.0.0.3", Neighbour(MAC)),
        thing("vlan", "eth9.5", VlanDevice("eth9", 5)),
    ),
    plan=plan,
    look_foreign=lambda: run("ip", "-br", "link", "show", "master", "virbr0"),
)

FILTER = Subject(
    start=start_filter,
    stop=stop,
    things=(
        thing("filter_table", "bridge", make_table(BRIDGE)),
        thing("filter_table", "inet", make_table(INET)),
        thing("filter_set", "inet", "a4_x", FilterSet("ipv4_addr")),
        thing("filter_set", "inet", "p6_x", FilterSet("ipv6_addr", interval=True)),
        thing("filter_member", "inet", "a4_x", "10.0.0.5", Member()),
        thing("filter_member", "inet", "p6_x", "2001:db8::/64", Member()),
        thing("filter_member", "inet", "p6_x", "::/4", Member()),
        thing("filter_chain", "inet", "ingress_00000005", make_chain(("ip saddr @a4_x accept", "drop"))),
        thing("filter_chain", "bridge", "guard_a", make_chain(("ether saddr 02:00:00:00:00:0a accept", "drop"))),
        thing("filter_way", "inet", "ingress", "5", Way("jump ingress_00000005")),
        thing("filter_way", "inet", "bridges", "brq1", Way()),
        thing("filter_way", "inet", "zones", "brq1", Way("17")),
        thing("filter_way", "bridge", "guards", "tapa", Way("jump guard_a")),
        thing("filter_way", "bridge", "senders", "tapa", Way("5")),
        thing("filter_way", "bridge", "ports", "tap2e8bbfcd-9a", Way()),
    ),
    changed=(
        thing("filter_chain", "inet", "ingress_00000005", make_chain(("drop",))),
        thing("filter_way", "bridge", "senders", "tapa", Way("6")),
        thing("filter_way", "inet", "zones", "brq1", Way("18")),
    ),
    impossible=(
        thing("filter_chain", "inet", "bad", make_chain(("ip saddr @nowhere accept",))),
        thing("filter_way", "inet", "ingress", "7", Way("jump nowhere")),
        thing("filter_member", "inet", "a4_x", "not-an-address", Member()),
    ),
    plan=plan,
    look_foreign=lambda: run("nft", "list", "table", "inet", "theirs", check=False),
)

COPIES = Subject(
    start=start_copies,
    stop=stop,
    things=(
        thing("copy", "tapa", "sent", "tapb", Copy()),
        thing("copy", "tapa", "sent", "xb", Copy()),
        thing("copy", "tapa", "received", "tapb", Copy()),
        thing("copy", "tapb", "received", "xb", Copy()),
    ),
    changed=(),
    impossible=(
        thing("copy", "tapa", "sent", "nowhere", Copy()),
        thing("copy", "nowhere", "received", "tapa", Copy()),
    ),
    plan=plan,
    look_foreign=lambda: run("tc", "filter", "show", "dev", "tapz", "ingress"),
)

CHAIN = "neutron-openvswi-i2e8bbfcd-9"
THEIRS = "-A FORWARD -s 198.51.100.0/24 -j DROP"


def look_at_others_rules() -> list[str]:
    """Others' rule in a chain that ours share, and all of a table that ours never enter.

    Not `iptables-save`: its first and last lines are the time of day.
    """
    shared = run("iptables", "-t", "filter", "-S", "FORWARD").splitlines()
    return [line for line in shared if line == THEIRS] + run("iptables", "-t", "nat", "-S").splitlines()


IPTABLES = Subject(
    start=start_iptables,
    stop=stop,
    things=(
        thing("ipset", "NIPv4abc", IpSet(4)),
        thing("ipset", "NIPv6abc", IpSet(6)),
        thing("ipset_member", "NIPv4abc", "10.0.0.5", Member()),
        thing("ipset_member", "NIPv4abc", "10.1.0.0/16", Member()),
        thing("ipset_member", "NIPv6abc", "2001:db8::/64", Member()),
        thing(
            "iptables", 4, "filter", CHAIN,
            IptablesChain((
                "-s 10.0.0.8/29 -p 6 -m tcp --dport 80:90 -j RETURN",
                "-p 47 -m set --match-set NIPv4abc src -j RETURN",
                "-s 10.0.0.5/32 -m mac --mac-source 02:00:00:00:00:0a -j RETURN",
                "-p 1 -m icmp --icmp-type 8/0 -j RETURN",
                "-m conntrack --ctstate ESTABLISHED --ctdir REPLY -m connmark --mark 0x1/0x1 -j DROP",
                "-m conntrack --ctstate ESTABLISHED -j CONNMARK --set-xmark 0x2/0x2",
            )),
        ),
        thing("iptables", 6, "filter", CHAIN, IptablesChain(("-p 58 -m icmp6 --icmpv6-type 128 -j RETURN", "-j DROP"))),
        thing("iptables", 4, "filter", "FORWARD", IptablesChain(("-j neutron-openvswi-FORWARD",))),
        thing(
            "iptables", 4, "filter", "neutron-openvswi-FORWARD",
            IptablesChain((f"-m physdev --physdev-out tapa --physdev-is-bridged -j {CHAIN}",)),
        ),
        thing(
            "iptables", 4, "raw", "neutron-openvswi-PREROUTING",
            IptablesChain(("-m physdev --physdev-in tapa -j CT --zone 17",)),
        ),
        thing("iptables", 4, "raw", "PREROUTING", IptablesChain(("-j neutron-openvswi-PREROUTING",))),
    ),
    changed=(
        thing("iptables", 4, "filter", CHAIN, IptablesChain(("-j DROP",))),
        thing("iptables", 4, "raw", "neutron-openvswi-PREROUTING", IptablesChain(())),
    ),
    impossible=(
        thing("iptables", 4, "filter", "neutron-openvswi-bad", IptablesChain(("-j nowhere",))),
        thing("ipset_member", "NIPv4nowhere", "10.0.0.5", Member()),
    ),
    plan=plan,
    look_foreign=look_at_others_rules,
)  # fmt: skip


def try_check(check: Check, subject: Subject) -> None:
    async def story() -> None:
        await check(subject)

    asyncio.run(story())


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_bridges_keep_the_promises_of_a_driver(inside: str, check: Check) -> None:
    try_check(check, BRIDGES)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_nft_keeps_the_promises_of_a_driver(inside: str, check: Check) -> None:
    run("nft", "add", "table", "inet", "theirs")
    try_check(check, FILTER)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_copies_keep_the_promises_of_a_driver(inside: str, check: Check) -> None:
    """Beside somebody else's filter on a device, of another preference and to the same other device."""
    run("tc", "qdisc", "add", "dev", "tapz", "clsact")
    theirs = ("protocol", "all", "pref", "7", "bpf", "bytecode", "1,6 0 0 4294967295")
    run("tc", "filter", "add", "dev", "tapz", "ingress", *theirs, "action", "mirred", "egress", "mirror", "dev", "xz")
    try_check(check, COPIES)
    assert "clsact" not in run("tc", "qdisc", "show", "dev", "tapa")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_iptables_keeps_the_promises_of_a_driver(inside: str, check: Check) -> None:
    if reason := why_not_hybrid():
        pytest.skip(reason)
    run("iptables", "-A", "FORWARD", "-s", "198.51.100.0/24", "-j", "DROP")
    try_check(check, IPTABLES)
    assert THEIRS in run("iptables", "-t", "filter", "-S", "FORWARD").splitlines()


def test_what_is_still_named_goes_when_it_is_named_no_more(inside: str) -> None:
    """A set that rules name is asked to go before the rules change: no complaint, and it goes with the change."""

    async def story() -> None:
        driver = FilterDriver()
        try:
            assert not await driver.apply([Put(one) for one in FILTER.things])
            (wanted,) = (one for one in FILTER.things if one.key == ("filter_set", "inet", "a4_x"))
            assert not await driver.apply([Remove(wanted)])
            assert wanted.key not in await driver.read()
            assert "a4_x" in run("nft", "list", "table", "inet", "netloom")
            key: Key = ("filter_chain", "inet", "ingress_00000005")
            assert not await driver.apply([Put(Thing(key, make_chain(("drop",))))])
            assert "a4_x" not in run("nft", "list", "table", "inet", "netloom")
        finally:
            await driver.close()

    asyncio.run(story())
