"""What the lab has made, as values, and the file they are kept in.

Law: a thing is written down before it is made, so after a kill at any instant the file names everything there may be.
The file is replaced whole under a lock: two commands at once, or a kill in the middle, leave one of the two states.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from netloom.lab.shell import LabError

FORMAT = 1
NORMAL, DIRECT, MACVTAP = "normal", "direct", "macvtap"
OPENVSWITCH, LINUXBRIDGE, HYBRID = "openvswitch", "linuxbridge", "iptables_hybrid"
NAME = re.compile(r"^[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?$")


@dataclass(frozen=True, slots=True)
class Host:
    """A simulated host. `number` counts from 1 and gives its addresses; `physnet`: it has a second NIC; `bonded`: which
    is two, as one; `functions`: of one NIC more, that has virtual functions (SR-IOV).

    switch: "openvswitch" or "linuxbridge"; firewall: its firewall_driver, empty for the switch's own. `options` are
    what its agent alone is told ("section.name=value").
    """

    name: str
    number: int
    physnet: bool = False
    switch: str = OPENVSWITCH
    firewall: str = ""
    options: tuple[str, ...] = ()
    bonded: bool = False
    functions: int = 0

    @property
    def bridges(self) -> bool:
        """Whether it switches with the kernel's bridges."""
        return self.switch == LINUXBRIDGE

    @property
    def hybrid(self) -> bool:
        """Whether each instance has a bridge of its own before the switch, for iptables."""
        return not self.bridges and self.firewall == HYBRID

    @property
    def tunnel_ip(self) -> str:
        return f"10.99.0.{self.number}"

    @property
    def tunnel_ip6(self) -> str:
        return f"fd00:99::{self.number:x}"


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance: a namespace, or a virtual machine, with one NIC.

    `device_id` is chosen before there is a port, which is found by it. `given`: its port was there before it, and
    stays. `hybrid`: it is plugged by a bridge of its own, as its port's binding says. `slot`: it is plugged by the
    virtual function at this PCI slot.
    """

    name: str
    host: str
    network: str
    device_id: str
    port_id: str = ""
    mac: str = ""
    addresses: tuple[str, ...] = ()
    kind: str = "namespace"  # or "vm"
    given: bool = False
    hybrid: bool = False
    vnic_type: str = NORMAL
    slot: str = ""

    @property
    def device(self) -> str:
        """The host's end of its cable, named as Nova names it."""
        return f"{'mvt' if self.vnic_type == MACVTAP else 'tap'}{self.port_id[:11]}"


OUTSIDE = "outside"
"""What the machine on the provider network is called."""


@dataclass(frozen=True, slots=True)
class Lab:
    """All of it. `prefix` begins the name of every namespace; `api_url` is empty until the server listens.

    host_options, server_options: what else the agents, or the server, are told ("section.name=value").
    """

    prefix: str = "nl-"
    hosts: Mapping[str, Host] = field(default_factory=dict)
    instances: Mapping[str, Instance] = field(default_factory=dict)
    api_url: str = ""
    ready: bool = False
    host_options: tuple[str, ...] = ()
    server_options: tuple[str, ...] = ()

    @property
    def underlay(self) -> str:
        return f"{self.prefix}ul"

    @property
    def outside(self) -> str:
        """A machine on the provider network: where floating IPs are met."""
        return f"{self.prefix}{OUTSIDE}"

    def host_netns(self, host: str) -> str:
        return f"{self.prefix}{host}"

    def nic_netns(self, host: str) -> str:
        """The inside of the host's NIC with functions."""
        return f"{self.prefix}{host}-nic"

    def instance_netns(self, instance: str) -> str:
        return f"{self.prefix}i-{instance}"

    def namespaces(self) -> tuple[str, ...]:
        """Every namespace that this state accounts for, those of instances first."""
        instances = [self.instance_netns(name) for name, one in self.instances.items() if one.kind == "namespace"]
        hosts = [self.host_netns(name) for name in self.hosts]
        nics = [self.nic_netns(name) for name, host in self.hosts.items() if host.functions]
        return (*instances, *hosts, *nics, self.outside, self.underlay)


def with_instance(lab: Lab, instance: Instance) -> Lab:
    return replace(lab, instances={**lab.instances, instance.name: instance})


def without_instance(lab: Lab, name: str) -> Lab:
    return replace(lab, instances={k: v for k, v in lab.instances.items() if k != name})


def check_name(name: str) -> str:
    """The name, if an instance or host may be called that. Raises LabError."""
    if not NAME.match(name):
        raise LabError(f"'{name}' cannot be a name here: up to 24 of a-z, 0-9 and '-', no '-' at either end")
    return name


