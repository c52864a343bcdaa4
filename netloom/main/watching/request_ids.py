"""From a request to what it changes on hosts: whose ids a change of a slice bears.

Law: an id is given with a change only where a row of it was made by that request, or where it deleted something and the
change takes something away; a host learns of ids, and of nothing behind them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from netloom.model.delta import SliceDelta
from netloom.store.log import LogEntry

LOG = logging.getLogger("netloom.server")


def find_requests(deltas: Mapping[str, SliceDelta], entries: Sequence[LogEntry]) -> dict[str, list[str]]:
    """Slice → ids of the requests that changed it, of those in `entries`."""
    made = {entry.revision: entry.request_id for entry in entries if entry.request_id}
    if not made:
        return {}
    took = [e.request_id for e in entries if e.request_id and any(change.doc is None for change in e.changes)]
    return {name: list(find_ids(delta, made, took)) for name, delta in deltas.items()}


def find_ids(delta: SliceDelta, made: Mapping[int, str], took: Sequence[str]) -> dict[str, None]:
    revisions = sorted({row.revision for row in delta.put.values()} & made.keys())
    found = dict.fromkeys(made[revision] for revision in revisions)
    return found | dict.fromkeys(took) if delta.drop or delta.gone else found


def log_slices(revision: int, deltas: Mapping[str, SliceDelta], requests: Mapping[str, Sequence[str]]) -> None:
    """For who follows one request through the server: which slices it changed."""
    for name, delta in deltas.items():
        extra = {"revision": revision, "requests": requests.get(name, [])}
        LOG.debug("slice %s: %d rows, %d gone", name, len(delta.put), len(delta.drop), extra=extra)
