"""An agent's figures for Prometheus: made of what is told of each turn of its loop."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from netloom import __version__
from netloom.agent.turns import Turn
from netloom.feed.client import Feed

TURN_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
PARTS = ("render", "read", "plan", "apply")


@dataclass(slots=True)
class AgentFigures:
    """`take` is told of every turn; `render` gives the page."""

    feed: Feed
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    made: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        registry = self.registry
        ProcessCollector(registry=registry)
        self.made = {
            "seconds": Histogram("netloom_agent_turn_seconds", "Each part of a turn.", ["part"], registry=registry,
                                 buckets=TURN_S),
            "ops": Counter("netloom_agent_ops", "Changes sent to devices.", registry=registry),
            "refused": Counter("netloom_agent_refused", "Changes that a device refused.", registry=registry),
            "drift": Counter("netloom_agent_drift", "Changes that put back what somebody else changed.",
                             registry=registry),
            "revision": Gauge("netloom_agent_revision", "What the devices were last brought to.", registry=registry),
            "wired": Gauge("netloom_agent_ports_wired", "Ports that carry traffic.", registry=registry),
            "pending": Gauge("netloom_agent_ports_pending", "Ports that wait for something.", registry=registry),
            "slices": Gauge("netloom_agent_slices", "Slices that are followed.", registry=registry),
            "foreign": Gauge("netloom_agent_foreign", "Things of others on bridges that are Netloom's alone.",
                             registry=registry),
        }  # fmt: skip
        registry.register(Moment(self.feed))

    def take(self, turn: Turn) -> None:
        made = self.made
        for part in PARTS:
            made["seconds"].labels(part).observe(getattr(turn, f"{part}_s"))
        made["ops"].inc(turn.ops)
        made["refused"].inc(turn.refused)
        if turn.drift:
            made["drift"].inc(turn.ops)
        for name in ("revision", "wired", "pending", "slices", "foreign"):
            made[name].set(getattr(turn, name))

    def render(self) -> bytes:
        return generate_latest(self.registry)


class Moment(Collector):
    """What is there when the page is asked for."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def collect(self) -> Iterable[Metric]:
        feed = self._feed
        yield GaugeMetricFamily("netloom_agent_connected", "Whether a server is followed.", value=float(feed.connected))
        yield GaugeMetricFamily("netloom_agent_feed_revision", "What the server has told.", value=float(feed.revision))
        yield CounterMetricFamily("netloom_agent_received_bytes", "From the server.", value=float(feed.received_bytes))
        build = GaugeMetricFamily("netloom_build_info", "The version that runs.", labels=["version"])
        build.add_metric([__version__], 1.0)
        yield build
