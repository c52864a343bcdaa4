"""Flows that hand to the agent what is to be written down: the first packets of connections let pass, packets dropped.

They do to the packet just what would be done without them. Packets that conntrack calls invalid, and what the guard
drops, are in no log; of a stateless group what passes is in none either, for it would be every packet.
"""

from __future__ import annotations

from collections.abc import Iterator

from netloom.model.flow import CT_EST, IPV4, IPV6, Action, Goto, Match, ToController, make_match
from netloom.render import registers as reg
from netloom.render.flows.groups import SIDES, Side, note
from netloom.render.pipeline import REASON_ACCEPTED, REASON_DROPPED
from netloom.render.scene import Plugged

LogFlow = tuple[int, int, Match, tuple[Action, ...]]
HEAD = 128
"""Bytes of a packet that the agent sees: its headers."""


def find_log_flows(plugged: Plugged, combination: int) -> Iterator[LogFlow]:
    """(table, priority, match, actions) for a port with logs."""
    events = {mark.event for mark in plugged.port.logs}
    for side in SIDES.values():
        if events & {"DROP", "ALL"}:
            yield from find_drops(side, plugged.ofport, bool(combination & reg.STATELESS))
        if events & {"ACCEPT", "ALL"}:
            yield from find_accepts(side, plugged.ofport)


def find_drops(side: Side, number: int, free: bool) -> Iterator[LogFlow]:
    tell = ToController(REASON_DROPPED, HEAD)
    yield side.free if free else side.rules, 2, make_match(**{side.zone: number}), (tell,)
    for version in () if free else (IPV4, IPV6):
        known = make_match(**{side.zone: number}, eth_type=version, ct_state=(CT_EST, CT_EST))
        yield side.rules, 41, known, (tell, note(side, reg.REFUSED))


def find_accepts(side: Side, number: int) -> Iterator[LogFlow]:
    for version in (IPV4, IPV6):
        match = make_match(**{side.zone: number}, eth_type=version)
        yield side.accept, 60, match, (ToController(REASON_ACCEPTED, HEAD), note(side, 0), Goto(side.on))
