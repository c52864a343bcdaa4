"""iptables and ipset of the host, in the namespace that the agent runs in: chains whole, members of sets one by one.

Law: ours are chains that begin with "neutron-openvswi-", the jumps to them from chains of the kernel's, and sets that
begin with "NIPv4" or "NIPv6". Each table changes at once, by `iptables-restore`. A rule is read as `iptables-save`
writes it, but for what depends on the machine: protocols are numbers, MACs lower case.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby

from netloom.drivers.filter.nft import set_calls
from netloom.model.driver import Driver
from netloom.model.filter import IpSet, IptablesChain, Member
from netloom.model.plan import Failure, Key, Op, Put, State, Thing

PREFIX, SETS = "neutron-openvswi-", ("NIPv4", "NIPv6")
TABLES = ("filter", "raw")
BUILT_IN = frozenset({"INPUT", "FORWARD", "OUTPUT", "PREROUTING", "POSTROUTING"})
PROGRAMS = {4: "iptables", 6: "ip6tables"}
FAMILIES = {"inet": 4, "inet6": 6}
KINDS = frozenset({"iptables", "ipset", "ipset_member"})
NEEDS: Mapping[str, frozenset[str]] = {"iptables": frozenset({"ipset"}), "ipset_member": frozenset({"ipset"})}
AFTER: Mapping[str, frozenset[str]] = {"iptables": frozenset({"ipset_member"}), "flow": frozenset({"iptables"})}
"""A rule finds its set filled, and the switch lets nothing through to a port whose rules are not there."""
GONE = "does not exist"
WRITERS = 64
"""Processes of ours that are remembered: what the kernel tells of one comes at once."""
MOST_MEMBERS = 1 << 20
_PROTOCOL = re.compile(r"(?<=-p )\S+")
_MAC = re.compile(r"(?<=--mac-source )\S+")


class IptablesError(OSError):
    """What iptables or ipset complained of."""


class IptablesDriver:
    """Chains and sets that something still names when they are to go are let go of after the next change."""

    def __init__(self) -> None:
        self._later: dict[Key, Op] = {}
        self._lines: set[str] = set()  # of our sets, as read or written last
        self._lock = asyncio.Lock()
        self.writers: deque[int] = deque(maxlen=WRITERS)  # numbers of the processes that wrote for us

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
        """IptablesError where the programs do not work."""
        async with self._lock:
            shown = await run("ipset", "save")
            self._lines = pick_lines(shown)
        found = [*read_sets(shown)]
        for version, program in PROGRAMS.items():
            for table in TABLES:
                found += read_chains(version, table, await run(f"{program}-save", "-t", table))
        return {thing.key: thing for thing in found if thing.key not in self._later}

    async def apply(self, ops: Sequence[Op]) -> Sequence[Failure]:
        """Sets that come and what they hold, chains, then what goes."""
        for op in ops:
            self._later.pop(op.thing.key, None)
        failures = []
        async with self._lock:
            for batch in split_ops(ops):
                failures += await self._apply_batch(batch)
            await self._let_go()
        return failures

    async def is_meddled(self) -> bool:
        """Whether our sets are not as read or written last. IptablesError. Costs nothing where there are none."""
        async with self._lock:
            return bool(self._lines) and pick_lines(await run("ipset", "save")) != self._lines

    async def _commit(self, ops: Sequence[Op]) -> None:
        await commit(ops, self.writers.append)
        note_lines(self._lines, ops)

    async def _apply_batch(self, ops: Sequence[Op]) -> list[Failure]:
        try:
            await self._commit(ops)
            return []
        except OSError:
            # Twice: a chain may lead to one that comes after it.
            refused = [failure.op for op in ops if (failure := await self._apply_one(op))]
            return [failure for op in refused if (failure := await self._apply_one(op))]

    async def _apply_one(self, op: Op) -> Failure | None:
        try:
            await self._commit([op])
            return None
        except OSError as error:
            if not isinstance(op, Put) and GONE in str(error):
                return None
            if not isinstance(op, Put) and op.thing.kind in ("iptables", "ipset"):
                self._later[op.thing.key] = op
                return None
            return Failure(op, error.strerror or str(error))

    async def _let_go(self) -> None:
        for key, op in list(self._later.items()):
            try:
                await self._commit([op])
            except OSError:
                continue
            del self._later[key]

    async def close(self) -> None:
        """Nothing is held."""


async def has_leftovers() -> bool:
    """Whether there is anything of ours; not, where the programs are not there or do not work."""
    try:
        return bool(await IptablesDriver().read())
    except OSError:
        return False


def split_ops(ops: Sequence[Op]) -> Iterator[list[Op]]:
    """What goes by one call of one program, in an order in which everything finds what it names."""
    ordered = sorted(ops, key=find_place)
    return (list(batch) for _, batch in groupby(ordered, key=find_place))


def find_place(op: Op) -> tuple[int, str]:
    put, (kind, *rest) = isinstance(op, Put), op.thing.key
    if kind == "iptables":
        return 2, f"{rest[0]} {rest[1]}"  # chains that come, change and go in one transaction of their table
    if kind == "ipset":
        return (0, "") if put else (3, "")
    return 1, ""


async def commit(ops: Sequence[Op], on_start: Callable[[int], None]) -> None:
    """All of one place (see `find_place`), or IptablesError. `on_start` is given the process that does it."""
    kind, *rest = ops[0].thing.key
    if kind == "iptables":
        await asyncio.to_thread(set_calls)
        text = render_chains(rest[1], ops, await find_jumps(rest[0], rest[1], ops))
        await run(f"{PROGRAMS[rest[0]]}-restore", "--noflush", "-w", given=text, on_start=on_start)
    else:
        await run("ipset", "-exist", "restore", given="".join(map(render_set_op, ops)))


# -- as given to the programs ------------------------------------------------------------------------------------------


def render_chains(table: str, ops: Sequence[Op], jumps: Mapping[str, list[str]]) -> str:
    """`jumps`: what of ours is in the kernel's own chains; it goes first, and comes back at the top."""
    heads, body, tail = [], [], []
    for op in ops:
        name = op.thing.key[3]
        rules = op.thing.value.rules if isinstance(op, Put) else ()
        if name in BUILT_IN:
            body += [f"-D {name} {rule}" for rule in jumps.get(name, ())]
            body += [f"-I {name} {at} {rule}" for at, rule in enumerate(rules, 1)]
            continue
        heads.append(f":{name} - [0:0]")
        body += [f"-A {name} {rule}" for rule in rules]
        tail += [] if isinstance(op, Put) else [f"-X {name}"]
    return "\n".join([f"*{table}", *dict.fromkeys(heads), *body, *tail, "COMMIT", ""])


