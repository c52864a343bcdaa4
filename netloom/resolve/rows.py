"""Each row of a slice as a function of the snapshot, and the rows that an object may stand in.

Law 4: a reference that leads nowhere gives no row, or an empty attribute; never an error. A row that is resolved to
None is not in the slice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from netloom.intent.addressing.address_scope import SCOPES
from netloom.intent.addressing.dns import find_domain
from netloom.intent.addressing.subnet_prefix import PROVISIONAL
from netloom.intent.l2.binding import HOST, SWITCH_AGENTS, find_switch, is_bound
from netloom.intent.l2.segments import find_segments
from netloom.intent.qos.qos_use import in_force_on_host
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Record, Snapshot
from netloom.model.slices import (
    Address,
    AddressPair,
    DhcpOption,
    FollowRow,
    HostRow,
    NetworkRow,
    PlaceRow,
    PortRow,
    Route,
    Row,
    Segment,
    SubnetRow,
)
from netloom.resolve import binding_rows as bindings
from netloom.resolve import caller_rows as callers
from netloom.resolve import distributed_rows as distributed
from netloom.resolve import group_rows as groups
from netloom.resolve import mirror_rows as mirrors
from netloom.resolve import qos_rows as qos
from netloom.resolve import router_rows as routers
from netloom.resolve.log_rows import find_logs, touch_log
from netloom.resolve.trunk_rows import find_seat

RowKey = tuple[str, str]
"""(slice name, row key)."""


# -- which rows an object touches --------------------------------------------------------------------------------------


def touch_network(snapshot: Snapshot, doc: Doc) -> Iterator[RowKey]:
    yield f"network/{doc['id']}", f"network/{doc['id']}"
    yield from callers.touch_network(doc)
    yield from qos.touch_network(doc)
    yield from distributed.touch_external(snapshot, doc["id"])


def touch_segment(snapshot: Snapshot, doc: Doc) -> Iterator[RowKey]:
    yield f"network/{doc['network_id']}", f"network/{doc['network_id']}"
    yield from distributed.touch_external(snapshot, doc["network_id"])


def touch_subnet(snapshot: Snapshot, doc: Doc) -> Iterator[RowKey]:
    yield f"network/{doc['network_id']}", f"subnet/{doc['id']}"


def touch_port(snapshot: Snapshot, doc: Doc) -> Iterator[RowKey]:
    network = f"network/{doc['network_id']}"
    yield network, f"place/{doc['id']}"
    if is_bound(doc):
        host = doc[HOST]
        yield network, f"host/{host}"
        yield from ((f"host/{host}", key) for key in bindings.find_keys(doc))
    yield from bindings.touch_targets(snapshot, doc)
    yield from mirrors.touch_port(snapshot, doc)
    yield from groups.touch_member(snapshot, doc)
    yield from routers.touch_port(snapshot, doc)
    yield from callers.touch_port(snapshot, doc)
    yield from distributed.touch_port(snapshot, doc)


def touch_log_ports(snapshot: Snapshot, doc: Doc) -> Iterator[RowKey]:
    for port in touch_log(snapshot, doc):
        yield from (row for row in touch_port(snapshot, port) if row[1] == f"port/{port['id']}")


def touch_agent(snapshot: Snapshot, doc: Doc) -> Iterator[RowKey]:
    """A host's tunnel address stands in every network that it has a port of."""
    if doc["agent_type"] in SWITCH_AGENTS:
        for network in find_networks(snapshot, doc["host"]):
            yield f"network/{network}", f"host/{doc['host']}"
        yield from mirrors.touch_agent(snapshot, doc)
        yield from callers.touch_agent(snapshot, doc)
    yield from distributed.touch_agent(snapshot, doc)


def touch_router(snapshot: Snapshot, doc: Doc) -> Iterator[RowKey]:
    yield from routers.touch_router(snapshot, doc)
    yield from qos.touch_router(doc)


def touch_floating(snapshot: Snapshot, doc: Doc) -> Iterator[RowKey]:
    yield from routers.touch_floating(snapshot, doc)
    yield from qos.touch_floating(doc)


