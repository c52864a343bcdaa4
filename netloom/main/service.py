"""What the system's service manager is told: that this is ready, that it stops (sd_notify(3)).

Law: where nobody asked to be told, nothing happens.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress


def tell_manager(words: str) -> None:
    """Send "READY=1", "STOPPING=1" or "STATUS=…" to whom NOTIFY_SOCKET names."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = f"\0{path[1:]}" if path.startswith("@") else path
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.connect(address)
        sender.sendall(words.encode())
