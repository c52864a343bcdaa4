"""The suite that every driver must pass: what `netloom.model.driver.Driver` promises, asked of a real device.

A driver's author describes his device with a `Subject` and runs each of `CHECKS`. A check takes a clean device and
leaves it clean, and says with AssertionError which promise was broken. Nothing here knows any device.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from netloom.model.driver import Driver
from netloom.model.plan import Op, Plan, Put, Remove, State, Thing

MakePlan = Callable[[State, State, Mapping[str, frozenset[str]]], Plan]


@dataclass(frozen=True, slots=True)
class Subject:
    """A device to try, and a driver for it.

    start: a driver with an empty memory for the one device, each time it is called. stop: let go of it.
    things: three or more that the device can hold at once, in an order in which they can be made.
    changed: some of the same keys with other values.
    impossible: things that the device must refuse (none, if there are none such).
    look_foreign: what somebody else has on the device, as a value; nothing we do may change it.
    plan: `netloom.reconcile.plan.plan`, or another that keeps its laws.
    """

    start: Callable[[], Awaitable[Driver]]
    stop: Callable[[Driver], Awaitable[None]]
    things: tuple[Thing, ...]
    changed: tuple[Thing, ...]
    impossible: tuple[Thing, ...]
    plan: MakePlan
    look_foreign: Callable[[], object] = lambda: None


def _as_state(things: Sequence[Thing]) -> dict[tuple[object, ...], Thing]:
    return {thing.key: thing for thing in things}


def _compare(found: State, wanted: State, when: str) -> None:
    missing = [key for key in wanted if key not in found]
    surplus = [key for key in found if key not in wanted]
    other = [(found[key].value, wanted[key].value) for key in wanted if key in found and found[key] != wanted[key]]
    assert not (missing or surplus or other), f"{when}: missing {missing}, too many {surplus}, different {other}"


async def _apply_all(driver: Driver, ops: Sequence[Op]) -> None:
    failures = await driver.apply(ops)
    assert not failures, f"refused: {failures}"


async def _sweep(subject: Subject, driver: Driver) -> None:
    await driver.apply(subject.plan({}, await driver.read(), driver.needs))
    _compare(await driver.read(), {}, "after everything was removed")
    await subject.stop(driver)


async def check_kinds(subject: Subject) -> None:
    """A driver names the kinds it holds, and every thing is of one of them."""
    driver = await subject.start()
    kinds = {thing.kind for thing in (*subject.things, *subject.changed, *subject.impossible)}
    assert kinds <= driver.kinds, f"things of kinds {kinds - driver.kinds} are not this driver's"
    await subject.stop(driver)


async def check_round_trip(subject: Subject) -> None:
    """What was put is read back with the same value."""
    driver = await subject.start()
    _compare(await driver.read(), {}, "before anything was put")
    await _apply_all(driver, [Put(thing) for thing in subject.things])
    _compare(await driver.read(), _as_state(subject.things), "after putting all")
    await _sweep(subject, driver)


async def check_idempotent(subject: Subject) -> None:
    """Putting again what is there, and removing again what is gone, is fine and changes nothing."""
    driver = await subject.start()
    for _ in range(2):
        await _apply_all(driver, [Put(thing) for thing in subject.things])
        _compare(await driver.read(), _as_state(subject.things), "after putting again")
    for _ in range(2):
        await _apply_all(driver, [Remove(thing) for thing in reversed(subject.things)])
        _compare(await driver.read(), {}, "after removing again")
    await _sweep(subject, driver)


async def check_plan_twice(subject: Subject) -> None:
    """After a plan was applied the next plan is empty: from nothing, to other values, and back to nothing (law 2)."""
    driver = await subject.start()
    first = _as_state(subject.things)
    for desired in (first, first | _as_state(subject.changed), _as_state(subject.things[:-1]), {}):
        await _apply_all(driver, subject.plan(desired, await driver.read(), driver.needs))
        again = subject.plan(desired, await driver.read(), driver.needs)
        assert not again, f"planned again after applying: {again}"
    await _sweep(subject, driver)


async def check_failures_apart(subject: Subject) -> None:
    """What the device refuses is reported, one failure for each such op, and all else is done."""
    driver = await subject.start()
    first, *rest = subject.things
    ops = [Put(first), *(Put(thing) for thing in subject.impossible), *(Put(thing) for thing in rest)]
    failures = await driver.apply(ops)
    refused = [failure.op.thing.key for failure in failures]
    assert sorted(refused, key=str) == sorted((t.key for t in subject.impossible), key=str), f"refused: {failures}"
    assert all(failure.reason for failure in failures), "a failure gives no reason"
    found = await driver.read()
    _compare(
        {key: found[key] for key in _as_state(subject.things) if key in found}, _as_state(subject.things), "beside"
    )
    await driver.apply([Remove(thing) for thing in subject.impossible])
    await _sweep(subject, driver)


async def check_restart(subject: Subject) -> None:
    """A driver with an empty memory finds exactly what is ours, and needs to do nothing (laws 2 and 5)."""
    driver = await subject.start()
    await _apply_all(driver, [Put(thing) for thing in subject.things])
    await subject.stop(driver)
    fresh = await subject.start()
    found = await fresh.read()
    _compare(found, _as_state(subject.things), "after a restart")
    assert not subject.plan(_as_state(subject.things), found, fresh.needs), "a restart has something to do"
    await _sweep(subject, fresh)


async def check_sweep(subject: Subject) -> None:
    """What an earlier life made and nobody wants any more is found and removed (law 5)."""
    driver = await subject.start()
    await _apply_all(driver, [Put(thing) for thing in subject.things])
    await subject.stop(driver)
    fresh = await subject.start()
    kept = _as_state(subject.things[:1])
    await _apply_all(fresh, subject.plan(kept, await fresh.read(), fresh.needs))
    _compare(await fresh.read(), kept, "after the sweep")
    await _sweep(subject, fresh)


async def check_foreign(subject: Subject) -> None:
    """What others have on the device is not ours, and is the same after all that we do."""
    before = subject.look_foreign()
    driver = await subject.start()
    _compare(await driver.read(), {}, "with only others' things there")
    await _apply_all(driver, [Put(thing) for thing in subject.things])
    assert subject.look_foreign() == before, "putting ours changed what is not ours"
    await _sweep(subject, driver)
    assert subject.look_foreign() == before, "removing ours changed what is not ours"


Check = Callable[[Subject], Awaitable[None]]

CHECKS: tuple[Check, ...] = (
    check_kinds,
    check_round_trip,
    check_idempotent,
    check_plan_twice,
    check_failures_apart,
    check_restart,
    check_sweep,
    check_foreign,
)
