"""What an agent tells of its turns: to the log, by the ids of the requests behind them, and to whoever counts."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

import pytest

from netloom.agent.loop import Agent
from netloom.agent.turns import NAMED, Turn, Watch, name_ports
from netloom.model.plan import Put
from netloom.render.answers import Settings
from tests.unit.agent.agent_kit import Host, host_slice, network_slice, port_flow


def test_a_turn_is_logged_with_its_requests_and_ports(caplog: pytest.LogCaptureFixture) -> None:
    """An operator finds by a request's id what a host did for it."""
    turns: list[Turn] = []
    waiting = [("req-1",), ()]

    async def run() -> None:
        host = Host()
        host.feed.say(host_slice("a"), network_slice())
        host.switch.plug("a", 1)
        made = host.make_agent()
        parts = replace(made._parts, turned=turns.append, take_requests=lambda: waiting.pop(0))
        agent = Agent(parts, host.tuning, Settings())
        await agent.turn()
        await agent.turn()

    with caplog.at_level(logging.INFO, "netloom.agent.loop"):
        asyncio.run(run())
    done, said = (record.__dict__ for record in caplog.records if record.name == "netloom.agent.loop")
    assert (done["requests"], done["ports"], done["revision"]) == (("req-1",), ["a"], 5)
    assert done["message"].endswith("ops, 0 refused") and said["message"] == "1 ports wired, 0 wait"
    first, second = turns
    assert (first.ops, first.refused, first.wired, first.requests) == (3, 0, 1, ("req-1",))
    assert (second.ops, second.slices, second.revision, second.requests) == (0, 2, 5, ())


def test_laps_are_between_looks() -> None:
    """Each is as long as the clock went on since the last."""
    times = iter([10.0, 10.5, 12.0])
    watch = Watch(lambda: next(times))
    assert (watch.began, watch.lap(), watch.lap()) == (10.0, 0.5, 1.5)


def test_a_line_names_so_many_ports_and_no_more() -> None:
    """A thousand ports in one turn make no line of a thousand ids."""
    ops = [Put(port_flow(f"p{n}", n), None) for n in range(100)]
    assert name_ports(ops) == [f"p{n}" for n in range(NAMED)]
