"""`netloom …`: reads what was asked and hands it to the part that does it.

Law: a command that cannot be done says why in a sentence, on stderr, and ends with status 1; options that are not
allowed end with status 2. Parts are imported when their command runs, so that help comes at once.
"""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated

import typer

from netloom import __version__
from netloom.lab.command import app as lab_app
from netloom.main.option_checks import OptionError

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
agent_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""The agent: one on every host.

    A host joins once, with a token that an administrator got on the server's machine; from then on its certificate
    says who it is.

    **Try**

        server# netloom agent token h1
        h1#     netloom agent join TOKEN --server netloom.example.org:9697
        h1#     netloom agent run --set ovs.local_ip=192.0.2.11
    """,
)
db_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""The store: what the server remembers.

    **Try**

        netloom db check
        netloom db upgrade
    """,
)
app.add_typer(agent_app, name="agent")
app.add_typer(db_app, name="db")
app.add_typer(lab_app, name="lab")

Files = Annotated[
    list[Path] | None,
    typer.Option(
        "--config-file", help="A file of options; may be given several times, the last one wins. Neutron's files do."
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="One option: bind_port=9696, ml2.path_mtu=9000, … Again and again."
    ),
]


def explain_errors(command: Callable[..., None]) -> Callable[..., None]:
    """What an operator can mend is a sentence, not a traceback."""

    @wraps(command)
    def run(*args: object, **given: object) -> None:
        try:
            command(*args, **given)
        except OptionError as error:
            fail(f"option {error}", 2)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except Exception as error:
            if not is_explained(error):
                raise
            fail(str(error), 1)

    return run


def is_explained(error: Exception) -> bool:
    """Whether the text of the error alone tells an operator what to do."""
    from netloom.feed.pki import JoinError
    from netloom.store.errors import StoreError

    return isinstance(error, (StoreError, JoinError, PermissionError, ConnectionError))


def fail(text: str, status: int) -> None:
    print(f"netloom: {text}", file=sys.stderr)
    raise typer.Exit(status)


def parse_sets(values: list[str] | None) -> dict[str, str]:
    """Option texts by name. Raises OptionError for what has no "="."""
    found = {}
    for value in values or ():
        name, equals, text = value.partition("=")
        if not equals or not name:
            raise OptionError("--set", value, "allowed: NAME=VALUE, such as bind_port=9696 or ml2.path_mtu=9000")
        found[name.strip()] = text.strip()
    return found


@app.command()
@explain_errors
def server(config_file: Files = None, set_: Sets = None) -> None:
    """Serve the Networking API and wait for agents.

    At the first start it makes users of its own and writes a clouds.yaml into state_path, for the openstack command.

    Examples: `netloom server`, `netloom server --config-file /etc/neutron/neutron.conf --config-file
    /etc/neutron/plugins/ml2/ml2_conf.ini`
    """
    from netloom.main.options import check_listen, load_server_options

    options = load_server_options(config_file or (), parse_sets(set_))
    check_listen(options)
    from netloom.main.server import run_server

    run_server(options)


@agent_app.command("run")
@explain_errors
def agent_run(
    config_file: Files = None,
    set_: Sets = None,
    token: Annotated[
        str, typer.Option(envvar="NETLOOM_JOIN_TOKEN", help="Join with this token first, if not joined yet.")
    ] = "",
) -> None:
    """Keep this host as the server says it should be, until told to stop.

    With no server to reach it restores what it knows from disk and keeps trying.

    Example: `netloom agent run --config-file /etc/netloom/netloom.conf`
    """
    from netloom.main.host_options import load_host_options

    options = load_host_options(config_file or (), parse_sets(set_))
    from netloom.main.agent import join, run_agent

    if token:
        join(options, token)
    run_agent(options)


@agent_app.command("join")
@explain_errors
def agent_join(
    token: Annotated[str, typer.Argument(help="What `netloom agent token` gave.", show_default=False)],
    server: Annotated[str, typer.Option(help="Where the server waits for agents; else option feed_server.")] = "",
    config_file: Files = None,
    set_: Sets = None,
) -> None:
    """Get this host's certificate from the server's authority.

    Example: `netloom agent join TOKEN --server netloom.example.org:9697`
    """
    from netloom.main.host_options import load_host_options

    given = parse_sets(set_) | ({"netloom.feed_server": server} if server else {})
    options = load_host_options(config_file or (), given)
    from netloom.main.agent import join

    join(options, token)
    print(f"{options.host} has joined; its certificate is in {options.state_path}")


@agent_app.command("token")
@explain_errors
def agent_token(
    hosts: Annotated[list[str], typer.Argument(help="Hosts, by the name that Nova calls them.", show_default=False)],
    config_file: Files = None,
    set_: Sets = None,
) -> None:
    """On the server's machine: print a token for each host to join with, once, within the hour.

    Example: `netloom agent token h1 h2`
    """
    from netloom.main.options import load_server_options

    options = load_server_options(config_file or (), parse_sets(set_))
    from netloom.main.authority import open_authority

    now = datetime.datetime.now(datetime.UTC)
    authority = open_authority(options.state_path / "feed", now, renew=False)
    for host in hosts:
        print(authority.make_token(host, now))


@db_app.command("upgrade")
@explain_errors
def db_upgrade(config_file: Files = None, set_: Sets = None) -> None:
    """Bring the store's schema up to date, in one transaction; make the store if there is none.

    Example: `netloom db upgrade --config-file /etc/netloom/netloom.conf`
    """
    from netloom.main.options import load_server_options
    from netloom.store.engine import upgrade_store

    options = load_server_options(config_file or (), parse_sets(set_))
    store = upgrade_store(options.database_url)
    print(f"{store.path} is up to date")
    store.close()


@db_app.command("check")
@explain_errors
def db_check(config_file: Files = None, set_: Sets = None) -> None:
    """Read the whole store and compare it with its log. Changes nothing; the server may be running.

    Example: `netloom db check --set state_path=/var/lib/netloom`
    """
    from netloom.main.options import load_server_options
    from netloom.store.check import check_store

    options = load_server_options(config_file or (), parse_sets(set_))
    found = check_store(options.database_url)
    for fault in found:
        print(fault)
    if found:
        raise typer.Exit(1)
    print("no fault was found")


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
