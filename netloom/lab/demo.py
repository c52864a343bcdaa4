"""The cloud that `make lab` shows: two networks with the same addresses, made with the openstack command.

Law: every line printed as a result was measured in this run; a result that is not the right one makes the demo fail.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from netloom.lab.boot import Asked, boot, choose_address
from netloom.lab.instances import ping
from netloom.lab.shell import LabError, Say, run
from netloom.lab.state import Instance, Lab, Place

COMMANDS = (
    "network create blue",
    "subnet create blue4 --network blue --subnet-range 10.0.0.0/24",
    "subnet create blue6 --network blue --subnet-range fd00:b::/64 --ip-version 6"
    " --ipv6-ra-mode slaac --ipv6-address-mode slaac",
    "network create red",
    "subnet create red4 --network red --subnet-range 10.0.0.0/24",
    "subnet create red6 --network red --subnet-range fd00:b::/64 --ip-version 6"
    " --ipv6-ra-mode dhcpv6-stateful --ipv6-address-mode dhcpv6-stateful",
)
INSTANCES = (
    Asked("blue1", "blue", "h1"),
    Asked("blue2", "blue", "h2"),
    Asked("blue3", "blue", "h3"),
    Asked("red1", "red", "h1"),
    Asked("red2", "red", "h2"),
)
NEXT = (
    "openstack network agent list",
    "openstack port list --network blue --long",
    "openstack network create amber --provider-network-type geneve",
)
NEXT_LAB = (
    "netloom lab boot blue4 --network blue",
    "netloom lab ping blue4 blue1",
    "netloom lab exec blue1 -- ip addr",
    "netloom lab ping outside 203.0.113.3",
)


@dataclass(frozen=True, slots=True)
class Trial:
    """A ping, whether it should pass and why, and what came of it."""

    source: str
    address: str
    should_pass: bool
    why: str
    answers: int = 0
    milliseconds: float | None = None

    @property
    def right(self) -> bool:
        return bool(self.answers) == self.should_pass


def make_demo(place: Place, say: Say) -> Lab:
    """The networks by the openstack command, the instances by `lab boot`."""
    program = find_openstack()
    for command in COMMANDS:
        say(f"openstack {command}")
        run_openstack(program, place, command)
    places = ", ".join(f"{asked.name} on {asked.host}" for asked in INSTANCES)
    say(f"instances {places}: ports through the API, NICs, addresses by DHCP, DHCPv6 and RA")
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda asked: boot(place, asked, quiet), INSTANCES))
    return place.require()


def quiet(text: str) -> None:
    del text


def run_openstack(program: str, place: Place, command: str) -> str:
    """What the openstack command prints, as the administrator of the lab."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("OS_")}
    env |= {"OS_CLIENT_CONFIG_FILE": str(place.clouds), "OS_CLOUD": "netloom"}
    return run(program, *shlex.split(command), env=env, timeout_s=120)


def find_openstack() -> str:
    """The openstack command beside this Python, or else on the PATH. Raises LabError."""
    beside = Path(sys.executable).parent / "openstack"
    found = str(beside) if beside.exists() else shutil.which("openstack")
    if not found:
        raise LabError("the openstack command is missing: pip install python-openstackclient")
    return found


def plan_trials(instances: Iterable[Instance]) -> tuple[Trial, ...]:
    """Which pings should pass: within a network across hosts. And which not: to an address of the other network.

    Both networks have the same prefixes; an address that only the other one uses must not answer.
    """
    by_name = {instance.name: instance for instance in instances}
    blue, red = ([i for i in by_name.values() if i.network == name] for name in ("blue", "red"))
    first, second, third = blue[:3]
    across = "same network, other host"
    passing = [
        Trial(first.name, choose_address(second, 4), True, across),
        Trial(third.name, choose_address(first, 4), True, across),
        Trial(second.name, choose_address(third, 6), True, across),
        Trial(red[0].name, choose_address(red[1], 4), True, across),
        Trial(red[1].name, choose_address(red[0], 6), True, across),
    ]
    return (*passing, *(plan_foreign(red[0], blue, red, family) for family in (4, 6)))


def plan_foreign(source: Instance, others: Iterable[Instance], own: Iterable[Instance], family: int) -> Trial:
    """To an address that the other network uses and this one does not."""
    taken = {address for instance in own for address in instance.addresses}
    for other in others:
        address = choose_address(other, family)
        if address not in taken:
            return Trial(source.name, address, False, f"{other.name}'s, other network")
    raise LabError("both networks use the same addresses only: nothing to tell them apart by")


def run_trial(lab: Lab, trial: Trial) -> Trial:
    """The trial with its result. The first ping across may be lost to a lookup, so it is asked three times."""
    answers, milliseconds = ping(lab, trial.source, trial.address, wait_s=1)
    return Trial(trial.source, trial.address, trial.should_pass, trial.why, answers, milliseconds)


def run_trials(lab: Lab) -> list[Trial]:
    """All of them, at the same time."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda trial: run_trial(lab, trial), plan_trials(lab.instances.values())))


def trial_row(trial: Trial) -> tuple[str, str, str, Text]:
    if trial.answers:
        result = f"passed, {trial.milliseconds} ms"
    else:
        result = "no answer"
    mark = Text("✓ right", "green") if trial.right else Text("✗ WRONG", "red")
    return f"{trial.source} → {trial.address}", result, trial.why, mark
