from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from netloom.drivers.ovs import rows
from netloom.drivers.ovs.config import split_batches
from netloom.drivers.ovs.ovsdb import OvsdbClient, OvsdbLost, Tables, change_tables, read_value, split_json
from netloom.model.device import Bridge, SwitchPort, make_pairs
from netloom.model.facts import Interface
from netloom.model.plan import Put, Remove, Thing
from tests.unit.drivers.peers import make_database, serve

OWN = frozenset({"br-int"})


def bridge_row(name: str, ports: list[str], **ids: str) -> dict[str, Any]:
    settings: dict[str, Any] = {"datapath_type": "", "fail_mode": [], "protocols": [], "other_config": {}}
    return {"name": name, "ports": ports, "external_ids": ids, **settings}


def port_row(name: str, **ids: str) -> dict[str, Any]:
    return {"name": name, "interfaces": f"i-{name}", "external_ids": ids}


def interface_row(name: str, ofport: Any, **ids: str) -> dict[str, Any]:
    rest: dict[str, Any] = {"type": "", "options": {}, "ofport_request": [], "mac_in_use": [], "error": []}
    return {"name": name, "ofport": ofport, "external_ids": ids, **rest}


def tables(*names: str, **interfaces: dict[str, Any]) -> Tables:
    return {
        "Open_vSwitch": {"root": {"bridges": [], "cur_cfg": 0, "next_cfg": 0}},
        "Bridge": {"b": bridge_row("br-int", [f"p-{name}" for name in names])},
        "Port": {f"p-{name}": port_row(name) for name in names},
        "Interface": {f"i-{name}": interfaces.get(name, interface_row(name, [])) for name in names},
    }


def test_values_of_the_wire_are_plain_values_here() -> None:
    """Sets, maps and references of OVSDB are lists, dicts and texts."""
    assert read_value(["set", [["uuid", "b"], ["uuid", "a"]]]) == ["a", "b"]
    assert read_value(["map", [["k", "v"]]]) == {"k": "v"}
    assert read_value("x") == "x"


def test_messages_are_found_however_they_are_cut() -> None:
    """OVSDB messages have no frame: a brace in a text ends none."""
    assert split_json('{"a": "}"} {"b": [1]}{"c"') == ([{"a": "}"}, {"b": [1]}], '{"c"')


def test_a_number_comes_as_a_change_of_a_nameless_row() -> None:
    """The port's number is found by the row's uuid, whatever else changes at the same time."""
    held = tables("tap1", tap1=interface_row("tap1", [], **{"iface-id": "p1"}))
    assert rows.read_interfaces(held, "br-int") == {}
    fresh = dict(held["Interface"]["i-tap1"])
    wire = {**fresh, "ofport": 7, "external_ids": ["map", [["iface-id", "p1"]]], "options": ["map", []]}
    change_tables(held, {"Interface": {"i-tap1": {"old": {"ofport": ["set", []]}, "new": wire}}})
    assert rows.read_interfaces(held, "br-int") == {"p1": Interface("tap1", 7)}
    change_tables(held, {"Interface": {"i-tap1": {"old": {}}}})
    assert rows.read_interfaces(held, "br-int") == {}


def test_of_two_devices_with_one_id_the_working_one_counts() -> None:
    """While an instance migrates, or its old device lingers, the device that works is its device."""
    ids = {"iface-id": "p1"}
    held = tables("a", "b", "c", a=interface_row("a", -1, **ids), b=interface_row("b", 4, **ids),
                  c=interface_row("c", 5, **ids))  # fmt: skip
    assert rows.read_interfaces(held, "br-int")["p1"].name == "b"
    assert rows.read_interfaces(held, "br-other") == {}


def test_only_what_is_marked_is_ours() -> None:
    """An operator's bridge, and a port that Nova plugged, are nobody's business here."""
    held = tables("tap1", "patch")
    assert rows.read_things(held, OWN) == {}
    held["Port"]["p-patch"]["external_ids"] = {"netloom": "made"}
    assert set(rows.read_things(held, OWN)) == {("switch_port", "br-int", "patch")}


