"""What `netloom lab swarm` does: a swarm is made or joined, everything is measured of it, and told as a value."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netloom.lab.shell import LabError, Say
from netloom.lab.swarm import Figures, Swarm, Wanted, run_swarm
from netloom.lab.swarm_elsewhere import Elsewhere, parse_joining, run_joined
from netloom.lab.swarm_measure import check, measure_everywhere, measure_memory, measure_ports, measure_restart


@dataclass(frozen=True, slots=True)
class Asked:
    """What is measured. `changes`: of each sort."""

    changes: int
    restart: bool
    verify: bool


async def until_ended(work: Coroutine[Any, Any, Figures]) -> Figures:
    """SIGTERM ends it as Ctrl-C does: what was started is stopped."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def open_swarm(wanted: Wanted, folder: Path, there: Elsewhere | None, say: Say) -> AbstractAsyncContextManager[Swarm]:
    return run_swarm(wanted, folder, say) if there is None else run_joined(wanted, there, say)


def read_joining(path: str) -> dict[str, str]:
    """Raises LabError."""
    try:
        return parse_joining(Path(path).read_text(encoding="utf-8")) if path else {}
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(f"--join-tokens {path} cannot be read: {error}") from None


def refuse_elsewhere(wanted: Wanted, asked: Asked) -> None:
    """What cannot be done to a server that is not this swarm's own. Raises LabError."""
    if asked.restart:
        raise LabError("--restart is for a server of the swarm's own; leave it out with --server")
    if wanted.relays:
        raise LabError("--relay is for a server of the swarm's own; leave it out with --server")
    if asked.verify and not wanted.database:
        raise LabError("--check works out anew what each host should hold: --database URL, the server's own, is read")
    if wanted.database and not asked.verify:
        raise LabError("--database is for a server of the swarm's own, or with --server for --check")


async def measure(opened: AbstractAsyncContextManager[Swarm], asked: Asked, say: Say) -> Figures:
    """Everything, of one swarm."""
    async with opened as running:
        wanted, shape = running.wanted, running.wanted.shape
        found: Figures = {"hosts": shape.hosts, "ports": shape.ports, "spread": shape.spread, "relays": wanted.relays}
        found["bring_up"] = running.bring_up
        found["memory"] = await measure_memory(running)
        say(f"{asked.changes} ports, one after the other")
        found["one_port"] = await measure_ports(running, asked.changes)
        say(f"{asked.changes} changes that every host needs")
        found["every_host"] = await measure_everywhere(running, asked.changes)
        if asked.restart:
            say("the server is killed and started anew")
            found["restart"] = await measure_restart(running)
        if asked.verify:
            found |= await verify_all(running, say)
    return found


async def verify_all(running: Swarm, say: Say) -> Figures:
    """The differences, and how long it took to find that there are none; CPU is that of all processes of hosts."""
    say("every host is compared with what the store says")
    began, before = time.monotonic(), (await running.count())["cpu_s"]
    differences = await check(running)
    used = (await running.count())["cpu_s"] - before
    return {
        "differences": differences, "checked_in_s": round(time.monotonic() - began, 1), "checked_cpu_s": round(used, 1),
    }  # fmt: skip
