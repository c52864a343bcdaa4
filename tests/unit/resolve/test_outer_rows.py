"""What hosts learn of external networks: whose addresses need no translation, and under which policy they are."""

from __future__ import annotations

from netloom.intent.operation import Outcome
from netloom.intent.schema import Doc
from netloom.model.slices import FollowRow, NetworkRow
from netloom.resolve.slices import SliceBook, resolve_slice
from tests.unit.intent.intent_kit import World


def find_row(world: World, network: Doc) -> NetworkRow:
    found = resolve_slice(world.snapshot, f"network/{network['id']}")
    assert found is not None
    row = found.rows[f"network/{network['id']}"]
    assert isinstance(row, NetworkRow)
    return row


def test_a_network_says_its_address_scopes() -> None:
    """They follow from the pools of its subnets, one of each IP version."""
    world = World()
    (scope,) = world.create("address_scope", {"name": "a", "ip_version": 4})
    (pool,) = world.create("subnetpool", {"name": "p", "prefixes": ["10.0.0.0/8"], "address_scope_id": scope["id"]})
    network = world.network()
    assert (find_row(world, network).ipv4_scope, find_row(world, network).ipv6_scope) == ("", "")
    world.subnet(network, "10.1.0.0/24", subnetpool_id=pool["id"])
    assert (find_row(world, network).ipv4_scope, find_row(world, network).ipv6_scope) == (scope["id"], "")


def test_an_external_network_leads_to_its_policy() -> None:
    """Whoever has a gateway there needs its rules; followed slices are kept in step when it changes."""
    world = World()
    (gold,) = world.create("policy", {"name": "gold"})
    (silver,) = world.create("policy", {"name": "silver"})
    outside = world.network(router__external=True, qos_policy_id=gold["id"])
    inside = world.network(qos_policy_id=gold["id"])
    name = f"network/{outside['id']}"
    book = SliceBook(world.snapshot)
    book.follow(name)
    assert find_row(world, outside).policy == gold["id"] and find_row(world, inside).policy == ""

    def check(policy: str) -> None:
        whole, kept = resolve_slice(world.snapshot, name), book.slice(name)
        assert whole is not None and kept is not None and kept.rows == whole.rows
        follows = {row.slice for row in kept.rows.values() if isinstance(row, FollowRow)}
        assert follows == ({f"policy/{policy}"} if policy else set())

    taken = world.take

    def take(outcome: Outcome) -> tuple[Doc, ...]:
        answer = taken(outcome)
        book.advance(outcome.changes, world.snapshot)
        return answer

    world.take = take  # type: ignore[method-assign]
    check(gold["id"])
    for policy in (silver["id"], None):
        world.update("network", outside, qos_policy_id=policy)
        check(policy or "")
