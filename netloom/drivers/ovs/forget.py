"""Have Open vSwitch work out its datapath's flows anew after the tables changed: they come again with the next packets.

The userspace datapath (seen with 3.1) looks for a flow that it is to change by the packet that the flow came of, not by
the flow's id. Where that packet is held by two flows, which come of tables that ask for less than before, the other one
may be changed: the first does what the old tables said for as long as packets use it, though the switch thinks it done.

Law: what a change left behind is forgotten after the switch has looked through all of its flows, twice, as the first
look may have begun before; nobody waits for that, and many changes are one.
"""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from pathlib import Path

from netloom.drivers.ovs.ovsdb import Tables

LOG = logging.getLogger(__name__)
PAUSE_S = 0.5
"""The switch looks through its flows at least that often (max-revalidator, ovs-vswitchd.conf.db(5))."""
LOOKS = 2
REST = 9
"""How much longer than a look took the switch is then left alone: where changes never end and flows are many, a tenth
of the time goes to this."""
LAST_S = 1.0
"""How long an agent that ends waits for a switch that does not answer."""
WAIT, PURGE = "revalidator/wait", "revalidator/purge"


class Forgetter:
    """`timeout_s`: how long the switch may take for an answer. What is noted after `close` is not done."""

    def __init__(self, rundir: Path, timeout_s: float, pause_s: float = PAUSE_S) -> None:
        self._rundir, self._timeout_s, self._pause_s = rundir, timeout_s, pause_s
        self._left = 0  # looks that what was changed last has still to wait for
        self._task: asyncio.Task[None] | None = None

    def note_change(self) -> None:
        """The tables are others than they were. Returns at once."""
        self._left = LOOKS
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        while self._left:
            self._left -= 1
            began = clock()
            await self._forget(self._timeout_s, WAIT, PURGE)
            if self._left:
                await asyncio.sleep(max(self._pause_s, (clock() - began) * REST))

    async def _forget(self, timeout_s: float, *methods: str) -> None:
        """A switch that cannot be asked goes on as it is."""
        try:
            await ask_switch(self._rundir, timeout_s, *methods)
        except OSError as error:
            LOG.info("%s", error)

    async def close(self) -> None:
        """What is still to be forgotten is forgotten now: nobody else will."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self._forget(min(self._timeout_s, LAST_S), PURGE)


def has_userspace(tables: Tables) -> bool:
    """Whether any bridge, whosever, is of the datapath that the switch itself runs, not the kernel."""
    return any(row["datapath_type"] == "netdev" for row in tables.get("Bridge", {}).values())


async def ask_switch(rundir: Path, timeout_s: float, *methods: str) -> None:
    """Ask ovs-vswitchd for these, one after another. OSError where it does not answer.

    A method that it refuses is passed over: with two kinds of datapath it waits for none.
    """
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_unix_connection(find_control(rundir))
            try:
                for method in methods:
                    writer.write(make_call(method))
                    await writer.drain()
                    await reader.readuntil(b"}")
            finally:
                writer.close()
                await writer.wait_closed()
    except (OSError, ValueError, TimeoutError, EOFError) as error:
        raise OSError(f"ovs-vswitchd does not answer {', '.join(methods)}: {error or 'in time'}") from error


def make_call(method: str) -> bytes:
    """A call of unixctl, which speaks JSON-RPC 1.0 (RFC 7047, 4)."""
    return json.dumps({"id": 0, "method": method, "params": []}).encode()


def find_control(rundir: Path) -> Path:
    """The control socket of the running ovs-vswitchd: as its command says, or where it is by default.

    OSError or ValueError when there is none.
    """
    pid = int((rundir / "ovs-vswitchd.pid").read_text())
    words = b""
    with suppress(OSError):  # where it runs in another container its number says nothing here
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    told = words.decode(errors="replace").split("\0")
    given = [word.removeprefix("--unixctl=") for word in told if word.startswith("--unixctl=")]
    return rundir / (given[-1] if given else f"ovs-vswitchd.{pid}.ctl")
