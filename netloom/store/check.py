"""Do the store's objects, its log and the snapshot they give agree? What `netloom db check` prints."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, select

from netloom.intent.catalog import CATALOG
from netloom.intent.schema import Catalog
from netloom.store.engine import Store, open_reader
from netloom.store.errors import StoreError
from netloom.store.load import CHUNK_ROWS, load_snapshot
from netloom.store.log import decode_changes
from netloom.store.schema import LOG, OBJECT

Folded = dict[tuple[str, str], tuple[int, bytes | None]]
"""What the log says of each object: the revision that touched it last, and its document then (None: deleted)."""


def check_store(url: str, catalog: Catalog = CATALOG) -> list[str]:
    """Every fault that is found, in words; an empty list: none. Reads one instant, and may run beside a server."""
    try:
        store = open_reader(url)
    except StoreError as error:
        return [str(error)]
    try:
        with store.read() as connection:
            found = [*check_file(store, connection), *check_revisions(connection), *check_objects(connection)]
        return [*found, *check_snapshot(store, catalog)]
    except StoreError as error:
        return [str(error)]
    finally:
        store.close()


def check_file(store: Store, connection: Connection) -> Iterator[str]:
    """The engine's own look at its pages and indexes."""
    return (f"the file is damaged: {line}" for line in store.database.find_damage(connection))


def check_revisions(connection: Connection) -> Iterator[str]:
    """From the first that is kept to the last, none is missing."""
    before = None
    for (revision,) in connection.execute(select(LOG.c.revision).order_by(LOG.c.revision)):
        if before is not None and revision != before + 1:
            yield f"the log goes from revision {before} to {revision}"
        before = revision


def fold_log(connection: Connection) -> tuple[int, Folded]:
    """The first revision in the log, and all that it says of objects."""
    folded: Folded = {}
    first = 0
    query = select(LOG.c.revision, LOG.c.changes).order_by(LOG.c.revision)
    with connection.execution_options(yield_per=CHUNK_ROWS).execute(query) as rows:
        for revision, changes in rows:
            first = first or revision
            for kind, id, doc in decode_changes(changes):
                folded[kind, id] = (revision, doc)
    return first, folded


def check_objects(connection: Connection) -> Iterator[str]:
    """Each object is what the log says it last became. What is older than the log cannot be compared."""
    first, folded = fold_log(connection)
    there = set()
    for row in connection.execute(select(OBJECT.c.kind, OBJECT.c.id, OBJECT.c.revision, OBJECT.c.doc)):
        there.add((row.kind, row.id))
        said = folded.get((row.kind, row.id))
        if said is None:
            if row.revision >= first:
                yield f"{row.kind} {row.id} is of revision {row.revision}, which does not name it"
        elif said != (row.revision, row.doc.encode()):
            yield f"{row.kind} {row.id} is not what revision {said[0]} made it"
    for (kind, id), (revision, doc) in folded.items():
        if doc is not None and (kind, id) not in there:
            yield f"{kind} {id} is missing; revision {revision} made it and none deleted it"


def check_snapshot(store: Store, catalog: Catalog) -> Iterator[str]:
    """That all of it can be loaded, and no two objects claim what only one may have."""
    try:
        load_snapshot(store, catalog)
    except StoreError as error:
        yield str(error)
