"""OVSDB rows as things, and ops as OVSDB operations: pure, so that both ways can be tested without a switch.

Ours is what carries our mark in external_ids: "made" was made by us, and goes with us; "adopted" is a bridge that an
operator made and we need, whose mark alone goes. What we wanted of an adopted bridge stands beside the mark, for we do
not change an operator's settings beyond the fail mode of the bridges that are ours alone and the protocol we speak.
A port that is there and just what we would make (Neutron's agent makes patches of the same names) is adopted as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

from netloom.drivers.ovs.ovsdb import Row, Tables, as_list, write_map, write_set
from netloom.model.device import Bridge, Pairs, SwitchPort
from netloom.model.facts import Interface
from netloom.model.plan import Key, State, Thing

MARK, WANTED = "netloom", "netloom-wanted"
MADE, ADOPTED = "made", "adopted"

Operation = dict[str, Any]


class Refused(Exception):
    """We will not do it, for a reason that an operator can read."""


def _pairs(held: Mapping[str, str]) -> Pairs:
    return tuple(sorted((key, value) for key, value in held.items() if key not in (MARK, WANTED)))


def read_bridge(row: Row, own: frozenset[str]) -> Bridge | None:
    """What a bridge is, if it is marked; `own` are the bridges whose fail mode is ours to set."""
    mark = row["external_ids"].get(MARK)
    actual = Bridge(
        row["datapath_type"] or "system",
        "".join(as_list(row["fail_mode"])) or "standalone",
        tuple(as_list(row["protocols"])),
        _pairs(row["other_config"]),
    )
    if mark == MADE:
        return actual
    if mark != ADOPTED:
        return None
    try:
        wanted = parse_wanted(row["external_ids"].get(WANTED, ""))
    except (ValueError, TypeError):
        return actual
    speaks = not actual.protocols or set(wanted.protocols) <= set(actual.protocols)
    fail_mode = actual.fail_mode if row["name"] in own else wanted.fail_mode
    return replace(wanted, fail_mode=fail_mode, protocols=wanted.protocols if speaks else actual.protocols)


def format_wanted(bridge: Bridge) -> str:
    return json.dumps(asdict(bridge), sort_keys=True, separators=(",", ":"))


def parse_wanted(text: str) -> Bridge:
    held = json.loads(text)
    config = tuple((str(key), str(value)) for key, value in held["other_config"])
    return Bridge(held["datapath_type"], held["fail_mode"], tuple(held["protocols"]), config)


def read_port(port: Row, interface: Row) -> SwitchPort | None:
    """What a switch port is, if it is ours."""
    return describe_port(interface) if port["external_ids"].get(MARK) in (MADE, ADOPTED) else None


def describe_port(interface: Row) -> SwitchPort:
    """What a switch port is, whosever it is."""
    wanted = as_list(interface["ofport_request"])
    return SwitchPort(
        interface["type"] or "system",
        _pairs(interface["options"]),
        wanted[0] if wanted else None,
        _pairs(interface["external_ids"]),
        _pairs(interface.get("bfd", {})),
    )


def walk_ports(tables: Tables) -> Iterator[tuple[str, Row, Row]]:
    """(bridge, port row, interface row) of every port that has exactly one interface."""
    ports, interfaces = tables.get("Port", {}), tables.get("Interface", {})
    for bridge in tables.get("Bridge", {}).values():
        for uuid in as_list(bridge["ports"]):
            port = ports.get(uuid)
            members = as_list(port["interfaces"]) if port else []
            if port and len(members) == 1 and members[0] in interfaces:
                yield bridge["name"], port, interfaces[members[0]]


def read_things(tables: Tables, own: frozenset[str]) -> State:
    """All of ours, told from the rows alone."""
    out: dict[Key, Thing] = {}
    for row in tables.get("Bridge", {}).values():
        if bridge := read_bridge(row, own):
            key: Key = ("bridge", row["name"])
            out[key] = Thing(key, bridge)
    for name, port, interface in walk_ports(tables):
        if value := read_port(port, interface):
            key = ("switch_port", name, port["name"])
            out[key] = Thing(key, value)
    return out


def read_interfaces(tables: Tables, bridge: str) -> dict[str, Interface]:
    """By port id, what somebody plugged into `bridge`.

    Of two with one id the working one counts, then the first by name. One that the switch has not opened yet is left
    out: it has no number and no error.
    """
    out: dict[str, Interface] = {}
    for name, port, row in sorted(walk_ports(tables), key=lambda item: str(item[1]["name"])):
        port_id = row["external_ids"].get("iface-id")
        ofport = read_ofport(row)
        if name != bridge or not port_id or ofport is None:
            continue
        mac = row["external_ids"].get("attached-mac") or "".join(as_list(row["mac_in_use"]))
        error = "".join(as_list(row["error"]))
        found = Interface(port["name"], ofport, mac.lower(), error, row["type"])
        if port_id not in out or (out[port_id].ofport <= 0 < ofport):
            out[port_id] = found
    return out


def read_ofport(row: Row) -> int | None:
    """The interface's number, -1 when the switch could not open it, None while it has not tried."""
    numbers = as_list(row["ofport"])
    return int(numbers[0]) if numbers else None