TOUCHES: dict[str, Callable[[Snapshot, Doc], Iterable[RowKey]]] = {
    "network": touch_network,
    "segment": touch_segment,
    "subnet": touch_subnet,
    "port": touch_port,
    "binding": bindings.touch_binding,
    "policy": qos.touch_policy,
    "tap_service": mirrors.touch_service,
    "tap_flow": mirrors.touch_flow,
    "tap_mirror": mirrors.touch_mirror,
    "agent": touch_agent,
    "security_group": groups.touch_group,
    "security_group_rule": groups.touch_rule,
    "address_group": groups.touch_addresses,
    "log": touch_log_ports,
    "router": touch_router,
    "floatingip": touch_floating,
    "port_forwarding": routers.touch_forwarding,
    "ndp_proxy": routers.touch_neighbour,
    "conntrack_helper": routers.touch_helper,
}
"""By kind of object: the rows it may stand in. What is not here is of no concern to hosts."""

DIFFERS: dict[str, Callable[[Doc, Doc], Iterable[RowKey]]] = {"address_group": groups.differ_addresses}
"""By kind of object of many rows: those that tell one state of it from the next."""

SHOWN = {"agent": ("host", "agent_type", "configurations")}
"""By kind of object, where rows show only some of it: what they show. A host that is alive again changes no row; when a
thousand come back at once, to look for those costs as much as to let them in."""


def find_networks(snapshot: Snapshot, host: str) -> set[str]:
    """The networks with a port that the host carries or expects."""
    bound = {port["network_id"] for port in snapshot.find("port", HOST, host) if is_bound(port)}
    return bound | {record.doc["network_id"] for record in bindings.find_expected(snapshot, host)}


# -- what a slice is made of -------------------------------------------------------------------------------------------


def find_host_keys(snapshot: Snapshot, host: str) -> Iterator[str]:
    for port in snapshot.find("port", HOST, host):
        yield from bindings.find_keys(port)
        yield from mirrors.find_keys(snapshot, port)
    for record in bindings.find_expected(snapshot, host):
        yield from bindings.find_keys(record.doc)
    yield from routers.find_hosted_routers(snapshot, host)
    yield from callers.find_leads(snapshot, host)


def find_network_keys(snapshot: Snapshot, network: str) -> Iterator[str]:
    yield f"network/{network}"
    for id in snapshot.find_ids("subnet", "network_id", network):
        yield f"subnet/{id}"
    for port in snapshot.find("port", "network_id", network):
        yield f"place/{port['id']}"
        for host in (port[HOST], *bindings.find_targets(snapshot, port)):
            if host:
                yield f"host/{host}"
    for host in distributed.find_routed_hosts(snapshot, network):
        yield f"host/{host}"
    yield from routers.find_led_routers(snapshot, network)
    yield from qos.find_network_policies(snapshot, network)


def find_router_keys(snapshot: Snapshot, router: str) -> Iterator[str]:
    yield from routers.find_router_keys(snapshot, router)
    yield from (f"follow/policy/{id}" for id in qos.find_router_policies(snapshot, router))


KEYS: dict[str, Callable[[Snapshot, str], Iterable[str]]] = {
    "host": find_host_keys,
    "network": find_network_keys,
    "group": groups.find_group_keys,
    "members": groups.find_member_keys,
    "addresses": groups.find_address_keys,
    "router": find_router_keys,
    "policy": qos.find_policy_keys,
    "callers": callers.find_caller_keys,
}
"""By kind of slice: the keys its rows may have. A key may come twice, and its row may turn out not to be there."""

SOURCES = {
    "network": "network", "group": "security_group", "members": "security_group", "addresses": "address_group",
    "router": "router", "policy": "policy", "callers": "network",
}  # fmt: skip
"""By kind of slice: the kind of object that it is about; with the object the slice is gone. Hosts have none."""


# -- what a row holds --------------------------------------------------------------------------------------------------


def resolve_port(snapshot: Snapshot, host: str, id: str) -> Row | None:
    found = snapshot.record("port", id)
    carried, expected = bindings.is_carried(snapshot, host, found.doc) if found else (False, False)
    if found is None or not carried:
        return None
    doc = found.doc
    parent_id, vlan = find_seat(snapshot, doc)
    return PortRow(
        id=id,
        network_id=doc["network_id"],
        mac=doc["mac_address"],
        name=doc["name"],
        project_id=doc["project_id"],
        device_id=doc["device_id"],
        device_owner=doc["device_owner"],
        admin_state_up=doc["admin_state_up"],
        port_security=doc["port_security_enabled"],
        addresses=read_addresses(doc),
        pairs=read_pairs(doc),
        dhcp_options=read_options(doc),
        hostname=find_hostname(doc),
        vnic_type=doc["binding:vnic_type"],
        groups=tuple(sorted(groups.find_groups(doc))),
        logs=find_logs(snapshot, doc),
        parent_id=parent_id,
        vlan=vlan,
        policy=in_force_on_host(doc) or "",
        pci_slot=find_slot(doc),
        trusted=is_trusted(doc),
        expected=expected,
        revision=found.revision,
    )


