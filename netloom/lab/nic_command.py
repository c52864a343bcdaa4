"""`netloom lab nic`: what is set in the virtual functions of hosts, and whose they are."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from netloom.drivers.sriov import NO_MAC
from netloom.lab import functions, show
from netloom.lab.functions import Shown
from netloom.lab.hosts import PHYSNET
from netloom.lab.shell import LabError
from netloom.lab.state import find_place
from netloom.lab.trouble import find_host

console = show.make_console()
COLUMNS = ("function", "PCI slot", "instance", "MAC", "VLAN", "spoof check", "trust", "Mbit/s", "link")


def nic(
    host: Annotated[str, typer.Argument(help="The host; else all that have such a NIC.", show_default=False)] = "",
) -> None:
    """Show the virtual functions of hosts' NICs as the device tree has them: whose they are, and what is set in them.

    Example: `netloom lab nic h1`, after `netloom lab up --nic-functions 4`
    """
    place = find_place(os.environ)
    lab = place.require()
    wanted = [find_host(lab, host)] if host else list(lab.hosts.values())
    having = [one for one in wanted if one.functions]
    if not having:
        raise LabError(f"{host or 'no host'} has {'no' if host else 'a'} NIC with virtual functions: "
                       "`netloom lab up --nic-functions 4`")  # fmt: skip
    for one in having:
        shown = list(functions.read_functions(lab, place, one))
        free = sum(not each.owner for each in shown)
        title = f"{one.name}: {functions.PF} on {PHYSNET}, {free} of {one.functions} functions are free"
        console.print(show.make_table(title, COLUMNS, [make_row(each) for each in shown]))


def make_row(shown: Shown) -> tuple[str, ...]:
    held = shown.held
    if held["address"] == NO_MAC:
        return shown.device, shown.slot, shown.owner, "", "", "", "", "", ""
    most, least = held["rate"]["max_tx"], held["rate"]["min_tx"]
    return (
        shown.device, shown.slot, shown.owner, held["address"], str(held["vlan_list"][0]["vlan"] or ""),
        "on" if held["spoofchk"] else "off", "on" if held["trust"] else "off",
        " ".join(filter(None, (f"at most {most}" if most else "", f"at least {least}" if least else ""))),
        held["link_state"],
    )  # fmt: skip