def test_a_mark_with_nonsense_beside_it_is_still_a_mark() -> None:
    """Somebody who edits our notes on a bridge makes us look again, not fail."""
    held = tables()
    held["Bridge"]["b"]["external_ids"] = {"netloom": "adopted", "netloom-wanted": "{"}
    assert rows.read_things(held, OWN)[("bridge", "br-int")].value == Bridge(fail_mode="standalone", protocols=())


def test_adopting_changes_only_what_is_ours_to_change() -> None:
    """An operator's bridge gets our mark and protocol; its fail mode changes only where the bridge is ours alone."""
    held = tables()
    held["Bridge"]["b"]["protocols"] = ["OpenFlow13"]
    (operation,) = rows.put_bridge(held, "br-int", Bridge("netdev"), frozenset())
    assert operation["row"].keys() == {"external_ids", "protocols"}
    assert operation["row"]["protocols"] == ["set", ["OpenFlow13", "OpenFlow14"]]
    (operation,) = rows.put_bridge(held, "br-int", Bridge("netdev"), OWN)
    assert operation["row"]["fail_mode"] == ["set", ["secure"]]


@pytest.mark.parametrize(
    ("bridge", "name", "words"),
    [("br-x", "p", "no bridge br-x"), ("br-int", "tap1", "not made by Netloom"), ("br-two", "tap1", "another bridge")],
)
def test_a_port_that_is_not_ours_is_not_taken(bridge: str, name: str, words: str) -> None:
    """A name that somebody else uses is refused in words, with what to do."""
    held = tables("tap1")
    held["Bridge"]["b2"] = bridge_row("br-two", [])
    with pytest.raises(rows.Refused, match=words):
        rows.put_port(held, bridge, name, SwitchPort("patch"))


def test_a_patch_that_is_just_what_is_wanted_is_adopted_and_given_back() -> None:
    """Neutron's patch is marked and nothing else of it changes; when nobody wants it any more, the mark alone goes."""
    held = tables("br-int", "patch-tun", **{"patch-tun": interface_row("patch-tun", 4)})
    interface = next(row for row in held["Interface"].values() if row["name"] == "patch-tun")
    interface |= {"type": "patch", "options": {"peer": "patch-int"}}
    port = next(row for row in held["Port"].values() if row["name"] == "patch-tun")
    port["external_ids"] = {"theirs": "x"}
    want = SwitchPort("patch", (("peer", "patch-int"),))
    (marked,) = rows.put_port(held, "br-int", "patch-tun", want)
    assert marked["table"] == "Port" and list(marked["row"]) == ["external_ids"]
    port["external_ids"] = read_value(marked["row"]["external_ids"])
    assert rows.read_things(held, frozenset())["switch_port", "br-int", "patch-tun"].value == want
    assert rows.find_foreign(held, "br-int") == ()
    (given,) = rows.remove_port(held, "br-int", "patch-tun")
    assert read_value(given["row"]["external_ids"]) == {"theirs": "x"}


def test_removing_what_is_not_ours_or_not_there_is_nothing() -> None:
    """Sweeping never touches what others made."""
    held = tables("tap1")
    assert rows.remove_port(held, "br-int", "tap1") == rows.remove_port(held, "br-x", "tap1") == []
    assert rows.remove_bridge(held, "br-int") == rows.remove_bridge(held, "br-x") == []


def test_a_system_port_has_the_empty_type() -> None:
    """A NIC's type is empty in the database and has a name here."""
    *_, mutate = rows.put_port(tables(), "br-int", "eth1", SwitchPort("system", ofport_request=4))
    first = rows.put_port(tables(), "br-int", "eth1", SwitchPort("system", make_pairs(a="b"), 4))[0]["row"]
    assert (first["type"], first["options"], first["ofport_request"]) == ("", ["map", [["a", "b"]]], ["set", [4]])
    assert mutate["where"] == [["_uuid", "==", ["uuid", "b"]]]


def test_what_stands_on_a_new_row_waits_for_it() -> None:
    """Ports go in the transaction after their bridge's, and all of a sort go in one."""
    bridges = [Put(Thing(("bridge", name), Bridge())) for name in "ab"]
    ports = [Put(Thing(("switch_port", "a", name), SwitchPort("patch"))) for name in "xy"]
    gone = Remove(Thing(("switch_port", "a", "z"), None))
    assert split_batches([gone, *bridges, *ports]) == [[gone], bridges, ports]


