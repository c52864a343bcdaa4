"""`netloom lab reach`, `rate`, `migrate`, …: the subcommands that try what switches do."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import typer

from netloom.lab import migrate as moving
from netloom.lab import probes, show, tags
from netloom.lab.boot import find_target
from netloom.lab.state import find_place

console = show.make_console()
AT_ONCE = 8

Source = Annotated[str, typer.Argument(help="An instance.", show_default=False)]
Target = Annotated[str, typer.Argument(help="An instance or an address.", show_default=False)]
IPv6 = Annotated[bool, typer.Option("-6", "--ipv6", help="To the IPv6 address of the target.")]


def reach(
    source: Source,
    target: Target,
    what: Annotated[list[str], typer.Argument(help="tcp/80, udp/53, icmp/13 (a type), ip/112 (a protocol).")],
    ipv6: IPv6 = False,
    wait: Annotated[float, typer.Option(help="Seconds to wait for an answer.", min=0.1, max=60)] = 2.0,
) -> None:
    """Try what security groups let pass: something listens in the target meanwhile. Exit status 1: not all passed.

    TCP and UDP are answered; ICMP and other protocols are seen to arrive.

    Example: `netloom lab reach a b tcp/80 udp/53 ip/112 -6`
    """
    place = find_place(os.environ)
    lab = place.require()
    address = find_target(lab, target, 6 if ipv6 else 0)
    tried = [probes.parse_what(word) for word in what]
    listener = target if target in lab.instances else ""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        came = list(pool.map(lambda one: probes.reach(lab, place, source, listener, address, one, wait), tried))
    for word, passed in zip(what, came, strict=True):
        shown = "[green]passed[/green]" if passed else "[red]did not pass[/red]"
        console.print(f"{shown}: {source} → {target} ({address}), {word}", highlight=False)
    if not all(came):
        raise typer.Exit(1)


def rate(
    source: Source,
    target: Annotated[str, typer.Argument(help="An instance.", show_default=False)],
    seconds: Annotated[float, typer.Option(help="How long.", min=0.5, max=3600)] = 3.0,
    udp: Annotated[bool, typer.Option("--udp", help="Datagrams of 1,200 bytes, as many as can be sent.")] = False,
    ipv6: IPv6 = False,
) -> None:
    """Measure what passes from one instance to another: Mbit/s of payload, and the longest pause.

    Example: `netloom lab rate a b --seconds 10`
    """
    place = find_place(os.environ)
    lab = place.require()
    address = find_target(lab, target, 6 if ipv6 else 0)
    found = probes.measure(lab, place, source, target, address, "udp" if udp else "tcp", seconds)
    packets = f", {found.packets:,.0f} packets/s" if udp else ""
    console.print(
        f"{source} → {target} ({address}): {found.mbits:.2f} Mbit/s{packets} for {found.seconds:.1f} s, "
        f"longest pause {found.pause * 1000:.0f} ms",
        highlight=False,
    )


def migrate(
    name: Annotated[str, typer.Argument(help="The instance's name.", show_default=False)],
    host: Annotated[str, typer.Argument(help="Where it goes.", show_default=False)],
    ping_from: Annotated[str, typer.Option(help="Who pings it meanwhile; else another of its network.")] = "",
) -> None:
    """Move an instance to another host while it runs, by a second binding of its port, and count the pings lost.

    Example: `netloom lab migrate a h2`
    """
    with show.show_progress(console) as say:
        moved, lost = moving.migrate(find_place(os.environ), name, host, ping_from, say)
    console.print(f"{moved.name} is on {moved.host}", highlight=False)
    if lost.source:
        console.print(
            f"{lost.lost} of {lost.sent} pings from {lost.source} were lost, one every {moving.PING_MS} ms",
            highlight=False,
        )


Vlan = Annotated[int, typer.Argument(help="1 to 4094.", show_default=False)]
Tagging = Annotated[str, typer.Argument(help="The instance's name.", show_default=False)]


def tag(
    name: Tagging,
    vlan: Vlan,
    address: Annotated[str, typer.Option(help="Set this address (with a prefix length) instead of asking.")] = "",
) -> None:
    """Let an instance tag frames itself: a device eth0.<VLAN>, with the MAC and addresses of its trunk's subport.

    Examples: `netloom lab tag a 101`, `netloom lab tag a 7 --address 192.168.7.1/24` (on a network that carries tags)
    """
    with show.show_progress(console) as say:
        addresses = tags.add_tag(find_place(os.environ), name, vlan, address, say)
    console.print(f"{name} has {tags.device_name(vlan)}: {' '.join(addresses) or 'no address'}", highlight=False)


def untag(name: Tagging, vlan: Vlan) -> None:
    """Take such a device away again.

    Example: `netloom lab untag a 101`
    """
    tags.remove_tag(find_place(os.environ), name, vlan)
    console.print(f"{name} has no {tags.device_name(vlan)} any more", highlight=False)