def choose_host(lab: Lab, asked: str = "") -> str:
    """The host asked for, or else the one with the fewest instances (the first of equals). Raises LabError."""
    if asked and asked not in lab.hosts:
        raise LabError(f"there is no host '{asked}'; there are {', '.join(lab.hosts)}")
    taken = [instance.host for instance in lab.instances.values()]
    return asked or min(lab.hosts, key=taken.count)


def encode_lab(lab: Lab) -> str:
    return json.dumps({"format": FORMAT, **asdict(lab)}, indent=2)


def decode_lab(text: str) -> Lab:
    """The inverse of `encode_lab`. Raises ValueError for anything else."""
    try:
        data: dict[str, Any] = json.loads(text)
        if data.pop("format") != FORMAT:
            raise ValueError("it was written by another version of netloom")
        hosts = {
            name: Host(**{**given, "options": tuple(given.get("options", ()))})
            for name, given in data.pop("hosts").items()
        }
        instances = {
            name: Instance(**{**given, "addresses": tuple(given["addresses"])})
            for name, given in data.pop("instances").items()
        }
        for name in ("host_options", "server_options"):
            data[name] = tuple(data.get(name, ()))
        return Lab(hosts=hosts, instances=instances, **data)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is not a lab's state ({error!r})") from None


@dataclass(frozen=True, slots=True)
class Place:
    """The lab's directory and the paths in it."""

    directory: Path

    @property
    def state(self) -> Path:
        return self.directory / "lab.json"

    @property
    def server(self) -> Path:
        return self.directory / "server"

    @property
    def clouds(self) -> Path:
        return self.server / "clouds.yaml"

    @property
    def feed(self) -> Path:
        return self.directory / "feed.sock"

    def host(self, name: str) -> Path:
        return self.directory / "hosts" / name

    def spaces(self, host: str) -> Path:
        """Where the host's agent keeps the namespaces that it makes: those of several hosts have the same names."""
        return self.host(host) / "netns"

    def sysfs(self, host: str) -> Path:
        """The device tree of the host's NIC with functions."""
        return self.host(host) / "sys"

    def instance(self, name: str) -> Path:
        return self.directory / "instances" / name

    @property
    def secret(self) -> Path:
        """What the metadata service and the agents share."""
        return self.directory / "metadata.secret"

    def load_secret(self) -> str:
        return self.secret.read_text() if self.secret.exists() else ""

    @property
    def config(self) -> Path:
        """The server's configuration."""
        return self.directory / "netloom.conf"

    @property
    def server_log(self) -> Path:
        return self.directory / "server.log"

    def agent_log(self, host: str) -> Path:
        return self.host(host) / "agent.log"

    def contents(self) -> tuple[Path, ...]:
        """All that the lab may have put into its directory, the state file last."""
        names = (
            "hosts", "instances", "server", "server.log", "feed.sock", "netloom.conf", "metadata.secret",
            "metadata.log", "lab.new", "lab.json",
        )  # fmt: skip
        return tuple(self.directory / name for name in names)

    def load(self) -> Lab | None:
        """The lab as written down; None if there is none. Raises LabError if the file is of no use."""
        try:
            return decode_lab(self.state.read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise LabError(f"{self.state} cannot be read: {error}") from None

    def save(self, lab: Lab) -> Lab:
        self.directory.mkdir(parents=True, exist_ok=True)
        new = self.state.with_suffix(".new")
        with new.open("w") as file:
            file.write(encode_lab(lab))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.state)
        return lab

    def change(self, change: Callable[[Lab], Lab]) -> Lab:
        """Load, change and save with no other command in between. Raises LabError when no lab is up."""
        with self.locked():
            return self.save(change(self.require()))

    def require(self) -> Lab:
        lab = self.load()
        if lab is None:
            raise LabError(f"no lab is up in {self.directory}: `netloom lab up` makes one")
        return lab

    @contextmanager
    def locked(self) -> Iterator[None]:
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def find_place(environ: Mapping[str, str]) -> Place:
    """NETLOOM_LAB_DIR, else netloom/lab below XDG_STATE_HOME, else /var/lib/netloom/lab."""
    given = environ.get("NETLOOM_LAB_DIR")
    state_home = environ.get("XDG_STATE_HOME")
    base = Path(state_home) / "netloom" if state_home else Path("/var/lib/netloom")
    return Place(Path(given).absolute() if given else base / "lab")


def find_prefix(environ: Mapping[str, str]) -> str:
    """NETLOOM_LAB_PREFIX lets two labs be up on one machine. Raises LabError."""
    prefix = environ.get("NETLOOM_LAB_PREFIX", "nl-")
    if not re.match(r"^[a-z][a-z0-9]{0,6}-$", prefix):
        raise LabError(f"NETLOOM_LAB_PREFIX: '{prefix}' is not allowed; a letter, up to 6 of a-z and 0-9, then '-'")
    return prefix
