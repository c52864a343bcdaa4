"""Law 9: whatever a host with a good certificate sends, it reads and changes nothing beyond its ports and itself."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from netloom.feed import messages as m
from netloom.feed import pki
from netloom.feed.client import open_stream
from netloom.feed.codec import MAX_FROM_SERVER, make_frame, receive_frame
from netloom.intent.catalog import CATALOG
from netloom.intent.operation import Requester
from netloom.intent.operations import make_create
from netloom.intent.schema import Doc, parse_create
from netloom.intent.snapshot import Snapshot
from netloom.main.options.server import ServerOptions
from netloom.main.servers.fleet import Fleet, serve_fleet
from netloom.store.writer import Writer
from tests.unit.main.fleet_kit import make_options, open_writers

ADMIN = Requester(user_id="admin", project_id="p1", roles=("admin",), is_admin=True)
TOLD = {"tunnel_types": ["vxlan"], "tunneling_ip": "192.0.2.1"}
STATUS = {"status", "waits_for", "revision_number", "updated_at"}
"""What a host's word may change of its own port."""

names = st.sampled_from(["host/h1", "host/h2", "network/lonely", "network/both", "network/own", "hosts", "x", ""])
hosts = st.sampled_from(["h1", "h2", "h3", ""])
ports = st.lists(st.sampled_from(["theirs", "shared1", "shared2", "mine", "nonsense"]), max_size=5)
reports = st.fixed_dictionaries(
    {},
    optional={
        "tunneling_ip": st.sampled_from(["192.0.2.1", "192.0.2.2", "nonsense", "", 5, None]),
        "tunnel_types": st.sampled_from([["vxlan"], [], "vxlan", [5]]),
        "bridge_mappings": st.sampled_from([{"physnet1": "br-ex"}, [], {"a": 1}]),
        "host": hosts,
    },
)
MOVES: st.SearchStrategy[tuple[Any, ...]] = st.one_of(
    st.tuples(st.just("ask"), names),
    st.tuples(st.just("ack"), st.sampled_from([-1, 0, 1, 2, 10**9]), ports, ports),
    st.tuples(st.just("report"), reports),
    st.tuples(st.just("hello"), hosts),
    st.tuples(st.just("renew"), hosts),
    st.tuples(st.just("join"), hosts),
    st.tuples(st.just("bytes"), st.binary(max_size=40)),
)


@dataclass
class World:
    """Two hosts, three networks; `ids`: what the moves call by name."""

    writer: Writer
    fleet: Fleet
    options: ServerOptions
    ids: dict[str, str]
    context: ssl.SSLContext

    @property
    def address(self) -> str:
        return f"unix:{self.options.state_path}/s"

    def name(self, slice_name: str) -> str:
        kind, _, id = slice_name.partition("/")
        return f"{kind}/{self.ids[id]}" if id in self.ids else slice_name

    def make(self, move: tuple[Any, ...]) -> bytes:
        match move:
            case "ask", name:
                return make_frame(m.Ask(self.name(name)))
            case "ack", ahead, wired, pending:
                revision = self.writer.snapshot.revision + ahead
                known = [self.ids.get(one, one) for one in wired]
                return make_frame(m.Ack(revision, known, {self.ids.get(one, one): "no" for one in pending}))
            case "report", configurations:
                return make_frame(m.Report(configurations, "nova"))
            case "hello", host:
                return make_frame(m.Hello(host))
            case "renew", host:
                return make_frame(m.Renew(pki.make_request(pki.make_key(), host or "x")))
            case "join", host:
                return make_frame(m.Join("secret", host, ""))
        data: bytes = move[1]
        return data


async def make_world(writer: Writer, fleet: Fleet, options: ServerOptions) -> World:
    ids: dict[str, str] = {}

    async def create(kind: str, name: str, **body: Any) -> None:
        resource = CATALOG[kind]
        made = await writer.submit(make_create(resource, [parse_create(resource, {"name": name, **body})]), ADMIN)
        ids[name] = made.outcome.answer[0]["id"]

    for host, address in (("h1", "192.0.2.1"), ("h2", "192.0.2.2")):
        await fleet.report(host, {**TOLD, "tunneling_ip": address}, "nova")
    # Another project's, so that no security group of h2's ports has it as a member.
    await create("network", "lonely", project_id="p2")
    for name in ("both", "own"):
        await create("network", name, project_id="p1")
    for name, network, host, project in (
        ("theirs", "lonely", "h1", "p2"), ("shared1", "both", "h1", "p1"), ("shared2", "both", "h2", "p1"),
        ("mine", "own", "h2", "p1"),
    ):  # fmt: skip
        bound = {"binding:host_id": host, "device_owner": "compute:x"}
        await create("port", name, network_id=ids[network], project_id=project, **bound)
    return World(writer, fleet, options, ids, make_context(fleet, options))


