"""`netloom …`: reads what was asked and hands it to the part that does it.

Law: parts are imported when their command runs, so that help comes at once.
"""

from __future__ import annotations

import typer

from netloom import __version__
from netloom.lab.command import app as lab_app
from netloom.main.agent_command import app as agent_app
from netloom.main.command_parts import explain_errors
from netloom.main.db_command import app as db_app
from netloom.main.server_command import app as server_app

app = typer.Typer(
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
    """,
)
app.add_typer(agent_app, name="agent")
app.add_typer(db_app, name="db")
app.add_typer(lab_app, name="lab")
app.add_typer(server_app, name="server")


@app.command()
@explain_errors
def options() -> None:
    """Print every option with its section, default and meaning, as a page of Markdown."""
    from netloom.main.option_table import render_reference

    print(render_reference())


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


def main() -> None:
    app(prog_name="netloom")


if __name__ == "__main__":
    main()
