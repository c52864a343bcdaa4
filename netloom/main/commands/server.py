"""`netloom server …`: reads what was asked; `server.py` and `cluster.py` do it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from netloom.main.commands.parts import Files, LogFormat, Sets, explain_errors, parse_sets

app = typer.Typer(rich_markup_mode="markdown")


@app.callback(invoke_without_command=True)
@explain_errors
def server(
    context: typer.Context,
    config_file: Files = None,
    set_: Sets = None,
    log_format: LogFormat = None,
    role: Annotated[str, typer.Option(help="server, or relay: no store, no API; else option role.")] = "",
    upstream: Annotated[str, typer.Option(help="Of a relay: the servers or relays that it follows.")] = "",
    token: Annotated[
        str, typer.Option(envvar="NETLOOM_JOIN_TOKEN", help="Of a relay: join with this token first, if it has not.")
    ] = "",
) -> None:
    """Serve the Networking API and wait for agents.

    At the first start it makes users of its own and writes a clouds.yaml into state_path, for the openstack command.
    With `api_workers` there are several processes on the same ports; with a database several machines may serve.

    A relay stands between servers and many hosts; its token is one for the name relay/NAME.

    Examples: `netloom server`, `netloom server --config-file /etc/neutron/neutron.conf --config-file
    /etc/neutron/plugins/ml2/ml2_conf.ini`, `netloom server --set api_workers=2`, `netloom server --role relay
    --upstream server1:9697,server2:9697`
    """
    if context.invoked_subcommand is not None:
        return
    from netloom.main.options.checks import Given
    from netloom.main.options.places import check_endpoint, make_folder
    from netloom.main.options.relay import is_relay_role, load_relay_options
    from netloom.main.options.server import check_listen, load_server_options
    from netloom.main.servers.relay import run_relay

    given = parse_sets(set_, log_format)
    given |= {f"netloom.{name}": value for name, value in (("role", role), ("upstream", upstream)) if value}
    if is_relay_role(config_file or (), given):
        relay = load_relay_options(config_file or (), given)
        make_folder(relay.state_path)
        for endpoint in (*relay.listen, *filter(None, [relay.metrics_listen])):
            check_endpoint(Given("[netloom] feed_listen, metrics_listen"), endpoint)
        run_relay(relay, token)
        return
    options = load_server_options(config_file or (), given)
    make_folder(options.state_path)
    check_listen(options)
    from netloom.main.servers.server import run_server

    run_server(options)


@app.command("step-down")
@explain_errors
def step_down(config_file: Files = None, set_: Sets = None) -> None:
    """Have the server that writes leave that to another one of the same store, as before maintenance.

    What is under way is answered first, and what comes meanwhile waits for the next writer: no request fails. Where no
    other server takes over, the same one writes again after some seconds.

    Example: `netloom server step-down --config-file /etc/netloom/netloom.conf`
    """
    from netloom.main.options.server import load_server_options

    options = load_server_options(config_file or (), parse_sets(set_))
    from netloom.main.servers.cluster import order_step_down

    print(order_step_down(options))


@app.command("rotate-authority")
@explain_errors
def rotate_authority(
    config_file: Files = None,
    set_: Sets = None,
    finish: Annotated[bool, typer.Option("--finish", help="Drop the old one, when every host has renewed.")] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="With --finish: hosts that have not renewed must join again.")
    ] = False,
) -> None:
    """Have another authority sign the certificates of hosts, relays and servers, beside running servers.

    From the first call on a new one signs, and both are trusted. Each host that is connected gets its next certificate
    within minutes; call it again to see who is left. With --finish the old one is dropped.

    Examples: `netloom server rotate-authority`, `netloom server rotate-authority --finish`
    """
    from netloom.main.options.server import load_server_options

    options = load_server_options(config_file or (), parse_sets(set_))
    from netloom.main.commands.owner import hand_over
    from netloom.main.servers.rotation import begin, end

    now = datetime.now(UTC)
    with hand_over(options.state_path):
        print("\n".join(end(options, now, anyway) if finish else begin(options, now)))
