"""What one connection is to be told: the slices that its hosts' own slices lead to, and no more.

Law 9: a host has one root, `host/<name>`; a relay has one for each host that it speaks for. A slice is followed while
some root leads to it. Law 6: a root is walked again only when a slice that it leads to leads elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from netloom.model.slices import find_reached

NOTHING: frozenset[str] = frozenset()


class Interest:
    """The roots of one connection, and how many of them lead to each slice."""

    def __init__(self, roots: Iterable[str] = ()) -> None:
        self._reached: dict[str, frozenset[str]] = {}
        self._counts: dict[str, int] = {}
        self._stale: set[str] = set()
        self._loose: set[str] = set()  # slices that a root has left, and perhaps no other leads to
        for root in roots:
            self.add(root)

    def __contains__(self, root: str) -> bool:
        return root in self._reached

    @property
    def stale(self) -> bool:
        """Whether `settle` has something to do."""
        return bool(self._stale or self._loose)

    def reached(self, root: str) -> frozenset[str]:
        """What the root led to when last settled."""
        return self._reached.get(root, NOTHING)

    def add(self, root: str) -> None:
        self._reached.setdefault(root, NOTHING)
        self._stale.add(root)

    def remove(self, root: str) -> None:
        self._stale.discard(root)
        self._leave(self._reached.pop(root, NOTHING))

    def mark(self, name: str) -> None:
        """The slice may lead elsewhere now."""
        self._stale.update(root for root, reached in self._reached.items() if name in reached)

    def settle(self, leads: Callable[[str], Iterable[str]], follow: Callable[[str], None]) -> list[str]:
        """Walk what is stale. `follow` is called for each new slice before it is asked where it leads; gives the
        slices that no root leads to any more."""
        stale, self._stale = self._stale, set()
        for root in stale:
            self._walk(root, leads, follow)
        gone = [name for name in self._loose if not self._counts.get(name)]
        self._loose.clear()
        for name in gone:
            self._counts.pop(name, None)
        return sorted(gone)

    def _walk(self, root: str, leads: Callable[[str], Iterable[str]], follow: Callable[[str], None]) -> None:
        before, now = self._reached[root], set()
        for name in find_reached(root, leads):
            now.add(name)
            if name not in self._counts:
                self._counts[name] = 0
                follow(name)
        for name in now - before:
            self._counts[name] += 1
        self._reached[root] = frozenset(now)
        self._leave(before - now)

    def _leave(self, names: Iterable[str]) -> None:
        for name in names:
            self._counts[name] -= 1
            self._loose.add(name)
