"""What one turn of the loop sees, and what it says of each port afterwards. Pure functions over values.

A port is wired when nothing that it needs is missing or refused; otherwise it is pending, with a reason in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from netloom.model.facts import HostFacts
from netloom.model.plan import Key, Plan, Put, State, Thing
from netloom.model.slices import PortRow, Slices
from netloom.reconcile.backoff import Refusal
from netloom.render.bridges.status import MAKING
from netloom.render.status import find_central

FAULT = "fault"
"""Of a copy of a router whose keeper is not there."""


@dataclass(frozen=True, slots=True)
class View:
    """What was pulled: slices at a revision, whether they were all of it at some moment, and the facts of this host.

    same: but for sets of addresses, all is as it was in the turn before.
    """

    slices: Slices
    revision: int
    complete: bool
    facts: HostFacts
    same: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    """What the server is told: equal statuses need telling once."""

    revision: int
    wired: frozenset[str]
    pending: Mapping[str, str]
    copies: Mapping[str, str] = field(default_factory=dict)


def find_ports(slices: Slices, host: str) -> tuple[PortRow, ...]:
    """The ports bound to this host."""
    own = slices.get(f"host/{host}")
    return tuple(row for row in own.rows.values() if isinstance(row, PortRow)) if own else ()


def keep_additions(ops: Plan) -> Plan:
    """Only what brings something new: all that may be done before the whole of what is wanted is known."""
    return tuple(op for op in ops if isinstance(op, Put) and op.before is None)


def device_mark(facts: HostFacts) -> frozenset[tuple[tuple[str, str], int]]:
    """The switch's own ports with their numbers, instances' apart: a change here means that devices need reading."""
    plugged = {(facts.integration_bridge, held.name) for held in facts.interfaces.values()}
    broken = [((FAULT, id), 0) for id, state in facts.copies.items() if state == FAULT]
    return frozenset((*(item for item in facts.ofports.items() if item[0] not in plugged), *broken))


def is_replugged(before: HostFacts, after: HostFacts) -> bool:
    """Whether a device went and one of its name came between two looks: what was set on the old one went with it."""
    held = {interface.name: interface.ofport for interface in (*before.interfaces.values(), *before.taps.values())}
    now = (*after.interfaces.values(), *after.taps.values())
    return any(held.get(found.name, found.ofport) != found.ofport for found in now)


def keep_keys(state: State, keys: Iterable[Key]) -> State:
    """Of `state` only the things under `keys`."""
    return {key: state[key] for key in keys if key in state}


def drop_kinds(state: State, kinds: Iterable[str]) -> State:
    """`state` without the things of these kinds."""
    out = frozenset(kinds)
    return {key: thing for key, thing in state.items() if key[0] not in out} if out else state


def find_affected(thing: Thing, ports: Iterable[PortRow]) -> Iterable[str]:
    """The ports that a thing is needed by, told from its reason: a port's, its group's, network's, or every one's."""
    ids = thing.why.ids
    if not ids:
        return (port.id for port in ports)
    if ids[0].startswith("port/"):
        return (port.id for port in ports if f"port/{port.id}" == ids[0])
    if ids[0].startswith("router/"):
        return (port.id for port in ports if f"router/{port.device_id}" == ids[0])
    if ids[0].startswith("rule/"):
        return (port.id for port in ports if any(f"group/{group}" in ids for group in port.groups))
    return (port.id for port in ports if f"network/{port.network_id}" in ids)


def find_refused_floating(puts: Iterable[Refusal], floating: Mapping[str, str]) -> dict[str, str]:
    """Floating IPs that a refused thing is the reason of."""
    told = ((refusal.op.thing.why.ids[:1], refusal.reason) for refusal in puts)
    named = ((ids[0].removeprefix("floatingip/"), reason) for ids, reason in told if ids)
    return {id: reason for id, reason in named if id in floating}


def make_status(
    view: View,
    pending: Mapping[str, str],
    refused: Iterable[Refusal],
    unreachable: Mapping[str, str],
    floating: Mapping[str, str] | None = None,
) -> Status:
    """What to say of each port: a missing part first, then a device that does not answer, then one that refused."""
    ports = find_ports(view.slices, view.facts.host)
    reasons: dict[str, str] = {}
    puts = [refusal for refusal in refused if isinstance(refusal.op, Put)]
    for refusal in puts:
        for port_id in find_affected(refusal.op.thing, ports):
            reasons.setdefault(port_id, refusal.reason)
    for name, words in sorted(unreachable.items()):
        reasons |= {port.id: f"{name} does not answer: {words}" for port in ports}
    here = {port.id for port in ports}
    if floating:
        reasons |= {id: reason for id, reason in floating.items() if reason}
        reasons |= find_refused_floating(puts, floating)
        here |= floating.keys()
    told = {id: reason for id, reason in pending.items() if id in here and not (reason == MAKING and id in reasons)}
    reasons |= told
    copies = {id: state for id, state in view.facts.copies.items() if state != FAULT}
    copies |= find_central(view.slices, view.facts)
    return Status(view.revision, frozenset(here - reasons.keys()), reasons, copies)
