"""`netloom lab kill, start, cut, mend, spaces`: what goes wrong with hosts, by hand."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from netloom.lab import show, trouble
from netloom.lab.state import find_place

console = show.make_console()

Host = Annotated[str, typer.Argument(help="The host.", show_default=False)]
Nic = Annotated[str, typer.Option(help=f"Only this NIC: {', '.join(trouble.NICS)}.", show_default=False)]


def kill(
    host: Host,
    only: Annotated[str, typer.Option(help=f"Only this program: {', '.join(trouble.PARTS)}.", show_default=False)] = "",
) -> None:
    """Take a host's power away (kill -9 of all that runs on it, cables first), or kill one program of it.

    Instances on it stay and are cut off; virtual machines end. `netloom lab start` brings the host back.

    Examples: `netloom lab kill h2`, `netloom lab kill h2 --only switch`
    """
    place = find_place(os.environ)
    lab = place.require()
    if only:
        count = trouble.kill_part(lab, place, host, only)
        console.print(f"{host}: {only} is killed ({count} process{'es' if count > 1 else ''})")
        return
    count = trouble.kill_host(lab, place, host)
    console.print(f"{host} has no power ({count} processes); `netloom lab start {host}` gives it back")


def start(host: Host) -> None:
    """Start what does not run on a host: its switch, its agent; and plug in its cables.

    Example: `netloom lab start h2`
    """
    place = find_place(os.environ)
    started = trouble.start_host(place.require(), place, host)
    console.print(f"{host}: started {', '.join(started)}" if started else f"{host}: all of it ran")


def cut(host: Host, only: Nic = "") -> None:
    """Pull a host's cables, so that it meets no other host; all on it goes on.

    Its agent still hears from the server, which in the lab is a file away.

    A host of `lab up --bonds` has two cables to the provider network, provider and provider-2; functions is that of
    the NIC of `--nic-functions`.

    Examples: `netloom lab cut h2`, `netloom lab cut h2 --only provider`
    """
    lab = find_place(os.environ).require()
    found = trouble.find_host(lab, host)
    nics = trouble.choose_nics(found, only)
    trouble.cut(lab, found, nics)
    console.print(f"{host} is cut off from: {', '.join(nics)}; `netloom lab mend {host}` plugs it in")


def mend(host: Host, only: Nic = "") -> None:
    """Plug a host's cables in again.

    Example: `netloom lab mend h2`
    """
    lab = find_place(os.environ).require()
    found = trouble.find_host(lab, host)
    trouble.mend(lab, found, trouble.choose_nics(found, only))
    console.print(f"{host} is plugged in")


def spaces() -> None:
    """Show the namespaces that agents have made: of routers, DHCP servers and metadata, by host.

    Example: `netloom lab spaces`, then `netloom lab exec h1/qrouter-1a2b -- ip addr` in one of them.
    """
    place = find_place(os.environ)
    for host in place.require().hosts:
        for space in trouble.list_spaces(place, host):
            print(f"{host}/{space}")
