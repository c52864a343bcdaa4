"""`netloom lab swarm`: a server and many simulated hosts, what they are asked, and how long that takes, as JSON."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from netloom.lab.shell import LabError, Say
from netloom.lab.swarm import Figures, Swarm, Wanted, run_swarm
from netloom.lab.swarm_measure import (
    check,
    describe_machine,
    measure_everywhere,
    measure_memory,
    measure_ports,
    measure_restart,
)
from netloom.lab.swarm_plan import Shape

MOST_HOSTS = 5000


def swarm(
    hosts: Annotated[int, typer.Option(help="How many hosts.", min=1, max=MOST_HOSTS)] = 1000,
    ports: Annotated[
        int, typer.Option(help="How many ports, spread over networks, projects and hosts.", min=1)
    ] = 50000,
    spread: Annotated[int, typer.Option(help="Hosts that a project lies on.", min=1)] = 8,
    seed: Annotated[int, typer.Option(help="The same seed gives the same cloud.")] = 1,
    rendering: Annotated[int, typer.Option(help="Hosts that have devices, the others only follow; -1: all.")] = -1,
    processes: Annotated[int, typer.Option(help="Processes that the hosts are in.", min=1)] = 2,
    relay: Annotated[int, typer.Option(help="Relays between the server and the hosts.", min=0)] = 0,
    changes: Annotated[int, typer.Option(help="Changes of each sort that are measured.", min=1)] = 20,
    restart: Annotated[bool, typer.Option(help="Kill the server, start it anew, wait until all are current.")] = True,
    verify: Annotated[bool, typer.Option("--check", help="Compare every host with what the store says.")] = False,
    database: Annotated[str, typer.Option(help="URL of an empty database; else a file.")] = "",
    folder: Annotated[str, typer.Option(help="Keep everything here; else in a folder that is removed.")] = "",
) -> None:
    """Run a server and a thousand hosts on this machine, and print what they cost as JSON.

    Hosts are the agents' own code over TLS connections of their own; their devices are dicts. Needs no root. A
    thousand hosts with 50,000 ports take some 6 GiB and two minutes on two cores; with `--rendering 100`, 2.7 GiB
    and two.

    Example: `netloom lab swarm --hosts 100 --ports 5000 --check`
    """
    wanted = Wanted(Shape(hosts, ports, spread, seed), rendering, processes, relay, database)
    given = Path(folder) if folder else Path(tempfile.mkdtemp(prefix="netloom-swarm-"))
    given.mkdir(parents=True, exist_ok=True)

    def say(text: str) -> None:
        typer.echo(f"· {text}", err=True)

    try:
        found = asyncio.run(until_ended(measure(wanted, given, say, changes, restart, verify)))
    finally:
        if not folder:
            shutil.rmtree(given, ignore_errors=True)
    typer.echo(json.dumps({"machine": describe_machine(), **found}, indent=2))
    if found.get("differences"):
        raise LabError(f"{len(found['differences'])} things are not as the store says")


async def until_ended(work: Coroutine[Any, Any, Figures]) -> Figures:
    """SIGTERM ends it as Ctrl-C does: what was started is stopped."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def measure(wanted: Wanted, folder: Path, say: Say, changes: int, restart: bool, verify: bool) -> Figures:
    """Everything, of one swarm."""
    shape = wanted.shape
    found: Figures = {"hosts": shape.hosts, "ports": shape.ports, "spread": shape.spread, "relays": wanted.relays}
    async with run_swarm(wanted, folder, say) as running:
        found["bring_up"] = running.bring_up
        found["memory"] = await measure_memory(running)
        say(f"{changes} ports, one after the other")
        found["one_port"] = await measure_ports(running, changes)
        say(f"{changes} changes that every host needs")
        found["every_host"] = await measure_everywhere(running, changes)
        if restart:
            say("the server is killed and started anew")
            found["restart"] = await measure_restart(running)
        if verify:
            found["differences"] = await verify_all(running, say)
    return found


async def verify_all(running: Swarm, say: Say) -> list[str]:
    say("every host is compared with what the store says")
    return await check(running)
