"""What a renderer remembers of the neighbours on one network: who has which address, and the flow of each address.

Law 1: what comes out is what would come of the slice alone; a change of a port costs the flows of its addresses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from netloom.model.slices import PlaceRow, Row, Slice, find_changed
from netloom.render.cut import Cut, Things
from netloom.render.flows.neighbours import Claim, Ground, find_claims, render_neighbour, render_strangers
from netloom.render.make import make_thing

PLACE = "place/"


class NeighbourBook:
    """The neighbours on one network: `render` after every change of it."""

    def __init__(self) -> None:
        self._found: Slice | None = None
        self._ground: Ground | None = None
        self._learned: Mapping[str, str] = {}
        self._claims: dict[str, dict[str, list[Claim]]] = {}  # by address, by port
        self._flows = Cut("")
        self._groups: dict[str, Things] = {}
        self.rendered = 0
        """How many flows were made since the beginning."""

    def render(self, found: Slice, ground: Ground, learned: Mapping[str, str]) -> Mapping[str, Things]:
        """`learned`: what the agent found out on this network, address → MAC address."""
        if found is self._found and ground == self._ground and learned == self._learned:
            return self._groups
        fresh = ground != self._ground or ground.network.revision != self._revision
        old = None if fresh else self._found
        if fresh:
            self._claims, self._flows = {}, Cut(f"neighbours/{ground.network.id}")
        touched = self._claim(old, found) | {ip for ip, _ in learned.items() ^ self._learned.items()}
        touched |= learned.keys() if fresh else set()
        self._found, self._ground, self._learned = found, ground, dict(learned)
        for ip in touched:
            self._render_one(ip, ground)
        self._flows.settle()
        strangers = tuple(map(make_thing, render_strangers(ground)))
        self._groups = {**self._flows.groups, f"strangers/{ground.network.id}": strangers}
        return self._groups

    @property
    def _revision(self) -> int:
        return self._ground.network.revision if self._ground else -1

    def _claim(self, old: Slice | None, found: Slice) -> set[str]:
        """Take in what changed of ports; the addresses that it is about."""
        touched = set[str]()
        for key in find_changed(old, found):
            if key.startswith(PLACE):
                before = read_place(old.rows.get(key)) if old else ()
                now = read_place(found.rows.get(key))
                touched |= {ip for ip, _ in before} | {ip for ip, _ in now}
                self._drop(key, (ip for ip, _ in before))
                for ip, claim in now:
                    self._claims.setdefault(ip, {}).setdefault(key, []).append(claim)
        return touched

    def _drop(self, key: str, addresses: Iterable[str]) -> None:
        for ip in addresses:
            held = self._claims.get(ip, {})
            held.pop(key, None)
            if not held:
                self._claims.pop(ip, None)

    def _render_one(self, ip: str, ground: Ground) -> None:
        held = self._claims.get(ip, {})
        claims = [claim for key in sorted(held) for claim in held[key]]
        flow = render_neighbour(ip, claims, ground, self._learned.get(ip, ""))
        self.rendered += 1
        self._flows.put(ip, (make_thing(flow),) if flow else ())


def read_place(row: Row | None) -> tuple[tuple[str, Claim], ...]:
    return tuple(find_claims(row)) if isinstance(row, PlaceRow) else ()
