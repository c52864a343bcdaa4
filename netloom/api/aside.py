"""Slow work in the middle of a request, with the event loop left to the others.

Policy rules are read by plain functions, deep inside a request: each object of a list has a verdict. A rule that asks a
server elsewhere (`http:`) takes as long as that server likes. So a request can be run on a stack of its own (a
greenlet), which is set aside while a thread does the work; nothing between the two knows of it.
Law: the event loop never waits for another server, and a request waits no longer than it is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

from greenlet import getcurrent, greenlet

T = TypeVar("T")
AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]
MAX_WORKERS = 32
"""Slow works at a time; what comes beyond that waits for its turn, within its own time."""


class Work(NamedTuple):
    """What a stack that is set aside waits for."""

    run: Callable[[], Any]
    timeout_s: float


class Step(NamedTuple):
    """What a coroutine yields to the event loop: passed on as it is."""

    yielded: Any


class Stack(greenlet):  # type: ignore[misc]
    """One request's own stack; its parent is the event loop's."""


def do_aside(run: Callable[[], T], timeout_s: float) -> T:
    """What `run` gives, or raises; TimeoutError after `timeout_s`. Outside of a request it is just called."""
    current = getcurrent()
    if not isinstance(current, Stack):
        return run()
    found: T = current.parent.switch(Work(run, timeout_s))
    return found


class Aside:
    """The app, its requests on stacks of their own wherever `needed()`; `close` ends the threads."""

    def __init__(self, app: AsgiApp, needed: Callable[[], bool]) -> None:
        self._app = app
        self._needed = needed
        self._pool = ThreadPoolExecutor(MAX_WORKERS, thread_name_prefix="aside")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        call = self._app(scope, receive, send)
        assert isinstance(call, Coroutine)
        await (run_on_stack(call, self._pool) if self._needed() else call)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


async def run_on_stack(call: Coroutine[Any, Any, T], pool: ThreadPoolExecutor) -> T:
    """As `await call`, but that `do_aside` below it waits with the event loop free."""
    stack = Stack(run_steps)
    stack.gr_context = getcurrent().gr_context
    asked = stack.switch(call)
    while not stack.dead:
        try:
            answer = await answer_of(asked, pool)
        except BaseException as error:
            asked = stack.throw(type(error), error, error.__traceback__)
        else:
            asked = stack.switch(answer)
    result: T = asked
    return result


def run_steps(call: Coroutine[Any, Any, T]) -> T:
    """Run the coroutine to its end; what it waits for goes to the stack below."""
    below = getcurrent().parent
    go: Callable[[Any], Any] = call.send
    given: Any = None
    while True:
        try:
            yielded = go(given)
        except StopIteration as end:
            value: T = end.value
            return value
        try:
            go, given = call.send, below.switch(Step(yielded))
        except BaseException as error:
            go, given = call.throw, error


async def answer_of(asked: Step | Work, pool: ThreadPoolExecutor) -> Any:
    if isinstance(asked, Step):
        return await Passed(asked.yielded)
    working = asyncio.get_running_loop().run_in_executor(pool, asked.run)
    return await asyncio.wait_for(working, asked.timeout_s)


class Passed:
    """Awaiting it yields what it was made with to the event loop, as the coroutine did that yielded it first."""

    def __init__(self, yielded: Any) -> None:
        self._yielded = yielded

    def __await__(self) -> Any:
        return (yield self._yielded)
