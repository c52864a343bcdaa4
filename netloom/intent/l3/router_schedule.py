"""Which L3 agents host a router: those that can, in its zones, with the fewest routers.

Law: a router that no HA is asked for is on one agent at most, an HA router on as many as settings say and there are;
where a router is stays as it is while it can.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest
from typing import Any

from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, conflict, not_found
from netloom.intent.l3.router_binding import ACTIVE, find_last_active, sync_binding
from netloom.intent.l3.router_ha import STANDBY, sync_ha
from netloom.intent.operation import Context, Outcome
from netloom.intent.policy_rules import ADMIN
from netloom.intent.schema import Doc, Linked, Rules
from netloom.intent.snapshot import Snapshot

L3_AGENT = "L3 agent"
UNKNOWN = "unknown"
"""The state of a copy that was active when its host was last heard of, while no host of the router is."""
LEGACY, DVR_SNAT = "legacy", "dvr_snat"
DVR_ONLY = ("dvr", "dvr_no_external")
"""Modes of agents that serve distributed routers on hosts of instances, and are given no router to centralise."""


def schedule(draft: Draft, router: Doc) -> Doc:
    """Give the router to agents, as far as it has too few. The router as it then is, in the draft."""
    missing = count_missing(draft, router)
    if not missing:
        return router
    taken = hosting_agents(router)
    candidates = [agent for agent in find_candidates(draft, router) if agent["id"] not in taken]
    chosen = choose(draft, candidates, missing)
    return host_on(draft, router, [*taken, *(agent["id"] for agent in chosen)]) if chosen else router


def count_missing(draft: Draft, router: Doc) -> int:
    """How many agents more the router could be on."""
    hosted = len(router["l3_agents"])
    if not router["ha"]:
        return 0 if hosted else 1
    most = draft.context.settings.max_l3_agents_per_router or draft.count_in("agent", "agent_type", L3_AGENT)
    return max(most - hosted, 0)


def hosting_agents(router: Doc) -> list[str]:
    return [one["agent_id"] for one in router["l3_agents"]]


def find_candidates(draft: Draft, router: Doc) -> list[Doc]:
    hints = router["availability_zone_hints"]
    agents = [agent for agent in draft.find("agent", "agent_type", L3_AGENT) if can_host(agent, router)]
    return [agent for agent in agents if agent["alive"] and (not hints or agent["availability_zone"] in hints)]


def can_host(agent: Doc, router: Doc) -> bool:
    """Whether the agent, by what it says of itself, may be given this router."""
    told = agent["configurations"]
    mode = told.get("agent_mode") or LEGACY
    if not agent["admin_state_up"] or mode in DVR_ONLY or (mode == LEGACY and router["distributed"]):
        return False
    if told.get("router_id") and told["router_id"] != router["id"]:
        return False
    return bool(router["gw_port_id"]) or told.get("handle_internal_only_routers", True) is not False


def choose(draft: Draft, candidates: Sequence[Doc], count: int) -> list[Doc]:
    """Those with the fewest routers, one of each zone in turn."""
    by_zone: dict[Any, list[Doc]] = {}
    for agent in sorted(candidates, key=lambda one: (draft.count_in("router", "l3_agents", one["id"]), one["host"])):
        by_zone.setdefault(agent["availability_zone"], []).append(agent)
    rounds = chain.from_iterable(zip_longest(*by_zone.values()))
    return [agent for agent in rounds if agent is not None][:count]


def host_on(draft: Draft, router: Doc, agent_ids: Sequence[str]) -> Doc:
    """Have just these agents host the router."""
    held = sync_ha(draft, router, list(dict.fromkeys(agent_ids)))
    router = draft.get("router", router["id"]) or router
    router = draft.put("router", {**router, **held, "availability_zones": find_zones(draft, agent_ids)})
    sync_binding(draft, router)
    return router


def find_zones(draft: Draft, agent_ids: Iterable[str]) -> list[str]:
    agents = (draft.get("agent", id) for id in agent_ids)
    return sorted({agent["availability_zone"] for agent in agents if agent is not None} - {None, ""})


# -- what agents come and go ------------------------------------------------------------------------------------------


def fill_agent(draft: Draft, agent: Doc) -> None:
    """An agent that came takes the routers that are on too few agents."""
    if not draft.context.settings.router_auto_schedule:
        return
    for id in list(find_waiting(draft)):
        router = draft.get("router", id)
        if router is not None and agent["id"] not in hosting_agents(router):
            hints = router["availability_zone_hints"]
            fits = can_host(agent, router) and (not hints or agent["availability_zone"] in hints)
            if fits and count_missing(draft, router):
                host_on(draft, router, [*hosting_agents(router), agent["id"]])


def find_waiting(draft: Draft) -> Iterable[str]:
    """Routers that are on no agent, and HA routers that are on fewer than they could be."""
    yield from draft.find_ids("router", "hosted", (False, 0))
    most = draft.context.settings.max_l3_agents_per_router or draft.count_in("agent", "agent_type", L3_AGENT)
    for count in range(most):
        yield from draft.find_ids("router", "hosted", (True, count))


def leave_agent(draft: Draft, agent_id: str) -> None:
    """An agent is gone: its routers are on it no more. They wait for another until something calls for one."""
    for id in list(draft.find_ids("router", "l3_agents", agent_id)):
        router = draft.get("router", id)
        if router is not None:
            host_on(draft, router, [one for one in hosting_agents(router) if one != agent_id])


# -- what operators do -------------------------------------------------------------------------------------------------


def find_routers(snapshot: Snapshot, agent: Doc) -> Iterable[str]:
    return snapshot.find_ids("router", "l3_agents", agent["id"])


def find_agents(snapshot: Snapshot, router: Doc) -> Iterable[str]:
    return hosting_agents(router)


def show_state(snapshot: Snapshot, router: Doc, agent_id: str) -> Doc:
    """What the list of a router's agents says besides: ha_state, null where the router is not HA."""
    return {"ha_state": show_states(snapshot, router).get(agent_id)}


