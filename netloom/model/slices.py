"""Slices: the named, versioned sets of rows that hosts follow, and the rows in them.

A slice is named "kind/id": `host/<name>` (what is bound there, and which other slices that leads to),
`network/<id>` (the network, its subnets, where each port is and which hosts it spans), `group/<id>` (a security group's
rules), `members/<group>` and `addresses/<address group>` (sets, one row a member), `router/<id>` (its ports, what it
translates, where it is), `policy/<id>` (a QoS policy's rules). A row's key is "kind/id" too.
A host follows `host/<its name>` and all that its follow rows lead to, directly or by way of other slices.
Rows are the one contract between server and host: a new attribute needs a default, so that N and N-1 talk.
A row's revision is where its content came from; it is no part of equality or of digests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Address:
    """One fixed address of a port."""

    ip: str
    subnet_id: str = ""


@dataclass(frozen=True, slots=True)
class AddressPair:
    """An allowed address pair: `ip` is an address or a prefix."""

    ip: str
    mac: str


@dataclass(frozen=True, slots=True)
class DhcpOption:
    """An extra DHCP option of a port, name or number as given to the API."""

    name: str
    value: str
    ip_version: int = 4


@dataclass(frozen=True, slots=True)
class Route:
    destination: str
    nexthop: str


@dataclass(frozen=True, slots=True)
class Segment:
    """How a network's frames travel. segmentation_id is 0 where the type has none."""

    network_type: str  # local flat vlan vxlan gre geneve
    physical_network: str = ""
    segmentation_id: int = 0
    id: str = ""


@dataclass(frozen=True, slots=True)
class LogMark:
    """A log that a port is under, and what it is of: "ACCEPT", "DROP" or "ALL"."""

    id: str
    event: str


