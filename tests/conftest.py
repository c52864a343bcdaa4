"""What every test has in common: the examples that property tests try, and failures that are told as they happen.

Property tests try the same examples each time, so that a red run names a change and not a chance.
`HYPOTHESIS_PROFILE=search make check` tries new ones; what it finds becomes an `@example` of its test.
"""

from __future__ import annotations

import os

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