def test_the_replica_is_whole_before_it_is_used_and_echo_is_answered(tmp_path: Path) -> None:
    """However slowly the server talks the picture is whole, and the server's probe is answered."""
    row = {"name": "br-ü", "ports": ["set", []], "external_ids": ["map", [["k", "}"]]]}
    seen: list[Any] = []

    async def use() -> None:
        echoed = asyncio.Event()
        async with serve(tmp_path / "db.sock", make_database({"Bridge": {"u": row}}, seen, echoed)):
            changed = asyncio.Event()
            client = OvsdbClient(tmp_path / "db.sock", changed.set, 5.0)
            await client.ready()
            assert client.find("Bridge", "br-ü") == ("u", {"name": "br-ü", "ports": [], "external_ids": {"k": "}"}})
            await asyncio.wait_for(echoed.wait(), 5.0)
            await client.close()

    asyncio.run(use())
    assert {"result": ["x"], "error": None, "id": "echo"} in seen


def test_without_a_server_the_picture_is_empty_not_old(tmp_path: Path) -> None:
    """When the database goes away nothing is claimed of it until it is back."""
    row = {"name": "br", "ports": ["set", []], "external_ids": ["map", []]}

    async def use() -> None:
        client = OvsdbClient(tmp_path / "db.sock", timeout_s=0.2)
        async with serve(tmp_path / "db.sock", make_database({"Bridge": {"u": row}}, [])):
            await client.ready()
            assert client.find("Bridge", "br")
        (tmp_path / "db.sock").unlink(missing_ok=True)
        assert await client.wait_for(lambda: not client.tables, 5.0)
        with pytest.raises(OvsdbLost, match=r"db\.sock"):
            await client.transact([])
        async with serve(tmp_path / "db.sock", make_database({"Bridge": {"u": row}}, [])):
            assert await client.wait_for(lambda: client.find("Bridge", "br") is not None, 5.0)
            await client.close()

    asyncio.run(use())


@pytest.mark.parametrize("nonsense", [b"}", b"HTTP/1.1 400 {}\r\n\r\n{}", b'{"id":0}]{}', b"[1]{}"])
def test_what_is_no_json_ends_the_connection(tmp_path: Path, nonsense: bytes) -> None:
    """A server that babbles is left with a reason, and asked again; what it says never piles up."""
    row = {"name": "br", "ports": ["set", []], "external_ids": ["map", []]}
    fit, calls = make_database({"Bridge": {"u": row}}, []), 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        if calls > 1:
            await fit(reader, writer)
        else:
            writer.write(nonsense)
            await reader.read(-1)

    async def use() -> None:
        client = OvsdbClient(tmp_path / "db.sock", timeout_s=2.0)
        async with serve(tmp_path / "db.sock", handle):
            await client.ready()
            assert client.find("Bridge", "br") and calls == 2
            await client.close()

    asyncio.run(use())


def test_a_caller_that_asks_again_at_once_does_not_hide_the_loss(tmp_path: Path) -> None:
    """Whoever repeats a transaction without a pause is made to wait for the next connection, and gets it."""
    row = {"name": "br", "ports": ["set", []], "external_ids": ["map", []]}

    async def use() -> None:
        client = OvsdbClient(tmp_path / "db.sock", timeout_s=1.0)
        async with serve(tmp_path / "db.sock", make_database({"Bridge": {"u": row}}, [])):
            await client.ready()
            reader, writer = await asyncio.open_unix_connection(tmp_path / "db.sock")
            writer.transport.abort()  # a connection that died, and of whose end nobody has heard yet
            await asyncio.sleep(0)
            client._writer = writer
            for _ in range(1000):
                with pytest.raises(OvsdbLost):
                    await client._call("transact", [])
                if not client.tables:
                    break
            assert not client.tables, "it would go on for ever"
            del reader
            await client.close()

    asyncio.run(use())


