"""A set of addresses that changes: the devices get it, the server hears of it, and no port is asked how it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import pytest

from netloom.agent.loop import Agent
from netloom.model.facts import HostFacts
from netloom.model.slices import PrefixRow, Slice, Slices
from tests.unit.agent import agent_kit
from tests.unit.agent.agent_kit import Host, host_slice, network_slice, port_flow, settle


class Asked:
    """How often somebody wanted to know what ports wait for."""

    times = 0

    def find_pending(self, slices: Slices, facts: HostFacts) -> Mapping[str, str]:
        self.times += 1
        return find_pending(slices, facts)


find_pending = agent_kit.find_pending


def make_set(revision: int) -> Slice:
    return Slice("addresses/all", revision, {f"prefix/{n}": PrefixRow(f"192.0.2.{n}/32") for n in range(revision)})


def play(monkeypatch: pytest.MonkeyPatch, story: Callable[[Host, Agent, Asked], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        host, asked = Host(), Asked()
        monkeypatch.setattr(agent_kit, "find_pending", asked.find_pending)
        host.feed.say(host_slice("a", "b"), network_slice(), make_set(6))
        host.switch.plug("a", 1)
        agent = host.make_agent()
        await settle(agent)
        asked.times = 0
        await story(host, agent, asked)

    asyncio.run(run())


def test_a_set_that_changed_is_acknowledged_without_asking_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was said of them stands, at the new revision; a port that is plugged then is asked as ever."""

    async def story(host: Host, agent: Agent, asked: Asked) -> None:
        waits = {"b": "waits for its device"}
        for revision in (7, 8):
            host.feed.say(make_set(revision))
            await settle(agent)
            assert host.feed.acks[-1] == (revision, frozenset({"a"}), waits)
        assert asked.times == 0
        host.switch.plug("b", 2)
        host.feed.say(make_set(9))
        await settle(agent)
        assert asked.times > 0 and host.feed.acks[-1] == (9, frozenset({"a", "b"}), {})

    play(monkeypatch, story)


def test_trouble_is_told_and_its_end_too_while_sets_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that refuses a flow holds its port back, also at the next change of a set; when it takes it, no more."""

    async def story(host: Host, agent: Agent, asked: Asked) -> None:
        flow = port_flow("b", 2)
        host.device.refuse[flow.key] = "no room"
        host.switch.plug("b", 2)
        await settle(agent)
        host.feed.say(make_set(7))
        await settle(agent)
        assert host.feed.acks[-1] == (7, frozenset({"a"}), {"b": "no room"})
        host.device.refuse.clear()
        host.now += 100.0
        host.feed.say(make_set(8))
        await settle(agent)
        assert host.feed.acks[-1] == (8, frozenset({"a", "b"}), {})

    play(monkeypatch, story)
