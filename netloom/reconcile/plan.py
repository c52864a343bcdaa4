"""The ops that lead from what is there to what should be, as few as there are differences, in an order that is safe.

Law 2: after applying a plan, planning again gives an empty one. Law 3: what is made needs what was made before it, what
is removed is needed by nothing that stays, and flows close before they open (see `flow_order`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from netloom.model.plan import Op, Plan, Put, Remove, State, Thing
from netloom.reconcile.flow_order import order_closing, order_opening, split_flows

Needs = Mapping[str, frozenset[str]]

FLOW = "flow"
LOCKS = frozenset({"iptables", "ipset", "ipset_member"})
"""What keeps the rules of a host's ports in the place of flows."""


def plan(desired: State, actual: State, needs: Needs) -> Plan:
    """The ops from `actual` to `desired`; empty when they are equal.

    Flows close first; then things go, the most dependent kind first; then things come, the least dependent kind first,
    flows among them where their needs put them; flows that only hold packets back go last. Where something else than
    flows begins to keep the rules, that comes before all, and where it ends, that goes after all.
    """
    puts, removes = diff_states(desired, actual)
    if not puts and not removes:
        return ()
    if does_begin(puts, removes):
        first, rest = divide(puts)
        return (*order_ops(first, [], needs), *order_ops(rest, removes, needs))
    if does_end(puts, removes):
        last, others = divide(removes)
        return (*order_ops(puts, others, needs), *order_ops([], last, needs))
    return order_ops(puts, removes, needs)


def does_begin(puts: Iterable[Put], removes: Iterable[Remove]) -> bool:
    """Whether locks are put where there were none: two that hold at once let through what both do."""
    held = [put for put in puts if put.thing.kind == "iptables"]
    gone = any(op.thing.kind in LOCKS for op in removes)
    return bool(held) and not gone and all(put.before is None for put in held)


def does_end(puts: Iterable[Put], removes: Iterable[Remove]) -> bool:
    """Whether all locks go: what is to hold in their place must be there."""
    return not any(op.thing.kind in LOCKS for op in puts) and any(op.thing.kind == "iptables" for op in removes)


def ends_locks(ops: Plan) -> bool:
    """Whether all locks go, and flows hold in their place: for every packet, before the first of them goes."""
    puts = [op for op in ops if isinstance(op, Put)]
    return does_end(puts, [op for op in ops if isinstance(op, Remove)])


OpT = TypeVar("OpT", Put, Remove)


def divide(ops: Iterable[OpT]) -> tuple[list[OpT], list[OpT]]:
    """(locks, others)."""
    found: tuple[list[OpT], list[OpT]] = [], []
    for op in ops:
        found[op.thing.kind not in LOCKS].append(op)
    return found


def order_ops(puts: Sequence[Put], removes: Sequence[Remove], needs: Needs) -> Plan:
    rank = rank_kinds({*(put.thing.kind for put in puts), *(gone.thing.kind for gone in removes)}, needs)
    closing, opening = split_flows(
        [op for op in puts if op.thing.kind == FLOW], [op for op in removes if op.thing.kind == FLOW]
    )
    leave = sorted((op for op in removes if op.thing.kind != FLOW), key=lambda op: (-rank[op.thing.kind], _name(op)))
    come = sorted((op for op in puts if op.thing.kind != FLOW), key=lambda op: (rank[op.thing.kind], _name(op)))
    before = [op for op in come if rank[op.thing.kind] <= rank.get(FLOW, 0)]
    after = [op for op in come if rank[op.thing.kind] > rank.get(FLOW, 0)]
    return (*order_closing(closing), *leave, *before, *order_opening(opening), *after)


def diff_states(desired: State, actual: State) -> tuple[list[Put], list[Remove]]:
    """What is missing or different, and what is too much; in no order. The reason (why) is no difference."""
    puts = []
    for key, thing in desired.items():
        there = actual.get(key)
        if there is None or (there.value is not thing.value and there.value != thing.value):
            puts.append(Put(thing, there))
    removes = [Remove(thing) for key, thing in actual.items() if key not in desired]
    return puts, removes


def rank_kinds(kinds: Iterable[str], needs: Needs) -> dict[str, int]:
    """Each kind's place: after all that it needs, and by name where that does not decide. ValueError on a circle."""
    waiting = {
        kind: needs.get(kind, frozenset()) for kind in {*kinds, *needs, *(n for ns in needs.values() for n in ns)}
    }
    done: dict[str, int] = {}
    while waiting:
        ready = sorted(kind for kind, wanted in waiting.items() if wanted <= done.keys())
        if not ready:
            raise ValueError(f"these kinds need one another: {', '.join(sorted(waiting))}")
        for kind in ready:
            done[kind] = len(done)
            del waiting[kind]
    return done


def apply_plan(state: State, ops: Iterable[Op]) -> dict[tuple[object, ...], Thing]:
    """What a device that does as it is told holds after `ops`."""
    after = dict(state)
    for op in ops:
        if isinstance(op, Put):
            after[op.thing.key] = op.thing
        else:
            after.pop(op.thing.key, None)
    return after


def split_by_driver(ops: Plan, owners: Mapping[str, str]) -> list[tuple[str, Plan]]:
    """The plan cut into runs that one driver applies, in the plan's order. `owners`: kind → driver's name.

    KeyError names a kind that no driver holds.
    """
    runs: list[tuple[str, list[Op]]] = []
    for op in ops:
        owner = owners[op.thing.kind]
        if not runs or runs[-1][0] != owner:
            runs.append((owner, []))
        runs[-1][1].append(op)
    return [(owner, tuple(run)) for owner, run in runs]


Run = tuple[str, Plan]
"""A driver's name, and ops that it applies in one call."""


def join_runs(runs: Iterable[Run], needs: Needs) -> list[list[Run]]:
    """Runs in sets whose members may go at the same time: of different drivers, and no kind of one needs another's."""
    sets: list[list[Run]] = []
    for run in runs:
        if sets and all(are_apart(run, other, needs) for other in sets[-1]):
            sets[-1].append(run)
        else:
            sets.append([run])
    return sets


def are_apart(one: Run, other: Run, needs: Needs) -> bool:
    a, b = ({op.thing.kind for op in ops} for _, ops in (one, other))
    return one[0] != other[0] and not (find_needed(a, needs) & b) and not (find_needed(b, needs) & a)


def find_needed(kinds: Iterable[str], needs: Needs) -> set[str]:
    """All that things of these kinds stand on, at however many removes."""
    found: set[str] = set()
    waiting = list(kinds)
    while waiting:
        more = needs.get(waiting.pop(), frozenset()) - found
        found |= more
        waiting += more
    return found


def _name(op: Op) -> tuple[str, ...]:
    return tuple(map(str, op.thing.key))
