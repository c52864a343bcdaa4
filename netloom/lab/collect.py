"""`netloom lab collect`: what the hosts' switches tell a collector of their traffic."""

from __future__ import annotations

import json
import os
import sys
from typing import Annotated, Any

import typer

from netloom.lab import show
from netloom.lab.collector import PORTS
from netloom.lab.flow_records import Seen
from netloom.lab.hosts import METADATA_IP
from netloom.lab.shell import run
from netloom.lab.state import Lab, find_place

COLLECTOR = (sys.executable, "-m", "netloom.lab.collector")
PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6"}
GRACE_S = 30.0
UNREAD = "records whose template came before: it comes every ten minutes, and when the option is set anew"

console = show.make_console()


def collect(
    seconds: Annotated[float, typer.Option(help="How long.", min=1, max=600)] = 20.0,
) -> None:
    """Listen in the underlay, where 10.99.0.254 is, for NetFlow (port 2055), sFlow (6343) and IPFIX (4739).

    Hosts are told where to by an option. NetFlow tells of a flow when it has been over for ten seconds; IPFIX says once
    in ten minutes how its records are to be read, and when the option is set.

    Example: `netloom lab restart h1 --host-option netloom.sflow_targets=10.99.0.254:6343`, then `netloom lab collect`
    """
    lab = find_place(os.environ).require()
    ends = ", ".join(f"{how} at {METADATA_IP}:{port}" for how, port in PORTS.items())
    console.print(f"listening {seconds:g} s for {ends}", highlight=False)
    rows = [make_row(lab, one) for one in hear(lab, seconds)]
    console.print(show.make_table("What was told", ("by", "host", "flow", "times"), rows) if rows else "nothing came")
    if not rows:
        raise typer.Exit(1)


def hear(lab: Lab, seconds: float) -> list[dict[str, Any]]:
    """What the collector heard, the most frequent first."""
    command = ("ip", "netns", "exec", lab.underlay, *COLLECTOR, METADATA_IP, str(seconds))
    return [json.loads(line) for line in run(*command, timeout_s=seconds + GRACE_S).splitlines()]


def make_row(lab: Lab, one: dict[str, Any]) -> tuple[str, str, str, str]:
    hosts = {host.tunnel_ip: name for name, host in lab.hosts.items()}
    by, host = f"{one['how']} {one['version']}", hosts.get(one["host"], one["host"])
    return by, host, show_flow(Seen(**one["flow"])) if one["flow"] else UNREAD, str(one["count"])


def show_flow(seen: Seen) -> str:
    """`tcp 10.0.0.1:40000 → 10.0.0.2:80`."""
    protocol = PROTOCOLS.get(seen.protocol, f"ip/{seen.protocol}")
    if not seen.source_port and not seen.target_port:
        return f"{protocol} {seen.source} → {seen.target}"
    source, target = (f"[{ip}]" if ":" in ip else ip for ip in (seen.source, seen.target))
    return f"{protocol} {source}:{seen.source_port} → {target}:{seen.target_port}"
