"""`netloom …`: reads what was asked and hands it to the part that does it.

Law: parts are imported when their command runs, so that help comes at once.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from netloom import __version__
from netloom.main.commands.agent import app as agent_app
from netloom.main.commands.db import app as db_app
from netloom.main.commands.late import WithLab
from netloom.main.commands.parts import Files, Sets, explain_errors, parse_sets
from netloom.main.commands.server import app as server_app

app = typer.Typer(
    cls=WithLab,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""Netloom: OpenStack Networking, whole, in one package.

    `netloom server` serves the Networking API; `netloom agent run` keeps one host as the server says it should be;
    `netloom lab` makes a whole cloud on this machine, to try it.

    **Try**

        netloom lab demo                   # three hosts and instances that ping (root)
        netloom server --set bind_port=9696 --set state_path=/tmp/netloom
        netloom options                    # every option, with its default
        netloom doctor                     # what is missing or wrong on this machine
    """,
)
app.add_typer(agent_app, name="agent")
app.add_typer(db_app, name="db")
app.add_typer(server_app, name="server")


@app.command()
@explain_errors
def options() -> None:
    """Print every option with its section, default and meaning, as a page of Markdown."""
    from netloom.main.options.table import render_reference

    print(render_reference())


class Part(StrEnum):
    """What of a deployment is looked at."""

    server = "server"
    agent = "agent"
    relay = "relay"


@app.command()
@explain_errors
def doctor(
    config_file: Files = None,
    set_: Sets = None,
    part: Annotated[
        list[Part] | None, typer.Option("--part", help="Look at this; else at what this machine is found to have.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="All findings, as JSON.")] = False,
) -> None:
    """Look over this machine's part of a deployment: what is missing or wrong, each with what to do about it.

    It changes nothing, and may run beside a server or an agent. Status 1: something does not work.

    Example: `netloom doctor --config-file /etc/netloom/netloom.conf`
    """
    from netloom.main.commands.doctor import look
    from netloom.main.doctor.findings import find_status, render_findings

    findings = look(config_file or (), parse_sets(set_), [one.value for one in part or ()])
    print(render_findings(findings, json))
    if find_status(findings):
        raise typer.Exit(1)


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


def main() -> None:
    app(prog_name="netloom")


if __name__ == "__main__":
    main()
