"""`netloom lab …`: the subcommands, each a few lines over the functions that do the work."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated

import typer

from netloom.lab import boot as booting
from netloom.lab import cloud, demo, demo_routed, instances, nic_command, show, switching, trouble, trouble_command, vm
from netloom.lab import hosts as switches
from netloom.lab.client import open_client
from netloom.lab.collect import collect
from netloom.lab.shell import LabError
from netloom.lab.state import OUTSIDE, Lab, Place, find_place, find_prefix
from netloom.lab.swarm_command import swarm
from netloom.store.errors import StoreError

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""A cloud on this machine: simulated hosts, each with a real Open vSwitch, and instances. Needs root.

    A host is a network namespace with an Open vSwitch of its own and a Netloom agent; an instance is a namespace with
    one NIC. `NETLOOM_LAB_DIR` says where it is kept (else /var/lib/netloom/lab).

    **Try**

        netloom lab up --hosts 3
        openstack network create blue      # `lab up` prints how to point openstack at the lab
        openstack subnet create b4 --network blue --subnet-range 10.0.0.0/24
        netloom lab boot a --network blue --host h1
        netloom lab boot b --network blue --host h2
        netloom lab ping a b
        netloom lab down
    """,
)

console = show.make_console()
errors = show.make_console(stderr=True)

SPACES = ("qrouter-", "qdhcp-", "qmeta")
"""How namespaces that agents make begin."""

Name = Annotated[str, typer.Argument(help="The instance's name.", show_default=False)]


