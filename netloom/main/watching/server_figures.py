"""A server's figures for Prometheus, beyond those of the API: the store, hosts, who is told.

Law: what is counted is counted where it happens; what is there at a moment is asked for when the page is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from netloom import __version__
from netloom.main.servers.fleet import Fleet
from netloom.main.watching.telemetry import tell_both
from netloom.main.watching.told import Resolved
from netloom.store.engine import Store
from netloom.store.errors import StoreError
from netloom.store.log import read_bounds
from netloom.store.told import Commit
from netloom.store.writer import Writer

if TYPE_CHECKING:
    from netloom.main.watching.spans import Spans

LOG = logging.getLogger("netloom.server")
COMMIT_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
RESOLVE_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1.0)
BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
LOOK_S = 10.0
"""How often the store is asked for its size and its end."""

Outboxes = Mapping[str, Callable[[], int]]
"""Who is told of commits → how many wait to be told."""


@dataclass(slots=True)
class Seen:
    """The store as it was last asked. `lag`: revisions that it had and this server did not show."""

    size_bytes: int = 0
    first_revision: int = 0
    lag: int = 0


@dataclass(slots=True)
class ServerFigures:
    """Made once for a server; `watch` runs beside it."""

    registry: CollectorRegistry
    writer: Writer
    fleet: Fleet
    outboxes: Outboxes
    spans: Spans | None = None
    seen: Seen = field(default_factory=Seen)

    def start(self) -> None:
        """Register all, and be told of what happens from now on."""
        ProcessCollector(registry=self.registry)
        commit = Histogram("netloom_store_commit_seconds", "A batch, to the disk.", registry=self.registry,
                           buckets=COMMIT_S)  # fmt: skip
        batch = Histogram("netloom_store_batch_size", "Requests of a batch.", registry=self.registry, buckets=BATCH)
        failed = Counter("netloom_store_failures", "Batches that were not stored at once.", registry=self.registry)
        resolve = Histogram("netloom_resolve_seconds", "To find what a commit changes for hosts.",
                            registry=self.registry, buckets=RESOLVE_S)  # fmt: skip
        slices = Counter("netloom_resolve_slices", "Slices that commits changed.", registry=self.registry)
        rows = Counter("netloom_resolve_rows", "Rows of slices that were worked out anew.", registry=self.registry)

        def committed(done: Commit) -> None:
            commit.observe(done.seconds)
            batch.observe(len(done.rows))
            if done.failed:
                failed.inc()

        def resolved(done: Resolved) -> None:
            resolve.observe(done.seconds)
            slices.inc(done.slices)
            rows.inc(done.rows)

        self.writer.committed = tell_both(committed, self.spans.committed if self.spans else None)
        self.fleet.resolved = tell_both(resolved, self.spans.resolved if self.spans else None)
        self.registry.register(Moment(self))

    def find_gauges(self) -> Iterator[tuple[str, str, float]]:
        writer, hub = self.writer, self.fleet.hub
        yield "netloom_store_queue", "Requests that wait for the writer.", writer.waiting
        yield "netloom_store_writing", "Whether this server writes.", writer.writing
        yield "netloom_store_failed", "Whether the last batch was not stored.", writer.failure is not None
        yield "netloom_store_size_bytes", "Of the whole store.", self.seen.size_bytes
        yield "netloom_store_first_revision", "The oldest revision of the log.", self.seen.first_revision
        yield "netloom_store_lag_revisions", "What is stored and not shown here yet.", self.seen.lag
        yield "netloom_feed_hosts", "Hosts that are connected.", len(hub.hosts)
        yield "netloom_feed_hosts_behind", "Those that have not acknowledged yet.", len(hub.find_behind())

    async def watch(self, store: Store) -> None:
        """Until cancelled. A store that does not answer keeps the figures of before."""
        while True:
            try:
                self.seen = await asyncio.to_thread(look, store, self.writer)
            except StoreError as error:
                LOG.debug("the store's size is not known: %s", error)
            await asyncio.sleep(LOOK_S)


def look(store: Store, writer: Writer) -> Seen:
    shown = writer.snapshot.revision  # first: what is stored meanwhile is lag of a moment, and never negative
    with store.clear_errors():
        size = store.database.read_size(store.engine)
    first, last = read_bounds(store)
    return Seen(size, first, max(0, last - shown))


class Moment(Collector):
    """What is there when the page is asked for."""

    def __init__(self, figures: ServerFigures) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        figures = self._figures
        for name, help, value in figures.find_gauges():
            yield GaugeMetricFamily(name, help, value=float(value))
        hub = figures.fleet.hub
        yield CounterMetricFamily("netloom_feed_sent_bytes", "To hosts.", value=float(hub.sent_bytes))
        yield CounterMetricFamily(
            "netloom_feed_sent_frames", "Slices or changes of them, to hosts.", value=float(hub.frames.sent)
        )
        waiting = GaugeMetricFamily("netloom_notify_waiting", "What a service is yet to be told.", labels=["service"])
        for name, count in figures.outboxes.items():
            waiting.add_metric([name], float(count()))
        yield waiting
        build = GaugeMetricFamily("netloom_build_info", "The version that runs.", labels=["version"])
        build.add_metric([__version__], 1.0)
        yield build
