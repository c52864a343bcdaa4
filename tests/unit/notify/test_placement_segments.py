"""Placement and Nova hold what there is of routed networks: addresses, and who reaches them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from netloom.intent.schema import Doc
from netloom.intent.snapshot import Change, Snapshot
from netloom.notify import placement_keeper as module
from netloom.notify.nova import NovaSettings
from netloom.notify.placement import PlacementSettings, make_session
from netloom.notify.placement_keeper import Keeper
from netloom.notify.placement_segments import Segments, make_nova_session, make_segment_keeper
from netloom.notify.placement_segments_wanted import SegmentTold, find_touched, make_name, render_segment
from tests.unit.intent.intent_kit import SETTINGS, World
from tests.unit.notify.placement_kit import ROOT, FakeNova, FakePlacement, Provider

LOGIN = NovaSettings("http://keystone/v3", "netloom", "secret")
ROUTED = replace(SETTINGS, network_vlan_ranges={"physnet1": ((100, 199),), "physnet2": ((100, 199),)})
VLAN = {"provider__network_type": "vlan", "provider__physical_network": "physnet1"}
STRANGER = "22222222-2222-4222-8222-222222222222"


class Routed(World):
    """A network with a segment on each of two physical networks, a subnet on the first, and a host at each."""

    def __init__(self) -> None:
        super().__init__(ROUTED)
        self.net = self.network(**VLAN)
        self.first = next(self.snapshot.find("segment", "network_id", self.net["id"]))
        body = {"network_id": self.net["id"], "network_type": "vlan", "physical_network": "physnet2"}
        self.second = self.create("segment", body)[0]
        self.host("h1", bridge_mappings={"physnet1": "br-1"})
        self.host("h2", bridge_mappings={"physnet2": "br-2"})
        self.four = self.routed_subnet("10.0.1.0/24")

    def routed_subnet(self, cidr: str, segment: Doc | None = None, **body: Any) -> Doc:
        return self.subnet(self.net, cidr, segment_id=(segment or self.first)["id"], **body)

    @property
    def told(self) -> SegmentTold | None:
        return render_segment(self.snapshot, self.first["id"])


def counts(told: SegmentTold | None) -> tuple[int, int]:
    assert told is not None
    one = told.inventories["IPV4_ADDRESS"]
    return int(one["total"]), int(one["reserved"])


def test_a_segment_has_its_addresses() -> None:
    """The pools and the gateway; not for instances are the gateway, one for DHCP, and what others have."""
    world = Routed()
    assert counts(world.told) == (254, 2) and world.told and world.told.hosts == {"h1"}
    world.routed_subnet("10.0.3.0/24", gateway_ip=None, enable_dhcp=False)
    assert counts(world.told) == (254 + 254, 2)
    world.routed_subnet("fd00::/64")
    fixed = {"fixed_ips": [{"subnet_id": world.four["id"]}]}
    world.port(world.net, **fixed, device_owner="compute:nova")
    world.port(world.net, **fixed, device_owner="network:dhcp")
    assert counts(world.told) == (508, 2)
    world.port(world.net, **fixed)
    assert counts(world.told) == (508, 3)


def test_a_segment_without_addresses_is_none() -> None:
    """Of none but IPv6, or of empty pools, or that is gone."""
    world = Routed()
    assert render_segment(world.snapshot, world.second["id"]) is None
    world.routed_subnet("fd00::/64", world.second)
    assert render_segment(world.snapshot, world.second["id"]) is None
    world.update("subnet", world.four, allocation_pools=[])
    assert world.told is None and render_segment(world.snapshot, STRANGER) is None


def test_more_addresses_than_placement_can_count() -> None:
    """Placement's largest number stands for them."""
    assert counts(SegmentTold("s", 2**40, 2**33)) == (2**31 - 1, 2**31 - 1)


def touch(before: Snapshot, world: World, *docs: tuple[str, Doc]) -> set[str]:
    return find_touched(before, world.snapshot, [Change(kind, doc["id"], doc) for kind, doc in docs])


def test_a_commit_touches_the_segments_that_it_changes() -> None:
    """And no other: an instance's port costs nothing."""
    world = Routed()
    first, second = world.first["id"], world.second["id"]
    fixed = {"fixed_ips": [{"subnet_id": world.four["id"]}]}
    before = world.snapshot
    instance = world.port(world.net, **fixed, device_owner="compute:nova")
    assert touch(before, world, ("port", instance)) == set()
    before = world.snapshot
    router = world.port(world.net, **fixed)
    assert touch(before, world, ("port", router)) == {first}
    before = world.snapshot
    world.delete("port", router)
    assert touch(before, world, ("port", router)) == {first}
    before = world.snapshot
    other = world.routed_subnet("10.0.9.0/24", world.second)
    assert touch(before, world, ("subnet", other)) == {second}
    before = world.snapshot
    world.host("h1", bridge_mappings={"physnet2": "br-1"})
    agent = world.snapshot.lookup("agent", "host_type", ("h1", "Open vSwitch agent"))
    assert agent is not None and touch(before, world, ("agent", agent)) == {first, second}
    assert touch(world.snapshot, world, ("agent", agent)) == set()


# -- told --------------------------------------------------------------------------------------------------------------


