"""Spans with the real SDK: of a request, on server and host, in one trace; and none where none are wanted."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from netloom.agent.turns import Turn
from netloom.api.parts import Answered
from netloom.main.watching.spans import Spans, find_context
from netloom.main.watching.telemetry import open_spans, tell_both
from netloom.main.watching.told import Resolved
from netloom.store.told import Commit


def make_spans(service: str) -> tuple[Spans, InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    return Spans(SimpleSpanProcessor(exporter), service, "c1"), exporter


def make_turn(*requests: str, ops: int = 22) -> Turn:
    return Turn(5.0, 0.001, 0.0, 0.002, 0.003, ops, 0, False, 7, 1, 0, 3, requests)


def find(spans: Sequence[ReadableSpan], name: str) -> ReadableSpan:
    (found,) = [span for span in spans if span.name == name]
    return found


def test_a_request_is_one_trace_from_the_api_to_the_host() -> None:
    """Server and agent know nothing of each other's spans; the request's id is enough."""
    server, told = make_spans("netloom-server")
    agent, done = make_spans("netloom-agent")
    server.committed(Commit(100.01, 0.004, ((6, "req-0"), (7, "req-1"))))
    server.resolved(Resolved(100.02, 0.001, 2, 7, ("req-1",)))
    server.answered(Answered("req-1", "ports", "POST", 201, 100.0, 0.02, 7))
    agent.turned(make_turn("req-1"))
    root, apply = find(told.get_finished_spans(), "POST ports"), find(done.get_finished_spans(), "apply")
    assert root.parent is None and root.context is not None
    commits = [span for span in told.get_finished_spans() if span.name == "commit"]
    below = [commits[1], find(told.get_finished_spans(), "feed"), apply]
    for span in below:
        assert span.context is not None and span.parent is not None
        assert span.context.trace_id == root.context.trace_id
        assert span.parent.span_id == root.context.span_id
        assert span.attributes is not None and span.attributes["netloom.revision"] == 7
    assert root.attributes is not None
    assert (root.attributes["netloom.request_id"], root.attributes["http.response.status_code"]) == ("req-1", 201)
    assert root.start_time == 100_000_000_000 and root.end_time is not None
    assert root.resource.attributes["service.name"] == "netloom-server"
    for spans in (server, agent):
        spans.close()


def test_a_turn_for_several_requests_links_to_each() -> None:
    """One piece of work for all of them."""
    agent, done = make_spans("netloom-agent")
    agent.turned(make_turn("req-1", "req-2"))
    span = find(done.get_finished_spans(), "apply")
    assert span.parent is None
    assert [link.context.span_id for link in span.links] == [find_context(f"req-{n}").span_id for n in (1, 2)]
    agent.close()


def test_a_turn_with_nothing_to_do_is_no_span() -> None:
    """The slow clock alone is told to nobody."""
    agent, done = make_spans("netloom-agent")
    agent.turned(make_turn(ops=0))
    assert done.get_finished_spans() == ()
    agent.close()


def test_without_an_endpoint_nothing_is_imported() -> None:
    """Neither by a server nor by an agent, and nobody is told anything."""
    names = "[name for name in sys.modules if 'opentelemetry' in name]"
    code = f"import netloom.main.servers.server, netloom.main.hosts.agent, sys; print({names})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "[]\n"

    async def run() -> None:
        async with open_spans("", "netloom-server", "c1") as spans:
            assert spans is None

    asyncio.run(run())
    heard: list[int] = []
    assert tell_both(heard.append, None) == heard.append


def test_an_endpoint_gets_spans() -> None:
    """What waits is sent when the server stops; a collector that is not there delays nothing for long."""

    async def run() -> None:
        async with open_spans("http://127.0.0.1:9", "netloom-server", "c1") as spans:
            assert spans is not None

    asyncio.run(run())
