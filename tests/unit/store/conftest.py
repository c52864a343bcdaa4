"""Each test of a store runs on every engine, unless it asks for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.databases import Missing, database_server
from tests.unit.store.store_kit import ENGINES, PLACES


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "tmp_path" in metafunc.fixturenames and "engine" in metafunc.fixturenames:
        marks = list(metafunc.definition.iter_markers("engines"))
        engines = [mark_engine(kind) for kind in (marks[0].args if marks else ENGINES)]
        metafunc.parametrize("engine", engines, indirect=True, scope="function")


def mark_engine(kind: str) -> object:
    """SQLite is a library; the others are servers, which `make check` leaves out."""
    return kind if kind == "sqlite" else pytest.param(kind, marks=pytest.mark.servers)


@pytest.fixture(autouse=True)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Which engine the store of this test's folder has."""
    kind: str = request.param
    if kind != "sqlite":
        try:
            PLACES[tmp_path] = database_server(kind).make_database()
        except Missing as missing:
            pytest.skip(str(missing))
    return kind
