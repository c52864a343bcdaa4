"""A host where Neutron's agent ran: its bridges and patches are taken over while its instances go on pinging."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.dataplane.conftest import why_not
from tests.dataplane.ovs import wait_until
from tests.dataplane.rig import NETLOOM, Instance, Rig, make_rig
from tests.dataplane.settled import wait_active, wait_planned
from tests.dataplane.wire import Pinging

pytestmark = pytest.mark.dataplane

COOKIE = "0x7d3c9a10b2e4f586"
FLOWS = {
    "br-int": (
        "table=0,priority=65535,dl_vlan=4095,actions=drop",
        "table=0,priority=0,actions=resubmit(,60)",
        "table=23,priority=0,actions=drop",
        "table=24,priority=0,actions=drop",
        "table=60,priority=3,actions=NORMAL",
    ),
    "br-tun": (
        "table=0,priority=1,in_port=patch-int,actions=resubmit(,2)",
        "table=0,priority=0,actions=drop",
        "table=2,priority=0,dl_dst=00:00:00:00:00:00/01:00:00:00:00:00,actions=resubmit(,20)",
        "table=20,priority=0,actions=resubmit(,22)",
        "table=22,priority=0,actions=drop",
    ),
}
"""What matters of the flows of neutron-openvswitch-agent: misses that end in NORMAL."""


def be_neutron(rig: Rig, instances: list[Instance]) -> None:
    """The switch as Neutron's agent leaves it, with instances on local VLAN 1."""
    vsctl = rig.host.vsctl
    for bridge in FLOWS:
        vsctl("add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=netdev", "fail_mode=secure",
              "protocols=OpenFlow10,OpenFlow13,OpenFlow14", "external_ids:neutron=was-here")  # fmt: skip
    for bridge, name, peer in (("br-int", "patch-tun", "patch-int"), ("br-tun", "patch-int", "patch-tun")):
        vsctl("add-port", bridge, name, "--", "set", "interface", name, "type=patch", f"options:peer={peer}")
    vsctl("add-port", "br-tun", "vxlan-c0000202", "--", "set", "interface", "vxlan-c0000202", "type=vxlan",
          "options:remote_ip=192.0.2.2", "options:local_ip=192.0.2.1", "options:in_key=flow", "options:out_key=flow",
          "options:df_default=true", "options:egress_pkt_mark=0")  # fmt: skip
    for bridge, flows in FLOWS.items():
        for flow in flows:
            rig.host.ofctl("add-flow", bridge, f"cookie={COOKIE},{flow}")
    rig.plug(instances)
    for one in instances:
        vsctl("set", "port", one.tap, "tag=1")


def list_foreign(rig: Rig, bridge: str) -> list[str]:
    return [line for line in rig.host.ofctl("dump-flows", bridge).splitlines() if COOKIE in line]


def read_report(rig: Rig) -> list[str]:
    """What the API shows as foreign on this host."""
    (agent,) = rig.ask("GET", "agents?agent_type=Open%20vSwitch%20agent")["agents"]
    return list(agent["configurations"].get("foreign", ()))


@pytest.fixture
def neutrons() -> Iterator[tuple[Rig, Instance, Instance]]:
    """Two instances that ping each other by Neutron's flows; Netloom's server knows their ports, its agent is off."""
    if reason := why_not():
        pytest.skip(reason)
    with make_rig() as rig:
        ports = rig.make_ports(rig.make_network("n0", "10.0.0.0/24"), 2)
        a, b = (rig.boot(port, number) for number, port in enumerate(ports))
        be_neutron(rig, [a, b])
        yield rig, a, b


def test_a_host_of_neutrons_is_adopted_while_its_instances_ping(neutrons: tuple[Rig, Instance, Instance]) -> None:
    """No ping is lost, patches keep their numbers, and what is left of Neutron is reported and not touched."""
    rig, a, b = neutrons
    vsctl = rig.host.vsctl
    number = vsctl("get", "interface", "patch-tun", "ofport")
    pinging = Pinging(a, b.address)
    wait_until(lambda: "n_packets=0" not in list_foreign(rig, "br-int")[-1])
    rig.start_agent()
    rig.wait_log("2 ports wired, 0 wait")
    wait_active(rig)
    before = list_foreign(rig, "br-int")[-1].split("n_packets=")[1].split(",")[0]
    rig.wait_log("not of Netloom")
    pinging.wait_more()
    replies, lost = pinging.stop()
    assert lost == [] and replies >= 10
    assert list_foreign(rig, "br-int")[-1].split("n_packets=")[1].split(",")[0] == before, "NORMAL still carries it"
    wait_planned(rig)
    assert vsctl("get", "interface", "patch-tun", "ofport") == number
    assert vsctl("get", "bridge", "br-int", "external_ids:neutron") == "was-here"
    assert [len(list_foreign(rig, bridge)) for bridge in FLOWS] == [5, 5]
    wait_until(lambda: read_report(rig))
    foreign = "\n".join(read_report(rig))
    assert f"br-int has 5 flows with cookie {COOKIE}" in foreign and "br-tun has port vxlan-c0000202" in foreign


def test_what_is_reported_can_be_taken_away_as_it_says(neutrons: tuple[Rig, Instance, Instance]) -> None:
    """`netloom agent sweep` tells what the report does, with `--yes` it runs the commands as they stand: instances go
    on, and nothing is reported any more."""
    rig, a, b = neutrons
    rig.start_agent()
    rig.wait_log("2 ports wired, 0 wait")
    wait_until(lambda: read_report(rig))
    told = read_report(rig)
    assert sweep(rig) == told
    pinging = Pinging(a, b.address)
    swept = sweep(rig, "--yes")
    assert pinging.stop()[1] == []
    assert swept == [words.partition(": ")[0] for words in told]
    assert sweep(rig) == ["nothing is there that is not Netloom's"]
    said = len(rig.read_log())
    rig.stop_agent()
    rig.start_agent()
    rig.wait_log("2 ports wired, 0 wait", said)
    wait_until(lambda: not read_report(rig))
    wait_planned(rig)


def sweep(rig: Rig, *arguments: str) -> list[str]:
    command = [*NETLOOM, "agent", "sweep", *arguments, *rig.options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()


def test_another_thing_of_the_name_is_never_changed(neutrons: tuple[Rig, Instance, Instance]) -> None:
    """A port that has a patch's name and is something else is refused in words, and stays what it is."""
    rig, _, _ = neutrons
    rig.host.vsctl("del-port", "patch-tun", "--", "add-port", "br-int", "patch-tun", "--", "set", "interface",
                   "patch-tun", "type=internal")  # fmt: skip
    rig.start_agent()
    rig.wait_log("refused: .*patch-tun.*not made by Netloom")
    assert rig.host.vsctl("get", "interface", "patch-tun", "type") == "internal"
