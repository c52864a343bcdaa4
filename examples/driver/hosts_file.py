"""A whole driver on one page: names and addresses in a hosts(5) file. Copy it to begin your own.

Law: ours are the lines that end in our mark, and no other line is read as ours, changed or lost. The file is
replaced by rename, so a reader sees the old one or the new one. The entry point is in pyproject.toml beside this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from netloom.model.plan import Failure, Key, Op, Put, State, Thing

MARK = "# netloom"


@dataclass(frozen=True, slots=True)
class HostName:
    """The address of a name. Key: ("host_name", name)."""

    ip: str


def parse_line(line: str) -> Thing | None:
    """The thing in a line of ours; None for any other line."""
    words = line.removesuffix(MARK).split()
    if not line.endswith(MARK) or len(words) != 2:
        return None
    key: Key = ("host_name", words[1])
    return Thing(key, HostName(words[0]))


def format_line(thing: Thing) -> str:
    return f"{thing.value.ip} {thing.key[1]} {MARK}"


def find_fault(op: Op) -> str:
    """Why the file cannot hold it; empty when it can."""
    if isinstance(op, Put):
        try:
            ip_address(op.thing.value.ip)
        except ValueError as error:
            return str(error)
    return ""


class HostsFileDriver:
    """Holds things of the kind "host_name" in the file at `path`."""

    kinds = frozenset({"host_name"})
    needs: Mapping[str, frozenset[str]] = {}

    def __init__(self, path: Path) -> None:
        self._path = path

    def _read_lines(self) -> list[str]:
        return self._path.read_text().splitlines() if self._path.exists() else []

    async def read(self) -> State:
        """Our lines, told from the file alone."""
        return {thing.key: thing for line in self._read_lines() if (thing := parse_line(line))}

    async def apply(self, ops: Sequence[Op]) -> Sequence[Failure]:
        """All ops that can be done in one rewrite of the file."""
        refused = [Failure(op, fault, retry=False) for op in ops if (fault := find_fault(op))]
        bad = {id(failure.op) for failure in refused}
        held = dict(await self.read())
        for op in ops:
            if id(op) in bad:
                continue
            if isinstance(op, Put):
                held[op.thing.key] = op.thing
            else:
                held.pop(op.thing.key, None)
        foreign = [line for line in self._read_lines() if parse_line(line) is None]
        try:
            self._write("\n".join([*foreign, *map(format_line, held.values())]) + "\n")
        except OSError as error:
            return [Failure(op, str(error)) for op in ops]
        return refused

    def _write(self, text: str) -> None:
        fresh = self._path.with_name(self._path.name + ".netloom")
        fresh.write_text(text)
        fresh.replace(self._path)


def make_driver(options: Mapping[str, str]) -> HostsFileDriver:
    """What the entry point names: a driver from the options of its section."""
    return HostsFileDriver(Path(options.get("path", "/etc/hosts")))
