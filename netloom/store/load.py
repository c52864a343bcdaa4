"""From the tables to the snapshot, at start: all objects at one instant, with their indexes.

Documents of an older program get the declared default of every attribute that they lack; kinds that the catalog
does not know stay as they are.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from netloom.intent.errors import ApiError
from netloom.intent.schema import Absent, Catalog, Doc, Resource
from netloom.intent.snapshot import Record, Snapshot
from netloom.store.engine import Store
from netloom.store.errors import StoreCorrupt
from netloom.store.log import Stored
from netloom.store.schema import LOG, OBJECT

CHUNK_ROWS = 5000

ADVICE = "Nothing was changed. Restore a backup made by netloom db backup; netloom db check lists all that is damaged."


def as_plain(value: Any) -> Any:
    """What the JSON encoder does with a mapping that is not a dict."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


ENCODER = msgspec.json.Encoder(enc_hook=as_plain)
DECODER = msgspec.json.Decoder(dict[str, Any])


def encode_doc(doc: Doc) -> bytes:
    """The JSON of a document: what is stored, what is logged and what the API sends."""
    return ENCODER.encode(doc)


def load_snapshot(store: Store, catalog: Catalog) -> Snapshot:
    """All that is stored, as it was at the last commit. Raises StoreCorrupt naming the object that cannot be read.

    What it makes lives as long as the process, so the collector is told not to look at it again.
    """
    with collector_paused(), store.read() as connection:
        revision = connection.execute(select(func.max(LOG.c.revision))).scalar_one() or 0
        try:
            # Closed before anything else is read: a cursor that stays open would outlive its connection.
            with closing(load_records(connection, catalog)) as records:
                return Snapshot(catalog, encode_doc).apply_records(records, revision)
        except ApiError as error:
            raise StoreCorrupt(f"The stored objects contradict one another: {error.message} {ADVICE}") from error
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            with closing(load_records(connection, catalog)) as records:
                raise find_misfit(records, catalog) or error from None


def find_misfit(stored: Iterator[Stored], catalog: Catalog) -> StoreCorrupt | None:
    """What to say of the first object that an index of the catalog cannot place."""
    for kind, id, record in stored:
        for index in catalog[kind].indexes if kind in catalog else ():
            try:
                tuple(index.keys(record.doc if record else {}))
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                return StoreCorrupt(f"The stored {kind} {id} cannot be placed by {index.name} ({error!r}). {ADVICE}")
    return None


@contextmanager
def collector_paused() -> Iterator[None]:
    """Hundreds of thousands of new objects would make the garbage collector go through all of them many times."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()


def load_records(connection: Connection, catalog: Catalog) -> Generator[Stored, None, None]:
    query = select(OBJECT.c.kind, OBJECT.c.id, OBJECT.c.revision, OBJECT.c.doc)
    complete = {name: make_completer(resource) for name, resource in catalog.items()}
    with connection.execution_options(yield_per=CHUNK_ROWS).execute(query) as rows:
        for kind, id, revision, text in rows:
            yield kind, id, load_record(kind, id, revision, text, complete.get(kind))


def load_record(kind: str, id: str, revision: int, text: str, complete: Callable[[Doc], Doc] | None) -> Record:
    encoded = text.encode()
    try:
        doc = DECODER.decode(encoded)
    except msgspec.MsgspecError as error:
        raise StoreCorrupt(f"The stored {kind} {id} cannot be read ({error}). {ADVICE}") from None
    full = complete(doc) if complete else doc
    return Record(full, revision, encoded if full is doc else encode_doc(full))


def make_completer(resource: Resource) -> Callable[[Doc], Doc]:
    """A function that adds what a document lacks; one that lacks nothing comes back as it is."""
    defaults = {f.name: f.default for f in resource.fields if not isinstance(f.default, Absent)}
    names = defaults.keys()
    return lambda doc: doc if names <= doc.keys() else {**defaults, **doc}