def explain_errors(command: Callable[..., None]) -> Callable[..., None]:
    """A LabError is for the user, and so is a file or store that cannot be used: its text, no traceback, status 1."""

    @wraps(command)
    def run(*args: object, **given: object) -> None:
        try:
            command(*args, **given)
        except (LabError, cloud.SecondLab) as error:
            for text in (str(error), *getattr(error, "__notes__", ())):
                errors.print(f"netloom lab: {text}", style="red", markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(1) from None
        except (OSError, StoreError) as error:
            if isinstance(error, OSError) and error.filename is None:
                raise
            errors.print(f"netloom lab: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            errors.print("netloom lab: interrupted; `netloom lab down` removes what was made", style="red")
            raise typer.Exit(130) from None

    return run


def here() -> Place:
    return find_place(os.environ)


@app.command()
@explain_errors
def up(
    hosts: Annotated[int, typer.Option(help="How many hosts.")] = 3,
    physnet: Annotated[
        bool, typer.Option(help="Give hosts a second NIC on br-ex, for flat and VLAN networks (physnet1).")
    ] = True,
    bridge_hosts: Annotated[int, typer.Option(help="How many of them, the last, switch with Linux bridges.")] = 0,
    dhcp_driver: Annotated[
        str, typer.Option(help="distributed: hosts answer DHCP themselves; dnsmasq: servers do.")
    ] = "distributed",
    firewall_driver: Annotated[
        str, typer.Option(help="Who keeps rules on hosts with Open vSwitch: openvswitch, or iptables_hybrid.")
    ] = "",
    nic_functions: Annotated[
        int, typer.Option(help="Give hosts with Open vSwitch a NIC more, with so many virtual functions (SR-IOV).")
    ] = 0,
    bonds: Annotated[
        bool, typer.Option("--bonds", help="Give them two NICs on br-ex, as one (LACP), and a switch that bonds.")
    ] = False,
    host_option: Annotated[
        list[str] | None, typer.Option(help="section.name=value: what else every agent is told.")
    ] = None,
    server_option: Annotated[
        list[str] | None, typer.Option(help="section.name=value: what else the server is told.")
    ] = None,
) -> None:
    """Start hosts, the server, and an agent on every host.

    What a lab that was killed has left is removed first; a lab that is up is left alone.

    Examples: `netloom lab up --hosts 5`, `netloom lab up --hosts 3 --bridge-hosts 1 --dhcp-driver dnsmasq`
    """
    shape = cloud.Shape(hosts, bridge_hosts, physnet, firewall_driver, tuple(host_option or ()),
                        (f"dhcp_driver={dhcp_driver}", *(server_option or ())), nic_functions, bonds)  # fmt: skip
    place = here()
    with show.show_progress(console) as say:
        lab = cloud.up(place, shape, find_prefix(os.environ), say)
    console.print(f"\n{len(lab.hosts)} hosts are up; the API is at {lab.api_url}")
    show.print_environment(console, place, programs())


@app.command()
@explain_errors
def down() -> None:
    """Remove the lab: every process, namespace and file of it. Also after it was killed."""
    with show.show_progress(console) as say:
        found = cloud.down(here(), find_prefix(os.environ), say)
    console.print("the lab is gone" if found else "there was no lab")


@app.command()
@explain_errors
def boot(
    name: Name,
    network: Annotated[str, typer.Option(help="Name or id of its network.", show_default=False)] = "",
    host: Annotated[str, typer.Option(help="The host; else the one with the fewest instances.")] = "",
    subnet: Annotated[str, typer.Option(help="Take an address of this subnet only.")] = "",
    address: Annotated[str, typer.Option(help="Ask for this address.")] = "",
    dhcp: Annotated[bool, typer.Option(help="Run DHCP clients; else set what the API says.")] = True,
    keep: Annotated[bool, typer.Option(help="Keep what was made when it fails, to look at it.")] = False,
    kind: Annotated[str, typer.Option(help="namespace, or vm: a real kernel under QEMU, up in some ten seconds.")] = (
        "namespace"
    ),
    port: Annotated[str, typer.Option(help="Instead of a network: a port that is there, as Nova takes one.")] = "",
    vnic_type: Annotated[
        str, typer.Option(help="direct or macvtap: by a virtual function of the host's NIC; else by its switch.")
    ] = "",
) -> None:
    """Boot an instance: a port through the API, a NIC plugged into its host, addresses by DHCP and RA.

    A virtual machine needs qemu-system-x86 and busybox-static, and a kernel: this machine's, or one that is fetched.

    Examples: `netloom lab boot web --network blue --host h2`, `netloom lab boot real --network blue --kind vm`
    """
    with show.show_progress(console) as say:
        asked = booting.Asked(name, network, host, subnet, dhcp, keep, kind, address, port, vnic_type)
        made = booting.boot(here(), asked, say)
    console.print(f"{made.name} is up on {made.host}: {' '.join(made.addresses) or 'no address'}")


@app.command()
@explain_errors
def delete(names: Annotated[list[str], typer.Argument(help="Instances.", show_default=False)]) -> None:
    """Delete instances and their ports.

    Example: `netloom lab delete web db`
    """
    for name in names:
        booting.delete(here(), name)
        console.print(f"{name} is gone")


@app.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@explain_errors
def execute(
    name: Annotated[
        str, typer.Argument(help="An instance, a host, outside, or a namespace of an agent.", show_default=False)
    ],
    command: Annotated[list[str] | None, typer.Argument(help="What to run; else a shell.", show_default=False)] = None,
) -> None:
    """Run a command inside an instance, or on a host (where `ovs-vsctl` and `ovs-ofctl` then speak to its switch).

    Or in a namespace that an agent has made (`netloom lab spaces`): by its name, or as much of it as is needed, after
    the host's where several hosts have it.

    Examples: `netloom lab exec web -- ip addr`, `netloom lab exec h1 -- ovs-ofctl dump-flows br-int`,
    `netloom lab exec h1/qrouter-1a2b -- ip route`
    """
    place = here()
    lab = place.require()
    if command and command[0] == "--":
        command = command[1:]
    command = command or [os.environ.get("SHELL", "/bin/sh")]
    console.file.flush()
    if "/" in name or name.startswith(SPACES):
        os.execvp("nsenter", ["nsenter", f"--net={trouble.find_space(lab, place, name)}", *command])
    netns, env = find_inside(lab, place, name)
    os.execvpe("ip", ["ip", "netns", "exec", netns, *command], {**os.environ, **env})


def find_inside(lab: Lab, place: Place, name: str) -> tuple[str, dict[str, str]]:
    """The namespace of an instance or host, and what a program in it needs to know."""
    if name in lab.hosts:
        directory = place.host(name)
        return lab.host_netns(name), {} if lab.hosts[name].bridges else switches.switch_env(directory)
    if name not in lab.instances and name != OUTSIDE:
        there = ", ".join((*lab.instances, *lab.hosts, OUTSIDE))
        raise LabError(f"there is no instance, host or namespace '{name}'; there are: {there}")
    return instances.find_inside(lab, name), {}


@app.command("console")
@explain_errors
def show_console(name: Name) -> None:
    """Show what a virtual machine has said.

    Example: `netloom lab console real`
    """
    place = here()
    if instances.find_instance(place.require(), name).kind != "vm":
        raise LabError(f"{name} is a namespace and has no console: `netloom lab exec {name}`")
    for line in vm.read_console(place, name):
        print(line)


@app.command()
@explain_errors
def ping(
    source: Annotated[str, typer.Argument(help="An instance.", show_default=False)],
    target: Annotated[str, typer.Argument(help="An instance or an address.", show_default=False)],
    ipv6: Annotated[bool, typer.Option("-6", "--ipv6", help="To the IPv6 address of the target.")] = False,
    ipv4: Annotated[bool, typer.Option("-4", "--ipv4", help="To the IPv4 address of the target.")] = False,
    count: Annotated[int, typer.Option(help="How many times.", min=1, max=1000)] = 3,
) -> None:
    """Ping from one instance to another; the exit status says whether an answer came.

    Example: `netloom lab ping a b -6`
    """
    lab = here().require()
    address = booting.find_target(lab, target, 6 if ipv6 else 4 if ipv4 else 0)
    answers, milliseconds = instances.ping(lab, source, address, count)
    if not answers:
        console.print(f"[red]no answer[/red]: {source} → {target} ({address}), {count} tries", highlight=False)
        raise typer.Exit(1)
    console.print(
        f"[green]passed[/green]: {source} → {target} ({address}), {answers} of {count}, {milliseconds} ms",
        highlight=False,
    )


@app.command()
@explain_errors
def status() -> None:
    """Show hosts, agents and instances. Exit status 1 when something is not as it should be."""
    place = here()
    found = read_status(place)
    show.print_status(console, place, found)
    show.print_environment(console, place, programs())
    if not found.healthy:
        raise typer.Exit(1)


def read_status(place: Place) -> show.Status:
    lab = place.require()
    faults = {host: switches.read_fault(lab, place, host) for host in lab.hosts}
    agents: dict[str, bool] = {}
    ports: dict[str, dict[str, object]] = {}
    server = cloud.answers(lab.api_url)
    if server and place.clouds.exists():
        with open_client(place.clouds) as client:
            for agent in client.list("agents"):
                agents[agent["host"]] = agents.get(agent["host"], True) and agent["alive"]
            ports = {port["id"]: port for port in client.list("ports")}
    return show.Status(lab, server, faults, agents, ports)


@app.command("demo")
@explain_errors
def make_demo() -> None:
    """Start anew with three hosts and two networks that use the same addresses, and show who reaches whom.

    This is what `make lab` runs. It leaves the lab up.
    """
    place = here()
    with show.show_progress(console) as say:
        cloud.check_machine(place)
        cloud.down(place, find_prefix(os.environ), say)
        cloud.up(place, cloud.Shape(), find_prefix(os.environ), say)
        lab = demo.make_demo(place, say)
        say("pings")
        trials = demo.run_trials(lab)
        say("a router between networks and the world")
        floating = demo_routed.make_routed(place, say)
        lab = place.require()
        say("pings through the router")
        trials += [demo.run_trial(lab, trial) for trial in demo_routed.plan_routed(lab, floating)]
    print_demo(place, trials)
    if not all(trial.right for trial in trials):
        raise LabError("not every ping went as it should; the logs are in " + str(place.directory))


def print_demo(place: Place, trials: list[demo.Trial]) -> None:
    console.print()
    show.print_status(console, place, read_status(place))
    console.print()
    rows = [demo.trial_row(trial) for trial in trials]
    console.print(show.make_table("Who reaches whom", ("ping", "result", "because", ""), rows))
    console.print()
    show.print_environment(console, place, programs())
    console.print("and then, for example:")
    show.print_commands(console, demo.NEXT)
    console.print("or, more instances:")
    show.print_commands(console, demo.NEXT_LAB)
    console.print("`make lab-down` removes it all.")


@app.command()
@explain_errors
def restart(
    names: Annotated[list[str], typer.Argument(help="Hosts.", show_default=False)],
    host_option: Annotated[
        list[str] | None, typer.Option(help="section.name=value: what these agents alone are told from now on.")
    ] = None,
) -> None:
    """Start the agents of hosts anew. Traffic does not notice.

    Examples: `netloom lab restart h1 h2`,
    `netloom lab restart h2 --host-option securitygroup.firewall_driver=iptables_hybrid`
    """
    place = here()
    lab = place.require()
    for host in names:
        if host not in lab.hosts:
            raise LabError(f"there is no host '{host}'; there are {', '.join(lab.hosts)}")
        known = lab.hosts[host] if host_option is None else cloud.tell_host(place, host, host_option)
        cloud.restart_agent(lab, place, known)
        console.print(f"{host}: agent restarted")


for one in (trouble_command.kill, trouble_command.start, trouble_command.cut, trouble_command.mend,
            trouble_command.spaces, swarm):  # fmt: skip
    app.command()(explain_errors(one))
for switching_command in (switching.reach, switching.rate, switching.migrate, switching.tag, switching.untag,
                          nic_command.nic, collect):  # fmt: skip
    app.command()(explain_errors(switching_command))


def programs() -> str:
    """The folder that the netloom and openstack commands are in."""
    found = shutil.which("netloom")
    beside = Path(cloud.NETLOOM[0]).parent
    return str(beside if (beside / "netloom").exists() or not found else Path(found).parent)
