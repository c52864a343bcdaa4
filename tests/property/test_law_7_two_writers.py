"""Law 7 with several servers: whoever believes to be the writer, no revision is used twice and no answer is lost.

Two proofs. A model of the commit protocol, small enough that every order of events is gone through; it decides with
the functions that the writer decides with (`store/commit.py`). And the real writer, two of it on one log, both sure
that they write, with every fate that a commit can have.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.intent.errors import ApiError
from netloom.intent.operation import Context, Operation, Outcome, Requester, Settings
from netloom.intent.schema import Catalog, Index, Resource, Rules
from netloom.intent.snapshot import Change, Snapshot
from netloom.store import commit
from netloom.store.context import make_contexts
from netloom.store.errors import StoreConflict, StoreLost
from netloom.store.load import encode_doc
from netloom.store.log import Draft, LogRow, decode_stored
from netloom.store.writer import NotWriting, Writer
from tests.examples import count_examples

# -- the model ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    revision: int
    request: str


@dataclass(frozen=True)
class Server:
    """`log`: what it shows, row by row. `sent`: the batch whose fate it does not know yet. `stray`: one that a broken
    connection left behind, and that may still come to pass. `asked`: requests that wait, in order."""

    asked: tuple[str, ...]
    log: tuple[Row, ...] = ()
    sent: tuple[Row, ...] = ()
    heard: str = ""  # what the database said of `sent`: "", "done", "conflict", "lost"
    stray: tuple[Row, ...] = ()
    answered: tuple[Row, ...] = ()
    refused: tuple[str, ...] = ()
    tries: int = 2


@dataclass(frozen=True)
class World:
    """The database's log, whose key is the revision, and the servers, each sure that it is the writer."""

    servers: tuple[Server, ...]
    log: tuple[Row, ...] = ()

    def put(self, number: int, server: Server) -> World:
        return replace(self, servers=(*self.servers[:number], server, *self.servers[number + 1 :]))


def insert(world: World, rows: tuple[Row, ...]) -> World | None:
    """The transaction: all rows, if none of their revisions is taken."""
    if {row.revision for row in rows} & {row.revision for row in world.log}:
        return None
    return replace(world, log=(*world.log, *rows))


def find_next(world: World) -> Iterator[World]:
    """Every world that one event leads to; a pause is any number of events of others in between."""
    for number, server in enumerate(world.servers):
        yield from find_steps(world, number, server)
        if server.stray:
            free = replace(server, stray=())
            yield world.put(number, free)  # it never happens
            late = insert(world, server.stray)
            if late is not None:
                yield late.put(number, free)


def find_steps(world: World, number: int, server: Server) -> Iterator[World]:
    if not server.sent:
        if server.asked:
            yield world.put(number, replace(server, sent=make_batch(server), heard=""))
    elif not server.heard:
        yield from find_fates(world, number, server)
    else:
        yield world.put(number, conclude(server, world.log[len(server.log) :]))


def make_batch(server: Server) -> tuple[Row, ...]:
    return tuple(Row(len(server.log) + 1 + n, request) for n, request in enumerate(server.asked))


def find_fates(world: World, number: int, server: Server) -> Iterator[World]:
    """What becomes of a commit: done, refused by the key, or the connection breaks before or after it. Whoever lost
    the connection sends the same again before it looks (`Writer._insist`)."""
    done = insert(world, server.sent)
    if done is None:
        yield world.put(number, replace(server, heard="conflict"))
        return
    yield done.put(number, replace(server, heard="done"))
    if server.tries:
        again = replace(server, tries=server.tries - 1)
        yield done.put(number, again)  # it happened, and nobody said so
        yield world.put(number, replace(again, stray=server.sent))  # it may happen later


def conclude(server: Server, found: Sequence[Row]) -> Server:
    """As `Writer._store` and `_survive`: the database's yes, or what the log says."""
    assert commit.continues(len(server.log), len(server.log) + len(found), found)
    if server.heard == "done":
        found = server.sent  # what others write after it is read another time
    if server.heard == "done" or commit.has_happened(server.sent, found):
        answered = (*server.answered, *server.sent)
        log = (*server.log, *found[: len(server.sent)])
        return replace(server, log=log, sent=(), heard="", answered=answered, asked=())
    return replace(server, log=(*server.log, *found), sent=(), heard="")


def check(world: World) -> None:
    revisions = [row.revision for row in world.log]
    assert revisions == list(range(1, len(revisions) + 1)), "the log has a gap, or a revision twice"
    requests = [row.request for row in world.log]
    assert len(set(requests)) == len(requests), "a request was carried out twice"
    for server in world.servers:
        assert server.log == world.log[: len(server.log)], "a server shows what is not stored"
        assert all(world.log[row.revision - 1] == row for row in server.answered), "an answer is lost"


def explore(first: World) -> int:
    """How many different worlds there are; each is checked."""
    seen, front = {first}, [first]
    while front:
        found = {after for world in front for after in find_next(world)} - seen
        for world in found:
            check(world)
        seen |= found
        front = list(found)
    return len(seen)


