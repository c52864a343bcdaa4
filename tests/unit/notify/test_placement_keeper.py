"""Placement is told of each agent, again where that failed, and the agent says how it went."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from netloom.notify import placement_keeper as module
from netloom.notify.nova import NovaSettings
from netloom.notify.placement import Placement, PlacementSettings
from netloom.notify.placement_agents import make_agent_keeper
from netloom.notify.placement_keeper import LAST_RETRY_S, LOOK_S, Keeper, Schedule
from tests.unit.notify.placement_kit import ROOT, FakePlacement, Provider, make_agent
from tests.waiting import running, until

SETTINGS = PlacementSettings(NovaSettings("http://keystone/v3", "netloom", "secret"))
BANDWIDTHS = {"br-ex": {"egress": 1000, "ingress": 1000}}


class Site:
    """Agents, and what is noted of them; `writing`: whether this server tells."""

    def __init__(self, placement: FakePlacement, *agents: dict[str, Any]) -> None:
        self.placement = placement
        self.agents = {agent["id"]: agent for agent in agents}
        self.marks: list[tuple[str, bool]] = []
        self.writing = True

    async def mark(self, id: str, synced: bool) -> None:
        self.agents[id] = {**self.agents[id], "resources_synced": synced}
        self.marks.append((id, synced))

    def run(self, test: Callable[[Keeper], Awaitable[None]]) -> None:
        async def main() -> None:
            async with httpx.AsyncClient(transport=httpx.MockTransport(self.placement)) as client:
                tell = Placement(SETTINGS, client).tell
                keeper = make_agent_keeper(tell, lambda: self.agents, self.mark, "rp_tunnelled", lambda: self.writing)
                async with running(keeper.run()):
                    await test(keeper)

        asyncio.run(main())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FIRST_RETRY_S", "REST_S", "GATHER_S"):
        monkeypatch.setattr(module, name, 0.001)


def test_an_agent_says_that_placement_knows() -> None:
    """After a start each agent is looked at; one that is as it should be costs no change."""
    site = Site(FakePlacement(), make_agent(resource_provider_bandwidths=BANDWIDTHS))

    async def test(keeper: Keeper) -> None:
        await until(lambda: site.marks == [("agent-h1", True)])
        assert len(site.placement.providers) == 3 and keeper.waiting == 0
        site.placement.log.clear()

    site.run(test)
    site.marks.clear()

    async def again(keeper: Keeper) -> None:
        site.agents["agent-h2"] = make_agent("h2", resource_provider_hypervisors={"br-ex": "h2"})
        site.placement.providers["root2"] = Provider("h2", "")
        await until(lambda: site.marks == [("agent-h2", True)])

    site.run(again)
    assert site.placement.log == []


def test_a_hypervisor_that_nova_tells_of_later() -> None:
    """Until then the agent says no, and it is tried again; a change of what it says is told at once."""
    site = Site(FakePlacement(providers={}), make_agent(resource_provider_bandwidths=BANDWIDTHS))

    async def test(keeper: Keeper) -> None:
        await until(lambda: site.marks == [("agent-h1", False)])
        site.placement.providers[ROOT] = Provider("h1", "")
        await until(lambda: site.marks[1:] == [("agent-h1", True)])
        more = {"br-ex": {"egress": 5000}}
        site.agents["agent-h1"] = {**make_agent(resource_provider_bandwidths=more), "resources_synced": True}
        keeper.note(["agent-h1"])
        totals = {"NET_BW_EGR_KILOBIT_PER_SEC": 5000}
        await until(lambda: totals in [find_totals(one) for one in site.placement.providers.values()])

    site.run(test)


def find_totals(provider: Provider) -> dict[str, int]:
    return {name: inventory["total"] for name, inventory in provider.inventories.items()}


@pytest.mark.parametrize("trouble", [[500], [503, 503], [401, 500], [401]])
def test_placement_that_is_away_is_told_later(trouble: list[int]) -> None:
    """A token that is good no more is renewed at once."""
    site = Site(FakePlacement(away=list(trouble)), make_agent(resource_provider_bandwidths=BANDWIDTHS))

    async def test(keeper: Keeper) -> None:
        await until(lambda: bool(site.marks) and site.marks[-1] == ("agent-h1", True))

    site.run(test)
    assert (("agent-h1", False) in site.marks) == (trouble != [401])


def test_what_another_changes_meanwhile_is_read_again() -> None:
    """A generation that is gone is no failure."""
    site = Site(FakePlacement(outdated=2), make_agent(resource_provider_bandwidths=BANDWIDTHS))

    async def test(keeper: Keeper) -> None:
        await until(lambda: bool(site.marks))

    site.run(test)
    assert site.marks == [("agent-h1", True)] and len(site.placement.providers) == 3


def test_a_bridge_in_use_is_not_forgotten() -> None:
    """Its provider cannot go: the agent says no, and all else is told nevertheless."""
    site = Site(FakePlacement(), make_agent(resource_provider_bandwidths=BANDWIDTHS))

    async def test(keeper: Keeper) -> None:
        await until(lambda: site.marks == [("agent-h1", True)])
        (used,) = [id for id, one in site.placement.providers.items() if one.name.endswith(":br-ex")]
        site.placement.in_use.add(used)
        told: dict[str, Any] = {
            "resource_provider_bandwidths": {"br-b": {"egress": 1}},
            "bridge_mappings": {"p": "br-b"},
        }
        site.agents["agent-h1"] = {**make_agent(**told), "resources_synced": True}
        keeper.note(["agent-h1"])
        await until(lambda: site.marks[1:] == [("agent-h1", False)])
        assert [one.name for one in site.placement.providers.values()][-1].endswith(":br-b")
        site.placement.in_use.clear()
        await until(lambda: site.marks[2:] == [("agent-h1", True)])

    site.run(test)


def test_a_server_that_does_not_write_tells_nothing() -> None:
    """And begins with all of them when it does."""
    site = Site(FakePlacement(), make_agent(resource_provider_bandwidths=BANDWIDTHS))
    site.writing = False

    async def test(keeper: Keeper) -> None:
        keeper.note(["agent-h1"])
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert site.placement.log == [] and site.marks == []
        site.writing = True
        await until(lambda: site.marks == [("agent-h1", True)])

    site.run(test)


def test_one_that_fails_is_tried_ever_less_often() -> None:
    """Up to a limit; a change of its own is tried at once, and one that went well is looked at an hour later."""
    schedule, waits, now = Schedule(), [], 0.0
    schedule.note("a", now)
    for _ in range(20):
        assert schedule.take(now) == ["a"] and schedule.take(now) == []
        schedule.fail("a", now)
        waits.append(round(schedule.due["a"] - now, 6))
        now = schedule.due["a"]
    assert waits == sorted(waits) and waits[-1] == LAST_RETRY_S
    schedule.note("a", now - 20)
    assert schedule.take(now - 20) == ["a"]
    schedule.note("a", now)
    schedule.succeed("a", now)
    assert schedule.take(now) == ["a"]
    schedule.succeed("a", now)
    assert schedule.due == {"a": now + LOOK_S} and not schedule.delays