def render_set_op(op: Op) -> str:
    kind, name, *rest = op.thing.key
    if kind == "ipset":
        if not isinstance(op, Put):
            return f"destroy {name}\n"
        family = "inet" if op.thing.value.version == 4 else "inet6"
        return f"create {name} hash:net family {family} maxelem {MOST_MEMBERS}\n"
    return f"{'add' if isinstance(op, Put) else 'del'} {name} {rest[0]}\n"


async def find_jumps(version: int, table: str, ops: Sequence[Op]) -> dict[str, list[str]]:
    if not any(op.thing.key[3] in BUILT_IN for op in ops):
        return {}
    shown = await run(f"{PROGRAMS[version]}-save", "-t", table)
    return {
        thing.key[3]: list(thing.value.rules)
        for thing in read_chains(version, table, shown)
        if thing.key[3] in BUILT_IN
    }


# -- as read -----------------------------------------------------------------------------------------------------------


def read_chains(version: int, table: str, shown: str) -> Iterator[Thing]:
    rules: dict[str, list[str]] = {}
    for line in shown.splitlines():
        if line.startswith(f":{PREFIX}"):
            rules.setdefault(line[1:].split()[0], [])
        elif line.startswith("-A "):
            _, name, rule = line.split(" ", 2)
            if name.startswith(PREFIX) or (name in BUILT_IN and f"-j {PREFIX}" in rule):
                rules.setdefault(name, []).append(normalise(rule))
    for name, held in rules.items():
        yield Thing(("iptables", version, table, name), IptablesChain(tuple(held)))


def normalise(rule: str) -> str:
    rule = _PROTOCOL.sub(lambda found: str(find_number(found[0])), rule.strip())
    return _MAC.sub(lambda found: found[0].lower(), rule)


@lru_cache(maxsize=512)
def find_number(name: str) -> str:
    """Of a protocol. iptables names those that /etc/protocols has."""
    if name.isdigit():
        return name
    if name in ("icmpv6", "ipv6-icmp"):
        return "58"
    try:
        return str(socket.getprotobyname(name))
    except OSError:
        return name


def read_sets(shown: str) -> Iterator[Thing]:
    for line in shown.splitlines():
        verb, name, *rest = line.split()
        if not name.startswith(SETS):
            continue
        if verb == "create":
            version = FAMILIES.get(rest[rest.index("family") + 1], 0) if "family" in rest else 0
            yield Thing(("ipset", name), IpSet(version))
        elif verb == "add":
            yield Thing(("ipset_member", name, rest[0]), Member())


def pick_lines(shown: str) -> set[str]:
    """What `ipset save` shows of ours, but for what the kernel chose itself (sizes, and where hashes begin)."""
    words = (line.split(" ", 2) for line in shown.splitlines())
    return {
        " ".join(found if found[0] == "add" else found[:2])
        for found in words
        if found[1:] and found[1].startswith(SETS)
    }


def note_lines(lines: set[str], ops: Sequence[Op]) -> None:
    """What `pick_lines` will find after these were done. With a set goes what it held."""
    for op in ops:
        kind, name, *rest = op.thing.key
        if kind == "ipset_member":
            (lines.add if isinstance(op, Put) else lines.discard)(f"add {name} {rest[0]}")
        elif kind == "ipset" and isinstance(op, Put):
            lines.add(f"create {name}")
        elif kind == "ipset":
            gone = {line for line in lines if line.split(" ", 2)[1] == name}
            lines.difference_update(gone)


def ignore(pid: int) -> None:
    """For programs that change nothing."""


async def run(*command: str, given: str = "", on_start: Callable[[int], None] = ignore) -> str:
    """What the program prints. IptablesError with its complaint."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
    except OSError as error:
        raise IptablesError(error.errno, f"{command[0]} does not start: {error.strerror}") from error
    on_start(process.pid)
    out, complaint = await process.communicate(given.encode())
    if process.returncode:
        lines = [line.strip() for line in complaint.decode(errors="replace").splitlines() if line.strip()]
        raise IptablesError(0, " ".join(lines[:2]) or f"{command[0]} ended with {process.returncode}")
    return out.decode()


def make_driver(options: Mapping[str, str]) -> Driver:
    """The driver; it has no options."""
    return IptablesDriver()
