"""`netloom db …`: reads what was asked; `stores.py` does it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from netloom.main.commands.parts import Files, Sets, explain_errors, parse_sets

if TYPE_CHECKING:
    from netloom.main.options.server import ServerOptions

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""The store: what the server remembers, in one file or in a database of PostgreSQL or MariaDB.

    | beside a running server | only without one |
    |---|---|
    | status, check, backup | upgrade, compact, move, restore |

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
    from netloom.main.commands import stores

    show(stores.status(options.database_url))


@app.command("check")
@explain_errors
def check(config_file: Files = None, set_: Sets = None) -> None:
    """Read the whole store and compare it with its log; status 1 if there is a fault. Changes nothing.

    The server may be running: the check sees the store as at one instant.

    Example: `netloom db check --set state_path=/var/lib/netloom`
    """
    options = load(config_file, set_)
    from netloom.main.commands import stores

    end(*stores.check(options.database_url))


@app.command("backup")
@explain_errors
def backup(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="A file that is not there yet.", show_default=False)],
    config_file: Files = None,
    set_: Sets = None,
) -> None:
    """Copy the store, as at one instant, to a new file, and check the copy. The server may be running.

    For a store in a file; a database has means of its own, and `netloom db move --to sqlite:///FILE` copies one too.
    FILE appears when it is whole; `netloom db restore FILE` puts it back. Users, keys and certificates are beside the
    store in state_path (identity.json, token.key, feed/): copy them too.

    Example: `netloom db backup /srv/backup/netloom-monday.db`
    """
    options = load(config_file, set_)
    from netloom.main.commands import stores

    end(*stores.backup(options.database_url, target))


@app.command("restore")
@explain_errors
def restore(
    source: Annotated[
        Path, typer.Argument(metavar="FILE", help="What netloom db backup has made.", show_default=False)
    ],
    after: Annotated[
        int,
        typer.Option(min=0, help="The last revision that was in use, where the store itself is lost and it is known."),
    ] = 0,
    config_file: Files = None,
    set_: Sets = None,
) -> None:
    """Replace what the store has by a backup, whatever engine it is; make the store if there is none.

    Not beside a running server. The backup is checked first; the store has all of it or stays as it is. What was
    written after the backup is given up, but its revisions are not used again: the log begins anew beyond them. A
    damaged file is not opened: move it away first.

    Example: `netloom db restore /srv/backup/netloom-monday.db`
    """
    options = load(config_file, set_)
    from netloom.main.commands import stores
    from netloom.main.commands.owner import hand_over
    from netloom.main.options.places import make_folder

    with hand_over(make_folder(options.state_path)):
        show(stores.restore(options.database_url, source, make_progress(), after))


@app.command("move")
@explain_errors
def move(
    to: Annotated[str, typer.Option("--to", metavar="URL", help="An empty database, or a file that is not there yet.")],
    config_file: Files = None,
    set_: Sets = None,
) -> None:
    """Copy the whole store, objects and log, into another database, and verify the copy: SQLite to PostgreSQL or
    MariaDB, and back.

    Not beside a running server. The target has all of it or nothing; the store itself is not changed. Afterwards set
    `[database] connection` to URL and start the server.

    Example: `netloom db move --to postgresql://netloom:secret@db1/netloom`
    """
    options = load(config_file, set_)
    from netloom.main.commands import stores
    from netloom.main.commands.owner import hand_over

    with hand_over(options.state_path):
        show(stores.move(options.database_url, to, make_progress()))


@app.command("upgrade")
@explain_errors
def upgrade(config_file: Files = None, set_: Sets = None) -> None:
    """Bring the store's schema up to date, in one transaction; make the store if there is none.

    Not beside a running server. Make a backup first: an older Netloom cannot use the store afterwards.

    Example: `netloom db upgrade --config-file /etc/netloom/netloom.conf`
    """
    options = load(config_file, set_)
    from netloom.main.commands import stores
    from netloom.main.commands.owner import hand_over
    from netloom.main.options.places import make_folder

    with hand_over(make_folder(options.state_path)):
        show(stores.upgrade(options.database_url))


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
    from netloom.main.commands import stores
    from netloom.main.commands.owner import hand_over
    from netloom.store.history import History

    history = replace(options.history, least=1) if keep is None else History(keep, least=1)
    with hand_over(options.state_path):
        show(stores.shorten(options.database_url, history))


def load(config_file: list[Path] | None, set_: list[str] | None) -> ServerOptions:
    from netloom.main.options.server import load_server_options

    return load_server_options(config_file or (), parse_sets(set_))


def make_progress() -> Callable[[int, int], None]:
    """A line on stderr for each tenth that is done."""
    tenths = [0]

    def progress(done: int, total: int) -> None:
        if done * 10 // total > tenths[0]:
            tenths[0] = done * 10 // total
            print(f"{done} of {total} rows are copied", file=sys.stderr)

    return progress


def show(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def end(lines: Iterable[str], good: bool) -> None:
    show(lines)
    if not good:
        raise typer.Exit(1)
