"""keepalived in a namespace: told what to keep, watched, and started anew where it is gone.

Law: the process outlives us, for it carries traffic; that it is ours is told by its pid file and its command line. One
that was killed leaves its addresses behind, and another copy has taken over by then: they go before it starts anew.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from pyroute2 import IPRoute

from netloom.drivers.netns import syncs
from netloom.drivers.netns.links import MARK, is_copy, is_shared
from netloom.drivers.netns.processes import end_process, is_alive, read_pid, wait_for
from netloom.model.netns import FOLDER, Keeper

PROGRAM = "keepalived"
START_S = 2.0


class Keepers:
    """One folder each below `folder`, named for the namespace: its configuration, pid files and log."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, netns: str) -> Keeper | None:
        """What it is told; nothing where it does not run; None where there was never one."""
        place = self._folder / netns
        config = place / "keepalived.conf"
        if not config.exists():
            return None
        told = config.read_text().replace(str(place), FOLDER) if self.find_pid(netns) else ""
        return Keeper(told, syncs.read(place))

    def find_pid(self, netns: str) -> int:
        """Of the process that does the work; 0: there is none that is alive."""
        for name in ("keepalived.pid", "vrrp.pid"):
            if not is_alive(read_pid(self._folder / netns / name), str(self._folder / netns)):
                return 0
        return read_pid(self._folder / netns / "keepalived.pid")

    def put(self, netns: str, want: Keeper) -> None:
        """In the thread's namespace. One that runs reads its configuration anew and stays what it is."""
        place = self._folder / netns
        place.mkdir(parents=True, exist_ok=True)
        syncs.prepare(place, want.sync)
        self._put_config(netns, want.config.replace(FOLDER, str(place)))
        syncs.put(place, want.sync)

    def _put_config(self, netns: str, config: str) -> None:
        place = self._folder / netns
        there, new = place / "keepalived.conf", place / "keepalived.new"
        pid = self.find_pid(netns)
        if pid and there.exists() and there.read_text() == config:
            return
        new.write_text(config)
        new.replace(there)
        if pid:
            os.kill(pid, signal.SIGHUP)
            return
        self.stop(netns)
        forget_addresses()
        start(place)
        wait_for(lambda: self.find_pid(netns), START_S)

    def read_state(self, netns: str) -> str:
        """Of the copy in the thread's namespace: active while it has the address that only the active copy has."""
        if not self.find_pid(netns):
            return "fault"
        with IPRoute() as ipr:
            shared = any(is_shared(found.get("local") or "") for found in ipr.get_addr(family=socket.AF_INET))
        return "active" if shared else "standby"

    def find_pids(self, netns: str) -> list[int]:
        pids = (read_pid(self._folder / netns / name) for name in ("keepalived.pid", "vrrp.pid"))
        return [pid for pid in pids if is_alive(pid, str(self._folder / netns))]

    def remove(self, netns: str) -> None:
        self.stop(netns)
        syncs.stop(self._folder / netns)
        shutil.rmtree(self._folder / netns, ignore_errors=True)

    def stop(self, netns: str) -> None:
        """By SIGTERM it gives its addresses up and says so to the others; what is left of it after that is killed."""
        place = self._folder / netns
        for name in ("keepalived.pid", "vrrp.pid"):
            pid = read_pid(place / name)
            if is_alive(pid, str(place)):
                end_process(pid, str(place))
            (place / name).unlink(missing_ok=True)


def start(place: Path) -> None:
    command = [
        PROGRAM, "--vrrp", "--log-console", "--dont-fork", "--use-file", str(place / "keepalived.conf"),
        "--pid", str(place / "keepalived.pid"), "--vrrp_pid", str(place / "vrrp.pid"),
    ]  # fmt: skip
    if not shutil.which(PROGRAM):
        raise OSError(f"there is no {PROGRAM} on this host, which routers with copies need")
    with (place / "log").open("ab") as log:
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/",
            close_fds=True,
        )  # fmt: skip


def forget_addresses() -> None:
    """All but those of the joint itself; their routes go with them."""
    with IPRoute() as ipr:
        links = [link for link in ipr.get_links() if (link.get("ifalias") or "").startswith(MARK)]
        ours = {link["index"]: link.get("ifname") for link in links}
        for found in ipr.get_addr():
            ip, device = found.get("local") or found.get("address"), ours.get(found["index"])
            if device and (is_shared(ip) or not is_copy(device)):
                ipr.addr("del", index=found["index"], address=ip, prefixlen=found["prefixlen"])