@dataclass(frozen=True, slots=True)
class PortRow:
    """A port bound to this host, whole. In `host/<name>` as "port/<id>"."""

    id: str
    network_id: str
    mac: str
    name: str = ""
    project_id: str = ""
    device_id: str = ""
    device_owner: str = ""
    admin_state_up: bool = True
    port_security: bool = True
    addresses: tuple[Address, ...] = ()
    pairs: tuple[AddressPair, ...] = ()
    dhcp_options: tuple[DhcpOption, ...] = ()
    hostname: str = ""
    vnic_type: str = "normal"
    groups: tuple[str, ...] = ()  # security groups, by id
    logs: tuple[LogMark, ...] = ()  # of what those let pass or drop
    parent_id: str = ""  # of a trunk's subport: the port whose device carries it
    vlan: int = 0  # and the tag that its frames have there
    policy: str = ""  # QoS policy, by id
    pci_slot: str = ""  # of a port that a NIC's function is: where that is
    trusted: bool = False  # and whether it may set what a function may not
    expected: bool = False  # bound elsewhere: its instance is on the way here
    revision: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class FollowRow:
    """Who follows the slice that this row is in may and should follow the one that it names. As "follow/<name>"."""

    slice: str
    revision: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class NetworkRow:
    """The network itself. In `network/<id>` as "network/<id>".

    `number` (1 … 2^24-1) tells networks apart in registers on every host; the server gives it once, for life.
    """

    id: str
    number: int
    name: str = ""
    mtu: int = 1500
    admin_state_up: bool = True
    dns_domain: str = ""
    external: bool = False
    segments: tuple[Segment, ...] = ()
    vlan_transparent: bool = False  # tags of those who use it are carried
    qinq: bool = False  # so they are, within its own tag on the wire, which is an outer one (802.1ad)
    ipv4_scope: str = ""  # address scope, by id: routed without translation to others of it
    ipv6_scope: str = ""
    policy: str = ""  # of an external one: QoS policy of addresses that have none of their own, by id
    revision: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class SubnetRow:
    """A subnet. In `network/<id>` as "subnet/<id>"."""

    id: str
    network_id: str
    cidr: str
    ip_version: int
    gateway_ip: str = ""
    enable_dhcp: bool = True
    dns_nameservers: tuple[str, ...] = ()
    host_routes: tuple[Route, ...] = ()
    ipv6_ra_mode: str = ""
    ipv6_address_mode: str = ""
    segment_id: str = ""
    revision: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class PlaceRow:
    """Where a port of the network is. In `network/<id>` as "place/<port id>". host is empty while unbound."""

    id: str
    mac: str
    host: str = ""
    addresses: tuple[Address, ...] = ()
    pairs: tuple[AddressPair, ...] = ()
    device_owner: str = ""
    open: bool = False  # port security is off: any MAC may be behind it
    hostname: str = ""  # where it has one of its own
    dhcp_options: tuple[DhcpOption, ...] = ()
    also: tuple[str, ...] = ()  # hosts that expect it: what is for it goes there too
    revision: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class HostRow:
    """A host with a bound port of the network, or one that only routes into it. In `network/<id>` as "host/<name>"."""

    name: str
    tunnel_ip: str = ""
    tunnel_types: tuple[str, ...] = ()
    routed: bool = False  # it has no port: what is for all ports is not for it
    revision: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A security group. In `group/<id>` as "group/<id>"."""

    id: str
    stateful: bool = True
    revision: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class RuleRow:
    """What a security group lets through. In `group/<id>` as "rule/<id>".

    `protocol`: its number; -1: any. `first` … `last`: destination ports, or for ICMP type and code; -1: any.
    The other end is in `prefix` where that is not empty, or in the set that the slice `remote` holds.
    """

    id: str
    direction: str  # "ingress" or "egress"
    ip_version: int
    protocol: int = -1
    first: int = -1
    last: int = -1
    prefix: str = ""
    remote: str = ""  # "members/<group>" or "addresses/<address group>"
    revision: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A port of a security group. In `members/<group>` as "member/<port id>". Addresses, and prefixes of pairs."""

    id: str
    addresses: tuple[str, ...] = ()
    revision: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class PrefixRow:
    """A prefix of an address group. In `addresses/<id>` as "prefix/<prefix>"."""

    prefix: str
    revision: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class QosRow:
    """A rule of a QoS policy. In `policy/<id>` as "qos/<rule id>".

    `kind`: bandwidth_limit, minimum_bandwidth (kbit/s, kbit), packet_rate_limit, minimum_packet_rate (packets/s,
    packets), dscp_marking. `burst` 0: as the host thinks fit.
    """

    id: str
    kind: str
    direction: str = ""  # as the port sees it: egress (what it sends), ingress, any; empty where there is none
    rate: int = 0
    burst: int = 0
    mark: int = 0  # DSCP
    revision: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class MirrorRow:
    """What is copied of a port of this host. In `host/<name>` as "mirror/<tap flow or tap mirror>".

    `directions`: IN (what the port receives) and OUT, each with its tunnel id. Copies go to the port `target_id` of
    this host (`kind` "port"), or by "gre" or "erspanv1" to `remote_ip`. `vlans`: only tags such as "1-3,9".
    """

    id: str
    port_id: str
    directions: tuple[tuple[str, int], ...]
    kind: str = "port"
    target_id: str = ""
    remote_ip: str = ""
    vlans: str = ""
    revision: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class SinkRow:
    """Copies from another host, by GRE with `key`, for a port of this one. In `host/<name>` as "sink/<id>".

    `remote_ip`: the other host's tunnel address.
    """

    id: str
    port_id: str
    remote_ip: str
    key: int
    revision: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class CallerRow:
    """Whose a port is, for a host that answers metadata. In `callers/<network>` as "caller/<port id>"."""

    id: str
    device_id: str = ""
    project_id: str = ""
    addresses: tuple[Address, ...] = ()
    mac: str = ""
    revision: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class RouterHost:
    """A host that a router is on. `state`: "active" or "standby" of an HA router's copies, else empty."""

    name: str
    state: str = ""


