"""What is shipped beside the program: units for systemd, a dashboard for Grafana."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from netloom.agent.turns import Turn
from netloom.api.metrics import make_metrics
from netloom.feed.cache import Cache
from netloom.feed.client import Feed
from netloom.feed.hub import Hub
from netloom.feed.relay import Relay
from netloom.intent.catalog import CATALOG
from netloom.intent.operation import Settings
from netloom.intent.snapshot import Snapshot
from netloom.main.service import tell_manager
from netloom.main.watching.agent_figures import AgentFigures
from netloom.main.watching.relay_figures import RelayFigures
from netloom.main.watching.server_figures import ServerFigures
from netloom.main.watching.told import Resolved
from netloom.resolve.slices import SliceBook
from netloom.store.context import make_contexts
from netloom.store.engine import open_store
from netloom.store.journal import SqlJournal
from netloom.store.told import Commit
from netloom.store.writer import Writer

ROOT = Path(__file__).parents[3] / "packaging"
UNITS = sorted((ROOT / "systemd").glob("*.service"))


class Told:
    """A fleet as far as figures ask."""

    def __init__(self) -> None:
        book = SliceBook(Snapshot(CATALOG))
        self.hub = Hub(book, self, lambda: 0)  # type: ignore[arg-type]
        self.resolved: Any = None


def read_server(folder: Path) -> str:
    """A server's page, after one of everything."""

    async def run() -> str:
        store = open_store(f"sqlite:///{folder}/netloom.db")
        writer = Writer(SqlJournal(store), Snapshot(CATALOG), make_contexts(Settings()))
        registry, fleet = CollectorRegistry(), Told()
        api = make_metrics(registry, lambda: writer.snapshot.revision)
        figures = ServerFigures(registry, writer, fleet, {"nova": lambda: 3})  # type: ignore[arg-type]
        figures.start()
        api.count("ports", "POST", 201, 0.004)
        writer.committed(Commit(0.0, 0.002, ((1, "req-1"),), failed=True))
        fleet.resolved(Resolved(0.0, 0.001, 4, 1, rows=9))
        page = api.render().decode()
        await writer.close()
        store.close()
        return page

    return asyncio.run(run())


def read_agent(folder: Path) -> str:
    async def run() -> str:
        figures = AgentFigures(Feed("h1", "", lambda: None, Cache(folder)))  # type: ignore[arg-type, return-value]
        figures.take(Turn(0.0, 0.1, 0.1, 0.1, 0.1, 22, 1, True, 14207, 3, 1, 5, ("req-1",)))
        return figures.render().decode()

    return asyncio.run(run())


def read_relay(folder: Path) -> str:
    async def run() -> str:
        relay = Relay("relay/r1", ("s1:9697",), lambda: None, lambda: b"", Cache(folder))  # type: ignore[arg-type, return-value]
        return RelayFigures(relay).render().decode()

    return asyncio.run(run())


def find_samples(page: str) -> dict[str, float]:
    return {s.name: s.value for family in text_string_to_metric_families(page) for s in family.samples}


def find_queries(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (value[key] for key in ("expr", "query") if isinstance(value.get(key), str))
        for inner in value.values():
            yield from find_queries(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from find_queries(inner)


def test_every_query_of_the_dashboard_names_a_figure_that_there_is(tmp_path: Path) -> None:
    """And every figure of ours is on the dashboard, but the ones that only name things."""
    board = json.loads((ROOT / "grafana/netloom.json").read_text())
    queries = [query for query in find_queries(board) if query != "prometheus"]
    assert len(queries) > 30
    named = {word for query in queries for word in re.findall(r"\b(?:netloom|process)_\w+", query)}
    pages = (read_server(tmp_path), read_agent(tmp_path / "a"), read_relay(tmp_path / "r"))
    there = {name: value for page in pages for name, value in find_samples(page).items()}
    assert named - there.keys() == set()
    parts = r"_(bucket|sum|count|created)$"
    ours = {re.sub(parts, "", name) for name in there if name.startswith("netloom_")} - {"netloom_build_info"}
    shown = {re.sub(parts, "", name) for name in named}
    assert ours - shown - {re.sub("_total$", "", name) for name in shown} == set()


def test_panels_have_places_and_ids_of_their_own() -> None:
    """Grafana shows them side by side, none over another."""
    panels = json.loads((ROOT / "grafana/netloom.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [(p["gridPos"]["y"] + y, p["gridPos"]["x"] + x) for p in panels
             for y in range(p["gridPos"]["h"]) for x in range(p["gridPos"]["w"])]  # fmt: skip
    assert len(set(cells)) == len(cells)


def test_figures_say_what_happened(tmp_path: Path) -> None:
    """Of a turn with 22 changes that put back what somebody changed, one of them refused; of a batch that failed."""
    agent = find_samples(read_agent(tmp_path / "a"))
    assert (agent["netloom_agent_ops_total"], agent["netloom_agent_refused_total"]) == (22, 1)
    assert (agent["netloom_agent_drift_total"], agent["netloom_agent_revision"]) == (22, 14207)
    assert (agent["netloom_agent_ports_wired"], agent["netloom_agent_ports_pending"]) == (3, 1)
    server = find_samples(read_server(tmp_path))
    assert (server["netloom_store_failures_total"], server["netloom_resolve_slices_total"]) == (1, 4)
    assert server["netloom_resolve_rows_total"] == 9
    assert (server["netloom_notify_waiting"], server["netloom_store_queue"]) == (3, 0)


def read_unit(path: Path) -> RawConfigParser:
    unit = RawConfigParser(strict=True, delimiters=("=",))
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(path)
    return unit


def test_there_is_a_unit_for_each_part() -> None:
    """Server, relay, agent; each says when it is ready, and starts again."""
    assert [path.stem for path in UNITS] == ["netloom-agent", "netloom-relay", "netloom-server"]
    for path in UNITS:
        service = read_unit(path)["Service"]
        assert (service["Type"], service["Restart"]) == ("notify", "always")


def test_the_agents_unit_leaves_what_it_started_and_hides_no_namespace() -> None:
    """Its daemons outlive it; mounts of its own would keep the namespaces that it makes from everybody else."""
    service = read_unit(ROOT / "systemd/netloom-agent.service")["Service"]
    assert service["KillMode"] == "process"
    own = ("Private", "Protect", "ReadOnly", "ReadWrite", "Inaccessible", "Bind", "Temporary", "Root", "MountFlags")
    assert [name for name in service if name.startswith(own)] == []
    assert "RestrictNamespaces" not in service


def test_the_servers_unit_may_do_little() -> None:
    """No capability, no write but to its state."""
    for name in ("netloom-server", "netloom-relay"):
        service = read_unit(ROOT / f"systemd/{name}.service")["Service"]
        assert service["CapabilityBoundingSet"] == "" and service["ProtectSystem"] == "strict"
        assert service["User"] == "netloom" and service["NoNewPrivileges"] == "yes"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_systemd_understands_the_unit(unit: Path, tmp_path: Path) -> None:
    """systemd-analyze verify has nothing to say, but that the program is installed elsewhere."""
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/usr/bin/netloom", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(copy)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert [line for line in done.stderr.splitlines() if unit.name in line] == []


def test_the_service_manager_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """READY=1 at the socket that it names; nothing where there is none, or nobody listens."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    tell_manager("READY=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        tell_manager("READY=1")
        assert manager.recv(100) == b"READY=1"
    (tmp_path / "notify").unlink()
    tell_manager("STOPPING=1")
