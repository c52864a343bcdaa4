"""Mirrors, exports (NetFlow, sFlow, IPFIX) and bonds as OVSDB rows, both ways: pure.

Ours are the rows that carry our mark, as ports do (see `rows`). A mirror, an export or a bond that somebody else made
is left alone, and one of ours in its place is refused with words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from netloom.drivers.ovs.ovsdb import Row, Tables, as_list, write_map, write_set
from netloom.drivers.ovs.rows import (
    MADE,
    MARK,
    Operation,
    Refused,
    find_row,
    insert_row,
    make_tag,
    mutate_row,
    where_uuid,
)
from netloom.model.device import Bond, Export, Mirror
from netloom.model.plan import Key, State, Thing

KINDS = frozenset({"mirror", "export", "bond"})
TABLES = {"netflow": "NetFlow", "sflow": "sFlow", "ipfix": "IPFIX"}
"""By the name of an export, which is its column in a bridge's row: its table."""
NUMBERS = {
    "netflow": ("active_timeout", "engine_id", "engine_type"),
    "sflow": ("header", "polling", "sampling"),
    "ipfix": ("sampling", "obs_domain_id", "obs_point_id", "cache_active_timeout", "cache_max_flows"),
}
"""The settings of an export that are numbers; `agent` of sFlow is a device."""


def read_watching(tables: Tables) -> State:
    """Our mirrors, exports and bonds."""
    out: dict[Key, Thing] = {}
    for bridge in tables.get("Bridge", {}).values():
        for key, value in (*walk_mirrors(tables, bridge), *walk_exports(tables, bridge), *walk_bonds(tables, bridge)):
            out[key] = Thing(key, value)
    return out


def is_ours(row: Row) -> bool:
    return bool(row["external_ids"].get(MARK) == MADE)


# -- mirrors -----------------------------------------------------------------------------------------------------------


def walk_mirrors(tables: Tables, bridge: Row) -> Iterator[tuple[Key, Mirror]]:
    for uuid in as_list(bridge.get("mirrors", [])):
        row = tables.get("Mirror", {}).get(uuid)
        if row is not None and is_ours(row):
            sent, received = (name_ports(tables, row[f"select_{way}_port"]) for way in ("src", "dst"))
            output = "".join(name_ports(tables, row["output_port"]))
            vlans = tuple(sorted(int(vlan) for vlan in as_list(row["select_vlan"])))
            yield ("mirror", bridge["name"], row["name"]), Mirror(sent, received, output, vlans)


def name_ports(tables: Tables, uuids: Any) -> tuple[str, ...]:
    ports = tables.get("Port", {})
    return tuple(sorted(ports[uuid]["name"] for uuid in as_list(uuids) if uuid in ports))


def put_mirror(tables: Tables, bridge: str, name: str, want: Mirror) -> list[Operation]:
    """Make or change a mirror. Refused while one of its ports is not there."""
    row = {
        "select_src_port": refer(tables, want.sent),
        "select_dst_port": refer(tables, want.received),
        "output_port": refer(tables, (want.output,)),
        "select_vlan": write_set(want.vlans),
    }
    home, found = need_bridge(tables, bridge), find_row(tables, "Mirror", name)
    if found is not None:
        if not is_ours(found[1]):
            raise Refused(f"mirror {name} is there already, and was not made by Netloom")
        return [{"op": "update", "table": "Mirror", "where": where_uuid(found[0]), "row": row}]
    tag = f"m_{make_tag(name)}"
    fresh = {**row, "name": name, "external_ids": write_map({MARK: MADE})}
    return [insert_row("Mirror", tag, fresh), mutate_row("Bridge", home, "mirrors", "insert", ["named-uuid", tag])]


def remove_mirror(tables: Tables, bridge: str, name: str) -> list[Operation]:
    home, found = find_row(tables, "Bridge", bridge), find_row(tables, "Mirror", name)
    if home is None or found is None or not is_ours(found[1]):
        return []
    return [mutate_row("Bridge", home[0], "mirrors", "delete", ["uuid", found[0]])]


def refer(tables: Tables, names: tuple[str, ...]) -> list[Any]:
    found = {name: find_row(tables, "Port", name) for name in names}
    missing = [name for name, row in found.items() if row is None]
    if missing:
        raise Refused(f"there is no port {missing[0]}")
    return write_set([["uuid", row[0]] for row in found.values() if row])


def need_bridge(tables: Tables, name: str) -> str:
    found = find_row(tables, "Bridge", name)
    if found is None:
        raise Refused(f"there is no bridge {name}")
    return found[0]


# -- exports -----------------------------------------------------------------------------------------------------------


