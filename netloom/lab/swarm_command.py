"""`netloom lab swarm`: a server and many simulated hosts, what they are asked, and how long that takes, as JSON.

Law: it is imported by all commands of the lab, so what it runs (`swarm_job.py`) is imported when it runs.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from netloom.lab.shell import LabError

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
    import asyncio

    from netloom.lab import swarm_job as job
    from netloom.lab.swarm import Wanted
    from netloom.lab.swarm_elsewhere import Elsewhere, find_feed
    from netloom.lab.swarm_measure import describe_machine
    from netloom.lab.swarm_plan import Shape

    wanted = Wanted(Shape(hosts, ports, spread, seed), rendering, processes, relay, database)
    asked = job.Asked(changes, not server if restart is None else restart, verify)
    if server:
        job.refuse_elsewhere(wanted, asked)
    joining = job.read_joining(join_tokens)
    given = Path(folder) if folder else Path(tempfile.mkdtemp(prefix="netloom-swarm-"))
    given.mkdir(parents=True, exist_ok=True)
    there = Elsewhere(given, server.rstrip("/"), find_feed(server, feed), token, joining) if server else None

    def say(text: str) -> None:
        typer.echo(f"· {text}", err=True)

    try:
        found = asyncio.run(job.until_ended(job.measure(job.open_swarm(wanted, given, there, say), asked, say)))
    finally:
        if not folder:
            shutil.rmtree(given, ignore_errors=True)
    typer.echo(json.dumps({"machine": describe_machine(), **found}, indent=2))
    if found.get("differences"):
        raise LabError(f"{len(found['differences'])} things are not as the store says")
