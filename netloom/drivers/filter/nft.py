"""nft tables of the host, one chain, set and entry at a time, in the namespace that the agent runs in.

Law: our tables are those of one name whose marker chain says what text they were made of, and all that is in them is
ours. A chain's first rule carries a digest of the others, so that a chain is compared without being understood.
What comes in one call takes effect at once, or, where nft refuses that, each for itself.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import ip_address, summarize_address_range
from pathlib import Path
from typing import Any

from netloom.drivers.netns.nftables import run_nft
from netloom.model.driver import Driver
from netloom.model.filter import FilterChain, FilterSet, FilterTable, Member, Way
from netloom.model.plan import Failure, Key, Op, Put, State, Thing

TABLE, MARK = "netloom", "netloom-"
FAMILIES = ("bridge", "inet")
KINDS = frozenset({"filter_table", "filter_chain", "filter_set", "filter_member", "filter_way"})
NEEDS: Mapping[str, frozenset[str]] = {
    "filter_set": frozenset({"filter_table"}),
    "filter_member": frozenset({"filter_set"}),
    "filter_chain": frozenset({"filter_set"}),
    "filter_way": frozenset({"filter_chain"}),
}
AFTER: Mapping[str, frozenset[str]] = {"filter_chain": frozenset({"filter_member"})}
"""A rule finds its set filled."""
CALLS = Path("/proc/sys/net/bridge")
SETTINGS = ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables")


class FilterDriver:
    """Sets that rules still name when they are to go are let go of when the rules have changed."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "filter")
        self._later: dict[Key, Op] = {}

    @property
    def kinds(self) -> frozenset[str]:
        return KINDS

    @property
    def needs(self) -> Mapping[str, frozenset[str]]:
        return NEEDS

    @property
    def after(self) -> Mapping[str, frozenset[str]]:
        return AFTER

    async def read(self) -> State:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._read_all)

    async def apply(self, ops: Sequence[Op]) -> Sequence[Failure]:
        if not ops:
            return []
        return await asyncio.get_running_loop().run_in_executor(self._pool, partial(self._apply_all, ops))

    async def close(self) -> None:
        self._pool.shutdown(wait=False)

    # -- in the thread -------------------------------------------------------------------------------------------------

    def _read_all(self) -> State:
        found = {thing.key: thing for family in FAMILIES for thing in read_table(family)}
        return {key: thing for key, thing in found.items() if key not in self._later}

    def _apply_all(self, ops: Sequence[Op]) -> list[Failure]:
        for op in ops:
            self._later.pop(op.thing.key, None)
        try:
            if any(op.thing.kind == "filter_table" and isinstance(op, Put) for op in ops):
                set_calls()
            run_nft("".join(map(render_op, sorted(ops, key=find_rank))))
            failures: list[Failure] = []
        except OSError:
            failures = [failure for op in ops if (failure := self._apply_one(op))]
        self._let_go()
        return failures

    def _apply_one(self, op: Op) -> Failure | None:
        try:
            if op.thing.kind == "filter_table" and isinstance(op, Put):
                set_calls()
            run_nft(render_alone(op))
            return None
        except OSError as error:
            if op.thing.kind in ("filter_set", "filter_chain") and not isinstance(op, Put) and is_used(error):
                self._later[op.thing.key] = op
                return None
            return Failure(op, error.strerror or str(error))

    def _let_go(self) -> None:
        for key, op in list(self._later.items()):
            try:
                run_nft(render_alone(op))
                del self._later[key]
            except OSError:
                continue


def is_used(error: OSError) -> bool:
    return "busy" in str(error)


def set_calls() -> None:
    """Have the kernel show bridged packets to the rules of IP. Raises OSError where it cannot."""
    if not CALLS.is_dir():
        raise OSError(2, "this kernel has br_netfilter not loaded, so bridged packets cannot be filtered: modprobe it")
    for name in SETTINGS:
        if (CALLS / name).read_text().strip() != "1":
            (CALLS / name).write_text("1")


def are_calls_set() -> bool:
    return CALLS.is_dir() and all((CALLS / name).read_text().strip() == "1" for name in SETTINGS)


RANKS: Mapping[tuple[str, bool], int] = {
    step: rank
    for rank, step in enumerate((
        ("filter_table", True), ("filter_set", True), ("filter_member", False), ("filter_member", True),
        ("filter_chain", True), ("filter_way", False), ("filter_way", True), ("filter_chain", False),
        ("filter_set", False), ("filter_table", False),
    ))
}  # fmt: skip
"""The order within one transaction, in which nobody sees the steps: what is named comes first and goes last."""


def find_rank(op: Op) -> int:
    return RANKS[op.thing.kind, isinstance(op, Put)]


# -- as commands -------------------------------------------------------------------------------------------------------


def render_op(op: Op) -> str:
    """The commands of one op, where what is there is what the plan thinks."""
    put, thing = isinstance(op, Put), op.thing
    kind, family, *rest = thing.key
    if kind == "filter_table":
        return render_table(family, thing.value) if put else render_drop(family)
    if kind == "filter_chain":
        return render_chain(family, rest[0], thing.value) if put else f"delete chain {family} {TABLE} {rest[0]}\n"
    if kind == "filter_set":
        gone = f"delete set {family} {TABLE} {rest[0]}\n"
        if not put:
            return gone
        flags = " flags interval;" if thing.value.interval else ""
        made = f"add set {family} {TABLE} {rest[0]} {{ type {thing.value.type};{flags} }}\n"
        return made if op.before is None else gone + made  # type: ignore[union-attr]
    where = f"element {family} {TABLE} {rest[0]} {{ {quote(kind, rest[1])}"
    gone = f"delete {where} }}\n"
    if not put:
        return gone
    data = f" : {thing.value.to}" if kind == "filter_way" and thing.value.to else ""
    return ("" if op.before is None else gone) + f"add {where}{data} }}\n"  # type: ignore[union-attr]


