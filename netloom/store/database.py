"""What differs from one SQL engine to another: where the store is, how it is opened, what its errors mean.

Law: an engine is one file beside this one (`sqlite.py`, `postgres.py`, `mariadb.py`); everything else is the same for
all, and so are the tests.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine, Executable, Table


class Right(Protocol):
    """The right to write, until it is given up."""

    def release(self) -> None: ...


class Database(Protocol):
    """A place for a store. Everything raises StoreError, whose text names the place and says what to do."""

    @property
    def name(self) -> str:
        """As messages name it: a file, or a URL without its password."""
        ...

    @property
    def shared(self) -> bool:
        """Whether several machines can use it at once."""
        ...

    def exists(self) -> bool:
        """Whether there is a store."""
        ...

    def create(self, busy_s: float) -> None:
        """Make a new, empty one. A crash on the way leaves none, or one that this call makes whole."""
        ...

    def make_engine(self, busy_s: float) -> Engine:
        """`busy_s`: how long to wait for whoever holds what is needed. A transaction that will write has the execution
        option `write`."""
        ...

    def clear_errors(self) -> AbstractContextManager[None]:
        """Turns what drivers raise into StoreError."""
        ...

    def check_engine(self, engine: Engine) -> None:
        """That what is committed is kept: raises StoreUnavailable for settings under which a crash takes it back."""
        ...

    def check_in_place(self) -> None:
        """Called before each write: that it will not be lost."""
        ...

    def take_right(self, engine: Engine) -> Right:
        """The right to write, for a command or a server that is alone. Raises StoreLocked naming who has it."""
        ...

    def find_holder(self, engine: Engine) -> str | None:
        """Who has the right to write, such as "process 12 on c1"; None: nobody."""
        ...

    def make_upsert(self, table: Table) -> Executable:
        """Insert, or replace by primary key."""
        ...

    def read_size(self, engine: Engine) -> int:
        """Bytes that the store takes."""
        ...

    def be_patient(self, connection: Connection) -> None:
        """Let the transaction at hand stand still for as long as it takes."""
        ...

    def shut_out(self, engine: Engine) -> None:
        """End the transactions of writers that stand still and keep the log from others."""
        ...

    def find_damage(self, connection: Connection) -> list[str]:
        """What the engine's own check finds."""
        ...

    def give_back(self, engine: Engine) -> None:
        """Give the room of what was deleted back."""
        ...

    def copy_to(self, engine: Engine, target: Path) -> None:
        """Write a copy, as at one instant, to a file. Raises StoreUnavailable where that is not our job."""
        ...
