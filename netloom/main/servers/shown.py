"""Whether what a host says is shown already, so that nothing need be written.

Law: this spares a look at each port and decides nothing: what it remembers holds for the very ports and floating IPs
that it was seen of, and is forgotten with the first of them that is another.
"""

from __future__ import annotations

from collections.abc import Mapping

from netloom.intent.l2.port_status import is_news
from netloom.intent.snapshot import Record, Snapshot

Tables = tuple[Mapping[str, Record], Mapping[str, Record]]


class Shown:
    """Words of hosts that were seen to say nothing new, by the same lists that they came in."""

    def __init__(self) -> None:
        self._tables: Tables | None = None
        self._words: dict[str, tuple[list[str], Mapping[str, str]]] = {}

    def forget(self, host: str) -> None:
        self._words.pop(host, None)

    def has(self, snapshot: Snapshot, host: str, wired: list[str], pending: Mapping[str, str]) -> bool:
        """Whether the word changes nothing. Who says it again hands over the same lists (`feed.heard`)."""
        tables = snapshot.records("port"), snapshot.records("floatingip")
        if self._tables is None or tables[0] is not self._tables[0] or tables[1] is not self._tables[1]:
            self._tables, self._words = tables, {}
        held = self._words.get(host)
        if held is not None and held[0] is wired and held[1] is pending:
            return True
        if is_news(snapshot, host, wired, pending):
            return False
        self._words[host] = wired, pending
        return True
