"""Whether something is the same object: what a renderer that remembers asks of slices, which are never changed."""

from __future__ import annotations


class Same:
    """Equal to another that holds the same object."""

    __slots__ = ("held",)

    def __init__(self, held: object) -> None:
        self.held = held

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.held is self.held

    def __hash__(self) -> int:
        return id(self.held)
