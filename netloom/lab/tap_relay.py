"""An instance's NIC on a macvtap device: it runs inside of the instance, in the place of a hypervisor.

    python -m netloom.lab.tap_relay <the macvtap device's character device> eth0        until it is killed

Law: a frame goes from one to the other as it is. The character device belongs to a device of the host's and is opened
by its name, as a hypervisor opens it; eth0 is a TAP, and is gone with this program.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import sys
from contextlib import suppress

from netloom.lab.tagger import IFF_NO_PI, IFF_TAP, LONGEST, TUNSETIFF, open_tap


def open_macvtap(path: str) -> int:
    """Without virtio's header in front of frames (macvtap speaks the ioctls of TAP, tuntap.rst of the kernel)."""
    found = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(found, TUNSETIFF, struct.pack("16sH", b"", IFF_TAP | IFF_NO_PI))
    return found


def run(path: str, name: str) -> None:
    """Copy both ways, for ever. What one of them does not take is lost, as on a wire."""
    ends = [open_macvtap(path), open_tap(name)]
    others = dict(zip(ends, reversed(ends), strict=True))
    while True:
        ready, _, _ = select.select(ends, [], [])
        for one in ready:
            with suppress(OSError):
                os.write(others[one], os.read(one, LONGEST))


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2])
