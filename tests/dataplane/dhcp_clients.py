"""DHCP clients of instances, in the foreground: they are asked what they were told, and ended by who started them.

As daemons they return before the file that names their process is written, and outlive a test that fails.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.dataplane.ovs import run, wait_until


def make_script(folder: Path) -> Path:
    """What udhcpc or dhclient calls: it writes down what it was given, whole or not at all."""
    script = folder / "note"
    script.write_text(f"#!/bin/sh\nenv > {folder}/.$1$reason && mv {folder}/.$1$reason {folder}/$1$reason\n")
    script.chmod(0o755)
    return script


def read_note(folder: Path, name: str) -> dict[str, str]:
    path = folder / name
    assert path.exists(), f"no {name}: {sorted(p.name for p in folder.iterdir())}"
    return dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)


def has_link_local(netns: str, device: str) -> bool:
    """Whether IPv6 may be spoken there: in one look, for in two the address may come between, and be tentative."""
    shown = run("ip", "-n", netns, "-6", "addr", "show", "dev", device)
    return "fe80" in shown and "tentative" not in shown


@contextmanager
def run_dhclient(netns: str, device: str, folder: Path, version: int, script: Path) -> Iterator[None]:
    """ISC's client until the end of the block; its leases are kept in the folder, from one run to the next."""
    if version == 6:
        wait_until(lambda: has_link_local(netns, device))
    (folder / "leases").touch()
    command = ["dhclient", f"-{version}", "-d", "-v", "-sf", str(script), "-cf", "/dev/null"]
    command += ["-lf", str(folder / "leases"), "-pf", str(folder / "pid"), device]
    with (folder / "told").open("w") as out:
        client = subprocess.Popen(["ip", "netns", "exec", netns, *command], stdout=out, stderr=out)
    try:
        yield
    finally:
        client.kill()
        client.wait()


def get_note(netns: str, device: str, folder: Path, version: int, name: str) -> dict[str, str]:
    """What dhclient is given for that reason, once it is."""
    with run_dhclient(netns, device, folder, version, make_script(folder)):
        wait_until((folder / name).exists, seen=lambda: (folder / "told").read_text())
    return read_note(folder, name)
