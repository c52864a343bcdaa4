"""When what kept the rules beside the flows goes: not before the flows hold for every packet."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from netloom.agent.mirror import Mirror
from netloom.drivers.filter import iptables
from netloom.model.plan import Failure, Op, Plan, Put, Remove, State, Thing
from netloom.reconcile.backoff import Refusal


@dataclass
class Hands:
    """A driver that writes down what it is asked."""

    name: str
    kinds: frozenset[str]
    asked: list[str]
    needs: Mapping[str, frozenset[str]] = field(default_factory=dict)

    async def read(self) -> State:
        return {}

    async def apply(self, ops: Sequence[Op]) -> Sequence[Failure]:
        self.asked.append(self.name)
        return []


@dataclass
class Switch(Hands):
    """One that needs a moment; `broken`: it does not say when."""

    broken: bool = False
    refuses: bool = False

    async def apply(self, ops: Sequence[Op]) -> Sequence[Failure]:
        await Hands.apply(self, ops)
        return [Failure(op, "table full") for op in ops if self.refuses]

    async def settle(self) -> None:
        self.asked.append("settle")
        if self.broken:
            raise OSError("no answer")


FLOW = Put(Thing(("flow", "br-int", 0), None))
FRAME, PORT = (Thing(("iptables", 4, "filter", name), name) for name in ("FORWARD", "port"))
SET = Thing(("ipset", "NIPv4web"), None)


def apply(
    ops: Plan, broken: bool = False, refuses: bool = False, held: Sequence[Refusal] = ()
) -> tuple[list[str], list[Failure]]:
    asked: list[str] = []
    switch = Switch("ovs", frozenset({"flow"}), asked, broken=broken, refuses=refuses)
    chains = Hands("iptables", frozenset({"iptables", "ipset"}), asked, {**iptables.NEEDS, **iptables.AFTER})
    mirror = Mirror({"ovs": switch, "iptables": chains})
    return asked, asyncio.run(mirror.apply(ops, held))


@pytest.mark.parametrize(
    ("ops", "asked"),
    [
        ((FLOW, Remove(FRAME), Remove(PORT), Remove(SET)), ["ovs", "settle", "iptables"]),
        ((Remove(FRAME), Remove(SET)), ["settle", "iptables"]),  # somebody was started anew in between
        ((FLOW, Remove(PORT), Put(FRAME, FRAME)), ["ovs", "iptables"]),  # of a port that goes; the others' rules stay
        ((Put(FRAME), Put(PORT), FLOW), ["iptables", "ovs"]),
        ((FLOW, Remove(SET)), ["ovs", "iptables"]),
    ],
)
def test_chains_that_all_go_wait_for_the_switch(ops: Plan, asked: list[str]) -> None:
    """A switch goes by its flows a moment after it has taken them; that moment is waited for when iptables lets go of
    everything, and at no other time."""
    assert apply(ops) == (asked, [])


def test_chains_stay_while_the_switch_says_nothing() -> None:
    """They are tried again later, with the reason."""
    asked, failures = apply((FLOW, Remove(FRAME), Remove(SET)), broken=True)
    assert asked == ["ovs", "settle"]
    assert {failure.op.thing.key for failure in failures} == {FRAME.key, SET.key}
    assert all("ovs does not say" in failure.reason and failure.retry for failure in failures)


def test_chains_stay_while_a_flow_in_their_place_is_refused() -> None:
    """The port would be open to everybody: neither would hold."""
    asked, failures = apply((FLOW, Remove(FRAME), Remove(SET)), refuses=True)
    assert asked == ["ovs"]
    assert {failure.op.thing.key for failure in failures} == {FLOW.thing.key, FRAME.key, SET.key}
    assert any("table full" in failure.reason for failure in failures if failure.op.thing.key == FRAME.key)


def test_chains_stay_while_a_flow_in_their_place_waits_for_another_try() -> None:
    """It is not tried in each turn, and is not there until it was; one that is tried now and taken is no reason."""
    held = (Refusal(FLOW, 3, "table full", None),)
    asked, failures = apply((Remove(FRAME), Remove(SET)), held=held)
    assert asked == [] and {failure.op.thing.key for failure in failures} == {FRAME.key, SET.key}
    assert apply((FLOW, Remove(FRAME)), held=held) == (["ovs", "settle", "iptables"], [])
