"""What can be wrong with a store. Every message says what is so, that nothing is lost, and what to do."""

from __future__ import annotations


class StoreError(Exception):
    """The store cannot be used as asked. `reason` is the half sentence that a tenant may read; the message is for
    the operator and may name files."""

    reason = "the store cannot be used"


class StoreLocked(StoreError):
    """Another process holds the store."""

    reason = "the store is locked by another process"


class StoreCorrupt(StoreError):
    """What is stored is not what was written."""

    reason = "the store is damaged"


class StoreTooNew(StoreError):
    """A newer program has written the store."""

    reason = "the store was written by a newer program"


class StoreOutdated(StoreError):
    """The store's schema is older than the program's."""

    reason = "the store's schema needs an upgrade"


class StoreFull(StoreError):
    """No room to write."""

    reason = "the disk of the store is full"


class StoreUnavailable(StoreError):
    """The store cannot be reached: rights, I/O, a file that is gone."""

    reason = "the store cannot be reached"


class StoreConflict(StoreError):
    """Another server has committed the revision that was to be next."""

    reason = "another server has written first"


class StoreLost(StoreUnavailable):
    """The connection broke: a commit that was under way may still happen after this is raised."""

    reason = "the connection to the store was lost"
