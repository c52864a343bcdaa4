"""`netloom agent …`: reads what was asked; `hosts.agent` runs a host, `servers.hosts` speaks of all of them."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from netloom.main.commands.parts import Files, LogFormat, Sets, explain_errors, fail, parse_sets, warn

Hosts = Annotated[
    list[str], typer.Argument(help="Hosts, by the name that Nova calls them.", metavar="HOST...", show_default=False)
]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""The agent: one on every host.

    A host joins once, with a token that an administrator got on the server's machine; from then on its certificate
    says who it is. The agent gets the next certificate by itself, long before the old one ends.

    | on the host | on the server's machine |
    |---|---|
    | run, join, sweep, why | token, list, revoke |

    **Try**

        server# netloom agent token h1
        h1#     netloom agent join TOKEN --server netloom.example.org:9697
        h1#     netloom agent run --set ovs.local_ip=192.0.2.11
        server# netloom agent list
    """,
)


@app.command("run")
@explain_errors
def run(
    config_file: Files = None,
    set_: Sets = None,
    token: Annotated[
        str, typer.Option(envvar="NETLOOM_JOIN_TOKEN", help="Join with this token first, if not joined yet.")
    ] = "",
    log_format: LogFormat = None,
) -> None:
    """Keep this host as the server says it should be, until told to stop.

    With no server to reach it restores what it knows from disk and keeps trying.

    Example: `netloom agent run --config-file /etc/netloom/netloom.conf`
    """
    from netloom.main.options.checks import Given
    from netloom.main.options.host import load_host_options
    from netloom.main.options.places import check_endpoint, make_folder

    options = load_host_options(config_file or (), parse_sets(set_, log_format))
    make_folder(options.state_path, 0o700)
    check_endpoint(Given("[netloom] metrics_listen"), options.metrics_listen)
    from netloom.main.hosts.agent import join, run_agent

    if token:
        join(options, token)
    run_agent(options)


@app.command("join")
@explain_errors
def join_server(
    token: Annotated[str, typer.Argument(help="What `netloom agent token` gave.", show_default=False)],
    server: Annotated[str, typer.Option(help="Where the server waits for agents; else option feed_server.")] = "",
    config_file: Files = None,
    set_: Sets = None,
) -> None:
    """Get this host's certificate from the server's authority.

    Example: `netloom agent join TOKEN --server netloom.example.org:9697`
    """
    from netloom.main.options.host import load_host_options
    from netloom.main.options.places import make_folder

    given = parse_sets(set_) | ({"netloom.feed_server": server} if server else {})
    options = load_host_options(config_file or (), given)
    make_folder(options.state_path, 0o700)
    from netloom.main.hosts.agent import join

    join(options, token)
    print(f"{options.host} has joined; its certificate is in {options.state_path}")


@app.command("token")
@explain_errors
def give_token(hosts: Hosts, config_file: Files = None, set_: Sets = None) -> None:
    """On the server's machine: print a token for each host to join with, once, within the hour.

    One for the name relay/NAME is for a relay: `netloom server --role relay --token TOKEN`.

    Example: `netloom agent token h1 h2`
    """
    from netloom.main.options.places import make_folder
    from netloom.main.options.server import load_server_options

    for host in hosts:
        check_host_name(host)
    options = load_server_options(config_file or (), parse_sets(set_))
    folder = make_folder(options.state_path) / "feed"
    if options.database_url.startswith("sqlite:") and not folder.exists():
        warn(f"no server has run with state_path = {options.state_path} yet: these are for the one that will")
    from netloom.main.commands.owner import hand_over
    from netloom.main.servers.fleet import make_join_token

    with hand_over(options.state_path):
        for host in hosts:
            print(make_join_token(options, host))


def check_host_name(name: str) -> None:
    """Raises OptionError for what cannot stand in a token and in a certificate (X.520: a name has 64 characters)."""
    from netloom.main.options.checks import OptionError

    if not re.fullmatch(r"(relay/)?[\w.-]{1,64}", name, re.ASCII) or len(name) > 64:
        raise OptionError("HOST", name, "allowed: 1 to 64 of letters, digits, '.', '-', '_'; for a relay, relay/NAME")


@app.command("list")
@explain_errors
def list_all(config_file: Files = None, set_: Sets = None) -> None:
    """On the server's machine: hosts, until when their certificates are good, and who is connected.

    Example: `netloom agent list`
    """
    from netloom.main.options.server import load_server_options

    options = load_server_options(config_file or (), parse_sets(set_))
    from netloom.main.commands.owner import hand_over
    from netloom.main.servers.hosts import list_hosts

    with hand_over(options.state_path):
        for line in list_hosts(options):
            print(line)


@app.command("revoke")
@explain_errors
def revoke(hosts: Hosts, config_file: Files = None, set_: Sets = None) -> None:
    """On the server's machine: make void what these hosts have, certificates and tokens.

    A running server lets go of them within seconds and does not let them in again. What is on such a host already
    stays there: its agent goes on with what it knew. A new token lets the host join anew.

    Example: `netloom agent revoke h3`
    """
    from netloom.main.options.server import load_server_options

    options = load_server_options(config_file or (), parse_sets(set_))
    from netloom.main.commands.owner import hand_over
    from netloom.main.servers.hosts import revoke_hosts

    with hand_over(options.state_path):
        unknown = revoke_hosts(options, hosts)
    for host in hosts:
        if host not in unknown:
            print(f"{host}: revoked")
    if unknown:
        fail(f"never joined, and may not with a token given before now: {', '.join(unknown)}", 1)


@app.command("sweep")
@explain_errors
def sweep(
    yes: Annotated[bool, typer.Option("--yes", help="Take it away; else it is only told, each with how.")] = False,
    config_file: Files = None,
    set_: Sets = None,
) -> None:
    """On the host: take away what others left on the bridges that are Netloom's alone, such as another agent's flows.

    The agent tells of it (in its log, as `foreign` in the API, and in its figures) and never touches it. Netloom's own
    flows and ports stay, with or without an agent that runs.

    Example: `netloom agent sweep`, and then `netloom agent sweep --yes`
    """
    from netloom.main.options.host import load_host_options

    options = load_host_options(config_file or (), parse_sets(set_))
    from netloom.main.hosts.sweep import SweepError, sweep_host

    count = 0
    try:
        for count, line in enumerate(sweep_host(options, yes), 1):  # noqa: B007
            print(line)
    except SweepError as error:
        fail(str(error), 1)
    if not count:
        print("nothing is there that is not Netloom's")


@app.command("why")
@explain_errors
def why(
    text: Annotated[str, typer.Argument(help="Part of it: an address, a MAC, a device, an id.", show_default=False)],
    config_file: Files = None,
    set_: Sets = None,
) -> None:
    """On the host: of each flow, route, translation and rule with TEXT in it say why it is wanted: for what,
    as of which revision, and made by which function.

    It is worked out anew, from what the agent keeps on disk and what the switch says; the agent need not run.

    Examples: `netloom agent why 203.0.113.120`, `netloom agent why port/5e8cba42`
    """
    from netloom.main.options.host import load_host_options

    options = load_host_options(config_file or (), parse_sets(set_))
    from netloom.main.hosts.why import WhyError, explain_host

    try:
        lines = explain_host(options, text)
    except WhyError as error:
        fail(str(error), 1)
    for line in lines or [f"nothing that is wanted on host {options.host} has {text} in it"]:
        print(line)
