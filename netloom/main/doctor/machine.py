"""What a machine says of itself to `netloom doctor`, as one value; and the checks that servers and hosts share."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from netloom.feed.pki import BACKDATE, read_life
from netloom.main.doctor.findings import ERROR, WARNING, Finding

LEAST_BYTES, FEW_BYTES = 64 << 20, 1 << 30
"""Free room below which nothing can be written for long; and below which it is time to look."""
SOON_S = 14 * 86400.0
PROGRAMS = (
    "ip", "nft", "tc", "conntrack", "dnsmasq", "keepalived", "iptables", "ipset", "ovs-vsctl", "ovs-vswitchd", "bridge",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Machine:
    """`synced`: whether the clock follows others; None: not known. `values`: of /proc/sys, by name, and
    "open files": how many a process may have."""

    now_s: float = field(default_factory=time.time)
    root: bool = True
    synced: bool | None = None
    programs: frozenset[str] = frozenset()
    values: Mapping[str, int] = field(default_factory=dict)
    modules: frozenset[str] = frozenset()


def read_machine() -> Machine:
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    names = ("net/netfilter/nf_conntrack_max", "net/netfilter/nf_conntrack_count")
    found = {name: read_number(Path("/proc/sys") / name) for name in names}
    found["open files"] = read_open_files()
    return Machine(
        root=os.geteuid() == 0,
        synced=read_synced(),
        programs=frozenset(name for name in PROGRAMS if shutil.which(name, path=path)),
        values={name: value for name, value in found.items() if value is not None},
        modules=frozenset(one.name for one in Path("/sys/module").glob("*")),
    )


def read_number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def read_open_files() -> int | None:
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def read_synced() -> bool | None:
    """What systemd knows of the clock."""
    try:
        done = subprocess.run(
            ["timedatectl", "show", "--property=NTPSynchronized", "--value"],
            capture_output=True, text=True, timeout=5, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return {"yes": True, "no": False}.get(done.stdout.strip())


# -- checks ------------------------------------------------------------------------------------------------------------


def check_notes(notes: Sequence[str]) -> Iterator[Finding]:
    for note in notes:
        yield Finding("options", WARNING, note, "take them out, or see what there is with: netloom options")


def check_clock(machine: Machine) -> Iterator[Finding]:
    if machine.synced is False:
        said = "the clock follows no other: certificates and tokens may seem to begin or end too early"
        yield Finding("clock", WARNING, said, "run chrony or systemd-timesyncd on every machine")


def check_room(folder: Path) -> Iterator[Finding]:
    """Of the nearest folder that is there."""
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if free < FEW_BYTES:
        level = ERROR if free < LEAST_BYTES else WARNING
        fix = "make room: a full disk keeps what is stored, and refuses every change"
        yield Finding("disk", level, f"{there} has {free >> 20} MiB left", fix)


def check_certificate(name: str, path: Path, machine: Machine, fix: str) -> Iterator[Finding]:
    """That it is good now, and for some time. `fix`: how one gets the next."""
    life = read_life(path.read_bytes())
    if life.issued_s - BACKDATE.total_seconds() > machine.now_s:
        yield Finding(name, ERROR, f"{path} is not good yet", "this machine's clock is behind, or another's is ahead")
    elif life.ends_s < machine.now_s:
        yield Finding(name, ERROR, f"{path} has ended", fix)
    elif life.ends_s < machine.now_s + SOON_S:
        days = (life.ends_s - machine.now_s) / 86400
        yield Finding(name, WARNING, f"{path} ends in {days:.0f} days", fix)


def check_secret(path: Path) -> Iterator[Finding]:
    """That nobody but its owner reads it."""
    if path.exists() and path.stat().st_mode & 0o077:
        yield Finding("secrets", ERROR, f"{path} can be read by others", f"chmod 600 {path}")
