"""How the lab speaks: steps with their times, tables, and what to try next. Law: nothing here changes anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from netloom.lab.shell import Say
from netloom.lab.state import Lab, Place


@contextmanager
def show_progress(console: Console) -> Iterator[Say]:
    """A `say` whose steps are printed with how long each took; on a terminal the current one turns."""
    begin = monotonic()
    current: tuple[str, float] | None = None
    with console.status("…") as status:

        def finish(mark: str) -> None:
            if current:
                text, since = current
                console.print(
                    f"{mark} {escape(text)} [dim]{monotonic() - since:.2f} s[/dim]", highlight=False, soft_wrap=True
                )

        def say(text: str) -> None:
            nonlocal current
            finish("[green]✓[/green]")
            current = text, monotonic()
            status.update(escape(text))

        try:
            yield say
        except BaseException:
            finish("[red]✗[/red]")
            raise
        finish("[green]✓[/green]")
    console.print(f"[dim]{monotonic() - begin:.1f} s in all[/dim]", highlight=False)


def print_environment(console: Console, place: Place, programs: str) -> None:
    console.print("To use it from a shell (the [bold]netloom[/bold] cloud is the administrator's):")
    console.print(
        f"  export OS_CLIENT_CONFIG_FILE={place.clouds} OS_CLOUD=netloom PATH={programs}:$PATH",
        soft_wrap=True, highlight=False, markup=False,
    )  # fmt: skip


def print_commands(console: Console, commands: Iterable[str]) -> None:
    for command in commands:
        console.print(f"  {command}", soft_wrap=True, highlight=False, markup=False)


def make_console(**given: Any) -> Console:
    """A console that prints what it is given: ":b:" inside an IPv6 address is no picture."""
    return Console(emoji=False, **given)


def make_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    """Cells are printed as they are; one with a colour is a Text."""
    table = Table(title=title, title_justify="left", show_edge=False, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    return table


@dataclass(frozen=True, slots=True)
class Status:
    """What is so now: `switches` host → "" or what is wrong; `agents` host → alive; `ports` id → document."""

    lab: Lab
    server: bool
    switches: Mapping[str, str]
    agents: Mapping[str, bool]
    ports: Mapping[str, Mapping[str, Any]]

    @property
    def healthy(self) -> bool:
        alive = all(self.agents.get(host) for host in self.lab.hosts)
        return self.lab.ready and self.server and alive and not any(self.switches.values())


def print_status(console: Console, place: Place, status: Status) -> None:
    lab = status.lab
    console.print(f"lab in {place.directory}: {'complete' if lab.ready else 'half made; `lab up` starts anew'}")
    console.print(f"server {lab.api_url}: {'answers' if status.server else 'does not answer; log: '}", end="")
    console.print("" if status.server else str(place.server_log))
    counts = {name: sum(i.host == name for i in lab.instances.values()) for name in lab.hosts}
    rows = [
        (
            name,
            host.tunnel_ip,
            f"{host.switch}: {status.switches[name] or 'runs'}",
            describe_agent(status, name),
            str(counts[name]),
        )
        for name, host in lab.hosts.items()
    ]
    console.print(make_table("Hosts", ("host", "tunnel address", "switch", "agent", "instances"), rows))
    console.print(make_table("Instances", ("name", "host", "network", "addresses", "port"), instance_rows(status)))
    if waiting := waiting_rows(status):
        console.print(make_table("Other ports that are not ACTIVE", ("port", "host", "waits for"), waiting))


def waiting_rows(status: Status) -> list[tuple[str, ...]]:
    """Ports that belong to no instance of the lab and wait for something."""
    own = {instance.port_id for instance in status.lab.instances.values()}
    return [
        (port["name"] or id, port["binding:host_id"], port["waits_for"])
        for id, port in status.ports.items()
        if id not in own and port["status"] != "ACTIVE" and port.get("waits_for")
    ]


def describe_agent(status: Status, host: str) -> str:
    return "alive" if status.agents.get(host) else "silent" if host in status.agents else "unknown"


def instance_rows(status: Status) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, instance in status.lab.instances.items():
        port = status.ports.get(instance.port_id, {})
        state = port.get("status", "gone" if status.server else "unknown")
        reason = port.get("waits_for") or ""
        rows.append((name, instance.host, instance.network, " ".join(instance.addresses), f"{state} {reason}".strip()))
    return rows
