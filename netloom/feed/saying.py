"""What a relay's hosts said and their server has not heard yet: of each the newest, gathered into one message.

Law: a word waits until a server can know what it is of; one that was heard is kept, for a server that comes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from netloom.feed import messages as m


class Saying:
    """Of one relay. `is_repeated`: whether who serves can be told that a host says what it said before.

    `words`, `messages`: how many acknowledgements there were, and how many messages upstream they went in. `news` is
    set while there may be something to say.
    """

    def __init__(self, is_repeated: Callable[[str, m.Ack], bool]) -> None:
        self.words = self.messages = 0
        self.news = asyncio.Event()
        self._is_repeated = is_repeated
        self._acks: dict[str, m.Ack] = {}
        self._unsaid: set[str] = set()
        self._reports: dict[str, m.Report] = {}

    def acknowledge(self, host: str, revision: int, wired: list[str], pending: Mapping[str, str]) -> None:
        self._acks[host] = m.Ack(revision, wired, dict(pending))
        self._unsaid.add(host)
        self.words += 1
        self.news.set()

    def take_copies(self, host: str, copies: Mapping[str, str]) -> None:
        """They come with an acknowledgement and go with it; one that comes without says that there are none."""
        old = self._acks.get(host)
        if old is not None:
            self._acks[host] = m.Ack(old.revision, old.wired, old.pending, dict(copies))

    def report(self, host: str, report: m.Report) -> None:
        self._reports[host] = report
        self.news.set()

    def forget(self, host: str) -> None:
        self._acks.pop(host, None)
        self._reports.pop(host, None)

    def repeat(self) -> None:
        """Who serves now hears all of it again."""
        self._unsaid |= self._acks.keys()
        self.news.set()

    def gather(self, revision: int) -> m.Said | None:
        """All that may be said to a server which is at the revision: one that was restored knows nothing yet of what
        hosts had from it before."""
        ready = {host for host in self._unsaid if host in self._acks and self._acks[host].revision <= revision}
        same = {host: self._acks[host].revision for host in ready if self._is_repeated(host, self._acks[host])}
        acks = {host: self._acks[host] for host in ready - same.keys()}
        reports, self._reports = self._reports, {}
        self._unsaid -= ready
        self.messages += bool(ready)
        return m.Said(acks, reports, same) if ready or reports else None
