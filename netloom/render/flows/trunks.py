"""Where a port's frames come from and go to: its device, or of a subport its parent's device, under its tag.

A subport is a port like others between the two ends, by a number of its own. A frame that goes back to the device that
it came by (from one subport to another, or to the parent) needs IN_PORT, for a switch sends nothing back by itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from netloom.model.flow import (
    IN_PORT,
    VLAN_PRESENT,
    Action,
    Match,
    Output,
    PopVlan,
    PushVlan,
    SetField,
    make_match,
)
from netloom.model.slices import PortRow
from netloom.render import registers as reg
from netloom.render.pipeline import ANSWER, DELIVER
from netloom.render.scene import Plugged

VLAN_ID = 0x0FFF
End = tuple[int, int, Match, tuple[Action, ...]]


def arrive(plugged: Plugged, transparent: bool = False) -> Match:
    """What the port sends: no tag, or one that names no VLAN (IEEE 802.1Q, 9.6: VID 0); of a subport its own.

    transparent: the network carries tags, and a port that is no subport sends any.
    """
    if plugged.trunk:
        return make_match(in_port=plugged.trunk, vlan_vid=plugged.port.vlan | VLAN_PRESENT)
    if transparent:
        return make_match(in_port=plugged.ofport)
    return make_match(in_port=plugged.ofport, vlan_vid=(0, VLAN_ID))


def find_arrivals(
    plugged: Plugged, transparent: bool = False, stacked: bool = False
) -> Iterator[tuple[Match, tuple[Action, ...]]]:
    """What the port sends, and what of it is taken off first.

    stacked: the switch reads what is behind a first tag. So a tag that names no VLAN comes off too, or the one behind
    it would not be seen by those who forbid it.
    """
    if plugged.trunk:
        yield arrive(plugged), (PopVlan(),)
    elif transparent or not stacked:
        yield arrive(plugged, transparent), ()
    else:
        yield make_match(in_port=plugged.ofport, vlan_vid=0), ()
        yield make_match(in_port=plugged.ofport, vlan_vid=VLAN_PRESENT), (PopVlan(),)


def forbid_tags(plugged: Plugged) -> Match:
    """What still has a tag once the port's own is off: on a network that carries none it could name another's VLAN."""
    return make_match(**{reg.SENDER: plugged.ofport}, vlan_vid=(VLAN_PRESENT, VLAN_PRESENT))


def tag(port: PortRow) -> tuple[Action, ...]:
    return PushVlan(), SetField("vlan_vid", port.vlan | VLAN_PRESENT)


def render_ends(plugged: Plugged) -> Iterator[End]:
    """(table, priority, match, actions): out of the device, and answers back to it."""
    number, leave = plugged.ofport, {reg.OUT: plugged.ofport}
    if not plugged.trunk:
        yield DELIVER, 100, make_match(**leave), (Output(number),)
        return
    tagged, own = tag(plugged.port), make_match(**{reg.SENDER: number})
    # What follows in a flood must not have the tag: what a table did to a packet outlasts the resubmit.
    yield DELIVER, 100, make_match(**leave), (*tagged, Output(plugged.trunk), PopVlan())
    yield DELIVER, 110, make_match(**leave, in_port=plugged.trunk), (*tagged, Output(IN_PORT), PopVlan())
    yield DELIVER, 120, make_match(**leave, **{reg.SENDER: number}), ()
    to_parent = {reg.OUT: plugged.trunk, "in_port": plugged.trunk, reg.SENDER: number}
    yield DELIVER, 110, make_match(**to_parent), (Output(IN_PORT),)
    yield ANSWER, 100, own, (*tagged, Output(IN_PORT))
