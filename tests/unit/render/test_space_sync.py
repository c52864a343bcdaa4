"""What the copies of a router are told so that connections outlive the active one."""

from __future__ import annotations

from dataclasses import replace

from netloom.model.facts import ConnectionSync, HostFacts
from netloom.model.netns import Keeper
from netloom.model.slices import Address, InterfaceRow, RouterHost, SubnetRow
from tests.unit.render.space_kit import FACTS, INSIDE, OUTSIDE, ROUTER, SUBNETS, render

COPIED = replace(ROUTER, ha=True, vr_id=7, hosts=(RouterHost("h2", "active"), RouterHost("h1", "standby")))
JOINT = InterfaceRow("jjjjjjjjjjjj-1", "hanet", "fa:16:3e:00:00:0a", "ha", (Address("169.254.192.3", "sh"),), "h1")
SYNCED = replace(FACTS, connection_sync=ConnectionSync(port=4000, group="225.0.0.51"))


def find_keeper(facts: HostFacts) -> Keeper:
    subnets = (*SUBNETS, SubnetRow("sh", "hanet", "169.254.192.0/18", 4))
    things = render(COPIED, INSIDE, OUTSIDE, JOINT, facts=facts, subnets=subnets)
    (found,) = (thing.value for thing in things if thing.kind == "keeper")
    assert isinstance(found, Keeper)
    return found


def test_copies_share_connections_over_the_network_that_joins_them() -> None:
    """By multicast to the port that the router's number gives, and never of what they say to each other."""
    lines = [line.strip() for line in find_keeper(SYNCED).sync.splitlines()]
    for line in (
        "Mode ALARM {", "IPv4_address 225.0.0.51", "IPv4_interface 169.254.192.3", "Group 4007",
        "Interface ha-jjjjjjjjjjj", "Address Ignore {", "IPv4_address 169.254.192.3", "HashLimit 131072",
    ):  # fmt: skip
        assert line in lines, line
    assert lines.count("}") == sum(line.endswith("{") for line in lines)


def test_keepalived_says_which_copy_it_is() -> None:
    """To a program beside its configuration, for the agent may be away when it matters."""
    told = find_keeper(SYNCED).config
    for line in ('notify_master "@FOLDER@/turn primary"', 'notify_backup "@FOLDER@/turn backup"', "script_user root"):
        assert line in told


def test_nobody_shares_connections_without_being_told_to() -> None:
    """ha_conntrackd_enabled is off where nothing is said, as in Neutron."""
    plain = find_keeper(FACTS)
    assert plain.sync == "" and "notify" not in plain.config and "script_user" not in plain.config


def test_the_active_copy_alone_answers_for_metadata_by_ipv6() -> None:
    """The address is on the link inside, where one has it; the gateway's has none."""
    told = find_keeper(replace(FACTS, metadata_redirect=True)).config
    assert "fe80::a9fe:a9fe/128 dev qr-iiiiiiiiiii" in told and told.count("fe80::a9fe:a9fe") == 1
    assert "fe80::a9fe:a9fe" not in find_keeper(FACTS).config