def walk_exports(tables: Tables, bridge: Row) -> Iterator[tuple[Key, Export]]:
    for name, table in TABLES.items():
        for uuid in as_list(bridge.get(name, [])):
            row = tables.get(table, {}).get(uuid)
            if row is not None and is_ours(row):
                numbers = ((key, as_list(row.get(key, []))) for key in NUMBERS[name])
                settings = [(key, str(found[0])) for key, found in numbers if found and found[0] != 0]
                settings += [("agent", str(agent)) for agent in as_list(row.get("agent", []))]
                yield (
                    ("export", bridge["name"], name),
                    Export(tuple(sorted(as_list(row["targets"]))), tuple(sorted(settings))),
                )


def put_export(tables: Tables, bridge: str, name: str, want: Export) -> list[Operation]:
    """Make an export in the place of the one that is there, if that is ours."""
    home = need_bridge(tables, bridge)
    held = [tables.get(TABLES[name], {}).get(uuid) for uuid in as_list(tables["Bridge"][home].get(name, []))]
    if any(row is not None and not is_ours(row) for row in held):
        raise Refused(f"bridge {bridge} has {name} already, and Netloom did not set it")
    tag = f"e_{make_tag(f'{bridge}.{name}')}"
    settings: Mapping[str, Any] = {key: int(value) if key in NUMBERS[name] else value for key, value in want.settings}
    row = {"targets": write_set(want.targets), "external_ids": write_map({MARK: MADE}), **settings}
    change = {"op": "update", "table": "Bridge", "where": where_uuid(home), "row": {name: ["named-uuid", tag]}}
    return [insert_row(TABLES[name], tag, row), change]


def remove_export(tables: Tables, bridge: str, name: str) -> list[Operation]:
    home = find_row(tables, "Bridge", bridge)
    held = [tables.get(TABLES[name], {}).get(uuid) for uuid in as_list(home[1].get(name, []))] if home else []
    if home is None or not any(row is not None and is_ours(row) for row in held):
        return []
    return [{"op": "update", "table": "Bridge", "where": where_uuid(home[0]), "row": {name: write_set([])}}]


# -- bonds -------------------------------------------------------------------------------------------------------------


def walk_bonds(tables: Tables, bridge: Row) -> Iterator[tuple[Key, Bond]]:
    for uuid in as_list(bridge["ports"]):
        port = tables.get("Port", {}).get(uuid)
        members = as_list(port["interfaces"]) if port else []
        if port is not None and is_ours(port) and len(members) > 1:
            names = sorted(tables["Interface"][m]["name"] for m in members if m in tables.get("Interface", {}))
            mode, lacp = ("".join(as_list(port.get(column, []))) for column in ("bond_mode", "lacp"))
            yield ("bond", bridge["name"], port["name"]), Bond(tuple(names), mode, lacp)


def put_bond(tables: Tables, bridge: str, name: str, want: Bond) -> list[Operation]:
    """Make or change a bond. Its members are made with it; other members need another bond."""
    home, found = need_bridge(tables, bridge), find_row(tables, "Port", name)
    settings = {"bond_mode": want.mode, "lacp": want.lacp}
    if found is not None and not is_ours(found[1]):
        raise Refused(f"port {name} is there already, and was not made by Netloom")
    held = dict(walk_bonds(tables, tables["Bridge"][home])).get(("bond", bridge, name))
    if found is not None and held is not None and held.members == want.members:
        return [{"op": "update", "table": "Port", "where": where_uuid(found[0]), "row": settings}]
    again = [] if found is None else [mutate_row("Bridge", home, "ports", "delete", ["uuid", found[0]])]
    tags = {member: f"i_{make_tag(member)}" for member in want.members}
    port = {
        "name": name, "external_ids": write_map({MARK: MADE}), **settings,
        "interfaces": write_set([["named-uuid", tag] for tag in tags.values()]),
    }  # fmt: skip
    tag = f"p_{make_tag(name)}"
    made = [insert_row("Interface", tags[member], {"name": member}) for member in want.members]
    joined = mutate_row("Bridge", home, "ports", "insert", ["named-uuid", tag])
    return [*again, *made, insert_row("Port", tag, port), joined]


def remove_bond(tables: Tables, bridge: str, name: str) -> list[Operation]:
    home, found = find_row(tables, "Bridge", bridge), find_row(tables, "Port", name)
    if home is None or found is None or not is_ours(found[1]):
        return []
    return [mutate_row("Bridge", home[0], "ports", "delete", ["uuid", found[0]])]


PutRows = Callable[[Tables, str, str, Any], list[Operation]]
PUT: Mapping[str, PutRows] = {"mirror": put_mirror, "export": put_export, "bond": put_bond}
REMOVE: Mapping[str, Callable[[Tables, str, str], list[Operation]]] = {
    "mirror": remove_mirror,
    "export": remove_export,
    "bond": remove_bond,
}
