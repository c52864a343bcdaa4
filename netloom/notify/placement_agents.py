"""Agents, told to Placement: what each host has, below the hypervisors that are its own.

Law: `resources_synced` of an agent says how the last time went.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from netloom.intent.schema import Doc
from netloom.notify.outbox import NotTold
from netloom.notify.placement_keeper import LOOK_S, Keeper, Tell
from netloom.notify.placement_wanted import KINDS, Tree, find_claims, find_own, find_refused, render_trees

LOG = logging.getLogger("netloom.placement")


def make_agent_keeper(
    tell: Callable[[Tree], Awaitable[None]],
    agents: Callable[[], Mapping[str, Doc]],
    mark: Callable[[str, bool], Awaitable[None]],
    tunnelled: str,
    tells: Callable[[], bool] = lambda: True,
) -> Keeper:
    """`tell`: makes Placement hold a tree, or raises NotTold. `agents`: all there are now, by id. `mark`: writes
    whether an agent is told of."""

    async def begin() -> Tell:
        now = agents()
        claims = find_claims(now.values())

        async def tell_of(id: str) -> float | None:
            agent = now.get(id)
            if agent is None or agent["agent_type"] not in KINDS:
                return None
            trees = render_trees(agent, tunnelled)
            errors = await tell_trees(tell, agent["host"], trees, claims)
            if errors:
                say(agent, errors)
            if trees and agent["resources_synced"] is not (not errors):
                await mark(id, not errors)
            if errors:
                raise NotTold("; ".join(errors))
            return LOOK_S

        return tell_of

    return Keeper(begin, lambda: agents(), lambda id, error: None, tells)


async def tell_trees(
    tell: Callable[[Tree], Awaitable[None]], host: str, trees: tuple[Tree, ...], claims: Mapping[str, str]
) -> list[str]:
    """Why not all of it is told."""
    errors = list(find_refused(trees, host, claims))
    for tree in find_own(trees, host, claims):
        try:
            await tell(tree)
        except NotTold as error:
            errors.append(str(error))
    return errors


def say(agent: Doc, errors: list[str]) -> None:
    """Aloud once: until then the agent does not say that it is not told of."""
    level = logging.DEBUG if agent["resources_synced"] is False else logging.WARNING
    LOG.log(level, "Placement is not told of %s on %s: %s", agent["agent_type"], agent["host"], "; ".join(errors))
