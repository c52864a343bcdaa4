"""Spans for OpenTelemetry: of a request, its commit, what it changes for hosts, and what hosts do about it.

Law: nothing here waits for anything. Spans are made when what they tell of is over, from what is told for figures as
well; servers and hosts need not tell each other about traces, because a trace's ids are made of the request's id.

Imported only where spans are wanted: it needs netloom[otel].
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from hashlib import sha256

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util.types import AttributeValue

from netloom import __version__
from netloom.agent.turns import Turn
from netloom.api.parts import Answered
from netloom.main.watching.told import Resolved
from netloom.store.told import Commit

NANO = 1_000_000_000


class GivenIds(RandomIdGenerator):
    """Random ids, but for a span whose ids were set just before."""

    def __init__(self) -> None:
        self.given: SpanContext | None = None

    def generate_trace_id(self) -> int:
        return self.given.trace_id if self.given else super().generate_trace_id()

    def generate_span_id(self) -> int:
        return self.given.span_id if self.given else super().generate_span_id()


class Spans:
    """`close` sends what was not sent yet."""

    def __init__(self, processor: SpanProcessor, service: str, host: str) -> None:
        self._ids = GivenIds()
        named = {"service.name": service, "service.version": __version__, "host.name": host}
        self._provider = TracerProvider(resource=Resource(named), id_generator=self._ids, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("netloom", __version__)
        self._since_s = time.time() - time.monotonic()

    def answered(self, done: Answered) -> None:
        told: dict[str, AttributeValue] = {
            "http.request.method": done.method, "http.route": done.route, "http.response.status_code": done.status,
            "netloom.request_id": done.request_id, **({"netloom.revision": done.revision} if done.revision else {}),
        }  # fmt: skip
        self._ids.given = find_context(done.request_id)
        try:
            span = self._tracer.start_span(
                f"{done.method} {done.route}", Context(), SpanKind.SERVER, told, start_time=to_nano(done.began_s)
            )
        finally:
            self._ids.given = None
        if done.status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end(to_nano(done.began_s + done.seconds))

    def committed(self, done: Commit) -> None:
        """One span for each request of the batch."""
        for revision, request_id in done.rows:
            told = {"netloom.revision": revision, "netloom.batch": len(done.rows), "netloom.failed": done.failed}
            self._add("commit", [request_id] if request_id else [], told, done.began_s, done.seconds)

    def resolved(self, done: Resolved) -> None:
        told = {"netloom.revision": done.revision, "netloom.slices": done.slices}
        self._add("feed", done.requests, told, done.began_s, done.seconds)

    def turned(self, done: Turn) -> None:
        """A turn that did something, or that was for a request."""
        if not (done.ops or done.requests):
            return
        told = {
            "netloom.revision": done.revision, "netloom.ops": done.ops, "netloom.refused": done.refused,
            "netloom.render_ms": done.render_s * 1000, "netloom.apply_ms": done.apply_s * 1000,
        }  # fmt: skip
        seconds = done.render_s + done.read_s + done.plan_s + done.apply_s
        self._add("apply", done.requests, told, self._since_s + done.began_s, seconds)

    def _add(
        self, name: str, requests: Iterable[str], told: Mapping[str, AttributeValue], began_s: float, seconds: float
    ) -> None:
        """Below the one request that it is for; of several, it is a trace of its own that links to each."""
        contexts = [find_context(request) for request in requests]
        only = contexts[0] if len(contexts) == 1 else None
        above = trace.set_span_in_context(NonRecordingSpan(only), Context()) if only else Context()
        links = [] if only else [Link(context) for context in contexts]
        span = self._tracer.start_span(name, above, attributes=told, links=links, start_time=to_nano(began_s))
        span.end(to_nano(began_s + seconds))

    def close(self) -> None:
        self._provider.shutdown()


def find_context(request_id: str) -> SpanContext:
    """The ids of a request's own span: any process finds the same."""
    digest = sha256(request_id.encode()).digest()
    return SpanContext(int.from_bytes(digest[:16]), int.from_bytes(digest[16:24]), True, TraceFlags(TraceFlags.SAMPLED))


def to_nano(second: float) -> int:
    return int(second * NANO)


def make_exporter(endpoint: str) -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(endpoint if endpoint.endswith("/v1/traces") else f"{endpoint}/v1/traces")


def make_spans(endpoint: str, service: str, host: str) -> Spans:
    return Spans(BatchSpanProcessor(make_exporter(endpoint)), service, host)
