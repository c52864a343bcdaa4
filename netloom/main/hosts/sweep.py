"""What others made on the bridges that are Netloom's alone: found, and taken away when an administrator asks for it.

The agent tells of it and never touches it: it may be somebody's, who will want to know where it went.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

from netloom.drivers.ovs.driver import OvsDriver
from netloom.main.options.host import HostOptions

PATIENCE_S = 10.0
"""Until a switch that says nothing counts as one that is away."""


class SweepError(Exception):
    """A switch that does not answer, or that refused; its words say what."""


def sweep_host(options: HostOptions, really: bool, patience_s: float = PATIENCE_S) -> Iterator[str]:
    """A line for each thing, told before it goes. `really`: take it away. Raises SweepError."""
    if options.switch == "linuxbridge":
        return  # all that is in a bridge or table of ours is ours there
    for words, command in asyncio.run(find_sweeps(options, patience_s)):
        yield words if really else f"{words}: {' '.join(command)}"
        if really:
            asyncio.run(run(options, command))


async def find_sweeps(options: HostOptions, patience_s: float) -> list[tuple[str, tuple[str, ...]]]:
    own = frozenset((options.integration_bridge, options.tunnel_bridge))
    driver = OvsDriver(options.ovs_rundir, own, patience_s)
    try:
        await driver.read()
        return list(driver.find_sweeps())
    except (OSError, TimeoutError) as error:
        raise SweepError(f"Open vSwitch at {options.ovs_rundir} does not answer: {error}") from error
    finally:
        await driver.close()


async def run(options: HostOptions, command: tuple[str, ...]) -> None:
    """At the very switch that was read."""
    env = {**os.environ, "OVS_RUNDIR": str(options.ovs_rundir)}
    try:
        process = await asyncio.create_subprocess_exec(
            *command, env=env, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
    except OSError as error:
        raise SweepError(f"{command[0]} does not start: {error.strerror}") from error
    _, complaint = await process.communicate()
    if process.returncode:
        raise SweepError(f"{' '.join(command)}: {complaint.decode(errors='replace').strip()}")