def read_ofports(tables: Tables) -> dict[tuple[str, str], int]:
    """By (bridge, port name), the numbers that the switch gave."""
    found = ((bridge, port["name"], read_ofport(row)) for bridge, port, row in walk_ports(tables))
    return {(bridge, name): number for bridge, name, number in found if number is not None and number > 0}


NICS = ("", "system", "dpdk")
"""Types of interfaces that lead out of the host, where nobody plugged them for a port."""


def walk_members(tables: Tables) -> Iterator[tuple[str, Row, list[Row]]]:
    """(bridge, port row, the rows of its interfaces) of every port: a bond has several."""
    ports, interfaces = tables.get("Port", {}), tables.get("Interface", {})
    for bridge in tables.get("Bridge", {}).values():
        for port in (ports[uuid] for uuid in as_list(bridge["ports"]) if uuid in ports):
            yield bridge["name"], port, [interfaces[one] for one in as_list(port["interfaces"]) if one in interfaces]


def read_underlay(tables: Tables) -> tuple[str, ...]:
    """Devices of the system on any bridge that carry no iface-id: the host's own NICs, those of bonds too. A bond's
    that is not there is left out."""
    found = ((row, len(rows) > 1) for _, _, rows in walk_members(tables) for row in rows)
    nics = (row["name"] for row, bonded in found if is_kernels(row) and not (bonded and read_ofport(row) == -1))
    return tuple(sorted(nics))


def is_kernels(interface: Row) -> bool:
    return interface["type"] in ("", "system") and "iface-id" not in interface["external_ids"]


def read_mtus(tables: Tables) -> dict[str, int]:
    """By bridge, the most bytes that every NIC on it carries in one packet; without those that the switch knows not."""
    found = dict[str, int]()
    for bridge, _, rows in walk_members(tables):
        for mtu in (int(mtu) for row in rows if is_nic(row) for mtu in as_list(row.get("mtu", []))):
            found[bridge] = min(mtu, found.get(bridge, mtu))
    return found


def read_members(tables: Tables) -> dict[str, dict[str, str]]:
    """By bond of ours, "bridge:name", what the switch says of each NIC in it: its complaint, or that it is in use, by
    LACP where the bond asks for that."""
    return {
        f"{bridge}:{port['name']}": dict(sorted((row["name"], describe_member(port, row)) for row in rows))
        for bridge, port, rows in walk_members(tables)
        if len(rows) > 1 and port["external_ids"].get(MARK) == MADE
    }


def describe_member(port: Row, interface: Row) -> str:
    if read_ofport(interface) == -1:
        return "".join(as_list(interface["error"])) or "the switch could not open it"
    if "".join(as_list(port.get("lacp", []))) in ("", "off"):
        return "in use"
    agreed = as_list(interface.get("lacp_current", [])) == [True]
    return "in use, LACP negotiated" if agreed else "LACP not negotiated"


def read_dead_bonds(tables: Tables) -> dict[str, str]:
    """By bridge, why the bond of ours on it carries nothing: the switch could open no NIC of it."""
    found = {}
    for bridge, port, rows in walk_members(tables):
        dead = len(rows) > 1 and port["external_ids"].get(MARK) == MADE and all(read_ofport(row) == -1 for row in rows)
        if dead:
            said = sorted(f"{row['name']}: {describe_member(port, row)}" for row in rows)
            found[bridge] = f"bond {port['name']} of {bridge} has no NIC that works: {'; '.join(said)}"
    return found


def is_nic(interface: Row) -> bool:
    return interface["type"] in NICS and "iface-id" not in interface["external_ids"]


def where_uuid(uuid: str) -> list[Any]:
    return [["_uuid", "==", ["uuid", uuid]]]


def find_row(tables: Tables, table: str, name: str) -> tuple[str, Row] | None:
    return next(((uuid, row) for uuid, row in tables.get(table, {}).items() if row["name"] == name), None)