def find_slot(doc: Doc) -> str:
    """The PCI slot of a port that is plugged as a NIC's function, empty for others."""
    slot = doc["binding:profile"].get("pci_slot") if doc["binding:vif_type"] == "hw_veb" else ""
    return slot if isinstance(slot, str) else ""


def is_trusted(doc: Doc) -> bool:
    return str(doc["binding:profile"].get("trusted", doc.get("trusted"))).lower() == "true"


def find_own_name(doc: Doc) -> str:
    """The port's own name, or "". A keyword of domains (<project_id>) passes for a name in the API; no host has it."""
    name = str(doc.get("dns_name") or "")
    return "" if "<" in name else name


def find_hostname(doc: Doc) -> str:
    """The name a client is told: the port's own, else one made of its first address, as Neutron's DHCP agent does."""
    if name := find_own_name(doc):
        return name
    first = next((f["ip_address"] for f in doc["fixed_ips"]), "")
    return f"host-{first.replace('.', '-').replace(':', '-')}" if first else ""


def read_addresses(doc: Doc) -> tuple[Address, ...]:
    return tuple(Address(f["ip_address"], f["subnet_id"]) for f in doc["fixed_ips"])


def read_options(doc: Doc) -> tuple[DhcpOption, ...]:
    return tuple(DhcpOption(o["opt_name"], o["opt_value"], o.get("ip_version", 4)) for o in doc["extra_dhcp_opts"])


def read_pairs(doc: Doc) -> tuple[AddressPair, ...]:
    mac = doc["mac_address"]
    return tuple(AddressPair(p["ip_address"], p.get("mac_address") or mac) for p in doc["allowed_address_pairs"])


def resolve_follow(snapshot: Snapshot, host: str, name: str) -> Row | None:
    kind, _, network = name.partition("/")
    if kind == "router":
        return routers.resolve_hosted(snapshot, host, network)
    if kind == "callers":
        return callers.resolve_lead(snapshot, host, network)
    table, (index, key) = snapshot.records("port"), (FOLLOWED[kind], (network, host))
    ports = [record for id in snapshot.find_ids("port", index, key) if is_bound((record := table[id]).doc)]
    ports += [r for r in bindings.find_expected(snapshot, host) if f"follow/{name}" in bindings.find_keys(r.doc)]
    return FollowRow(name, max(record.revision for record in ports)) if ports else None


FOLLOWED = {"network": "network_host", "group": "group_host", "policy": "qos_host"}
"""By kind of slice that a host follows for its ports: the index of those ports."""


def find_records(snapshot: Snapshot, network: str, host: str) -> Iterator[Record]:
    table = snapshot.records("port")
    return (table[id] for id in snapshot.find_ids("port", "network_host", (network, host)))


def resolve_network(snapshot: Snapshot, network: str, id: str) -> Row | None:
    found = snapshot.record("network", network)
    if found is None:
        return None
    doc = found.doc
    return NetworkRow(
        id=network,
        number=doc["number"],
        name=doc["name"],
        mtu=doc["mtu"],
        admin_state_up=doc["admin_state_up"],
        dns_domain=find_domain(doc),
        external=doc["router:external"],
        segments=tuple(read_segment(s) for s in find_segments(snapshot, network)),
        vlan_transparent=bool(doc.get("vlan_transparent")),
        qinq=bool(doc.get("qinq")),
        ipv4_scope=doc.get(SCOPES[4]) or "",
        ipv6_scope=doc.get(SCOPES[6]) or "",
        policy=qos.find_outer_policy(doc),
        revision=found.revision,
    )


def read_segment(doc: Doc) -> Segment:
    return Segment(doc["network_type"], doc["physical_network"] or "", doc["segmentation_id"] or 0, doc["id"])


