"""What ports say beside their groups, where iptables keeps these: logs and marks; and what others break there.

The agent's slow clock goes once an hour.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest

from tests.dataplane.hybrid_rig import HybridRig, make_hybrid_rig, why_not_hybrid
from tests.dataplane.ovs import run, wait_until
from tests.dataplane.settled import wait_planned
from tests.dataplane.test_bridge_extras import hear_mark
from tests.dataplane.test_groups_live import Town, test_what_is_dropped_and_let_pass_is_written_down
from tests.dataplane.test_qos import make_policy

pytestmark = pytest.mark.dataplane
__all__ = ["test_what_is_dropped_and_let_pass_is_written_down"]


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    if reason := why_not_hybrid():
        pytest.skip(reason)
    with make_hybrid_rig() as rig:
        rig.program = (sys.executable, "-m", "tests.dataplane.slow_agent")
        rig.start_agent()
        yield Town(rig)


def test_packets_leave_with_the_mark(town: Town) -> None:
    """DSCP 26 on what the port sends, when it comes out of the other's own bridge; what it receives is as it was."""
    rig, a, b = town.rig, town.a, town.b
    for port in (a, b):
        rig.ask("PUT", f"ports/{port.id}", {"port": {"security_groups": [town.friends, town.web]}})
    rig.ask("PUT", f"ports/{a.id}", {"port": {"qos_policy_id": make_policy(rig, dscp_marking={"dscp_mark": 26})}})
    wait_planned(rig)
    assert (hear_mark(a, b), hear_mark(b, a)) == (26, 0)
    rig.ask("PUT", f"ports/{a.id}", {"port": {"qos_policy_id": None, "security_groups": [town.friends]}})
    rig.ask("PUT", f"ports/{b.id}", {"port": {"security_groups": [town.web]}})
    wait_planned(rig)
    assert hear_mark(a, b) == 0


def count_healed(rig: HybridRig) -> int:
    (agent,) = rig.ask("GET", "agents?agent_type=Open%20vSwitch%20agent")["agents"]
    return int(agent["configurations"].get("drift_healed", 0))


def find_set(town: Town) -> str:
    return f"NIPv4{town.friends}"[:27]


Break = Callable[[Town], str]
BREAKS: dict[str, Break] = {
    "a chain is emptied": lambda town: f"iptables -F neutron-openvswi-i{town.b.id[:10]}",
    "the way to all of them goes": lambda town: "ip6tables -D FORWARD -j neutron-openvswi-FORWARD",
    "a table of nft": lambda town: "nft delete table ip filter",
    "a member goes": lambda town: f"ipset del {find_set(town)} {town.a.address}",
    "a stranger comes in": lambda town: f"ipset add {find_set(town)} {town.c.address}",
    "one for another": lambda town: f"ipset swap {find_set(town)} theirs",
}


@pytest.mark.parametrize("what", BREAKS)
def test_what_somebody_changes_comes_back_at_once(town: Town, what: str) -> None:
    """In chains of iptables and in sets: healed without the slow clock, and counted in the API."""
    rig = town.rig
    assert isinstance(rig, HybridRig)
    wait_planned(rig)
    before = count_healed(rig)
    for words in ("ipset create theirs hash:net maxelem 1048576", f"ipset add theirs {town.c.address}"):
        run("ip", "netns", "exec", rig.host.netns, *words.split())
    try:
        run("ip", "netns", "exec", rig.host.netns, *BREAKS[what](town).split())
        wait_planned(rig)
        wait_until(lambda: count_healed(rig) > before)
    finally:
        run("ip", "netns", "exec", rig.host.netns, "ipset", "destroy", "theirs")


def test_what_the_agent_changes_itself_is_no_news(town: Town) -> None:
    """A group that comes to a port and goes again: nothing was put back."""
    rig = town.rig
    assert isinstance(rig, HybridRig)
    wait_planned(rig)
    said, before = len(rig.read_log()), count_healed(rig)
    for groups in ([town.web, town.friends], [town.web]):
        rig.ask("PUT", f"ports/{town.b.id}", {"port": {"security_groups": groups}})
        wait_planned(rig)
    assert "drift healed" not in rig.read_log(said)
    assert count_healed(rig) == before