class Site:
    """A Placement and a Nova, and a keeper that tells both of a world."""

    def __init__(self, world: Routed, nova: FakeNova | None) -> None:
        self.world = world
        self.placement = FakePlacement(providers={STRANGER: Provider("gpu", "")})
        self.nova = nova

    def run(self, test: Callable[[Keeper], Awaitable[None]]) -> None:
        async def main() -> None:
            async with (
                httpx.AsyncClient(transport=httpx.MockTransport(self.placement)) as placement,
                httpx.AsyncClient(transport=httpx.MockTransport(self.nova or self.placement)) as nova,
            ):
                session = make_nova_session(LOGIN, nova) if self.nova else None
                segments = Segments(make_session(PlacementSettings(LOGIN), placement), session)
                keeper = make_segment_keeper(segments, lambda: self.world.snapshot, lambda: True)
                telling = asyncio.create_task(keeper.run())
                async with asyncio.timeout(30):
                    await test(keeper)
                telling.cancel()
                await asyncio.gather(telling, return_exceptions=True)

        asyncio.run(main())

    @property
    def first(self) -> Provider:
        return self.placement.providers.get(self.world.first["id"], Provider("", ""))

    @property
    def hosts(self) -> set[str]:
        nova = self.nova or FakeNova()
        return nova.aggregates.get(make_name(self.world.first["id"]), (0, set[str]()))[1]


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.002)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FIRST_RETRY_S", "REST_S", "GATHER_S"):
        monkeypatch.setattr(module, name, 0.001)


def test_a_segment_is_told_with_its_hosts() -> None:
    """Neutron's name, a provider that is the segment, and an aggregate of the hosts that Nova knows; a second look
    changes nothing."""
    world = Routed()
    world.host("network-only", bridge_mappings={"physnet1": "br-1"})
    nova = FakeNova(hosts={"h1", "h2"})
    site = Site(world, nova)

    async def test(keeper: Keeper) -> None:
        await until(lambda: site.hosts == {"h1"} and bool(site.first.aggregates))
        await until(lambda: keeper.waiting == 0)

    site.run(test)
    assert site.first.name == make_name(world.first["id"]) and not site.first.parent
    assert site.first.inventories["IPV4_ADDRESS"]["total"] == 254
    assert site.first.aggregates == {f"uuid-{nova.aggregates[site.first.name][0]}"}
    assert nova.log[-1].endswith('{"add_host": {"host": "network-only"}}')
    nova.hosts.add("network-only")
    nova.log.clear()
    site.placement.log.clear()

    async def again(keeper: Keeper) -> None:
        await until(lambda: site.hosts == {"h1", "network-only"})
        await until(lambda: keeper.waiting == 0)

    site.run(again)
    assert len(nova.log) == 1 and site.placement.log == []


def test_what_becomes_of_a_segment_is_told() -> None:
    """A host leaves its physical network, another comes; and with its last addresses all of it goes."""
    world = Routed()
    site = Site(world, FakeNova(hosts={"h1", "h2"}))

    async def test(keeper: Keeper) -> None:
        await until(lambda: site.hosts == {"h1"})
        world.host("h1", bridge_mappings={})
        world.host("h2", bridge_mappings={"physnet1": "br-1"})
        keeper.note([world.first["id"]])
        await until(lambda: site.hosts == {"h2"})
        world.delete("subnet", world.four)
        keeper.note([world.first["id"]])
        await until(lambda: not site.nova or not site.nova.aggregates)
        await until(lambda: site.placement.providers.keys() == {STRANGER})

    site.run(test)


def test_what_is_left_of_segments_that_are_gone_goes() -> None:
    """Also of those that went while nobody told of it; what others made stays."""
    world = Routed()
    nova = FakeNova(hosts={"h1", "h2"}, aggregates={make_name(ROOT): (77, {"h1"}), "mine": (78, {"h1"})})
    site = Site(world, nova)
    site.placement.providers[ROOT] = Provider(make_name(ROOT), "")
    other = "33333333-3333-4333-8333-333333333333"
    site.placement.providers[other] = Provider(make_name(STRANGER), "")

    async def test(keeper: Keeper) -> None:
        await until(lambda: site.placement.providers.keys() == {STRANGER, other, world.first["id"]})
        await until(lambda: nova.aggregates.keys() == {"mine", make_name(world.first["id"])})

    site.run(test)
    assert nova.aggregates["mine"] == (78, {"h1"})


@pytest.mark.parametrize("trouble", [[503], [500, 500, 500], [403], [200]])
def test_nova_that_is_away_is_told_later(trouble: list[int], caplog: pytest.LogCaptureFixture) -> None:
    """Placement is told at once; the reason is said once. What is no answer of Nova's is none."""
    world, nova = Routed(), FakeNova(hosts={"h1"}, away=list(trouble))
    site = Site(world, nova)

    async def test(keeper: Keeper) -> None:
        await until(lambda: bool(site.first.inventories))
        await until(lambda: site.hosts == {"h1"} and keeper.waiting == 0)

    site.run(test)
    said = [record.getMessage() for record in caplog.records if world.first["id"] in record.getMessage()]
    reason = f"Nova answers {trouble[0]}" if trouble != [200] else "answers with no JSON: not now"
    assert len(said) == 1 and reason in said[0]


def test_without_nova_there_are_no_aggregates() -> None:
    """Placement knows the addresses; an aggregate that somebody else put the segment in stays."""
    world = Routed()
    site = Site(world, None)
    site.placement.providers[world.first["id"]] = Provider(make_name(world.first["id"]), "", aggregates={"theirs"})

    async def test(keeper: Keeper) -> None:
        await until(lambda: bool(site.first.inventories) and keeper.waiting == 0)

    site.run(test)
    assert site.first.aggregates == {"theirs"}


def test_what_another_changes_meanwhile_is_read_again() -> None:
    """A generation that is gone is no failure."""
    site = Site(Routed(), FakeNova(hosts={"h1"}))
    site.placement.outdated = 2

    async def test(keeper: Keeper) -> None:
        await until(lambda: bool(site.first.inventories) and bool(site.first.aggregates) and keeper.waiting == 0)

    site.run(test)
    assert site.placement.outdated == 0
