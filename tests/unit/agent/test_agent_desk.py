"""Instances are answered on their host, with the server gone and with a neighbour that floods."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from netloom.agent.bucket import Bucket
from netloom.agent.desk import Desk
from netloom.model.slices import NetworkRow, Slice, SubnetRow
from tests.unit.agent.agent_kit import Host, host_slice, network_slice
from tests.unit.answers.answers_kit import dhcp4, read4
from tests.waiting import until

DISCOVER = dhcp4(1, mac="fa:16:3e:00:00:05")


def make_desk(host: Host) -> Desk:
    desk = host.make_agent().desk
    desk.update(host.feed.slices, host.switch.facts)
    return desk


def seated_host() -> Host:
    host = Host()
    host.feed.say(host_slice("a", "b"), network_slice())
    host.switch.plug("a", 1)
    host.switch.plug("b", 2)
    return host


def test_dhcp_goes_on_with_the_server_gone() -> None:
    """The answer comes from the slices that the host has, out of the port that asked."""
    host = seated_host()
    host.feed.down = True
    asyncio.run(make_desk(host).answer(1, DISCOVER))
    [(ofport, frame)] = host.switch.sent
    assert ofport == 1
    assert read4(frame)[0].payload[16:20] == bytes((10, 0, 0, 5))


def test_an_instance_is_answered_for_its_own_port_only() -> None:
    """Port b with a's MAC, an unknown port, and a switch that went away: no answer, no error."""
    host = seated_host()
    desk = make_desk(host)
    asyncio.run(desk.answer(2, DISCOVER))
    asyncio.run(desk.answer(77, DISCOVER))
    asyncio.run(desk.answer(1, b"\0" * 20))
    host.switch.down = True
    asyncio.run(desk.answer(1, DISCOVER))
    assert host.switch.sent == []


def test_a_port_that_is_down_is_not_answered() -> None:
    """admin_state_up false, of the port or of its network, is silence."""
    host = seated_host()
    part = host.feed.slices["network/n1"]
    row = NetworkRow("n1", 7, admin_state_up=False)
    host.feed.say(Slice(part.name, 9, {**part.rows, "network/n1": row}))
    asyncio.run(make_desk(host).answer(1, DISCOVER))
    assert host.switch.sent == []


def test_a_network_is_read_once_however_many_ports_are_on_it() -> None:
    """Ports of a network share what was read of it; what did not change is not read again."""
    host = seated_host()
    desk = make_desk(host)
    before = [seat.scope for seat in desk.seats.values()]
    assert len(before) == 2 and before[0] is before[1]
    desk.update(host.feed.slices, host.switch.facts)
    assert all(seat.scope is before[0] for seat in desk.seats.values())


def test_a_flood_from_one_port_starves_no_other() -> None:
    """Above its budget a port's frames are dropped; the neighbour's one question is answered; the budget comes back."""
    host = seated_host()
    burst = int(host.tuning.packet_burst)

    async def story() -> None:
        desk = make_desk(host)
        task = asyncio.create_task(desk.run())
        for _ in range(500):
            desk.take(1, DISCOVER)
        desk.take(2, dhcp4(1, mac="fa:16:3e:00:00:06"))
        await until(lambda: len(host.switch.sent) == burst + 1)
        host.now += 1.0
        desk.take(1, DISCOVER)
        await until(lambda: len(host.switch.sent) == burst + 2)
        task.cancel()

    asyncio.run(story())
    assert [ofport for ofport, _ in host.switch.sent].count(2) == 1


def test_a_broken_subnet_ends_with_its_frame(caplog: pytest.LogCaptureFixture) -> None:
    """Rows that make no sense are logged, and the desk goes on."""
    host = seated_host()
    part = network_slice()
    broken = SubnetRow("s1", "n1", "nonsense", 4, gateway_ip="10.0.0.1")
    host.feed.say(Slice(part.name, 9, {**part.rows, "subnet/s1": broken}))
    asyncio.run(make_desk(host).answer(1, DISCOVER))
    assert host.switch.sent == []
    assert "could not be answered" in caplog.text


def test_advertisements_come_in_turns() -> None:
    """In one interval every port of an IPv6 network gets one, unasked; ports of other networks get none."""
    host = seated_host()
    part = network_slice()
    subnet = SubnetRow("s6", "n1", "2001:db8::/64", 6, ipv6_ra_mode="slaac", ipv6_address_mode="slaac")
    host.feed.say(Slice(part.name, 9, {**part.rows, "subnet/s6": subnet}))
    desk = make_desk(host)
    for second in range(1000, 1100):
        asyncio.run(desk.send_adverts(second, second + 1))
    assert sorted(ofport for ofport, _ in host.switch.sent) == [1, 2]


def test_a_change_is_advertised_at_once() -> None:
    """An IPv6 subnet comes: each port is told once, however often the desk looks; a start says nothing."""
    host = seated_host()
    part = network_slice()
    desk = make_desk(host)
    asyncio.run(desk.send_news())
    assert host.switch.sent == []
    subnet = SubnetRow("s6", "n1", "2001:db8::/64", 6, ipv6_ra_mode="slaac", ipv6_address_mode="slaac")
    host.feed.say(Slice(part.name, 9, {**part.rows, "subnet/s6": subnet}))
    for _ in range(2):
        desk.update(host.feed.slices, host.switch.facts)
        asyncio.run(desk.send_news())
    assert sorted(ofport for ofport, _ in host.switch.sent) == [1, 2]
    host.feed.say(Slice(part.name, 10, {**part.rows, "subnet/s6": replace(subnet, cidr="nonsense")}))
    desk.update(host.feed.slices, host.switch.facts)
    asyncio.run(desk.send_news())
    assert len(host.switch.sent) == 2


def test_a_bucket_fills_no_further_than_its_burst() -> None:
    """An hour of silence saves no more than one burst."""
    buckets: list[Bucket | None] = [Bucket(0.0, 0.0)]
    while held := buckets[-1]:
        buckets.append(held.take(3600.0, 20.0, 40.0))
    assert len(buckets) == 1 + 40 + 1
