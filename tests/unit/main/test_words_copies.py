"""What hosts say of the copies of routers: written where it is not what is shown, and not where it is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from netloom.intent.agents.agent import report_host
from netloom.intent.errors import ApiError
from netloom.intent.l3.router_copies import report_copies
from netloom.intent.l3.router_schedule import L3_AGENT, show_states
from netloom.intent.schema import Doc
from netloom.main.servers.words import Words
from tests.unit.intent.intent_kit import HOST, SETTINGS
from tests.unit.intent.router_kit import RouterWorld
from tests.waiting import until

HOSTS = ("h1", "h2")


class Told:
    """A router, and what its hosts say of it, as the server writes it; `written` counts that."""

    def __init__(self) -> None:
        self.world = RouterWorld(replace(SETTINGS, max_l3_agents_per_router=2))
        for number, name in enumerate(HOSTS):
            told = {**HOST, "tunneling_ip": f"192.0.2.{number + 1}"}
            self.world.run(lambda s, c, name=name, told=told: report_host(s, c, name, told, "nova"))  # type: ignore[misc]
        external = self.world.external()
        with self.world.as_admin():
            self.router = self.world.router(external_gateway_info={"network_id": external["id"]}, ha=True)
        self.written = 0
        self.words = Words(self.write, lambda: self.world.snapshot)

    async def write(self, name: str, host: str, copies: Mapping[str, str]) -> None:
        assert name == "copies"
        self.written += 1
        self.world.run(lambda s, c: report_copies(s, c, host, copies))

    async def say(self, **states: str) -> None:
        for host, state in states.items():
            await self.words.copies(host, {self.router["id"]: state})

    def change(self, **form: Any) -> None:
        with self.world.as_admin():
            for body in ({"admin_state_up": False}, form, {"admin_state_up": True}):
                self.world.update("router", self.router, **body)

    def shown(self) -> dict[str, str | None]:
        router: Doc = self.world.get("router", self.router)
        states = show_states(self.world.snapshot, router)
        return {host: states.get(self.world.agent(L3_AGENT, host)["id"]) for host in HOSTS}


@pytest.mark.parametrize("distributed", [False, True])
def test_a_router_that_is_redundant_again_shows_who_is_active(distributed: bool) -> None:
    """Its hosts say the same as before it was not, and nobody wrote that it was not."""
    told = Told()

    async def talk() -> None:
        await told.say(h1="active", h2="standby")
        assert told.shown() == {"h1": "active", "h2": "standby"}
        told.change(ha=False, distributed=True)
        assert "active" not in told.shown().values()
        told.change(ha=True, distributed=distributed)
        assert told.shown() == {"h1": "standby", "h2": "standby"}
        await told.say(h1="active", h2="standby")

    asyncio.run(talk())
    assert told.shown() == {"h1": "active", "h2": "standby"}


def test_what_is_shown_is_not_written_again() -> None:
    """Hosts say it with every word of theirs."""
    told = Told()

    async def talk() -> None:
        for _ in range(3):
            await told.say(h1="active", h2="standby")

    asyncio.run(talk())
    assert told.written == len(HOSTS)


def test_a_copy_that_gives_up_while_its_word_is_on_its_way_is_no_more_active() -> None:
    """The last word counts, though the one before is not shown yet."""
    told = Told()
    hurry, go = told.write, asyncio.Event()

    async def slowly(name: str, host: str, copies: Mapping[str, str]) -> None:
        await go.wait()
        await hurry(name, host, copies)

    async def talk() -> None:
        told.words = Words(slowly, lambda: told.world.snapshot)
        first = asyncio.create_task(told.say(h1="active"))
        await asyncio.sleep(0)
        last = asyncio.create_task(told.say(h1="standby"))
        await asyncio.sleep(0)
        go.set()
        await asyncio.gather(first, last)

    asyncio.run(talk())
    assert told.shown()["h1"] == "standby"


def test_copies_that_went_while_the_store_was_away_are_not_shown() -> None:
    """The word that waits is of what is there no more."""
    told = Told()
    tries: list[bool] = []
    away = [True]

    async def write(name: str, host: str, copies: Mapping[str, str]) -> None:
        tries.append(away[0])
        if away[0]:
            raise ApiError(503, "ServiceUnavailable", "the store cannot be reached")
        await told.write(name, host, copies)

    async def talk() -> None:
        told.words = Words(write, lambda: told.world.snapshot, again_s=0.01)
        await told.say(h1="active")
        await until(lambda: len(tries) > 2)
        await told.words.copies("h1", {})
        away[0] = False
        await until(lambda: not told.words.waiting)

    asyncio.run(talk())
    assert told.written == 0 and told.shown()["h1"] == "standby"
