"""Why a thing is on a host: all that is wanted there, worked out as the agent does it, each with its reason.

Law: nothing is asked of the agent and nothing is changed. What is wanted is made of the slices on disk and of what
the switch says (law 1), so whoever has both comes to the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from netloom.agent.bridge_host import BridgeHost
from netloom.agent.neighbour_file import NeighbourFile
from netloom.agent.ovs_host import OvsHost
from netloom.drivers.bridge.driver import BridgeDriver
from netloom.drivers.ovs.driver import OvsDriver
from netloom.feed.cache import Cache
from netloom.main.hosts.agent import make_facts, make_settings
from netloom.main.hosts.sweep import PATIENCE_S
from netloom.main.options.host import HostOptions
from netloom.model.facts import HostFacts
from netloom.model.flow import format_match
from netloom.model.plan import Thing
from netloom.model.slices import Slices
from netloom.render.bridges.host import BridgeRenderer
from netloom.render.host import Renderer


class WhyError(Exception):
    """A host that cannot be looked at; its words say what is missing."""


def explain_host(options: HostOptions, text: str, patience_s: float = PATIENCE_S) -> list[str]:
    """A line for each thing that is wanted here and has `text` in it or in its reason. Raises WhyError."""
    folder = options.state_path / "slices"
    slices = Cache(folder).load() if folder.exists() else {}
    if not slices:
        raise WhyError(f"{folder} has no slices: an agent of host {options.host} has followed no server there")
    base = replace(make_facts(options), neighbours=NeighbourFile(options.state_path / "neighbours").load())
    read, renderer = (read_bridges, BridgeRenderer) if options.switch == "linuxbridge" else (read_switch, Renderer)
    try:
        facts = asyncio.run(asyncio.wait_for(read(options, base, slices), patience_s))
    except (OSError, TimeoutError) as error:
        raise WhyError(f"the switch of host {options.host} does not answer: {error}") from error
    return sorted(find_reasons(renderer(make_settings(options)).render(slices, facts), text))


async def read_switch(options: HostOptions, base: HostFacts, slices: Slices) -> HostFacts:
    driver = OvsDriver(options.ovs_rundir)
    try:
        return await OvsHost(driver, base).read_facts()
    finally:
        await driver.close()


async def read_bridges(options: HostOptions, base: HostFacts, slices: Slices) -> HostFacts:
    driver = BridgeDriver()
    host = BridgeHost(driver, base, lambda: slices)
    try:
        return await host.read_facts()
    finally:
        host.close()
        await driver.close()


def find_reasons(groups: Mapping[str, Iterable[Thing]], text: str) -> Iterator[str]:
    """The things that have `text` in their key, value or reason, in words: a flow as ovs-ofctl has it."""
    for thing in (thing for things in groups.values() for thing in things):
        words = name_thing(thing)
        if text in f"{words} {thing.value} {thing.why}":
            yield f"{words}: {thing.why}"


def name_thing(thing: Thing) -> str:
    if thing.kind != "flow":
        return " ".join(" . ".join(map(str, part)) if isinstance(part, tuple) else str(part) for part in thing.key)
    _, bridge, table, priority, match = thing.key
    return f"{bridge} table={table},priority={priority},{format_match(match)}"
