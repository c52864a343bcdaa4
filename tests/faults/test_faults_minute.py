"""A minute of a whole deployment whose parts fail while clients write: the command of `tests.faults.run`, once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.databases import Missing
from tests.faults.run import run
from tests.peer.rabbit import is_installed

SEED, SECONDS = 6, 35.0


def test_whatever_fails_no_answer_is_lost_and_every_host_holds_what_it_should(tmp_path: Path) -> None:
    """Servers, database, broker, hosts and the links between them, killed, paused, cut and slowed."""
    try:
        result = asyncio.run(run(tmp_path, SEED, SECONDS, is_installed()))
    except Missing as missing:
        pytest.skip(str(missing))
    assert result.wrong == []
    assert result.faults > 10 and result.answers > 50 and result.views > 20
