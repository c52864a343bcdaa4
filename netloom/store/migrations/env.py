"""Alembic's entry: runs the migrations on the connection that `migrate.upgrade` hands over, in its transaction."""

from __future__ import annotations

from alembic import context

from netloom.store.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,
    render_as_batch=True,  # SQLite alters a table by making it anew
)
context.run_migrations()