def _settings(bridge: Bridge) -> Operation:
    return {
        "datapath_type": "" if bridge.datapath_type == "system" else bridge.datapath_type,
        "fail_mode": write_set([bridge.fail_mode] if bridge.fail_mode else []),
        "protocols": write_set(bridge.protocols),
        "other_config": write_map(dict(bridge.other_config)),
    }


def put_bridge(tables: Tables, name: str, want: Bridge, own: frozenset[str]) -> list[Operation]:
    """Make, change or adopt a bridge."""
    found = find_row(tables, "Bridge", name)
    if found is None:
        return _make_bridge(tables, name, want)
    uuid, row = found
    if row["external_ids"].get(MARK) == MADE:
        return [{"op": "update", "table": "Bridge", "where": where_uuid(uuid), "row": _settings(want)}]
    marks = write_map({**row["external_ids"], MARK: ADOPTED, WANTED: format_wanted(want)})
    change: Operation = {"external_ids": marks}
    if name in own:
        change["fail_mode"] = write_set([want.fail_mode] if want.fail_mode else [])
    if speaks := as_list(row["protocols"]):
        change["protocols"] = write_set(sorted({*speaks, *want.protocols}))
    return [{"op": "update", "table": "Bridge", "where": where_uuid(uuid), "row": change}]


def _make_bridge(tables: Tables, name: str, want: Bridge) -> list[Operation]:
    root = next(iter(tables.get("Open_vSwitch", {})), None)
    if root is None:
        raise Refused("the Open vSwitch database was never initialised (ovs-vsctl init)")
    tag = make_tag(name)
    mark = write_map({MARK: MADE})
    port = {"name": name, "interfaces": ["named-uuid", f"i_{tag}"]}
    bridge = {"name": name, "ports": ["named-uuid", f"p_{tag}"], "external_ids": mark, **_settings(want)}
    return [
        insert_row("Interface", f"i_{tag}", {"name": name, "type": "internal"}),
        insert_row("Port", f"p_{tag}", port),
        insert_row("Bridge", f"b_{tag}", bridge),
        mutate_row("Open_vSwitch", root, "bridges", "insert", ["named-uuid", f"b_{tag}"]),
    ]


def make_tag(name: str) -> str:
    """A name that may stand in a named-uuid (RFC 7047, 3.1: a letter or underscore, then those and digits)."""
    return name.encode().hex()


def insert_row(table: str, name: str, row: Operation) -> Operation:
    return {"op": "insert", "table": table, "uuid-name": name, "row": row}


def mutate_row(table: str, uuid: str, column: str, how: str, item: list[str]) -> Operation:
    mutations = [[column, how, ["set", [item]]]]
    return {"op": "mutate", "table": table, "where": where_uuid(uuid), "mutations": mutations}


def remove_bridge(tables: Tables, name: str) -> list[Operation]:
    """Delete what we made; take our mark off what we adopted. The rows below go with it (OVSDB collects garbage)."""
    found = find_row(tables, "Bridge", name)
    if found is None:
        return []
    uuid, row = found
    mark = row["external_ids"].get(MARK)
    if mark == MADE:
        roots = tuple(tables.get("Open_vSwitch", {}))
        return [mutate_row("Open_vSwitch", root, "bridges", "delete", ["uuid", uuid]) for root in roots]
    if mark == ADOPTED:
        kept = {key: held for key, held in row["external_ids"].items() if key not in (MARK, WANTED)}
        return [
            {"op": "update", "table": "Bridge", "where": where_uuid(uuid), "row": {"external_ids": write_map(kept)}}
        ]
    return []


def _interface(want: SwitchPort) -> Operation:
    return {
        "type": "" if want.type == "system" else want.type,
        "options": write_map(dict(want.options)),
        "ofport_request": write_set([] if want.ofport_request is None else [want.ofport_request]),
        "external_ids": write_map(dict(want.external_ids)),
        "bfd": write_map(dict(want.bfd)),
    }


