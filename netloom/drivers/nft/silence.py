"""The other half of a guard: the host's kernel says nothing on the device either.

A device that is up gets a link-local address, and the kernel sends router solicitations, duplicate address checks and
group reports by it, straight to the instance. Each such address also costs Open vSwitch a walk over all of them when
any changes (two hundred made a new port wait 30 ms longer). So IPv6 is off on a guarded device. Where the setting is
out of our hands (no IPv6, a read-only /proc/sys) it counts as done.
"""

from __future__ import annotations

import os
from pathlib import Path

SETTINGS = Path("/proc/sys/net/ipv6/conf")
"""Of the namespace of whoever looks."""


def find_setting(device: str) -> Path | None:
    """The file to write to; None where there is nothing that we could set."""
    path = SETTINGS / device / "disable_ipv6"
    return path if device not in ("", ".", "..", "all", "default") and os.access(path, os.W_OK) else None


def is_silent(device: str) -> bool:
    path = find_setting(device)
    try:
        return path is None or path.read_text().strip() != "0"
    except FileNotFoundError:  # it went while we looked
        return True


def set_silent(device: str, silent: bool) -> None:
    """Off, or as the host has it for new devices. A device that is gone needs nothing."""
    path = find_setting(device)
    if path is not None:
        path.write_text("1" if silent else (SETTINGS / "default/disable_ipv6").read_text())
