"""What the device with the tunnels' address carries, as the kernel says it."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError


async def read_underlay_mtu(address: str) -> int:
    """The MTU of the device that has this address, in the network namespace that this process is in; 0: none has it.

    OSError when the kernel does not answer.
    """
    try:
        return await asyncio.to_thread(find_mtu, address)
    except NetlinkError as error:
        raise OSError(error.code, str(error)) from error


def find_mtu(address: str) -> int:
    with IPRoute() as ipr:
        for found in ipr.get_addr(family=10 if ":" in address else 2):
            text = found.get("local") or found.get("address")  # of one end of a pair, the own address is "local"
            if text and ip_address(text) == ip_address(address):
                return int(ipr.get_links(found["index"])[0].get("mtu") or 0)
    return 0