def put_port(tables: Tables, bridge: str, name: str, want: SwitchPort) -> list[Operation]:
    """Make or change a switch port. Refused for a port that somebody else made, or that is on another bridge."""
    home = find_row(tables, "Bridge", bridge)
    if home is None:
        raise Refused(f"there is no bridge {bridge}")
    found = find_row(tables, "Port", name)
    if found is None:
        tag = make_tag(name)
        port = {"name": name, "interfaces": ["named-uuid", f"i_{tag}"], "external_ids": write_map({MARK: MADE})}
        return [
            insert_row("Interface", f"i_{tag}", {"name": name, **_interface(want)}),
            insert_row("Port", f"p_{tag}", port),
            mutate_row("Bridge", home[0], "ports", "insert", ["named-uuid", f"p_{tag}"]),
        ]
    uuid, row = found
    if uuid not in as_list(home[1]["ports"]):
        raise Refused(f"port {name} is on another bridge")
    members = as_list(row["interfaces"])
    if row["external_ids"].get(MARK) != MADE:
        there = [tables.get("Interface", {}).get(member) for member in members]
        if len(there) != 1 or there[0] is None or describe_port(there[0]) != want:
            raise Refused(f"port {name} is there already, and was not made by Netloom: remove it or rename it")
        return [_mark("Port", uuid, {**row["external_ids"], MARK: ADOPTED})]
    change = {"op": "update", "table": "Interface", "row": _interface(want)}
    return [{**change, "where": where_uuid(member)} for member in members]


def _mark(table: str, uuid: str, ids: Mapping[str, str]) -> Operation:
    return {"op": "update", "table": table, "where": where_uuid(uuid), "row": {"external_ids": write_map(ids)}}


def remove_port(tables: Tables, bridge: str, name: str) -> list[Operation]:
    """Delete a port that we made on that bridge, take our mark off one that we adopted; the rest is left alone."""
    home, found = find_row(tables, "Bridge", bridge), find_row(tables, "Port", name)
    if home is None or found is None or found[0] not in as_list(home[1]["ports"]):
        return []
    mark = found[1]["external_ids"].get(MARK)
    if mark == ADOPTED:
        kept = {key: held for key, held in found[1]["external_ids"].items() if key != MARK}
        return [_mark("Port", found[0], kept)]
    return [mutate_row("Bridge", home[0], "ports", "delete", ["uuid", found[0]])] if mark == MADE else []


TUNNELS = ("vxlan", "gre", "geneve")


def read_strays(tables: Tables, bridge: str) -> dict[tuple[str, str], int]:
    """By (type, remote address), the tunnel ports on `bridge` for one remote host each, whoever made them.

    The switch gives what comes from that host to that port rather than to the one of ours for all hosts.
    """
    out: dict[tuple[str, str], int] = {}
    for name, _, row in walk_ports(tables):
        number, remote = read_ofport(row), row["options"].get("remote_ip", "")
        if name == bridge and row["type"] in TUNNELS and number and number > 0:
            out[row["type"], remote] = number
    return {key: number for key, number in out.items() if key[1] not in ("", "flow")}


EXPIRED = "Control Detection Time Expired"


def read_silent(tables: Tables, bridge: str) -> frozenset[str]:
    """The remote addresses of hosts that were heard of by BFD, and are no more: not those that never were."""
    out = set()
    for name, _, row in walk_ports(tables):
        told = row.get("bfd_status", {})
        watched = name == bridge and row.get("bfd", {}).get("enable") == "true"
        if watched and told.get("diagnostic") == EXPIRED and told.get("state") != "up":
            out.add(row["options"].get("remote_ip", ""))
    return frozenset(out)


def read_capabilities(tables: Tables) -> dict[str, list[str]]:
    """The kinds of datapath and of interface that the switch has, sorted; empty while it did not say."""
    row = next(iter(tables.get("Open_vSwitch", {}).values()), {})
    found = {name: sorted(map(str, as_list(row.get(name, [])))) for name in ("datapath_types", "iface_types")}
    return found if any(found.values()) else {}


MOST_TAGS = 2
"""Of Open vSwitch (ovs-vswitchd.conf.db(5), vlan-limit): 0 means as many as it can."""


def read_vlan_limit(tables: Tables) -> int:
    """How many VLAN tags of a frame the switch reads."""
    row = next(iter(tables.get("Open_vSwitch", {}).values()), {})
    text = (row.get("other_config") or {}).get("vlan-limit", "1")
    limit = int(text) if text.isdecimal() else 1
    return min(limit or MOST_TAGS, MOST_TAGS)


def find_foreign(tables: Tables, bridge: str) -> tuple[str, ...]:
    """The ports on `bridge` that are not ours and that nobody plugged for an instance, by name."""
    found = (
        port["name"]
        for name, port, row in walk_ports(tables)
        if name == bridge and port["name"] != bridge and MARK not in port["external_ids"]
        and "iface-id" not in row["external_ids"]
    )  # fmt: skip
    return tuple(sorted(found))