def show_states(snapshot: Snapshot, router: Doc) -> dict[str, str | None]:
    """By agent, what its copy is: at most one is active, the last that said so of hosts that are here.

    What a host said before it went is as Neutron has it: standby where another host could have taken over, unknown
    where none is here.
    """
    here = {id for id in hosting_agents(router) if (agent := snapshot.get("agent", id)) is not None and agent["alive"]}
    last = find_last_active(one for one in router["l3_agents"] if one["agent_id"] in here)
    states = {one["agent_id"]: one["ha_state"] for one in router["l3_agents"]}
    stale = [id for id, state in states.items() if state == ACTIVE and (last is None or id != last["agent_id"])]
    return states | dict.fromkeys(stale, STANDBY if here else UNKNOWN)


def add_router(snapshot: Snapshot, agent: Doc, router_id: str, context: Context) -> Outcome:
    """POST /agents/{id}/l3-routers."""
    draft = Draft(snapshot, context)
    router = draft.get("router", router_id)
    if router is None:
        raise not_found("router", router_id)
    check_agent(agent, router)
    hosted = hosting_agents(router)
    if agent["id"] not in hosted:
        if hosted and not router["ha"]:
            raise conflict(
                "RouterHostedByL3Agent",
                f"The router {router_id} has been already hosted by the L3 Agent {hosted[0]}.",
            )
        host_on(draft, router, [*hosted, agent["id"]])
    return draft.finish()


def check_agent(agent: Doc, router: Doc) -> None:
    """Raises where the router cannot be on the agent, whatever its zones."""
    mode = agent["configurations"].get("agent_mode") or LEGACY
    invalid = ApiError(404, "InvalidL3Agent", f"Agent {agent['id']} is not a L3 Agent or has been disabled")
    if agent["agent_type"] != L3_AGENT:
        raise invalid
    if mode in DVR_ONLY:
        raise conflict(
            "DVRL3CannotAssignToDvrAgent", "Not allowed to manually assign a router to an agent in 'dvr' mode."
        )
    if mode == LEGACY and router["distributed"]:
        raise conflict(
            "RouterL3AgentMismatch",
            f"Cannot host distributed router {router['id']} on legacy L3 agent {agent['id']}.",
        )
    if not can_host(agent, router):
        raise invalid


def remove_router(snapshot: Snapshot, agent: Doc, router_id: str, context: Context) -> Outcome:
    """DELETE /agents/{id}/l3-routers/{router}. A router that is not there is not missed."""
    draft = Draft(snapshot, context)
    router = draft.get("router", router_id)
    if (agent["configurations"].get("agent_mode") or LEGACY) in DVR_ONLY:
        raise conflict(
            "DVRL3CannotRemoveFromDvrAgent", "Not allowed to manually remove a router from an agent in 'dvr' mode."
        )
    if router is None:
        raise not_found("router", router_id)
    hosted = hosting_agents(router)
    if agent["id"] in hosted:
        host_on(draft, router, [one for one in hosted if one != agent["id"]])
    return draft.finish()


L3_ROUTERS = Linked(
    "l3-routers", "l3-router", "The routers that an L3 agent hosts.", "router", find_routers,
    Rules(ADMIN, ADMIN, None, ADMIN), key="router_id", add=add_router, remove=remove_router,
    alias="l3_agent_scheduler",
)  # fmt: skip
"""Below an agent."""
L3_AGENTS = Linked(
    "l3-agents", "l3-agent", "The L3 agents that host a router.", "agent", find_agents, Rules(None, ADMIN, None, None),
    alias="l3_agent_scheduler", extra=show_state,
)  # fmt: skip
"""Below a router."""
