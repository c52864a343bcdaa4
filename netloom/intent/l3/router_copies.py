"""What becomes of a router's copies: which is active, as their hosts say, and where routers go whose host is gone.

Law 9: a host speaks for the copies that it carries, and no others. Of several that say they are active the last one
counts, for that is who took over; where that gives it up, the other still is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from netloom.intent.draft import Draft
from netloom.intent.l3.router_binding import ACTIVE, sync_binding
from netloom.intent.l3.router_ha import STANDBY
from netloom.intent.l3.router_schedule import L3_AGENT, can_host, choose, find_candidates, host_on, hosting_agents
from netloom.intent.operation import Context, Outcome
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Snapshot

STATES = (ACTIVE, STANDBY)


def report_copies(snapshot: Snapshot, context: Context, host: str, copies: Mapping[str, str]) -> Outcome:
    """`copies`: router → state of its copy on the host. Nothing new gives an empty Outcome."""
    draft = Draft(snapshot, context)
    for id, agent_id in find_news(snapshot, host, copies):
        router = draft.get("router", id)
        if router is not None:
            put_state(draft, router, agent_id, copies[id])
    return draft.finish()


def find_news(snapshot: Snapshot, host: str, copies: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(router, agent) of the copies on the host that are shown as other than it says."""
    agent = snapshot.lookup("agent", "host_type", (host, L3_AGENT))
    for id, state in copies.items() if agent is not None else ():
        router = snapshot.get("router", id)
        if router is not None and router["ha"] and agent is not None and state in STATES:
            shown = {one["agent_id"]: one["ha_state"] for one in router["l3_agents"]}
            if shown.get(agent["id"], state) != state:
                yield id, agent["id"]


def put_state(draft: Draft, router: Doc, agent_id: str, state: str) -> None:
    """The state of one copy, and since when it is active."""
    said = {"ha_state": state, "active_at": draft.base.revision + 1 if state == ACTIVE else 0}
    hostings = [{**one, **said} if one["agent_id"] == agent_id else one for one in router["l3_agents"]]
    sync_binding(draft, draft.put("router", {**router, "l3_agents": hostings}))


# -- hosts that are gone -----------------------------------------------------------------------------------------------


def move_routers(snapshot: Snapshot, context: Context, host: str) -> Outcome:
    """Give the routers of a host that is gone to others that can have them; those that none can have stay.

    A host that is here by now keeps what it has. An HA router has other copies, and waits for its host.
    """
    draft = Draft(snapshot, context)
    agent = draft.lookup("agent", "host_type", (host, L3_AGENT))
    if agent is None or agent["alive"]:
        return draft.finish()
    for id in sorted(draft.find_ids("router", "l3_agents", agent["id"])):
        router = draft.get("router", id)
        if router is not None and not router["ha"]:
            move_router(draft, router, agent["id"])
    return draft.finish()


def move_router(draft: Draft, router: Doc, agent_id: str) -> None:
    taken = hosting_agents(router)
    free = [one for one in find_candidates(draft, router) if one["id"] not in taken and can_host(one, router)]
    chosen = choose(draft, free, 1)
    if chosen:
        host_on(draft, router, [chosen[0]["id"] if one == agent_id else one for one in taken])
