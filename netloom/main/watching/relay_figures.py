"""A relay's figures for Prometheus, and whether it can serve: asked for at the moment when somebody looks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from netloom import __version__
from netloom.feed.relay import Relay


@dataclass(slots=True)
class RelayFigures:
    """`render` gives the page; `describe` is what /healthcheck shows, "ready" false where hosts are sent elsewhere."""

    relay: Relay
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        ProcessCollector(registry=self.registry)
        self.registry.register(Moment(self.relay))

    def render(self) -> bytes:
        return generate_latest(self.registry)

    def describe(self) -> Mapping[str, Any]:
        relay = self.relay
        return {
            "ready": relay.connected, "name": relay.name, "upstream": relay.upstream, "revision": relay.revision,
            "hosts": len(relay.hub.hosts),
        }  # fmt: skip


class Moment(Collector):
    """What is there when the page is asked for."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def _find_gauges(self) -> Iterator[tuple[str, str, float]]:
        relay, hub = self._relay, self._relay.hub
        yield "netloom_relay_connected", "Whether somebody upstream is followed.", relay.connected
        yield "netloom_relay_revision", "What upstream has told.", relay.revision
        yield "netloom_relay_hosts", "Hosts that follow through it, directly or by relays below.", len(hub.hosts)
        yield "netloom_relay_hosts_behind", "Those that were not told all there is yet.", len(hub.find_behind())
        yield "netloom_relay_slices", "Slices that are held for them.", len(relay.slices)

    def _find_counters(self) -> Iterator[tuple[str, str, float]]:
        relay, frames = self._relay, self._relay.hub.frames
        yield "netloom_relay_received_bytes", "From upstream.", relay.received_bytes
        yield "netloom_relay_sent_bytes", "To hosts.", relay.hub.sent_bytes
        yield "netloom_relay_sent_frames", "Slices or changes of them, to hosts.", frames.sent
        yield "netloom_relay_made_frames", "Of those, made; each goes to all who follow the slice.", frames.encoded
        yield "netloom_relay_words", "Acknowledgements of hosts.", relay.saying.words
        yield "netloom_relay_word_messages", "Messages upstream that they went in.", relay.saying.messages
        yield "netloom_relay_connections", "Connections upstream that were made.", relay.connections

    def collect(self) -> Iterable[Metric]:
        for name, help, value in self._find_gauges():
            yield GaugeMetricFamily(name, help, value=float(value))
        for name, help, value in self._find_counters():
            yield CounterMetricFamily(name, help, value=float(value))
        build = GaugeMetricFamily("netloom_build_info", "The version that runs.", labels=["version"])
        build.add_metric([__version__], 1.0)
        yield build
