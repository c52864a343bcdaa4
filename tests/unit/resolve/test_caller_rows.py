"""Who has an address, for hosts that answer metadata in namespaces: told to those alone."""

from __future__ import annotations

from dataclasses import replace

from netloom.intent.agents.agent import report_host
from netloom.intent.schema import Doc
from netloom.model.slices import Address, CallerRow, FollowRow
from netloom.resolve.slices import SliceBook, resolve_slice
from tests.unit.intent.intent_kit import HOST, SETTINGS, World

CENTRAL = replace(SETTINGS, dhcp_driver="dnsmasq")


def make_world(path: str = "namespace") -> tuple[World, Doc]:
    """A network whose DHCP server is on h1, and an instance on h2."""
    world = World(CENTRAL)
    world.host("h1", metadata_path=path)
    network = world.network()
    world.subnet(network, "10.0.0.0/24")
    world.host("h2", metadata_path=path, tunneling_ip="192.0.2.2")
    world.port(network, device_id="web", device_owner="compute:nova", binding__host_id="h2")
    return world, network


def follows(world: World, host: str, network: Doc) -> bool:
    found = resolve_slice(world.snapshot, f"host/{host}")
    assert found is not None
    return isinstance(found.rows.get(f"follow/callers/{network['id']}"), FollowRow)


def test_the_host_of_a_server_is_told() -> None:
    """It, and no host that only has instances."""
    world, network = make_world()
    assert follows(world, "h1", network)
    assert not follows(world, "h2", network)


def test_a_host_with_linux_bridges_is_told_as_any() -> None:
    """Its agent has another name, and says the same; a change of its ways reaches it."""
    world = World(CENTRAL)
    world.host("h1", metadata_path="namespace", switch="linuxbridge")
    network = world.network()
    world.subnet(network, "10.0.0.0/24")
    assert follows(world, "h1", network)
    book = SliceBook(world.snapshot)
    book.follow("host/h1")
    outcome = report_host(world.snapshot, world.context(), "h1", {**HOST, "switch": "linuxbridge"}, "nova")
    world.take(outcome)
    book.advance(outcome.changes, world.snapshot)
    kept = book.slice("host/h1")
    assert kept is not None and f"follow/callers/{network['id']}" not in kept.rows


def test_where_hosts_answer_themselves_nobody_is_told() -> None:
    """metadata_path = host: a host learns of no port whose it is."""
    world, network = make_world("host")
    assert not follows(world, "h1", network)


def test_a_caller_is_an_instance_with_its_addresses() -> None:
    """The server's own port is none."""
    world, network = make_world()
    (port,) = (doc for doc in world.snapshot.find("port", "network_id", network["id"]) if doc["device_id"] == "web")
    found = resolve_slice(world.snapshot, f"callers/{network['id']}")
    assert found is not None
    address = Address("10.0.0.3", network["subnets"][0] if network["subnets"] else port["fixed_ips"][0]["subnet_id"])
    assert dict(found.rows) == {
        f"caller/{port['id']}": CallerRow(port["id"], "web", "p1", (address,), port["mac_address"])
    }


def test_law_6_what_is_kept_current_is_what_is_computed() -> None:
    """Ports that come, move, change hands and go, and a host that changes its ways: followed slices are the same."""
    world, network = make_world()
    book = SliceBook(world.snapshot)
    names = (f"callers/{network['id']}", "host/h1", "host/h2")
    for name in names:
        book.follow(name)

    def check() -> None:
        for name in names:
            whole = resolve_slice(world.snapshot, name)
            kept = book.slice(name)
            assert (kept.rows if kept else None) == (whole.rows if whole else None), name

    before = world.take

    def take(outcome):  # type: ignore[no-untyped-def]
        answer = before(outcome)
        book.advance(outcome.changes, world.snapshot)
        check()
        return answer

    world.take = take  # type: ignore[method-assign]
    port = world.port(network, device_id="db", device_owner="compute:nova", binding__host_id="h1")
    port = world.update("port", port, device_id="db2")
    port = world.update("port", port, device_owner="network:something")
    world.delete("port", port)
    world.host("h1", metadata_path="host")
    world.host("h1", metadata_path="namespace")
    (server,) = world.snapshot.find("port", "network_owner", (network["id"], "network:dhcp"))
    world.delete("port", server)
    for doc in list(world.snapshot.find("port", "network_id", network["id"])):
        world.delete("port", doc)
    world.delete("network", network)
    check()
