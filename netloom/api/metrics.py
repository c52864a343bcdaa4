"""Figures for Prometheus: requests by route, method and status, how long they took, and where the store is.

Law: a request costs two additions here, however many routes there are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
CONTENT_TYPE = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")


@dataclass(slots=True)
class Metrics:
    registry: CollectorRegistry
    requests: Counter
    seconds: Histogram
    _known: dict[tuple[str, str, int], tuple[Any, Any]] = field(default_factory=dict)

    def count(self, route: str, method: str, status: int, seconds: float) -> None:
        key = (route, method, status)
        known = self._known.get(key)
        if known is None:
            labels = (route, method if method in METHODS else "other")
            known = (self.requests.labels(*labels, str(status)), self.seconds.labels(*labels))
            if len(self._known) < 5000:
                self._known[key] = known
        known[0].inc()
        known[1].observe(seconds)

    def render(self) -> bytes:
        return generate_latest(self.registry)


METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def make_metrics(registry: CollectorRegistry, revision: Callable[[], int]) -> Metrics:
    requests = Counter("netloom_api_requests", "Requests answered.", ["route", "method", "status"], registry=registry)
    seconds = Histogram(
        "netloom_api_request_seconds", "Time to answer.", ["route", "method"], registry=registry, buckets=BUCKETS_S
    )
    gauge = Gauge("netloom_commit_revision", "Revision of the newest commit that is visible.", registry=registry)
    gauge.set_function(revision)
    return Metrics(registry, requests, seconds)
