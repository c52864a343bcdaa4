"""What hosts say, written in as few operations as there are moments, and not at all where it says nothing new."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from netloom.intent.agents.agent import report_host
from netloom.intent.catalog import CATALOG
from netloom.intent.errors import ApiError
from netloom.intent.operation import Operation, Requester
from netloom.intent.operations import make_create
from netloom.intent.schema import Doc, parse_create
from netloom.main.options.server import load_server_options
from netloom.main.servers.fleet import SAID_BURST, SAID_S, UNKNOWN, Fleet, make_operation, serve_fleet
from netloom.store.context import make_contexts
from netloom.store.engine import open_store
from netloom.store.journal import SqlJournal
from netloom.store.load import load_snapshot
from netloom.store.writer import Writer

ADMIN = Requester(user_id="admin", project_id="p1", roles=("admin",), is_admin=True)
HOSTS = [f"h{n}" for n in range(20)]


class Written:
    """A store and its fleet; `words` are the operations that the fleet gave to the writer, in order."""

    def __init__(self, writer: Writer, old: bool = False) -> None:
        self.writer, self.old = writer, old
        self.words: list[tuple[str, tuple[Any, ...]]] = []
        self.ports: dict[str, str] = {}  # by host

    async def say(self, name: str, *values: Any) -> None:
        """As one server tells another; `old`: that one is of the version before."""
        self.words.append((name, values))
        if self.old and name == "acknowledge_all":
            raise ApiError(UNKNOWN, "NotImplemented", "older")
        await self.writer.submit(make_operation(name, values), ADMIN)

    async def create(self, kind: str, **body: Any) -> Doc:
        done = await self.writer.submit(make_create(CATALOG[kind], [parse_create(CATALOG[kind], body)]), ADMIN)
        return done.outcome.answer[0]

    async def fill(self) -> None:
        """A port on each of the hosts."""
        network = await self.create("network", name="n")
        for number, host in enumerate(HOSTS):
            told = {"tunnel_types": ["vxlan"], "tunneling_ip": f"192.0.2.{number + 1}"}
            await self.writer.submit(join(host, told), ADMIN)
            body = {"network_id": network["id"], "binding:host_id": host, "device_owner": "compute:nova"}
            self.ports[host] = str((await self.create("port", **body))["id"])
        self.words.clear()

    def status(self, host: str) -> str:
        port = self.writer.snapshot.get("port", self.ports[host])
        assert port is not None
        return str(port["status"])

    @property
    def told(self) -> list[str]:
        return [name for name, _ in self.words]


def join(host: str, told: dict[str, Any]) -> Operation:
    return lambda snapshot, context: report_host(snapshot, context, host, told, None)


def run(folder: Path, test: Callable[[Written, Fleet], Awaitable[None]], old: bool = False) -> None:
    async def main() -> None:
        options = load_server_options(
            (), {"state_path": str(folder), "netloom.feed_listen": f"unix:{folder}/s", "quotas.quota_port": "-1"}
        )
        store = open_store(options.database_url)
        writer = Writer(SqlJournal(store), load_snapshot(store, CATALOG), make_contexts(options.settings))
        written = Written(writer, old)
        try:
            async with asyncio.timeout(60), serve_fleet(options, writer, written.say) as fleet:
                await written.fill()
                await test(written, fleet)
        finally:
            await writer.close()
            store.close()

    asyncio.run(main())


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.005)


def test_what_many_hosts_say_at_once_is_one_operation(tmp_path: Path) -> None:
    """Twenty ports become ACTIVE in one revision."""

    async def test(written: Written, fleet: Fleet) -> None:
        before = written.writer.snapshot.revision
        for host in HOSTS:
            await fleet.acknowledge(host, before, [written.ports[host]], {})
        await until(lambda: all(written.status(host) == "ACTIVE" for host in HOSTS))
        assert written.told == ["acknowledge_all"] and fleet.operations == 1
        assert written.writer.snapshot.revision == before + 1

    run(tmp_path, test)


def test_a_word_that_says_what_is_shown_is_not_written(tmp_path: Path) -> None:
    """A thousand hosts that took a change which is of no port cost the writer nothing; what differs is written."""

    async def test(written: Written, fleet: Fleet) -> None:
        port = written.ports["h0"]
        await fleet.acknowledge("h0", written.writer.snapshot.revision, [port], {})
        await until(lambda: written.status("h0") == "ACTIVE" and not fleet._teller)
        for _ in range(5):
            await fleet.acknowledge("h0", written.writer.snapshot.revision, [port], {})
        await fleet.acknowledge("h0", written.writer.snapshot.revision, [], {port: "its device"})
        await fleet.acknowledge("h0", written.writer.snapshot.revision, [port], {})
        await fleet.acknowledge("h0", written.writer.snapshot.revision, [], {port: "a cable"})
        await until(lambda: written.status("h0") == "DOWN" and not fleet._teller)
        assert written.told == ["acknowledge_all"] * 2, "what waited was joined, and the newest word stood"
        assert (written.writer.snapshot.get("port", port) or {})["waits_for"] == "a cable"

    run(tmp_path, test)


def test_what_was_seen_to_be_shown_is_looked_at_again_when_a_port_is_another(tmp_path: Path) -> None:
    """A host that says the same again is heard anew once its port is shown otherwise, whoever made it so."""

    async def test(written: Written, fleet: Fleet) -> None:
        port, pending = written.ports["h0"], dict[str, str]()
        wired = [port]
        for _ in range(3):
            await fleet.acknowledge("h0", written.writer.snapshot.revision, wired, pending)
            await until(lambda: written.status("h0") == "ACTIVE" and not fleet._teller)
        assert written.told == ["acknowledge_all"]
        await written.writer.submit(make_operation("acknowledge", ("h0", [], {port: "a cable"})), ADMIN)
        assert written.status("h0") == "DOWN"
        await fleet.acknowledge("h0", written.writer.snapshot.revision, wired, pending)
        await until(lambda: written.status("h0") == "ACTIVE")

    run(tmp_path, test)


def test_a_host_that_never_stops_talking_is_written_down_so_often(tmp_path: Path) -> None:
    """Another word each time, a thousand times over: what is written is bounded, others are heard meanwhile, and the
    last word stands."""

    async def test(written: Written, fleet: Fleet) -> None:
        port = written.ports["h0"]
        for number in range(1000):
            await fleet.acknowledge("h0", written.writer.snapshot.revision, [], {port: f"reason {number}"})
            await asyncio.sleep(0)
        await fleet.acknowledge("h1", written.writer.snapshot.revision, [written.ports["h1"]], {})
        await until(lambda: written.status("h1") == "ACTIVE")
        await until(lambda: (written.writer.snapshot.get("port", port) or {})["waits_for"] == "reason 999")
        assert len(written.words) <= SAID_BURST + SAID_S * 20

    run(tmp_path, test)


def test_a_writer_of_the_version_before_is_told_one_by_one(tmp_path: Path) -> None:
    """It does not know the word for many hosts, and each port is ACTIVE all the same."""

    async def test(written: Written, fleet: Fleet) -> None:
        for host in HOSTS[:3]:
            await fleet.acknowledge(host, written.writer.snapshot.revision, [written.ports[host]], {})
        await until(lambda: all(written.status(host) == "ACTIVE" for host in HOSTS[:3]))
        assert written.told == ["acknowledge_all", *["acknowledge"] * 3]

    run(tmp_path, test, old=True)
