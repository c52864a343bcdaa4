"""What goes wrong with hosts, on purpose: a host without power, a program that is killed, a cable that is pulled.

Law: what is done here a machine room does as well. Nobody is told beforehand; `start` and `mend` alone undo it.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from netloom.lab import cloud, hosts, processes
from netloom.lab.namespaces import RUN
from netloom.lab.shell import LabError, run, wait_for
from netloom.lab.state import Host, Lab, Place

PARTS = {
    "agent": "agent run", "switch": "ovs-vswitchd", "database": "ovsdb-server", "keepalived": "keepalived",
    "conntrackd": "conntrackd", "dnsmasq": "dnsmasq",
}  # fmt: skip
"""What runs on a host, and the words in its command line."""
NICS = {"underlay": "h", "provider": "p", "provider-2": "q", "functions": "n"}
"""A host's NICs by what they are for, and how the other end of the cable is named."""
END_S, START_S = 10.0, 20.0


def find_host(lab: Lab, name: str) -> Host:
    """Raises LabError."""
    if name not in lab.hosts:
        raise LabError(f"there is no host '{name}'; there are {', '.join(lab.hosts)}")
    return lab.hosts[name]


def list_spaces(place: Place, host: str) -> tuple[str, ...]:
    """The namespaces that the host's agent has made: of routers, DHCP servers, metadata."""
    folder = place.spaces(host)
    return tuple(sorted(path.name for path in folder.iterdir())) if folder.exists() else ()


def find_space(lab: Lab, place: Place, wanted: str) -> Path:
    """The one namespace with that name or a beginning of it; "h1/qrouter-…" is of that host. Raises LabError."""
    host, _, name = wanted.rpartition("/")
    among = (find_host(lab, host).name,) if host else tuple(lab.hosts)
    found = [f"{one}/{space}" for one in among for space in list_spaces(place, one) if space.startswith(name)]
    if len(found) != 1:
        raise LabError(f"'{wanted}' is several: {', '.join(found)}" if found else f"there is no namespace '{wanted}'")
    host, _, space = found[0].partition("/")
    return place.spaces(host) / space


def find_running(lab: Lab, place: Place, host: str) -> dict[int, str]:
    """Pid → command line of what runs on the host, also in the namespaces of its agent; instances have their own."""
    names = (RUN / lab.host_netns(host), *(place.spaces(host) / space for space in list_spaces(place, host)))
    inside = {key for name in names for key in read_inode(name)}
    owned = processes.find_owned(place.directory)
    return {pid: command for pid, command in owned.items() if inside & {*read_inode(Path(f"/proc/{pid}/ns/net"))}}


def read_inode(path: Path) -> Iterator[tuple[int, int]]:
    with suppress(OSError):
        found = path.stat()
        yield found.st_dev, found.st_ino


def kill_part(lab: Lab, place: Place, host: str, part: str) -> int:
    """kill -9 of one program of the host; how many processes that were. Raises LabError: there is none."""
    if part not in PARTS:
        raise LabError(f"--only {part}: there are {', '.join(PARTS)}")
    running = find_running(lab, place, find_host(lab, host).name)
    found = [pid for pid, command in running.items() if PARTS[part] in command]
    if not found:
        raise LabError(f"no {part} runs on {host}")
    return kill(place, found)


def kill(place: Place, pids: Iterable[int]) -> int:
    """kill -9, and wait until they are gone."""
    return processes.stop(pids, place.directory, how=signal.SIGKILL, grace_s=END_S)


def kill_host(lab: Lab, place: Place, name: str) -> int:
    """The power goes: cables first, that nobody says goodbye, then all that runs; how many processes that were.

    What its agent had in memory (namespaces) is gone too; instances on it stay, cut off, but virtual machines end.
    """
    host = find_host(lab, name)
    cut(lab, host, found_nics(host))
    count = kill(place, find_running(lab, place, name))
    count += kill(place, find_running(lab, place, name))  # what was born meanwhile
    cloud.remove_spaces(place, name)
    return count


def start_host(lab: Lab, place: Place, name: str) -> tuple[str, ...]:
    """Start what does not run on the host, and its cables; what that was."""
    host = find_host(lab, name)
    commands = " ".join(find_running(lab, place, name).values())
    missing = tuple(part for part in ("database", "switch", "agent") if PARTS[part] not in commands)
    mend(lab, host, found_nics(host))
    started = tuple(part for part in missing if part == "agent" or not host.bridges)
    if not host.bridges and {"database", "switch"} & set(started):
        hosts.restart_switch(lab, place, host, started)
    if "agent" in started:
        cloud.start_agent(lab, place, host)
        wait_for(f"the agent of {name}", lambda: is_up(lab, place, name), START_S)
    return started


def is_up(lab: Lab, place: Place, host: str) -> bool:
    return any(PARTS["agent"] in command for command in find_running(lab, place, host).values())


def found_nics(host: Host) -> tuple[str, ...]:
    has = {"provider": host.physnet, "provider-2": host.bonded, "functions": bool(host.functions)}
    return tuple(nic for nic in NICS if has.get(nic, True))


def choose_nics(host: Host, only: str) -> tuple[str, ...]:
    """Raises LabError."""
    if only and only not in found_nics(host):
        raise LabError(f"--only {only}: {host.name} has {' and '.join(found_nics(host))}")
    return (only,) if only else found_nics(host)


def cut(lab: Lab, host: Host, nics: Iterable[str]) -> None:
    """Pull the cables: the host's NICs see no carrier."""
    set_cables(lab, host, nics, "down")


def mend(lab: Lab, host: Host, nics: Iterable[str]) -> None:
    set_cables(lab, host, nics, "up")


def set_cables(lab: Lab, host: Host, nics: Iterable[str], state: str) -> None:
    for nic in nics:
        run("ip", "-n", lab.underlay, "link", "set", f"{NICS[nic]}{host.number}", state)
