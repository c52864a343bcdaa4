"""A minute of a whole deployment whose parts fail while clients write: the command of `tests.faults.run`, once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.databases import Missing
from tests.faults.deployment import find_shape
from tests.faults.run import run

SECONDS = 25.0


@pytest.mark.parametrize(("engine", "seed"), [("postgresql", 6), ("mariadb", 7)])
def test_whatever_fails_no_answer_is_lost_and_every_host_holds_what_it_should(
    tmp_path: Path, engine: str, seed: int
) -> None:
    """Servers, database, brokers, relays, hosts and the links between them, killed, emptied, paused, cut and slowed."""
    try:
        result = asyncio.run(run(tmp_path, seed, SECONDS, find_shape(engine)))
    except Missing as missing:
        pytest.skip(str(missing))
    assert result.wrong == []
    assert result.faults > 10 and result.answers > 50 and result.views > 20
