"""Which DHCP agents a network is shown to be served by, and who may change that.

With dhcp_driver = distributed every host answers DHCP for the ports that it carries, and what is kept here is what
operators and clients ask agents for; with dnsmasq it is where servers run (`dhcp_ports`).
Law: a network whose subnets have DHCP is on as many agents as settings say and there are, those with the fewest
networks first; it stays where it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from netloom.intent import kinds
from netloom.intent.agents.availability_zone import find_hints
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, conflict, not_found
from netloom.intent.operation import Context, Outcome
from netloom.intent.part import NOTHING, Part, Values
from netloom.intent.policy_rules import ADMIN
from netloom.intent.schema import Doc, Field, Index, Kind, Linked, Rules
from netloom.intent.snapshot import Snapshot

DHCP_AGENT = "DHCP agent"


def serve_network(draft: Draft, network_id: str) -> None:
    """Give the network to agents, as far as it has too few and one of its subnets has DHCP."""
    network = draft.get("network", network_id)
    if network is None or not needs_agent(draft, network):
        return
    hints = find_hints(network["availability_zone_hints"], draft.context.settings)
    agents = [agent for agent in draft.find("agent", "agent_type", DHCP_AGENT) if can_serve(agent, hints)]
    agents = [agent for agent in agents if agent["id"] not in network["dhcp_agents"]]
    agents.sort(key=lambda agent: (draft.count_in("network", "dhcp_agents", agent["id"]), agent["host"]))
    count = draft.context.settings.dhcp_agents_per_network - len(network["dhcp_agents"])
    put_agents(draft, network, [*network["dhcp_agents"], *(agent["id"] for agent in agents[:count])])


def needs_agent(draft: Draft, network: Doc) -> bool:
    if len(network["dhcp_agents"]) >= draft.context.settings.dhcp_agents_per_network:
        return False
    for id in network["subnets"]:
        subnet = draft.get("subnet", id)
        if subnet is not None and subnet["enable_dhcp"]:
            return True
    return False


def can_serve(agent: Doc, hints: Sequence[str]) -> bool:
    zone = not hints or agent["availability_zone"] in hints
    return bool(agent["alive"] and agent["admin_state_up"] and zone)


def put_agents(draft: Draft, network: Doc, agent_ids: Sequence[str]) -> None:
    """No revision of the network's: nothing that it shows changed. Its servers' ports follow."""
    from netloom.intent.agents.dhcp_ports import sync_ports  # here, for ports need this module

    if list(agent_ids) != network["dhcp_agents"]:
        draft.put("network", {**network, "dhcp_agents": list(agent_ids)})
        sync_ports(draft, network["id"])


def fill_agent(draft: Draft, agent: Doc) -> None:
    """An agent that came takes the networks that are on none."""
    if not draft.context.settings.network_auto_schedule:
        return
    for id in list(draft.find_ids("network", "unserved", True)):
        network = draft.get("network", id)
        hints = find_hints(network["availability_zone_hints"], draft.context.settings) if network else []
        if network is not None and can_serve(agent, hints) and needs_agent(draft, network):
            put_agents(draft, network, [*network["dhcp_agents"], agent["id"]])


def leave_agent(draft: Draft, agent_id: str) -> None:
    """An agent is gone; its networks go to others."""
    for id in list(draft.find_ids("network", "dhcp_agents", agent_id)):
        network = draft.get("network", id)
        if network is not None:
            put_agents(draft, network, [one for one in network["dhcp_agents"] if one != agent_id])
            serve_network(draft, id)


def move_networks(snapshot: Snapshot, context: Context, host: str) -> Outcome:
    """Give the networks of a host that is gone to others; those that no other can serve stay.

    A host that is here by now keeps what it has.
    """
    draft = Draft(snapshot, context)
    agent = draft.lookup("agent", "host_type", (host, DHCP_AGENT))
    if agent is None or agent["alive"]:
        return draft.finish()
    for id in sorted(draft.find_ids("network", "dhcp_agents", agent["id"])):
        network = draft.get("network", id)
        if network is not None:
            move_network(draft, network, agent["id"])
    return draft.finish()


def move_network(draft: Draft, network: Doc, agent_id: str) -> None:
    hints = find_hints(network["availability_zone_hints"], draft.context.settings)
    agents = [agent for agent in draft.find("agent", "agent_type", DHCP_AGENT) if can_serve(agent, hints)]
    free = [agent for agent in agents if agent["id"] not in network["dhcp_agents"]]
    if free:
        best = min(free, key=lambda agent: (draft.count_in("network", "dhcp_agents", agent["id"]), agent["host"]))
        put_agents(draft, network, [best["id"] if one == agent_id else one for one in network["dhcp_agents"]])


# -- what operators do -------------------------------------------------------------------------------------------------


def find_networks(snapshot: Snapshot, agent: Doc) -> Iterable[str]:
    return snapshot.find_ids("network", "dhcp_agents", agent["id"])


def find_agents(snapshot: Snapshot, network: Doc) -> Iterable[str]:
    agents: Iterable[str] = network["dhcp_agents"]
    return agents


def add_network(snapshot: Snapshot, agent: Doc, network_id: str, context: Context) -> Outcome:
    """POST /agents/{id}/dhcp-networks."""
    draft = Draft(snapshot, context)
    network = draft.get("network", network_id)
    if network is None:
        raise not_found("network", network_id)
    if agent["agent_type"] != DHCP_AGENT or not agent["admin_state_up"]:
        raise ApiError(404, "InvalidDHCPAgent", f"Agent {agent['id']} is not a valid DHCP Agent or has been disabled.")
    if agent["id"] in network["dhcp_agents"]:
        raise conflict(
            "NetworkHostedByDHCPAgent",
            f"The network {network_id} has been already hosted by the DHCP Agent {agent['id']}.",
        )
    put_agents(draft, network, [*network["dhcp_agents"], agent["id"]])
    return draft.finish()


def remove_network(snapshot: Snapshot, agent: Doc, network_id: str, context: Context) -> Outcome:
    """DELETE /agents/{id}/dhcp-networks/{network}."""
    draft = Draft(snapshot, context)
    network = draft.get("network", network_id)
    if network is None or agent["id"] not in network["dhcp_agents"]:
        raise conflict(
            "NetworkNotHostedByDhcpAgent", f"The network {network_id} is not hosted by the DHCP Agent {agent['id']}."
        )
    put_agents(draft, network, [one for one in network["dhcp_agents"] if one != agent["id"]])
    return draft.finish()


# -- declarations ------------------------------------------------------------------------------------------------------


def serve_new_port(draft: Draft, doc: Doc) -> Values:
    """A network that lost its agents gets some with its next port."""
    if not str(doc["device_owner"]).startswith("network:"):
        serve_network(draft, doc["network_id"])
    return NOTHING


NETWORK_PART = Part(
    (
        Field(
            "dhcp_agents", Kind("agents", kinds.ANY.parse, {"type": "array"}), "Which DHCP agents serve it.", [],
            post=False, visible=False, filter=False,
        ),
    ),
    (
        Index("dhcp_agents", lambda doc: tuple(doc["dhcp_agents"])),
        Index("unserved", lambda doc: (True,) if doc["subnets"] and not doc["dhcp_agents"] else ()),
    ),
)  # fmt: skip
PORT_PART = Part(create=serve_new_port)

DHCP_AGENTS = Linked(
    "dhcp-agents", "dhcp-agent", "The DHCP agents that serve a network.", "agent", find_agents,
    Rules(None, ADMIN, None, None), alias="dhcp_agent_scheduler",
)  # fmt: skip
"""Below a network."""
DHCP_NETWORKS = Linked(
    "dhcp-networks", "dhcp-network", "The networks that a DHCP agent serves.", "network", find_networks,
    Rules(ADMIN, ADMIN, None, ADMIN), key="network_id", add=add_network, remove=remove_network,
    alias="dhcp_agent_scheduler",
)  # fmt: skip
"""Below an agent."""
