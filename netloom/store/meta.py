"""Single values beside what is stored, by name: what all servers of a store share and no document holds.

Law: a value is swapped by comparing, so of two servers that change it at once one sees that the other was faster.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from netloom.store.engine import Store
from netloom.store.schema import META

TRIES = 100
"""How often a change is made anew because another server was faster."""


def read_value(store: Store, key: str) -> str | None:
    """Raises StoreError."""
    with store.read() as connection:
        found = connection.execute(select(META.c.value).where(META.c.key == key)).scalar_one_or_none()
    return None if found is None else str(found)


def swap_value(store: Store, key: str, old: str | None, new: str) -> bool:
    """Put `new` in the place of exactly `old` (None: of nothing); False: somebody was faster. Raises StoreError."""
    with store.clear_errors():
        try:
            with store.engine.execution_options(write=True).begin() as connection:
                if old is None:
                    connection.execute(insert(META).values(key=key, value=new))
                    return True
                swap = update(META).where(META.c.key == key, META.c.value == old).values(value=new)
                return bool(connection.execute(swap).rowcount) or old == new
        except IntegrityError:
            return False


def change_value(store: Store, key: str, change: Callable[[str | None], str]) -> str:
    """The value after `change`, which is called again where another server changed it meanwhile. What `change` raises
    leaves all as it was. Raises StoreError."""
    for _ in range(TRIES):
        old = read_value(store, key)
        new = change(old)
        if new == old or swap_value(store, key, old, new):
            return new
    raise TimeoutError(f"{key}: others change it without end")


def drop_value(store: Store, key: str) -> None:
    """Raises StoreError."""
    with store.write() as connection:
        connection.execute(delete(META).where(META.c.key == key))
