"""Network namespaces with the lab's mark: the alias of their loopback says which lab they belong to.

Law: a namespace is removed only if this lab's state names it or it carries this lab's mark.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from netloom.lab import processes
from netloom.lab.shell import LabError, run, succeeds

RUN = Path("/run/netns")
"""Where `ip netns` keeps names."""
RESOLV = Path("/etc/netns")
"""Where `ip netns exec` looks for files that a namespace has of its own."""


def make_namespace(name: str, owner: Path, ipv6: bool = False) -> None:
    """An empty namespace with loopback up. Without `ipv6` devices made in it get no v6 address by themselves."""
    if name in list_namespaces():
        raise LabError(f"namespace {name} is there already and belongs to {read_owner(name) or 'somebody else'}")
    run("ip", "netns", "add", name)
    run("ip", "-n", name, "link", "set", "lo", "up", "alias", f"netloom lab {owner}")
    if not ipv6:
        set_sysctl(name, "net.ipv6.conf.default.disable_ipv6", 1)


def set_sysctl(netns: str, key: str, value: int) -> None:
    run("ip", "netns", "exec", netns, "sysctl", "-qw", f"{key}={value}")


def list_namespaces() -> tuple[str, ...]:
    return tuple(line.split()[0] for line in run("ip", "netns", "list").splitlines() if line.strip())


def read_owner(name: str) -> str:
    """The directory of the lab that made the namespace; empty if none says so."""
    try:
        shown = run("ip", "-n", name, "link", "show", "lo")
    except LabError:
        return ""
    found = re.search(r"alias netloom lab (.+)$", shown, re.MULTILINE)
    return found[1].strip() if found else ""


def find_namespaces(prefix: str, owner: Path) -> tuple[str, ...]:
    """Namespaces that carry this lab's mark, whatever the state file says."""
    return tuple(n for n in list_namespaces() if n.startswith(prefix) and read_owner(n) == str(owner))


def remove_namespace(name: str, owner: Path) -> None:
    """The namespace, what runs in it, its cables and its files under /etc/netns. Nothing to do if there is none."""
    if name in list_namespaces():
        processes.stop(processes.find_in_netns(name), owner, netns=name)
        if not succeeds("ip", "netns", "delete", name) and name in list_namespaces():
            raise LabError(f"namespace {name} cannot be removed: `ip netns delete {name}` says why")
    shutil.rmtree(RESOLV / name, ignore_errors=True)
