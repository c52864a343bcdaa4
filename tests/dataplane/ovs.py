"""Throw-away Open vSwitch hosts: a network namespace and a folder, with an ovsdb-server and an ovs-vswitchd each."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
_DIRS = ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR")
PATIENCE_S = 50.0
"""How long a test waits for what is sure to come: only a machine that stands still takes longer, and a test that passes
never waits for it. Below the minute in which an agent looks at everything anew, which would hide that it slept."""


def run(*command: str, env: dict[str, str] | None = None, check: bool = True) -> str:
    """What the command prints. A failure shows what it complained of."""
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **(env or {})}, timeout=60)
    assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stderr or done.stdout}"
    return done.stdout


def wait_until(
    holds: Callable[[], object], timeout_s: float = PATIENCE_S, seen: Callable[[], object] = lambda: ""
) -> None:
    """Return when `holds()` is true; fail when it is not in time, with what was `seen` last."""
    assert happens(holds, timeout_s), f"waited in vain: {seen()}"


def happens(holds: Callable[[], object], within_s: float) -> bool:
    """Whether it comes true in time."""
    end = time.monotonic() + within_s
    while not holds():
        if time.monotonic() >= end:
            return False
        time.sleep(0.01)
    return True


@dataclass(frozen=True, slots=True)
class OvsHost:
    """A namespace, and the folder with the sockets of the switch in it."""

    netns: str
    rundir: Path

    @property
    def env(self) -> dict[str, str]:
        return dict.fromkeys(_DIRS, str(self.rundir))

    def inside(self, *command: str, check: bool = True) -> str:
        return run("ip", "netns", "exec", self.netns, *command, env=self.env, check=check)

    def vsctl(self, *arguments: str, check: bool = True) -> str:
        return run("ovs-vsctl", f"--db=unix:{self.rundir}/db.sock", *arguments, env=self.env, check=check).strip()

    def ofctl(self, *arguments: str) -> str:
        return run("ovs-ofctl", "-O", "OpenFlow14", *arguments, env=self.env)

    def start_database(self) -> None:
        d = self.rundir
        self.inside(
            "ovsdb-server", f"{d}/conf.db", f"--remote=punix:{d}/db.sock", f"--pidfile={d}/ovsdb-server.pid",
            f"--unixctl={d}/ovsdb.ctl", f"--log-file={d}/ovsdb.log", "--detach", "--no-chdir", "-vconsole:off",
        )  # fmt: skip

    def start_switch(self) -> None:
        d = self.rundir
        self.inside(
            "ovs-vswitchd", f"unix:{d}/db.sock", f"--pidfile={d}/ovs-vswitchd.pid", f"--unixctl={d}/vs.ctl",
            f"--log-file={d}/vs.log", "--detach", "--no-chdir", "-vconsole:off",
        )  # fmt: skip

    def stop(self, daemon: str) -> None:
        """Kill one daemon of this host and wait until it is gone."""
        pidfile = self.rundir / f"{daemon}.pid"
        if not pidfile.exists():
            return
        pid = int(pidfile.read_text())
        try:
            os.kill(pid, 9)
        except ProcessLookupError:
            pass
        wait_until(lambda: not _alive(pid))
        pidfile.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    """A zombie, which a container without an init keeps, is not alive."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def drop_namespaces(prefix: str) -> None:
    """The namespaces whose names begin so, and what still runs in them: a test that failed ends nothing."""
    spaces = list(Path("/run/netns").glob(f"{prefix}*"))
    ids = {path.stat().st_ino for path in spaces}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if int(process.name) != os.getpid() and (process / "ns/net").stat().st_ino in ids:
                os.kill(int(process.name), signal.SIGKILL)
    for path in spaces:
        run("ip", "netns", "del", path.name, check=False)


def start_host(netns: str, rundir: Path) -> OvsHost:
    """A new host, with both daemons running. About 50 ms."""
    host = OvsHost(netns, rundir)
    run("ip", "netns", "add", netns)
    run("ip", "-n", netns, "link", "set", "lo", "up")
    run("ovsdb-tool", "create", str(rundir / "conf.db"), str(SCHEMA))
    host.start_database()
    host.vsctl("--no-wait", "init")
    host.start_switch()
    return host


def stop_host(host: OvsHost) -> None:
    host.stop("ovs-vswitchd")
    host.stop("ovsdb-server")
    run("ip", "netns", "del", host.netns, check=False)
