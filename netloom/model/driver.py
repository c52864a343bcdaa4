"""What a driver promises. The conformance suite in `netloom.testing` checks every driver against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from netloom.model.plan import Failure, Op, State


class Driver(Protocol):
    """The hands of one device.

    `kinds`: the kinds of thing it holds. `needs`: for a kind, the kinds that must be there before it; the plan's order
    comes from here and nowhere else.
    """

    @property
    def kinds(self) -> frozenset[str]: ...

    @property
    def needs(self) -> Mapping[str, frozenset[str]]: ...

    async def read(self) -> State:
        """Only what is ours, told from the device alone, also with an empty memory (law 5)."""
        ...

    async def apply(self, ops: Sequence[Op]) -> Sequence[Failure]:
        """Make each op so. Idempotent; a missing thing to remove is fine; one failure stops no other op."""
        ...


@runtime_checkable
class Settling(Protocol):
    """A driver whose device goes by what it holds a moment after it has taken it."""

    async def settle(self) -> None:
        """Return when nothing goes by what was there before the last apply. OSError: the device does not answer."""
        ...


@runtime_checkable
class Looking(Protocol):
    """A driver whose devices tell nobody when somebody else changes them."""

    async def look(self) -> State:
        """As `read`, beside whatever goes on; what is applied meanwhile may be half in it. OSError as there."""
        ...


@runtime_checkable
class Ordered(Protocol):
    """A driver whose kinds, or those of others, come in an order though nothing stands on the other: the door last.

    `after`: for a kind, the kinds that come before it and go after it. No reading follows from it, as it does of needs.
    """

    @property
    def after(self) -> Mapping[str, frozenset[str]]: ...