@pytest.mark.parametrize(
    "asked", [(("a",), ("b",)), (("a", "b"), ("c",)), (("a",), ("b",), ("c",))], ids=["1+1", "2+1", "1+1+1"]
)
def test_no_order_of_events_gives_two_writers(asked: tuple[tuple[str, ...], ...]) -> None:
    """Pauses, lost connections, late commits, in every order: each revision and each request once, each answer kept."""
    tries = 2 if len(asked) == 2 else 1
    assert explore(World(tuple(Server(one, tries=tries) for one in asked))) > 100


# -- the real writer ---------------------------------------------------------------------------------------------------

NAMED: Catalog = {
    "port": Resource(
        "port", "ports", "", (), Rules("", "", "", ""), (Index("name", lambda doc: [doc["name"]], "unique"),)
    )
}


@dataclass
class SharedLog:
    """The database: rows by revision. `fates` are of the commits to come, whoever makes them."""

    rows: list[LogRow] = field(default_factory=list)
    fates: list[str] = field(default_factory=list)
    strays: list[list[LogRow]] = field(default_factory=list)

    def append(self, drafts: Sequence[Draft]) -> None:
        rows = [draft.row for draft in drafts]
        fate = self.fates.pop(0) if self.fates else "good"
        if fate == "stray":
            self.strays.append(rows)
            raise StoreLost("the connection broke")
        if fate == "late" and self.strays:
            self.commit(self.strays.pop())
        if not self.commit(rows):
            raise StoreConflict("the revision is taken")
        if fate == "lost":
            raise StoreLost("the connection broke")

    def commit(self, rows: list[LogRow]) -> bool:
        if rows[0].revision != len(self.rows) + 1:
            return False
        self.rows += rows
        return True

    def read_since(self, revision: int) -> tuple[int, list[LogRow]]:
        return len(self.rows), self.rows[revision:]


def load(rows: Sequence[LogRow]) -> Snapshot:
    snapshot = Snapshot(NAMED, encode_doc)
    for row in rows:
        snapshot = snapshot.apply_records(decode_stored(row), row.revision)
    return snapshot


def create(name: str) -> Operation:
    def operation(snapshot: Snapshot, context: Context) -> Outcome:
        if snapshot.lookup("port", "name", name):
            raise ApiError(409, "Conflict", f"{name} is taken")
        id = context.new_id()
        return Outcome((Change("port", id, {"id": id, "name": name}),), ({"id": id},))

    return operation


async def ask(log: SharedLog, writer: Writer, name: str) -> None:
    try:
        done = await writer.submit(create(name), Requester())
    except NotWriting:
        return
    except ApiError as error:
        if error.status == 409:
            assert name in [doc["name"] for doc in load(log.rows).docs("port")]
        else:
            assert "is not known" in error.message
        return
    id = str(done.outcome.answer[0]["id"])
    assert f'"{id}"' in log.rows[done.revision - 1].changes, "an answer is lost"


async def write_from_two(log: SharedLog, requests: Sequence[tuple[int, str]], steps_back: bool) -> None:
    """Both servers are sure that they write. `steps_back`: who loses a commit follows, until it is asked again."""
    writers = [Writer(log, load(log.rows), make_contexts(Settings())) for _ in range(2)]

    def step_back(writer: Writer) -> None:
        writer.writing = False

    if steps_back:
        for writer in writers:
            writer.outrun = lambda writer=writer: step_back(writer)
    await asyncio.gather(*(ask(log, writers[number], name) for number, name in requests))
    for writer in writers:
        await writer.follow()
        ids = {id: record.json for id, record in writer.snapshot.records("port").items()}
        assert ids == {id: record.json for id, record in load(log.rows).records("port").items()}
        await writer.close()


@settings(max_examples=count_examples(120), deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from((0, 1)), st.sampled_from("abcdef")), min_size=2, max_size=8),
    st.lists(st.sampled_from(("good", "lost", "stray", "late")), max_size=6),
    st.booleans(),
)
def test_two_that_both_believe_to_write_never_share_a_revision(
    requests: list[tuple[int, str]], fates: list[str], steps_back: bool
) -> None:
    """Two real writers on one log, with lost and late commits: every answer is in the log at its revision, and both end
    with the same snapshot."""
    log = SharedLog(fates=list(fates))
    asyncio.run(write_from_two(log, requests, steps_back))
    assert [row.revision for row in log.rows] == list(range(1, len(log.rows) + 1))
    names = [doc["name"] for doc in load(log.rows).docs("port")]
    assert len(names) == len(set(names)) == len(log.rows)


@pytest.mark.parametrize("fate", ["lost", "stray"])
def test_a_broken_connection_leaves_no_requester_in_doubt(fate: str) -> None:
    """Whether the commit happened before the break or never: the same is sent again, and the requester hears yes. What
    the break left behind comes too late."""

    async def run() -> SharedLog:
        log = SharedLog(fates=[fate])
        writer = Writer(log, load([]), make_contexts(Settings()))
        assert (await writer.submit(create("a"), Requester())).revision == 1
        await writer.close()
        return log

    log = asyncio.run(run())
    assert len(log.rows) == 1 and not any(log.commit(rows) for rows in log.strays)