def render_alone(op: Op) -> str:
    """The same, whatever is there: what is gone need not go, and what is there in another form goes first."""
    commands = render_op(op)
    kind, family, *rest = op.thing.key
    if kind in ("filter_member", "filter_way"):
        there = [thing for thing in read_table(family) if thing.key == op.thing.key]
        if not there:
            return "" if not isinstance(op, Put) else commands.splitlines()[-1] + "\n"
        gone = f"delete element {family} {TABLE} {rest[0]} {{ {quote(kind, rest[1])} }}\n"
        return gone if not isinstance(op, Put) else gone + commands.splitlines()[-1] + "\n"
    if kind in ("filter_chain", "filter_set") and not isinstance(op, Put):
        return commands if any(thing.key == op.thing.key for thing in read_table(family)) else ""
    return commands


def render_table(family: str, table: FilterTable) -> str:
    head = f"table {family} {TABLE}"
    return f"{head}\ndelete {head}\n{head} {{\n chain {MARK}{table.digest} {{\n }}\n{table.text}\n}}\n"


def render_drop(family: str) -> str:
    return f"table {family} {TABLE}\ndelete table {family} {TABLE}\n"


def render_chain(family: str, name: str, chain: FilterChain) -> str:
    """Emptied and filled in one go: no packet meets it half full."""
    head = f"{family} {TABLE} {name}"
    rules = (f'continue comment "{chain.digest}"', *chain.rules)
    return f"add chain {head}\nflush chain {head}\n" + "".join(f"add rule {head} {rule}\n" for rule in rules)


def quote(kind: str, key: str) -> str:
    """Names of devices stand in quotes, for some are words of nft's own."""
    return f'"{key}"' if kind == "filter_way" and not key[0].isdigit() else key


# -- as read -----------------------------------------------------------------------------------------------------------


def read_table(family: str) -> Iterator[Thing]:
    """What our table of a family holds; nothing where there is none."""
    listed: list[dict[str, Any]] = json.loads(run_nft(f"list tables {family}", as_json=True))["nftables"]
    if not any(entry.get("table", {}).get("name") == TABLE for entry in listed):
        return
    found: list[dict[str, Any]] = json.loads(run_nft(f"list table {family} {TABLE}", as_json=True))["nftables"]
    marks = [entry["chain"]["name"] for entry in found if entry.get("chain", {}).get("name", "").startswith(MARK)]
    if not marks:
        return
    yield Thing(("filter_table", family), FilterTable(marks[0].removeprefix(MARK) if are_calls_set() else ""))
    yield from read_chains(family, found)
    for entry in found:
        if "set" in entry:
            yield from read_set(family, entry["set"])
        elif "map" in entry:
            for key, data in entry["map"].get("elem", ()):
                yield Thing(("filter_way", family, entry["map"]["name"], read_key(key)), Way(read_data(data)))


BASE = "base_"
"""Chains whose names begin so are the table's own text."""
OWN_SETS = frozenset({"ports", "bridges", "asks"})


def read_chains(family: str, found: Sequence[dict[str, Any]]) -> Iterator[Thing]:
    rules: dict[str, list[dict[str, Any]]] = {}
    for entry in found:
        if "chain" in entry and not entry["chain"]["name"].startswith((MARK, BASE)):
            rules[entry["chain"]["name"]] = []
    for entry in found:
        if "rule" in entry and entry["rule"]["chain"] in rules:
            rules[entry["rule"]["chain"]].append(entry["rule"])
    for name, held in rules.items():
        digest = str(held[0].get("comment", "")) if held else ""
        yield Thing(("filter_chain", family, name), FilterChain(digest, len(held) - 1))


def read_set(family: str, found: Mapping[str, Any]) -> Iterator[Thing]:
    name = found["name"]
    if name in OWN_SETS:
        for element in found.get("elem", ()):
            yield Thing(("filter_way", family, name, read_key(element)), Way())
        return
    yield Thing(("filter_set", family, name), FilterSet(found["type"], "interval" in found.get("flags", ())))
    for element in found.get("elem", ()):
        yield Thing(("filter_member", family, name, read_key(element)), Member())


def read_key(given: Any) -> str:
    """An element as nft's JSON has it.

    >>> read_key({"prefix": {"addr": "10.0.0.0", "len": 24}}), read_key({"range": ["10.0.0.0", "10.0.1.255"]})
    ('10.0.0.0/24', '10.0.0.0/23')
    """
    if isinstance(given, dict):
        if "elem" in given:
            return read_key(given["elem"]["val"])
        if "prefix" in given:
            return f"{given['prefix']['addr']}/{given['prefix']['len']}"
        if "range" in given:
            first, last = (ip_address(end) for end in given["range"])
            return ", ".join(map(str, summarize_address_range(first, last)))
    return str(given)


def read_data(given: Any) -> str:
    if isinstance(given, dict):
        verdict, told = next(iter(given.items()))
        return f"{verdict} {told['target']}" if told else str(verdict)
    return str(given)


def make_driver(options: Mapping[str, str]) -> Driver:
    """The driver; it has no options."""
    return FilterDriver()
