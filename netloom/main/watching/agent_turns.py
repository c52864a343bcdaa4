"""Composition of what is told of an agent's turns: figures for Prometheus, spans for OpenTelemetry."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from netloom.agent.parts import take_none
from netloom.agent.turns import Turn
from netloom.feed.client import Feed
from netloom.main.options.host import HostOptions
from netloom.main.watching.metrics_page import serve_figures
from netloom.main.watching.telemetry import open_spans, tell_both


def hear_nothing(turn: Turn) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Observed:
    """What an agent's parts are given: whom to tell of turns, and for whose requests they are."""

    turned: Callable[[Turn], None] = hear_nothing
    take_requests: Callable[[], tuple[str, ...]] = take_none


NOT_OBSERVED = Observed()


@asynccontextmanager
async def observe(options: HostOptions, feed: Feed) -> AsyncIterator[Observed]:
    """For as long as the context lasts. Without an address to show figures at none are kept."""
    async with AsyncExitStack() as stack:
        turned: Callable[[Turn], None] = hear_nothing
        if options.metrics_listen:
            from netloom.main.watching.agent_figures import AgentFigures

            figures = AgentFigures(feed)
            turned = figures.take
            await stack.enter_async_context(serve_figures(options.metrics_listen, figures.render))
        spans = await stack.enter_async_context(open_spans(options.otel_endpoint, "netloom-agent", options.host))
        yield Observed(tell_both(turned, spans.turned if spans else None), feed.take_requests)
