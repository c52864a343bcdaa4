"""Who is told what happens: figures always, spans where an address for them is given.

Law: without that address nothing of OpenTelemetry is imported, and nothing is asked on the way of a request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from netloom.main.options.checks import OptionError

if TYPE_CHECKING:
    from netloom.main.watching.spans import Spans

T = TypeVar("T")


@asynccontextmanager
async def open_spans(endpoint: str, service: str, host: str) -> AsyncIterator[Spans | None]:
    """None without an endpoint. Raises OptionError where the library is missing."""
    if not endpoint:
        yield None
        return
    try:
        from netloom.main.watching.spans import make_spans
    except ImportError as error:
        reason = f"it needs pip install 'netloom[otel]' ({error})"
        raise OptionError("[netloom] otel_endpoint", endpoint, reason) from None
    spans = make_spans(endpoint, service, host)
    try:
        yield spans
    finally:
        await asyncio.to_thread(spans.close)


def tell_both(first: Callable[[T], None], second: Callable[[T], None] | None) -> Callable[[T], None]:
    """A function that tells both; the first itself where there is no second."""
    if second is None:
        return first

    def both(done: T) -> None:
        first(done)
        second(done)

    return both
