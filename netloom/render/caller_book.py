"""Who has which address on a network, for those who answer metadata in a namespace: kept by what changed.

Law 1: who is found depends on the rows that are here now. Law 6: a port that comes or goes costs its own row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from netloom.model.address import link_local
from netloom.model.slices import CallerRow, Row, Slice, Slices, find_changed
from netloom.render.metadata import Caller

T = TypeVar("T")
Held = dict[str, dict[T, Caller]]
"""By address, and by what else tells them apart, who has it."""
Leg = tuple["CallerIndex", frozenset[str] | None]
"""A network, and the subnets of it that are known there; None: all."""


class CallerIndex:
    """One network's callers. `take` every state of its slice."""

    def __init__(self) -> None:
        self.read = 0
        """How many rows were looked at since the beginning."""
        self._found: Slice | None = None
        self._fixed: Held[tuple[str, str]] = {}  # by subnet and port
        self._near: Held[str] = {}  # by port

    def take(self, part: Slice | None) -> None:
        """None: nothing of it is known."""
        old, self._found = self._found, part
        for key in find_changed(old, part):
            self.read += 1
            self._drop(old.rows.get(key) if old else None)
            self._add(part.rows.get(key) if part else None)

    def _add(self, row: Row | None) -> None:
        for ip, subnet, caller in list_addresses(row):
            self._fixed.setdefault(ip, {})[subnet, caller.port_id] = caller
        for ip, caller in list_near(row):
            self._near.setdefault(ip, {})[caller.port_id] = caller

    def _drop(self, row: Row | None) -> None:
        for ip, subnet, caller in list_addresses(row):
            drop(self._fixed, ip, (subnet, caller.port_id))
        for ip, caller in list_near(row):
            drop(self._near, ip, caller.port_id)

    @property
    def addresses(self) -> set[str]:
        return self._fixed.keys() | self._near.keys()

    def find_fixed(self, ip: str, subnets: frozenset[str] | None) -> Caller | None:
        """Who has the address on one of these subnets."""
        held = self._fixed.get(ip, {})
        return next((held[key] for key in sorted(held) if subnets is None or key[0] in subnets), None)

    def find_near(self, ip: str) -> tuple[Caller, ...]:
        """Those whose MAC gives them the address on the link."""
        return tuple(self._near.get(ip, {}).values())


def drop(held: Held[T], ip: str, key: T) -> None:
    found = held.get(ip, {})
    found.pop(key, None)
    if not found:
        held.pop(ip, None)


def list_addresses(row: Row | None) -> Iterator[tuple[str, str, Caller]]:
    """(address, its subnet, who)."""
    if isinstance(row, CallerRow):
        for address in row.addresses:
            yield address.ip, address.subnet_id, make_caller(row, address.ip)


def list_near(row: Row | None) -> Iterator[tuple[str, Caller]]:
    if isinstance(row, CallerRow) and row.mac:
        ip = link_local(row.mac)
        yield ip, make_caller(row, ip)


def make_caller(row: CallerRow, ip: str) -> Caller:
    return Caller(row.id, row.device_id, row.project_id, ip)


class Callers(Mapping[str, Caller]):
    """Who may ask in one namespace, by address, as the networks that it is on know it now.

    A fixed address is that of the port on a subnet that is known there. By the address on the link nobody is told where
    two networks have one MAC.
    """

    def __init__(self, legs: tuple[Leg, ...]) -> None:
        self._legs = legs
        self._indexes = tuple({id(index): index for index, _ in legs}.values())

    def __getitem__(self, ip: str) -> Caller:
        for index, subnets in self._legs:
            if caller := index.find_fixed(ip, subnets):
                return caller
        near = [caller for index in self._indexes for caller in index.find_near(ip)]
        if len(near) != 1:
            raise KeyError(ip)
        return near[0]

    def __iter__(self) -> Iterator[str]:
        known = {ip for index in self._indexes for ip in index.addresses}
        return iter(sorted(ip for ip in known if self.get(ip)))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class CallerBook:
    """The networks that somebody here answers for. `begin` before a round of `find`, `end` after it."""

    def __init__(self) -> None:
        self._held: dict[str, CallerIndex] = {}
        self._asked: set[str] = set()

    def begin(self) -> None:
        self._asked = set()

    def find(self, network_id: str, slices: Slices) -> CallerIndex:
        name = f"callers/{network_id}"
        index = self._held.setdefault(name, CallerIndex())
        if name not in self._asked:
            self._asked.add(name)
            index.take(slices.get(name))
        return index

    def end(self) -> None:
        """Forget the networks that nobody asked for."""
        self._held = {name: index for name, index in self._held.items() if name in self._asked}
