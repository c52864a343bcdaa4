"""What hosts say, written in as few operations as there are moments, and not at all where it says nothing new."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from netloom.feed.messages import MessageError
from netloom.intent.agents.agent import report_host
from netloom.intent.catalog import CATALOG
from netloom.intent.errors import ApiError
from netloom.intent.operation import Operation, Requester
from netloom.intent.operations import make_create
from netloom.intent.schema import Doc, parse_create
from netloom.intent.snapshot import Change
from netloom.main.servers.fleet import Fleet, make_operation, serve_fleet
from netloom.main.servers.words import SAID_BURST, SAID_S, UNKNOWN, Words
from netloom.store.writer import Writer
from tests.unit.main.fleet_kit import make_options, open_writers
from tests.waiting import until

ADMIN = Requester(user_id="admin", project_id="p1", roles=("admin",), is_admin=True)
HOSTS = [f"h{n}" for n in range(20)]


class Written:
    """A store and its fleet; `words` are the operations that the fleet gave to the writer, in order."""

    def __init__(self, writer: Writer, old: bool = False) -> None:
        self.writer, self.old = writer, old
        self.words: list[tuple[str, tuple[Any, ...]]] = []
        self.ports: dict[str, str] = {}  # by host
        self.away = False
        self.refused: list[str] = []

    async def say(self, name: str, *values: Any) -> None:
        """As one server tells another; `old`: that one is of the version before."""
        if self.away:
            self.refused.append(name)
            raise ApiError(503, "ServiceUnavailable", "the store cannot be reached")
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
        options = make_options(folder, **{"quotas.quota_port": "-1"})
        async with open_writers(options) as (writer,), asyncio.timeout(60):
            written = Written(writer, old)
            async with serve_fleet(options, writer, written.say) as fleet:
                fleet.words.again_s = 0.05
                await written.fill()
                await test(written, fleet)

    asyncio.run(main())


def test_what_many_hosts_say_at_once_is_one_operation(tmp_path: Path) -> None:
    """Twenty ports become ACTIVE in one revision."""

    async def test(written: Written, fleet: Fleet) -> None:
        before = written.writer.snapshot.revision
        for host in HOSTS:
            await fleet.acknowledge(host, before, [written.ports[host]], {})
        await until(lambda: all(written.status(host) == "ACTIVE" for host in HOSTS))
        assert written.told == ["acknowledge_all"] and fleet.words.operations == 1
        assert written.writer.snapshot.revision == before + 1

    run(tmp_path, test)


def test_a_word_that_says_what_is_shown_is_not_written(tmp_path: Path) -> None:
    """A thousand hosts that took a change which is of no port cost the writer nothing; what differs is written."""

    async def test(written: Written, fleet: Fleet) -> None:
        port = written.ports["h0"]
        await fleet.acknowledge("h0", written.writer.snapshot.revision, [port], {})
        await until(lambda: written.status("h0") == "ACTIVE" and not fleet.words.waiting)
        for _ in range(5):
            await fleet.acknowledge("h0", written.writer.snapshot.revision, [port], {})
        await fleet.acknowledge("h0", written.writer.snapshot.revision, [], {port: "its device"})
        await fleet.acknowledge("h0", written.writer.snapshot.revision, [port], {})
        await fleet.acknowledge("h0", written.writer.snapshot.revision, [], {port: "a cable"})
        await until(lambda: written.status("h0") == "DOWN" and not fleet.words.waiting)
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
            await until(lambda: written.status("h0") == "ACTIVE" and not fleet.words.waiting)
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


def find_agent(written: Written, host: str) -> Doc:
    """Of its switch."""
    agents = (doc for doc in written.writer.snapshot.docs("agent") if doc["host"] == host)
    return next(doc for doc in agents if "tunneling_ip" in doc["configurations"])


def test_what_a_host_says_while_the_store_is_away_is_written_when_it_is_back(tmp_path: Path) -> None:
    """That it is here, what it is, and that its port is wired: it would not say any of it again."""

    async def test(written: Written, fleet: Fleet) -> None:
        await fleet.present("h0", False)
        written.away = True
        await fleet.present("h0", True)
        await fleet.report("h0", {"tunnel_types": ["vxlan"], "tunneling_ip": "192.0.2.99"}, None)
        fleet.words.acknowledge("h0", written.writer.snapshot.revision, [written.ports["h0"]], {})
        await until(lambda: {"alive", "report", "acknowledge_all"} <= set(written.refused))
        assert fleet.words.waiting and written.status("h0") == "DOWN"
        written.away = False
        await until(lambda: not fleet.words.waiting)
        agent = find_agent(written, "h0")
        assert agent["alive"] and agent["configurations"]["tunneling_ip"] == "192.0.2.99"
        assert written.status("h0") == "ACTIVE"

    run(tmp_path, test)


def test_what_was_not_written_gives_way_to_what_is_newer(tmp_path: Path) -> None:
    """A host that came and went while the store was away is gone, and what it said in between is not written."""

    async def test(written: Written, fleet: Fleet) -> None:
        await fleet.present("h0", False)
        written.words.clear()
        written.away = True
        await fleet.present("h0", True)
        await fleet.report("h0", {"tunnel_types": ["vxlan"], "tunneling_ip": "192.0.2.99"}, None)
        fleet.words.acknowledge("h0", written.writer.snapshot.revision, [written.ports["h0"]], {})
        await until(lambda: {"alive", "report", "acknowledge_all"} <= set(written.refused))
        await fleet.present("h0", False)
        written.away = False
        await until(lambda: not fleet.words.waiting)
        assert set(written.told) <= {"alive"} and {values for _, values in written.words} <= {("h0", False)}
        assert not find_agent(written, "h0")["alive"]
        assert find_agent(written, "h0")["configurations"]["tunneling_ip"] == "192.0.2.1"

    run(tmp_path, test)


def test_a_word_that_is_on_its_way_when_its_host_goes_is_not_said_again(tmp_path: Path) -> None:
    """Another server may have the host by now, and a newer word of it."""

    async def test(written: Written, fleet: Fleet) -> None:
        asked, go, said = asyncio.Event(), asyncio.Event(), []

        async def say(name: str, words: list[tuple[str, ...]]) -> None:
            said.append([word[0] for word in words])
            asked.set()
            await go.wait()
            raise ApiError(503, "ServiceUnavailable", "the store cannot be reached")

        words = Words(say, lambda: written.writer.snapshot, again_s=0.0)
        for host in ("h0", "h1"):
            words.acknowledge(host, 0, [written.ports[host]], {})
        await asked.wait()
        words.forget("h0")
        asked.clear()
        go.set()
        await asked.wait()
        await until(lambda: len(said) > 2)
        assert set(said[0]) == {"h0", "h1"} and all(later == ["h1"] for later in said[1:])
        await words.finish(0.0)

    run(tmp_path, test)


def test_a_word_that_cannot_be_written_takes_no_other_with_it(tmp_path: Path) -> None:
    """However unexpected the failure: the ports of all other hosts are shown as they are."""

    async def test(written: Written, fleet: Fleet) -> None:
        submit = written.writer.submit

        async def say(name: str, *values: Any) -> None:
            if "h1" in (values[0], *(word[0] for word in values[0] if name == "acknowledge_all")):
                raise RuntimeError("a fault of ours")
            await submit(make_operation(name, values), ADMIN)

        words = Words(say, lambda: written.writer.snapshot)
        for host in HOSTS[:3]:
            words.acknowledge(host, written.writer.snapshot.revision, [written.ports[host]], {})
        await until(lambda: not words.waiting)
        assert [written.status(host) for host in HOSTS[:3]] == ["ACTIVE", "DOWN", "ACTIVE"]

    run(tmp_path, test)


def test_a_host_that_has_gone_is_not_said_to_be_here(tmp_path: Path) -> None:
    """Another server wrote that it is not alive while it was here; by the time this is denied it has gone."""

    async def test(written: Written, fleet: Fleet) -> None:
        written.words.clear()
        here = {"h0"}
        fleet.hub.has = here.__contains__  # type: ignore[method-assign, assignment]
        agent = {**find_agent(written, "h0"), "alive": False}
        fleet._contradict([Change("agent", agent["id"], agent)])
        here.clear()
        await fleet.present("h0", False)
        await until(lambda: not fleet.words.waiting)
        assert ("alive", ("h0", True)) not in written.words
        assert not find_agent(written, "h0")["alive"]

    run(tmp_path, test)


def test_what_is_refused_for_what_it_says_is_not_tried_again(tmp_path: Path) -> None:
    """The tunnel address of another host stays refused, however often it would be said."""

    async def test(written: Written, fleet: Fleet) -> None:
        written.words.clear()
        with pytest.raises(MessageError, match="tunneling_ip"):
            await fleet.report("h0", {"tunneling_ip": "192.0.2.2"}, None)
        assert written.told == ["report"] and not fleet.words.waiting

    run(tmp_path, test)
