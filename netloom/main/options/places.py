"""Where a part listens and keeps its files: tried before anything is opened, so that what is in the way is named.

Law: whoever is refused here has changed nothing but made a folder.
"""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

from netloom.main.options.checks import Given, OptionError


def make_folder(path: Path, mode: int = 0o750) -> Path:
    """The folder of `state_path`, made where it is not there. Raises OptionError where it cannot be made or written."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=mode)
        why = "" if os.access(path, os.R_OK | os.W_OK | os.X_OK) else "this user may not write there"
    except OSError as error:
        why = error.strerror or str(error)
    if why:
        raise OptionError("state_path", path, f"{why}; allowed: a folder that this user can make, or can write")
    return path


def check_endpoint(given: Given, endpoint: str) -> None:
    """Of "host:port" or "unix:/path"; nothing is fine. Raises OptionError if nobody could listen there."""
    if endpoint.startswith("unix:"):
        folder = Path(endpoint[5:]).parent
        if not os.access(folder, os.W_OK | os.X_OK):
            raise given.refuse(endpoint, f"allowed: a path in a folder that is there and can be written; see {folder}")
        return
    host, _, port = endpoint.rpartition(":")
    if host and port != "0":
        check_free(given, host.strip("[]"), int(port))


def check_free(given: Given, host: str, port: int) -> None:
    """Raises OptionError if somebody listens there, or if it is no address of this machine."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        allowed = "allowed: an address of this machine and a port that is free"
        busy = f"; ss -ltnp 'sport = :{port}' says who has it" if error.errno == errno.EADDRINUSE else ""
        raise given.refuse(f"{host}:{port}", f"{error.strerror}; {allowed}{busy}") from None
