"""The aliases that agents bring beyond being listed."""

from __future__ import annotations

from netloom.intent.extension import Extension

EXTENSIONS = (
    Extension(
        "agent-resources-synced",
        "Agent's Resource View Synced to Placement",
        "Whether Placement knows what an agent's host has.",
        "2018-12-19T00:00:00-00:00",
    ),
    Extension("agent_sort_key", "Agents Sort Key", "Agents in the order asked for.", "2013-02-03T10:00:00-00:00"),
    Extension(
        "dhcp_agent_scheduler", "DHCP Agent Scheduler", "Which agents serve a network.", "2013-02-07T10:00:00-00:00"
    ),
)
