"""What a network namespace of ours holds, as values: its devices, addresses, routes, and what it translates.

Each is the value of a Thing; the key's shape is given with each class. A namespace is found again by our word on its
`lo`, and all that is of these kinds in it is ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Words = tuple[str, ...]
"""The parts of a key or a datum of an nft set or map: ("203.0.113.5", "tcp", "80-90")."""


@dataclass(frozen=True, slots=True)
class Namespace:
    """A network namespace that forwards. Key: ("netns", name).

    `keeper`: the program that sets addresses and routes there instead of us ("keepalived"); empty: we do.
    """

    keeper: str = ""


@dataclass(frozen=True, slots=True)
class Ruleset:
    """A table of nft in a namespace, without the elements of its sets. Key: ("ruleset", netns, table).

    `digest` tells texts apart; it stands in the table itself, as the name of an empty chain.
    """

    digest: str
    text: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Element:
    """An element of a set, or of a map, where it has data. Key: ("element", netns, table, set, its words)."""

    data: Words = ()


@dataclass(frozen=True, slots=True)
class Veth:
    """A pair of devices: one end on the host, the other in a namespace with this name and MAC. Key: ("veth", host end).

    `plain`: checksums are written by the kernel, as a switch that runs in user space needs them.
    """

    netns: str
    device: str
    mac: str
    mtu: int
    plain: bool = True
    quiet: bool = False  # it makes itself no link-local address: another device with its MAC may be the one in use


@dataclass(frozen=True, slots=True)
class Held:
    """An address that a device in a namespace has. Keys, the last part being address/length:

    ("address", netns, device, cidr): one that a subnet is reached by; ("alias", netns, device, cidr): a single one.
    Also an address that it answers for on behalf of others: ("proxy", netns, device, ip).
    """


Hop = tuple[str, str]
"""(next hop's address, device); no address: the destination is on the link."""


@dataclass(frozen=True, slots=True)
class Path:
    """A route; several hops share the traffic. Key: ("route", netns, table, destination)."""

    hops: tuple[Hop, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that leads marked packets to a table. Key: ("rule", netns, IP version, mark)."""

    table: int


@dataclass(frozen=True, slots=True)
class Keeper:
    """A daemon in a namespace, and all that it is told. Key: ("keeper", netns). FOLDER stands for the files' folder.

    `sync`: what another beside it is told, that shares the connections of the namespace; empty: there is none.
    """

    config: str
    sync: str = ""


@dataclass(frozen=True, slots=True)
class DhcpServer:
    """A DHCP server in a namespace, as the files that it reads. Key: ("dhcp_server", netns).

    `config` is read when it starts; `hosts`, `options` and `names` it reads anew when told to. FOLDER in `config`
    stands for the folder that the files are in, as in a Keeper's.
    """

    config: str
    hosts: str = ""
    options: str = ""
    names: str = ""


FOLDER = "@FOLDER@"