@dataclass(frozen=True, slots=True)
class RouterRow:
    """A router. In `router/<id>` as "router/<id>".

    `hosts`: where a standalone or HA router is, and where a distributed one hides addresses; the first one first.
    """

    id: str
    name: str = ""
    project_id: str = ""
    admin_state_up: bool = True
    distributed: bool = False
    ha: bool = False
    vr_id: int = 0
    enable_snat: bool = True
    enable_ndp_proxy: bool = False
    gateway_port_id: str = ""  # the first gateway's
    default_route_ecmp: bool = False  # all gateways share what leaves
    gateway_policy: str = ""  # QoS policy of all that goes through it and has no floating IP
    hosts: tuple[RouterHost, ...] = ()
    routes: tuple[Route, ...] = ()
    revision: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class InterfaceRow:
    """A port of a router. In `router/<id>` as "interface/<port id>". Its network's slice has the network's own facts.

    `kind`: "internal", "gateway", "snat" (where a distributed router's hosts send what is to be hidden) or "ha".
    """

    id: str
    network_id: str
    mac: str
    kind: str
    addresses: tuple[Address, ...] = ()
    host: str = ""  # of a port that is on one host
    admin_state_up: bool = True
    revision: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class FloatingRow:
    """A floating IP that leads to a port, or whose ports are forwarded. In `router/<id>` as "floating/<id>"."""

    id: str
    network_id: str
    floating_ip: str
    mac: str
    fixed_ip: str = ""  # empty: only for port forwardings
    port_id: str = ""
    host: str = ""  # of a distributed router's: the one that translates it
    policy: str = ""  # QoS policy, by id
    revision: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class ForwardingRow:
    """Ports of a floating IP that lead to ports inside, range to range. In `router/<id>` as "forwarding/<id>"."""

    id: str
    floating_id: str
    floating_ip: str
    protocol: str
    external_first: int
    external_last: int
    internal_ip: str
    internal_first: int
    internal_last: int
    port_id: str = ""
    revision: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class NeighbourRow:
    """An IPv6 address that a router answers for outside (NDP proxy). In `router/<id>` as "neighbour/<id>"."""

    id: str
    ip: str
    port_id: str = ""
    revision: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class HelperRow:
    """A conntrack helper of a router. In `router/<id>` as "helper/<id>"."""

    id: str
    protocol: str
    port: int
    helper: str
    revision: int = field(default=0, compare=False)


Row = (
    PortRow | FollowRow | NetworkRow | SubnetRow | PlaceRow | HostRow | GroupRow | RuleRow | MemberRow | PrefixRow
    | RouterRow | InterfaceRow | FloatingRow | ForwardingRow | NeighbourRow | HelperRow | CallerRow | QosRow
    | MirrorRow | SinkRow
)  # fmt: skip

ROW_TYPES: dict[str, type] = {
    "port": PortRow,
    "follow": FollowRow,
    "network": NetworkRow,
    "subnet": SubnetRow,
    "place": PlaceRow,
    "host": HostRow,
    "group": GroupRow,
    "rule": RuleRow,
    "member": MemberRow,
    "prefix": PrefixRow,
    "router": RouterRow,
    "interface": InterfaceRow,
    "floating": FloatingRow,
    "forwarding": ForwardingRow,
    "neighbour": NeighbourRow,
    "helper": HelperRow,
    "caller": CallerRow,
    "qos": QosRow,
    "mirror": MirrorRow,
    "sink": SinkRow,
}
"""The type of a row by the kind in its key: how the wire decodes it."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows under one name. `revision` is the last one that changed a row.

    `recent`: what led here, latest last: rows as they were before a change, and the keys that it touched. It says
    nothing that the rows do not say; it spares whoever holds an earlier state a look at each row.
    """

    name: str
    revision: int
    rows: Mapping[str, Row]
    recent: tuple[tuple[Mapping[str, Row], tuple[str, ...]], ...] = field(default=(), compare=False, repr=False)

    @property
    def kind(self) -> str:
        return self.name.partition("/")[0]


Slices = Mapping[str, Slice]


def find_leads(rows: Mapping[str, Row]) -> frozenset[str]:
    """The slices that these rows lead to."""
    return frozenset(row.slice for row in rows.values() if isinstance(row, FollowRow))


def find_reached(own: str, leads: Callable[[str], Iterable[str]]) -> Iterator[str]:
    """Every slice that `own` leads to, step by step; `own` first, each once. `leads` is asked of one after it came."""
    reached, waiting = {own}, [own]
    while waiting:
        name = waiting.pop()
        yield name
        for lead in leads(name):
            if lead not in reached:
                reached.add(lead)
                waiting.append(lead)


def find_changed(old: Slice | None, new: Slice | None) -> Iterable[str]:
    """The keys whose rows may differ: at a cost in proportion to them where `new` came of `old` not long ago."""
    if old is None or new is None:
        found = old or new
        return found.rows if found else ()
    for at, (rows, _) in enumerate(new.recent):
        if rows is old.rows:
            return {key for _, keys in new.recent[at:] for key in keys}
    if old.rows is new.rows:
        return ()
    put = [key for key, row in new.rows.items() if old.rows.get(key) is not row]
    return put + [key for key in old.rows if key not in new.rows]


def row_kind(key: str) -> str:
    return key.partition("/")[0]
