"""dnsmasq: the kind "dhcp_server". One process in a network's namespace, and the files that it reads.

Law: a server is ours when its files are in our folder; it runs when a process says so whose command line names just the
configuration that is there, so that a process that was started with another one counts as none. It outlives the agent.

What is in the lists is read anew on SIGHUP; another configuration needs a restart, which the leases outlive. So does a
lease whose host is gone: dnsmasq would keep its address from the next one that has it. A list of hosts with tags in it
is refused: dnsmasq 2.86 to 2.90 die of SIGHUP with one, once somebody has a lease.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from netloom.model.netns import FOLDER, DhcpServer
from netloom.model.plan import Failure, Key, Op, Put, State, Thing

PROGRAM = "dnsmasq"
LISTS = ("hosts", "options", "names")
CHANGING = "changing"
"""A file that is there while lists are written and their reader does not know yet."""
START_S, STOP_S = 10.0, 2.0


class DnsmasqDriver:
    """`folder` has a folder for each server, `spaces` the namespaces by name."""

    def __init__(self, folder: Path, spaces: Path) -> None:
        self._folder, self._spaces = folder, spaces
        self._watched: dict[str, int] = {}
        self._ends = 0
        self._news = asyncio.Event()

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset({"dhcp_server"})

    @property
    def needs(self) -> Mapping[str, frozenset[str]]:
        return {"dhcp_server": frozenset({"veth", "address", "alias"})}

    async def read(self) -> State:
        """What is in the folder. One that does not run as it should has the value None: it wants repair."""
        state = await asyncio.to_thread(self._read)
        self._follow(key[1] for key in state)
        return state

    async def apply(self, ops: Sequence[Op]) -> Sequence[Failure]:
        named = {op.thing.key[1] for op in ops}
        watched = set(self._watched)
        self._follow(watched - named)  # whose end is ours to bring about tells nobody anything
        failures = await asyncio.to_thread(self._apply, ops) if ops else []
        self._follow(watched | named)
        return failures

    def _read(self) -> State:
        out: dict[Key, Thing] = {}
        for place in sorted(self._folder.iterdir()) if self._folder.is_dir() else ():
            key: Key = ("dhcp_server", place.name)
            out[key] = Thing(key, read_server(place))
        return out

    def _apply(self, ops: Sequence[Op]) -> list[Failure]:
        return [failure for op in ops if (failure := self._apply_one(op))]

    def _apply_one(self, op: Op) -> Failure | None:
        place = self._folder / op.thing.key[1]
        try:
            if isinstance(op, Put):
                put_server(place, op.thing.value, self._spaces / place.name)
            else:
                stop_server(place)
                shutil.rmtree(place, ignore_errors=True)
            return None
        except OSError as error:
            return Failure(op, str(error))

    # -- processes that end --------------------------------------------------------------------------------------------

    @property
    def ends(self) -> int:
        """How many of ours have ended while they were watched."""
        return self._ends

    async def wait_change(self, seen: int) -> int:
        """Wait until more than `seen` ended; the number to give next time."""
        while self._ends <= seen:
            self._news.clear()
            await self._news.wait()
        return self._ends

    def _follow(self, names: Iterable[str]) -> None:
        """Watch the processes of these servers and of no others."""
        loop, wanted = asyncio.get_running_loop(), set(names)
        for name in self._watched.keys() - wanted:
            number = self._watched.pop(name)
            loop.remove_reader(number)
            os.close(number)
        # One that is watched stays so: that it ended may be told already, and not yet taken.
        for name in sorted(wanted - self._watched.keys()):
            pid = find_pid(self._folder / name)
            with suppress(ProcessLookupError):
                if pid:
                    self._watched[name] = os.pidfd_open(pid)
                    loop.add_reader(self._watched[name], self._end, name)

    def _end(self, name: str) -> None:
        number = self._watched.pop(name)
        asyncio.get_running_loop().remove_reader(number)
        os.close(number)
        self._ends += 1
        self._news.set()

    async def close(self) -> None:
        self._follow(set())


# -- one server --------------------------------------------------------------------------------------------------------


def name_config(config: str) -> str:
    """The name of the file with a configuration tells it apart, so that a command line does too."""
    return f"config-{blake2b(config.encode(), digest_size=8).hexdigest()}"


def read_server(place: Path) -> DhcpServer | None:
    """What a running server reads; None where it does not run, or may not know its lists."""
    pid = find_pid(place)
    config = find_config(place)
    if not pid or config is None or (place / CHANGING).exists() or not is_running(pid, config):
        return None
    try:
        lists = {name: (place / name).read_text() for name in LISTS}
        return DhcpServer(config.read_text().replace(str(place), FOLDER), **lists)
    except OSError:
        return None


def find_config(place: Path) -> Path | None:
    found = sorted(place.glob("config-*"))
    return found[0] if len(found) == 1 else None


def put_server(place: Path, want: DhcpServer, space: Path) -> None:
    """Raises OSError with the words of dnsmasq."""
    if "set:" in want.hosts:
        raise OSError("a list of hosts must have no tags: dnsmasq would die of reading it anew")
    place.mkdir(parents=True, exist_ok=True)
    config = place / name_config(want.config)
    lists = {name: getattr(want, name) for name in LISTS}
    there = {name: read(place / name) for name in LISTS}
    pid = find_pid(place)
    lasts = bool(pid) and find_config(place) == config and is_running(pid, config)
    known = lasts and not (place / CHANGING).exists()
    if known and there == lists:
        return
    (place / CHANGING).touch()
    for name, text in lists.items():
        if there[name] != text:
            write(place / name, text)
    kept, gone = find_leases(place / "leases", there["hosts"] if known else None, want.hosts)
    if lasts and not gone:
        os.kill(pid, signal.SIGHUP)
    else:
        stop_server(place)
        for old in place.glob("config-*"):
            old.unlink()
        if gone:
            write(place / "leases", kept)
        write(config, want.config.replace(FOLDER, str(place)))
        start_server(config, space)
    (place / CHANGING).unlink()


def find_leases(path: Path, before: str | None, hosts: str) -> tuple[str, str]:
    """Leases that stay, and those whose host is gone: looked for where a line went since the list was `before`, or an
    address came that has a lease. None: it is not known what was before."""
    text = "" if before == hosts else read(path)
    if not text:
        return "", ""
    if before is not None:
        was, now = find_other_lines(before, hosts)
        if was <= now and not any(f" {find_host(line)[1]} " in text for line in now - was):
            return text, ""
    return sort_leases(text, hosts)


def find_other_lines(before: str, after: str) -> tuple[set[str], set[str]]:
    """What differs, as the lines around the first and the last that do: some may be in both. Found by comparing text
    with text, so that a line more among thousands is not looked for line by line."""
    most = min(len(before), len(after))
    same = bisect_left(range(most), True, key=lambda n: before[: n + 1] != after[: n + 1])
    first = before.rfind("\n", 0, same) + 1
    left = most - first
    end = bisect_left(range(left), True, key=lambda n: before[-n - 1 :] != after[-n - 1 :])
    stop = before.find("\n", len(before) - end) + 1 if end else 0
    tail = len(before) - stop if stop else 0
    return set(before[first : len(before) - tail].splitlines()), set(after[first : len(after) - tail].splitlines())


def sort_leases(text: str, hosts: str) -> tuple[str, str]:
    """Lines of the file of leases: those whose address its host still has, and those of others.

    A line is the end of the lease, the MAC address (of IPv6: a number), the address, and more; "duid" is no lease.
    """
    held = {find_host(line) for line in hosts.splitlines()}
    addresses = {ip for _, ip in held}
    lines: tuple[list[str], list[str]] = ([], [])
    for line in text.splitlines():
        words = line.split()
        known = len(words) < 4 or ((words[1], words[2]) in held if ":" not in words[2] else words[2] in addresses)
        lines[0 if known else 1].append(f"{line}\n")
    return "".join(lines[0]), "".join(lines[1])


def find_host(line: str) -> tuple[str, str]:
    """(MAC address, address) of a line of the list of hosts."""
    words = line.split(",")
    return words[0], words[-1].strip("[]")


def read(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def write(path: Path, text: str) -> None:
    """Whole or not at all."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.replace(path)


