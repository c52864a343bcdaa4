"""Security groups that change under traffic, on Linux bridges and by iptables: the same tests as on Open vSwitch."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.dataplane.bridge_rig import make_bridge_rig
from tests.dataplane.conftest import why_not
from tests.dataplane.group_kit import Knocking, make_group, make_members, put_in
from tests.dataplane.hybrid_rig import HybridRig, make_hybrid_rig, why_not_hybrid
from tests.dataplane.ovs import wait_until
from tests.dataplane.settled import wait_active, wait_planned
from tests.dataplane.test_groups_live import (
    MEMBERS,
    RULES,
    Town,
    test_a_connection_is_cut_when_its_rule_is_withdrawn,
    test_members_come_and_go_while_others_speak,
    test_rules_change_without_a_window,
    try_deaths,
)
from tests.dataplane.wire import Pinging, await_ping, open_socket

pytestmark = pytest.mark.dataplane


@pytest.fixture(scope="module", params=["linuxbridge", "iptables_hybrid"])
def town(request: pytest.FixtureRequest) -> Iterator[Town]:
    hybrid = request.param == "iptables_hybrid"
    if reason := why_not_hybrid() if hybrid else why_not():
        pytest.skip(reason)
    with make_hybrid_rig() if hybrid else make_bridge_rig() as rig:
        rig.start_agent()
        yield Town(rig)


def test_a_crowd_and_many_rules_add_up(town: Town) -> None:
    """500 rules that name a group of 2,000: a member is one element, a rule one rule; one member more is one change."""
    rig = town.rig
    crowd, busy = make_group(rig, "crowd"), make_group(rig, "busy", bare=False)
    rules = [
        {"security_group_id": busy, "direction": "ingress", "protocol": "tcp", "remote_group_id": crowd,
         "port_range_min": 1000 + 2 * n, "port_range_max": 1000 + 2 * n}
        for n in range(RULES)
    ]  # fmt: skip
    rig.ask("POST", "security-group-rules", {"security_group_rules": rules})
    members = make_members(rig, crowd, MEMBERS)
    wait_planned(rig)
    said = len(rig.read_log())
    put_in(rig, town.b.id, town.web, busy)
    found = rig.wait_log(r"([0-9]{4,}) ops, 0 refused", said)
    assert MEMBERS <= int(found[1]) <= MEMBERS + 60
    kept = rig.host.inside("iptables-save") if isinstance(rig, HybridRig) else rig.host.inside("nft", "list", "ruleset")
    assert RULES <= sum(" dport " in line or "--dport" in line for line in kept.splitlines()) <= 4 * RULES + 40
    wait_planned(rig)
    said = len(rig.read_log())
    put_in(rig, members[0])
    found = rig.wait_log(r"([0-9]+) ops, 0 refused", said)
    assert int(found[1]) == 1, found[0]
    put_in(rig, town.b.id, town.web)
    wait_planned(rig)


def test_what_dies_in_the_middle_opens_nothing(town: Town) -> None:
    """Agent, and switch, are killed while members come and go: who may speak does again, who may not never did."""
    try_deaths(town, switch=isinstance(town.rig, HybridRig))


MOST_LOST = 20
"""Of a hundred pings a second, when somebody else begins to keep the rules: one or two, on a machine with time."""


def save_rules(rig: HybridRig) -> str:
    return rig.host.inside("iptables-save") + rig.host.inside("ipset", "save")


def change_firewall(rig: HybridRig, driver: str) -> None:
    """Another option, and the agent is started anew."""
    said = len(rig.read_log())
    rig.stop_agent()
    rig.extra["securitygroup.firewall_driver"] = driver
    rig.start_agent()
    rig.wait_log("ports wired, 0 wait", said)


def test_a_host_changes_who_keeps_its_rules() -> None:
    """From iptables to the switch and back: pings go on but for a few, nobody else gets in for a moment, and what kept
    the rules before is left empty."""
    if reason := why_not_hybrid():
        pytest.skip(reason)
    with make_hybrid_rig() as rig:
        rig.start_agent()
        network = rig.make_network("n0", "10.0.0.0/24")
        pair = [rig.boot(port, n) for n, port in enumerate(rig.make_ports(network, 2))]
        (port,) = rig.make_ports(network, 1, security_groups=[make_group(rig, "strangers", bare=False)])
        stranger = rig.boot(port, 2)
        rig.plug([*pair, stranger])
        wait_active(rig)
        rules = f"neutron-openvswi-i{pair[0].id[:10]}"
        for driver, kept in (("openvswitch", False), ("iptables_hybrid", True)):
            pinging, knocking = Pinging(pair[0], pair[1].address), Knocking(stranger, pair[1])
            try:
                change_firewall(rig, driver)
                wait_until(lambda kept=kept: (rules in save_rules(rig)) == kept)  # type: ignore[misc]
                wait_planned(rig)
            finally:
                (replies, lost), (sent, came) = pinging.stop(), knocking.stop()
            assert kept or not re.search("neutron-openvswi|NIPv", save_rules(rig))
            # An answer to what only the other one has seen belongs to no connection.
            assert len(lost) < min(MOST_LOST, replies), (driver, lost)
            assert sent > 0 and came == 0, driver
            with open_socket(pair[0].netns, pair[0].device) as wire:
                await_ping(wire, pair[0], pair[1])


__all__ = [
    "test_a_connection_is_cut_when_its_rule_is_withdrawn",
    "test_members_come_and_go_while_others_speak",
    "test_rules_change_without_a_window",
]
