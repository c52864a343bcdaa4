"""A program to be killed: at each line of its input it forks a child that writes to a store until it dies.

Forking is what makes many kills quick: the imports are done once. The child prints "child PID", then a JSON line
[revision, [[id, digest of the document or null], …]] for each answer. A line is one write shorter than PIPE_BUF,
so it is there whole or not at all.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import sys
from typing import Any

import msgspec

from netloom.intent.operation import Context, Operation, Outcome
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Change, Snapshot
from netloom.store.engine import open_shared, open_store
from netloom.store.writer import Writer
from tests.unit.store.store_kit import ADMIN, make_writer

SUBMITTERS = 6


def choose(dice: random.Random) -> Operation:
    """One to five ports, each created, changed or deleted, as one operation."""

    def operation(snapshot: Snapshot, context: Context) -> Outcome:
        there = sorted(snapshot.records("port"))
        changes: dict[str, Change] = {}
        for _ in range(dice.randint(1, 5)):
            roll = dice.random()
            id = dice.choice(there) if there and roll < 0.5 else context.new_id()
            text = "y" * dice.randint(0, 3000)
            doc = {"id": id, "name": "", "network_id": "n1", "fixed_ips": [], "description": text}
            changes[id] = Change("port", id, None if roll < 0.2 else doc)
        return Outcome(tuple(changes.values()))

    return operation


def digest(doc: Doc | None) -> str | None:
    return None if doc is None else hashlib.sha256(msgspec.json.encode(doc, order="sorted")).hexdigest()


def say(line: Any) -> None:
    os.write(1, msgspec.json.encode(line) + b"\n")


async def ask_forever(writer: Writer, dice: random.Random) -> None:
    while True:
        done = await writer.submit(choose(dice), ADMIN)
        say([done.revision, [[change.id, digest(change.doc)] for change in done.outcome.changes]])


async def serve(url: str) -> None:
    # A lease would keep the next one waiting; here the key of the log alone has to keep the two apart.
    store = open_store(url) if url.startswith("sqlite") else open_shared(url)
    writer = make_writer(store)
    await asyncio.gather(*(ask_forever(writer, random.Random(os.urandom(8))) for _ in range(SUBMITTERS)))


def main(url: str) -> None:
    for _ in sys.stdin:
        child = os.fork()
        if not child:
            say(os.getpid())
            asyncio.run(serve(url))
        _, status = os.waitpid(child, 0)
        say([] if os.WIFSIGNALED(status) else ["ended by itself", status])


if __name__ == "__main__":
    main(sys.argv[1])