def resolve_subnet(snapshot: Snapshot, network: str, id: str) -> Row | None:
    found = snapshot.record("subnet", id)
    if found is None or found.doc["network_id"] != network:
        return None
    doc = found.doc
    if doc["cidr"] == PROVISIONAL:
        return None  # its prefix is not delegated yet, and nobody may be told of another
    return SubnetRow(
        id=id,
        network_id=network,
        cidr=doc["cidr"],
        ip_version=doc["ip_version"],
        gateway_ip=doc["gateway_ip"] or "",
        enable_dhcp=doc["enable_dhcp"],
        dns_nameservers=tuple(doc["dns_nameservers"]),
        host_routes=tuple(Route(r["destination"], r["nexthop"]) for r in doc["host_routes"]),
        ipv6_ra_mode=doc["ipv6_ra_mode"] or "",
        ipv6_address_mode=doc["ipv6_address_mode"] or "",
        segment_id=doc.get("segment_id") or "",
        revision=found.revision,
    )


def resolve_place(snapshot: Snapshot, network: str, id: str) -> Row | None:
    found = snapshot.record("port", id)
    if found is None or found.doc["network_id"] != network:
        return None
    doc = found.doc
    return PlaceRow(
        id=id,
        mac=doc["mac_address"],
        host=doc[HOST] if is_bound(doc) else routers.find_place(snapshot, doc),
        addresses=read_addresses(doc),
        pairs=read_pairs(doc),
        device_owner=doc["device_owner"],
        open=not doc["port_security_enabled"],
        hostname=find_own_name(doc),
        dhcp_options=read_options(doc),
        also=bindings.find_targets(snapshot, doc),
        revision=found.revision,
    )


def resolve_host(snapshot: Snapshot, network: str, host: str) -> Row | None:
    routed = not any(True for _ in find_records(snapshot, network, host)) and all(
        record.doc["network_id"] != network for record in bindings.find_expected(snapshot, host)
    )
    if routed and not (host and distributed.is_routed(snapshot, network, host)):
        return None
    agent = find_switch(snapshot.lookup, host)
    if agent is None:
        return HostRow(host, routed=routed)
    told = agent["configurations"]
    found = snapshot.record("agent", agent["id"])
    return HostRow(
        name=host,
        tunnel_ip=told.get("tunneling_ip") or "",
        tunnel_types=tuple(told.get("tunnel_types") or ()),
        routed=routed,
        revision=found.revision if found else 0,
    )


def cut(name: str) -> str:
    """The id in the name of a slice."""
    return name.partition("/")[2]


def resolve_router_follow(snapshot: Snapshot, router: str, name: str) -> Row | None:
    if name.startswith("policy/"):
        return qos.resolve_router_policy(snapshot, router, cut(name))
    return routers.resolve_network_lead(snapshot, router, cut(name))


def resolve_network_follow(snapshot: Snapshot, network: str, name: str) -> Row | None:
    if name.startswith("policy/"):
        return qos.resolve_network_policy(snapshot, network, cut(name))
    return routers.resolve_router_lead(snapshot, network, cut(name))


ROWS: dict[tuple[str, str], Callable[[Snapshot, str, str], Row | None]] = {
    ("host", "port"): resolve_port,
    ("host", "follow"): resolve_follow,
    ("host", "mirror"): mirrors.resolve_mirror,
    ("host", "sink"): mirrors.resolve_sink,
    ("network", "network"): resolve_network,
    ("network", "subnet"): resolve_subnet,
    ("network", "place"): resolve_place,
    ("network", "host"): resolve_host,
    ("network", "follow"): resolve_network_follow,
    ("group", "group"): groups.resolve_group,
    ("group", "rule"): groups.resolve_rule,
    ("group", "follow"): groups.resolve_remote,
    ("members", "member"): groups.resolve_member,
    ("addresses", "prefix"): groups.resolve_prefix,
    ("router", "router"): routers.resolve_router,
    ("router", "follow"): resolve_router_follow,
    ("policy", "qos"): qos.resolve_rule,
    ("router", "interface"): routers.resolve_interface,
    ("router", "floating"): routers.resolve_floating,
    ("router", "forwarding"): routers.resolve_forwarding,
    ("router", "neighbour"): routers.resolve_neighbour,
    ("router", "helper"): routers.resolve_helper,
    ("callers", "caller"): callers.resolve_caller,
}
"""By kind of slice and kind of row: (snapshot, id of the slice, id of the row) → the row."""


def resolve_row(snapshot: Snapshot, name: str, key: str) -> Row | None:
    slice_kind, _, slice_id = name.partition("/")
    row_kind, _, row_id = key.partition("/")
    return ROWS[slice_kind, row_kind](snapshot, slice_id, row_id)
