"""`netloom`, but that an agent's slow clock goes once an hour: what heals meanwhile was heard of, or looked for."""

from __future__ import annotations

from functools import partial

from netloom.agent.parts import Tuning
from netloom.main import cli
from netloom.main.hosts import agent

if __name__ == "__main__":
    vars(agent)["Tuning"] = partial(Tuning, drift_s=3600.0)
    cli.main()
