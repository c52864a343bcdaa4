"""Have Open vSwitch work out its datapath's flows anew: all are forgotten, and come again with the next packets.

The userspace datapath of 3.1 now and then keeps a flow that leads to a port that is gone, whatever the tables say
since, for as long as packets use it: seen where a router left its namespace for flows, and answers from outside were
lost.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

LOG = logging.getLogger(__name__)
PURGE = b'{"id":0,"method":"revalidator/purge","params":[]}'
"""A call of unixctl, which speaks JSON-RPC 1.0 (RFC 7047, 4)."""


async def forget_flows(rundir: Path, timeout_s: float) -> None:
    """Ask ovs-vswitchd to; one that cannot be asked goes on as it is."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_unix_connection(find_control(rundir))
            try:
                writer.write(PURGE)
                await writer.drain()
                await reader.readuntil(b"}")
            finally:
                writer.close()
    except (OSError, ValueError, TimeoutError, EOFError) as error:
        LOG.info("ovs-vswitchd was not asked to work out its flows anew: %s", error)


def find_control(rundir: Path) -> Path:
    """The control socket of the running ovs-vswitchd: as its command says, or where it is by default.

    OSError or ValueError when there is none.
    """
    pid = int((rundir / "ovs-vswitchd.pid").read_text())
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    given = [word.removeprefix("--unixctl=") for word in words if word.startswith("--unixctl=")]
    return Path(given[-1]) if given else rundir / f"ovs-vswitchd.{pid}.ctl"
