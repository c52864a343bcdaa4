"""`netloom db …`: reads what was asked; `db.py` does it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from netloom.main.command_parts import Files, Sets, explain_errors, parse_sets

if TYPE_CHECKING:
    from netloom.main.options import ServerOptions

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""The store: what the server remembers, in one file.

    | beside a running server | only without one |
    |---|---|
    | status, check, backup | upgrade, compact |

    Commands of the second kind say which process has the store, and change nothing. All find the store by the
    server's options: give them the same `--config-file` or `--set state_path=…`.

    **Try**

        netloom db status
        netloom db check
        netloom db backup /srv/backup/netloom-monday.db
    """,
)


@app.command("status")
@explain_errors
def show_status(config_file: Files = None, set_: Sets = None) -> None:
    """What is in the store, at which revision, and which process writes to it. The server may be running.

    Example: `netloom db status --set state_path=/var/lib/netloom`
    """
    options = load(config_file, set_)
    from netloom.main import db

    show(db.status(options.database_url))


@app.command("check")
@explain_errors
def check(config_file: Files = None, set_: Sets = None) -> None:
    """Read the whole store and compare it with its log; status 1 if there is a fault. Changes nothing.

    The server may be running: the check sees the store as at one instant.

    Example: `netloom db check --set state_path=/var/lib/netloom`
    """
    options = load(config_file, set_)
    from netloom.main import db

    end(*db.check(options.database_url))


@app.command("backup")
@explain_errors
def backup(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="A file that is not there yet.", show_default=False)],
    config_file: Files = None,
    set_: Sets = None,
) -> None:
    """Copy the store, as at one instant, to a new file, and check the copy. The server may be running.

    FILE appears when it is whole. To restore: stop the server, put FILE in the store's place (`netloom db status`
    names it), remove the old file's `-wal` and `-shm`, start the server. Users, keys and certificates are beside the
    store in state_path (identity.json, token.key, feed/): copy them too.

    Example: `netloom db backup /srv/backup/netloom-monday.db`
    """
    options = load(config_file, set_)
    from netloom.main import db

    end(*db.backup(options.database_url, target))


@app.command("upgrade")
@explain_errors
def upgrade(config_file: Files = None, set_: Sets = None) -> None:
    """Bring the store's schema up to date, in one transaction; make the store if there is none.

    Not beside a running server. Make a backup first: an older Netloom cannot use the store afterwards.

    Example: `netloom db upgrade --config-file /etc/netloom/netloom.conf`
    """
    options = load(config_file, set_)
    from netloom.main import db

    show(db.upgrade(options.database_url))


@app.command("compact")
@explain_errors
def compact(
    keep: Annotated[
        int | None,
        typer.Option(min=1, help="Keep this many revisions; else what [netloom] history_revisions and _days say."),
    ] = None,
    config_file: Files = None,
    set_: Sets = None,
) -> None:
    """Shorten the log and give the room that it took back to the disk. No object is lost.

    Not beside a running server, which shortens its log by itself but keeps the room for what comes. The disk must
    have as much room again as the objects take.

    Example: `netloom db compact --keep 1000`
    """
    options = load(config_file, set_)
    from netloom.main import db
    from netloom.store.history import History

    history = replace(options.history, least=1) if keep is None else History(keep, least=1)
    show(db.shorten(options.database_url, history))


def load(config_file: list[Path] | None, set_: list[str] | None) -> ServerOptions:
    from netloom.main.options import load_server_options

    return load_server_options(config_file or (), parse_sets(set_))


def show(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def end(lines: Iterable[str], good: bool) -> None:
    show(lines)
    if not good:
        raise typer.Exit(1)