def start_server(config: Path, space: Path) -> None:
    """It goes into the background by itself, once it listens. Raises OSError."""
    command = ["nsenter", f"--net={space}", PROGRAM, f"--conf-file={config}"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=START_S, check=False, stdin=subprocess.DEVNULL, cwd="/"
        )
    except subprocess.TimeoutExpired:
        raise OSError(f"{PROGRAM} did not start in {START_S:g} s") from None
    if done.returncode:
        raise OSError((done.stderr or done.stdout).strip() or f"{PROGRAM} ended with {done.returncode}")


def stop_server(place: Path) -> None:
    """It is gone when this returns. Raises OSError where it is not."""
    pid = find_pid(place)
    for how in (signal.SIGTERM, signal.SIGKILL) if pid else ():
        with suppress(ProcessLookupError):
            os.kill(pid, how)
        if wait_for(lambda: not is_ours(pid, place), STOP_S):
            break
    else:
        if pid:
            raise OSError(f"{PROGRAM} {pid} does not end")
    (place / "pid").unlink(missing_ok=True)


def wait_for(holds: Callable[[], object], most_s: float) -> bool:
    end = time.monotonic() + most_s
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


def find_pid(place: Path) -> int:
    """The server's process, where there is one that is alive and ours; else 0."""
    try:
        pid = int((place / "pid").read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return 0
    return pid if is_ours(pid, place) else 0


def is_ours(pid: int, place: Path) -> bool:
    """A pid may be another's by now; what is dead and not yet buried has no command line."""
    return any(word.startswith(f"--conf-file={place}/".encode()) for word in read_command(pid))


def is_running(pid: int, config: Path) -> bool:
    return f"--conf-file={config}".encode() in read_command(pid)


def read_command(pid: int) -> list[bytes]:
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def make_driver(options: Mapping[str, str]) -> DnsmasqDriver:
    """The driver from options: folder (of its files), spaces (where namespaces have their names)."""
    return DnsmasqDriver(
        Path(options.get("folder", "/var/lib/netloom/dhcp")), Path(options.get("spaces", "/run/netns"))
    )