def make_context(fleet: Fleet, options: ServerOptions) -> ssl.SSLContext:
    """The certificate of h2, as it got it by joining."""
    folder, key = options.state_path, pki.make_key()
    joined = fleet._issue("h2", pki.make_request(key, "h2"))
    for name, data in (("h2.pem", joined.certificate), ("ca.pem", joined.authority)):
        (folder / name).write_text(data)
    (folder / "h2.key").write_bytes(pki.encode_key(key))
    return pki.make_host_context(folder / "h2.pem", folder / "h2.key", folder / "ca.pem")


async def play(world: World, moves: list[tuple[Any, ...]], polite: bool) -> list[m.FromServer]:
    """Send the moves on one connection, and read until the server has answered them all or let go."""
    seen: list[m.FromServer] = []
    reader, writer = await open_stream(world.address, world.context)
    try:
        frames = [make_frame(m.Hello("h2", configurations={**TOLD, "tunneling_ip": "192.0.2.2"}))] if polite else []
        writer.write(b"".join([*frames, *(world.make(move) for move in moves), make_frame(m.Ping())]))
        while not any(isinstance(one, m.Refuse) for one in seen):
            # What a message leads to may come after the answer to the ping, but not long after.
            async with asyncio.timeout(0.03 if any(isinstance(one, m.Pong) for one in seen) else 0.15):
                seen.append(m.parse_from_server(await receive_frame(reader, MAX_FROM_SERVER)))
    except (OSError, EOFError, TimeoutError):
        pass
    finally:
        writer.transport.abort()
    return seen


def check_read(world: World, seen: list[m.FromServer]) -> None:
    """Slices of its own networks, and certificates in its own name."""
    own = {world.ids["both"], world.ids["own"]}
    for message in seen:
        if isinstance(message, m.Whole | m.Delta | m.Keep):
            kind, _, id = message.name.partition("/")
            assert kind not in ("host", "network") or id in own | {"h2"}, message.name
        for row in message.rows.values() if isinstance(message, m.Whole) else ():
            assert world.ids["theirs"].encode() not in bytes(row)
            assert world.ids["lonely"].encode() not in bytes(row)
        if isinstance(message, m.Joined):
            subject = x509.load_pem_x509_certificate(message.certificate.encode()).subject
            assert subject.rfc4514_string() == "CN=h2"


def check_changed(world: World, before: Snapshot, after: Snapshot) -> None:
    """Its own agents, and the status of its own ports."""
    own = {world.ids["shared2"], world.ids["mine"]}
    for kind, id, old, new in find_changes(before, after):
        if kind == "agent":
            assert (new or old or {})["host"] == "h2"
            continue
        assert (kind, id in own) == ("port", True), f"{kind} {id} was changed"
        assert old is not None and new is not None
        assert {name for name in old if old[name] != new[name]} <= STATUS


def find_changes(before: Snapshot, after: Snapshot) -> Iterator[tuple[str, str, Doc | None, Doc | None]]:
    for kind in CATALOG:
        first, second = before.records(kind), after.records(kind)
        for id in {*first, *second}:
            old, new = find_doc(first, id), find_doc(second, id)
            if old is not new:
                yield kind, id, old, new


def find_doc(records: Mapping[str, Any], id: str) -> Doc | None:
    record = records.get(id)
    return None if record is None else record.doc


ATTACKS: list[tuple[bool, list[tuple[Any, ...]]]] = [
    (False, [("hello", "h1")]),
    (True, [("hello", "h1")]),
    (True, [("ask", "host/h1"), ("ask", "network/lonely")]),
    (True, [("ack", 0, ["theirs", "shared1", "mine"], ["theirs"])]),
    (True, [("report", {"tunneling_ip": "192.0.2.1"})]),
    (True, [("report", {"tunneling_ip": "nonsense"})]),
    (True, [("renew", "h1")]),
    (False, [("join", "h1")]),
]


@example(ATTACKS)
@settings(max_examples=3, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(st.lists(st.tuples(st.booleans(), st.lists(MOVES, max_size=6)), min_size=4, max_size=8))
def test_a_host_reads_and_changes_nothing_beyond_its_ports(sessions: list[tuple[bool, list[tuple[Any, ...]]]]) -> None:
    """Every message there is, in any order, with others' names in it, over TLS with a certificate that is good."""

    async def main(folder: Path) -> None:
        options = make_options(folder)
        async with open_writers(options) as (writer,), serve_fleet(options, writer) as fleet:
            world = await make_world(writer, fleet, options)
            before = writer.snapshot
            for polite, moves in [(True, []), *sessions]:
                check_read(world, await play(world, moves, polite))
            await fleet.finish()
            check_changed(world, before, writer.snapshot)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(Path(folder)))
