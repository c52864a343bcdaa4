"""Law 5: ours is visible from outside; the marks in OVSDB, in nft, on devices and in cookies tell it alone."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.drivers.links import Device, join_alias, plan_link, read_link, split_alias
from netloom.drivers.memory import NEEDS
from netloom.drivers.ovs import rows
from netloom.drivers.ovs.ovsdb import Row, Tables, as_list, read_value
from netloom.model.device import Bridge, Link, SwitchPort
from netloom.model.plan import Op, Put, State, Thing
from netloom.reconcile.plan import plan
from tests.examples import count_examples

OWN = frozenset({"br-int", "br-tun"})
_EMPTY: dict[str, Row] = {
    "Bridge": {
        "ports": [], "datapath_type": "", "fail_mode": [], "protocols": [], "other_config": {}, "external_ids": {},
    },
    "Port": {"interfaces": [], "external_ids": {}},
    "Interface": {
        "type": "", "options": {}, "ofport": [], "ofport_request": [], "external_ids": {}, "mac_in_use": [],
        "error": [],
    },
}  # fmt: skip

names = st.sampled_from(["br-int", "br-tun", "br-ex"])
ports = st.sampled_from(["p1", "p2", "p3"])
texts = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=4)
pairs = st.dictionaries(texts, texts, max_size=2).map(lambda held: tuple(sorted(held.items())))
bridges = st.builds(Bridge, st.sampled_from(["netdev", "system"]), st.sampled_from(["secure", "standalone"]),
                    st.just(("OpenFlow14",)), pairs)  # fmt: skip
switch_ports = st.builds(SwitchPort, st.sampled_from(["patch", "system", "vxlan"]), pairs,
                         st.one_of(st.none(), st.integers(1, 99)), pairs)  # fmt: skip


@st.composite
def wishes(draw: st.DrawFn) -> State:
    """Bridges, and ports on them; a port's name is on one bridge."""
    things = [Thing(("bridge", name), draw(bridges)) for name in draw(st.sets(names, min_size=1))]
    homes = [thing.key[1] for thing in things]
    things += [
        Thing(("switch_port", draw(st.sampled_from(homes)), port), draw(switch_ports)) for port in draw(st.sets(ports))
    ]
    return {thing.key: thing for thing in things}


def commit(tables: Tables, operations: list[rows.Operation], fresh: int) -> None:
    """Do to `tables` what the server would, garbage collection included."""
    uuids = {op["uuid-name"]: f"u{fresh}-{n}" for n, op in enumerate(operations) if op["op"] == "insert"}

    def plain(value: Any) -> Any:
        if isinstance(value, list) and value and value[0] == "named-uuid":
            return uuids[value[1]]
        return read_value(value)

    for op in operations:
        table = tables.setdefault(op["table"], {})
        if op["op"] == "insert":
            table[uuids[op["uuid-name"]]] = _EMPTY[op["table"]] | {k: plain(v) for k, v in op["row"].items()}
            continue
        row = table[op["where"][0][2][1]]
        if op["op"] == "update":
            row.update({name: plain(value) for name, value in op["row"].items()})
        for column, how, (_, items) in op.get("mutations", ()):
            held = set(as_list(row[column]))
            row[column] = sorted(held | set(map(plain, items)) if how == "insert" else held - set(map(plain, items)))
    _collect(tables)


def _collect(tables: Tables) -> None:
    (root,) = tables["Open_vSwitch"].values()
    for table, kept in (
        ("Bridge", lambda: root["bridges"]),
        ("Port", lambda: [p for b in tables["Bridge"].values() for p in as_list(b["ports"])]),
        ("Interface", lambda: [i for p in tables["Port"].values() for i in as_list(p["interfaces"])]),
    ):
        alive = set(kept())
        tables[table] = {uuid: row for uuid, row in tables.get(table, {}).items() if uuid in alive}


def encode(tables: Tables, op: Op) -> list[rows.Operation]:
    kind, *name = op.thing.key
    if isinstance(op, Put):
        if kind == "bridge":
            return rows.put_bridge(tables, name[0], op.thing.value, OWN)
        return rows.put_port(tables, name[0], name[1], op.thing.value)
    return rows.remove_bridge(tables, name[0]) if kind == "bridge" else rows.remove_port(tables, name[0], name[1])


def make_so(tables: Tables, desired: State, fresh: int) -> None:
    for number, op in enumerate(plan(desired, rows.read_things(tables, OWN), NEEDS)):
        commit(tables, encode(tables, op), fresh * 1000 + number)


def make_tables(foreign: list[str]) -> Tables:
    """A switch with an operator's bridges, each with a port of his."""
    return {
        "Open_vSwitch": {"root": {"bridges": [f"b-{name}" for name in foreign]}},
        "Bridge": {f"b-{n}": {**_EMPTY["Bridge"], "name": n, "ports": [f"p-{n}"]} for n in foreign},
        "Port": {f"p-{n}": {**_EMPTY["Port"], "name": f"nic-{n}", "interfaces": [f"i-{n}"]} for n in foreign},
        "Interface": {f"i-{n}": {**_EMPTY["Interface"], "name": f"nic-{n}"} for n in foreign},
    }


@settings(max_examples=count_examples(80), deadline=None)
@given(st.lists(wishes(), min_size=1, max_size=3), st.lists(names, unique=True))
def test_law_5_an_empty_memory_finds_exactly_what_was_made(history: list[State], foreign: list[str]) -> None:
    """After any history the database alone tells what is ours; what an operator made is not, and outlives us."""
    tables = make_tables(foreign)
    assert rows.read_things(tables, OWN) == {}
    for fresh, desired in enumerate(history):
        make_so(tables, desired, fresh)
        assert rows.read_things(tables, OWN) == desired
    make_so(tables, {}, 99)
    assert rows.read_things(tables, OWN) == {}
    assert {row["name"] for row in tables["Bridge"].values()} == set(foreign)
    assert {row["name"] for row in tables["Port"].values()} == {f"nic-{name}" for name in foreign}


@settings(max_examples=count_examples(100), deadline=None)
@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=9), st.booleans(),
       st.one_of(st.none(), st.integers(68, 9000)), st.sampled_from((None, "fa:16:3e:00:00:01")))  # fmt: skip
def test_law_5_a_device_says_what_we_set_on_it(alias: str, up: bool, mtu: int | None, mac: str | None) -> None:
    """The alias of a device tells what is ours on it, and the operator's part of the alias comes back whole."""
    device = Device(1, "eth0", not up, 1500, alias)
    assert read_link(device) is None
    change = plan_link(device, Link(up, mtu, mac))
    given_mac = change.get("address", "02:00:00:00:00:07")
    after = Device(1, "eth0", change["state"] == "up", change.get("mtu", 1500), change["ifalias"], given_mac)
    assert read_link(after) == Link(up, mtu, mac)
    assert split_alias(after.alias)[0] == alias == split_alias(join_alias(alias, "up"))[0]
