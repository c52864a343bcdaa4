"""`netloom …`: reads what was asked and hands it to the part that does it.

Law: parts are imported when their command runs, so that help comes at once.
"""

from __future__ import annotations

import datetime
from typing import Annotated

import typer

from netloom import __version__
from netloom.lab.command import app as lab_app
from netloom.main.command_parts import Files, Sets, explain_errors, parse_sets
from netloom.main.db_command import app as db_app

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
app.add_typer(agent_app, name="agent")
app.add_typer(db_app, name="db")
app.add_typer(lab_app, name="lab")


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
