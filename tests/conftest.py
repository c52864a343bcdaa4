"""What every test has in common: the examples that property tests try, failures that are told as they happen, and a
collector of garbage that leaves alone what is there to stay.

Property tests try the same examples each time, so that a red run names a change and not a chance.
`HYPOTHESIS_PROFILE=search make check` tries new ones; what it finds becomes an `@example` of its test.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Generator

import pytest
from hypothesis import settings

settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))


class Teller:
    """Prints a failure when it happens: a run of half an hour that is cut short has then told what it found."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.failed:
            return
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None:
            terminal.write_line(f"\n{report.when} of {report.nodeid} failed:\n{report.longreprtext}")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Teller(config), "netloom-teller")


SELDOM = (100_000, 20, 20)
"""Of gc.set_threshold. Modules, tests and declarations are some million objects that never go: to look through them
again and again was a seventh of all that the tests cost."""


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(*SELDOM)
        gc.enable()
