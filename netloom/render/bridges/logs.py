"""What is written down of ports with logs on Linux bridges: rules of nft that hand a packet's head to the agent.

A port with logs has rules of its own, for a rule tells whose packet it is by nothing but the mark. What is logged is as
on Open vSwitch: the first packets of connections let pass, and packets dropped; not what conntrack calls invalid.
"""

from __future__ import annotations

from dataclasses import dataclass

from netloom.model.slices import PortRow
from netloom.render.scene import Plugged

GROUP = 4711
"""Of the kernel's log messages that the agent reads (nfnetlink_log)."""
HEAD = 128
WORD = "log:"


def find_combination(port: PortRow) -> tuple[str, ...]:
    """The ids of its groups, and, where it has logs, its own: what it shares its rules by."""
    ids = tuple(sorted(set(port.groups)))
    return (*ids, f"{WORD}{port.id}") if port.logs else ids


@dataclass(frozen=True, slots=True)
class Logging:
    """What is told of a port: the number of its device, and which events."""

    number: int
    accepted: bool
    dropped: bool

    def tell(self, event: str, direction: str) -> str:
        return f'log prefix "{event} {direction} {self.number}" group {GROUP} snaplen {HEAD}'

    def tell_dropped(self, direction: str) -> str:
        return f"{self.tell('DROP', direction)} " if self.dropped else ""


SILENT = Logging(0, False, False)


def make_logging(plugged: Plugged) -> Logging:
    events = {mark.event for mark in plugged.port.logs}
    return Logging(plugged.ofport, bool(events & {"ACCEPT", "ALL"}), bool(events & {"DROP", "ALL"}))
