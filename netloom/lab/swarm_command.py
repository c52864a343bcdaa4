"""`netloom lab swarm`: a server and many simulated hosts, what they are asked, and how long that takes, as JSON."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import tempfile
import time
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from netloom.lab.shell import LabError, Say
from netloom.lab.swarm import Figures, Swarm, Wanted, run_swarm
from netloom.lab.swarm_elsewhere import Elsewhere, find_feed, parse_joining, run_joined
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


@dataclass(frozen=True, slots=True)
class Asked:
    """What is measured. `changes`: of each sort."""

    changes: int
    restart: bool
    verify: bool


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
    restart: Annotated[
        bool | None,
        typer.Option(
            "--restart/--no-restart",
            help="Kill the server, start it anew, wait until all are current; unless --server.",
            show_default=False,
        ),
    ] = None,
    verify: Annotated[bool, typer.Option("--check", help="Compare every host with what the store says.")] = False,
    database: Annotated[
        str, typer.Option(help="URL of an empty database; else a file. With --server: its own, which --check reads.")
    ] = "",
    folder: Annotated[str, typer.Option(help="Keep everything here; else in a folder that is removed.")] = "",
    server: Annotated[str, typer.Option(help="URL of the API of a server that runs already, which hosts join.")] = "",
    feed: Annotated[str, typer.Option(help="Where hosts connect to --server; else its machine, port 9697.")] = "",
    token: Annotated[str, typer.Option(help="An administrator's token, for --server.", envvar="OS_TOKEN")] = "",
    join_tokens: Annotated[str, typer.Option(help="A file of join tokens, one for each host, for --server.")] = "",
) -> None:
    """Run a server and a thousand hosts on this machine, and print what they cost as JSON.

    Hosts are the agents' own code over TLS connections of their own; their devices are dicts. Needs no root. A
    thousand hosts with 50,000 ports take some 6 GiB and two minutes on two cores; with `--rendering 100`, 2.7 GiB
    and two.

    With `--server`, hosts join a server that runs already, here or elsewhere. They are called h00001 and so on, and
    each needs a join token: `netloom agent token $(seq -f 'h%05g' 1 100) > FILE` on the server's machine. What they
    carry is asked for by an administrator, in projects of its own, and removed in the end.

    Example: `netloom lab swarm --hosts 100 --ports 5000 --check`

    Example: `netloom lab swarm --hosts 100 --ports 5000 --server http://netloom.example.org:9696 --join-tokens FILE`
    """
    wanted = Wanted(Shape(hosts, ports, spread, seed), rendering, processes, relay, database)
    asked = Asked(changes, not server if restart is None else restart, verify)
    if server:
        refuse_elsewhere(wanted, asked)
    joining = read_joining(join_tokens)
    given = Path(folder) if folder else Path(tempfile.mkdtemp(prefix="netloom-swarm-"))
    given.mkdir(parents=True, exist_ok=True)
    there = Elsewhere(given, server.rstrip("/"), find_feed(server, feed), token, joining) if server else None

    def say(text: str) -> None:
        typer.echo(f"· {text}", err=True)

    try:
        found = asyncio.run(until_ended(measure(open_swarm(wanted, given, there, say), asked, say)))
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