def test_what_the_switch_can_is_read_from_its_own_row() -> None:
    """Kinds of interface and of datapath, as a switch with DPDK says them; and how many tags it reads, which is one
    unless it was told otherwise."""
    held = {"iface_types": ["vxlan", "dpdkvhostuserclient"], "datapath_types": "netdev", "other_config": {}}
    assert rows.read_capabilities({"Open_vSwitch": {"u": held}}) == {
        "iface_types": ["dpdkvhostuserclient", "vxlan"], "datapath_types": ["netdev"],
    }  # fmt: skip
    assert rows.read_capabilities({}) == rows.read_capabilities({"Open_vSwitch": {"u": {"iface_types": []}}}) == {}
    for text, limit in (("", 1), ("0", 2), ("1", 1), ("2", 2), ("7", 2), ("x", 1)):
        config = {"vlan-limit": text} if text else {}
        assert rows.read_vlan_limit({"Open_vSwitch": {"u": {**held, "other_config": config}}}) == limit
    assert rows.read_vlan_limit({}) == 1


def make_bond(lacp: str, **members: dict[str, Any]) -> Tables:
    """A bond of ours with these interfaces, on br-int."""
    held = tables("bond0", "eth1")
    del held["Interface"]["i-bond0"]
    held["Port"]["p-bond0"] |= {"interfaces": [f"i-{name}" for name in members], "lacp": lacp}
    held["Port"]["p-bond0"]["external_ids"] = {rows.MARK: rows.MADE}
    held["Interface"] |= {f"i-{name}": row for name, row in members.items()}
    return held


def test_a_bond_says_how_each_of_its_nics_is() -> None:
    """By LACP, or without it; and what the switch complains of. One that somebody else made is not told."""
    good = {**interface_row("eth2", 3), "lacp_current": True}
    cut, gone = (
        interface_row("eth3", 4) | {"lacp_current": False},
        interface_row("eth4", -1) | {"error": "No such device"},
    )
    held = make_bond("active", eth4=gone, eth3=cut, eth2=good)
    told = {"eth2": "in use, LACP negotiated", "eth3": "LACP not negotiated", "eth4": "No such device"}
    assert rows.read_members(held) == {"br-int:bond0": told}
    assert rows.read_members(make_bond("off", eth2=good, eth3=cut)) == {
        "br-int:bond0": {"eth2": "in use", "eth3": "in use"}
    }
    held["Port"]["p-bond0"]["external_ids"] = {}
    assert rows.read_members(held) == {}


def test_a_bond_is_dead_when_none_of_its_nics_is_there() -> None:
    """With one it goes on; and those that are there are guarded, as NICs of no bond are."""
    gone, other = (interface_row(name, -1) | {"error": "No such device"} for name in ("eth2", "eth3"))
    dead = make_bond("active", eth3=other, eth2=gone)
    reason = "bond bond0 of br-int has no NIC that works: eth2: No such device; eth3: No such device"
    assert rows.read_dead_bonds(dead) == {"br-int": reason}
    assert rows.read_underlay(dead) == ("eth1",)
    alive = make_bond("active", eth2=gone, eth3=interface_row("eth3", 4))
    assert rows.read_dead_bonds(alive) == {}
    assert rows.read_underlay(alive) == ("eth1", "eth3")


def test_a_bridge_carries_what_its_smallest_nic_does() -> None:
    """Both legs of a bond count; devices of instances, the switch's own, and what was not opened do not."""
    held = tables("eth1", "bond", "tap1", "br-int")
    held["Port"]["p-bond"]["interfaces"] = ["i-bond", "i-leg"]
    held["Interface"]["i-leg"] = {**interface_row("leg", 3), "mtu": 1400}
    held["Interface"]["i-eth1"]["mtu"] = 9000
    held["Interface"]["i-bond"]["mtu"] = []
    held["Interface"]["i-tap1"] = {**interface_row("tap1", 4, **{"iface-id": "p1"}), "mtu": 600}
    held["Interface"]["i-br-int"] |= {"type": "internal", "mtu": 700}
    assert rows.read_mtus(held) == {"br-int": 1400}
    del held["Port"]["p-bond"]
    assert rows.read_mtus(held) == {"br-int": 9000}
    del held["Port"]["p-eth1"]
    assert rows.read_mtus(held) == {}
