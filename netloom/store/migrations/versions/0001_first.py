"""Objects, the log and what is known about the store."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import LONGTEXT

revision = "0001"
down_revision = None

REVISION = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
LONG = sa.Text().with_variant(LONGTEXT(), "mysql", "mariadb")
OPTIONS: dict[str, Any] = {
    f"{engine}_{name}": value
    for engine in ("mysql", "mariadb")
    for name, value in {"engine": "InnoDB", "charset": "utf8mb4", "collate": "utf8mb4_nopad_bin"}.items()
}


def upgrade() -> None:
    op.create_table(
        "object",
        sa.Column("kind", sa.String(64), primary_key=True),
        sa.Column("id", sa.String(255), primary_key=True),
        sa.Column("project_id", sa.String(255)),
        sa.Column("revision", REVISION, nullable=False),
        sa.Column("doc", LONG, nullable=False),
        **OPTIONS,
    )
    op.create_table(
        "log",
        sa.Column("revision", REVISION, primary_key=True, autoincrement=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("request_id", sa.String(255), nullable=False),
        sa.Column("changes", LONG, nullable=False),
        **OPTIONS,
    )
    op.create_table(
        "meta",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("value", LONG, nullable=False),
        **OPTIONS,
    )
