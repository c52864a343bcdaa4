"""Namespaces of this host's routers: made and swept, and all that is in them, one by one.

Law: a namespace is ours when its `lo` says so ("netloom", and the name of the program that keeps its addresses, if
any), and then all that is in it of the kinds held here is ours. Everything is read from the kernel; no file is kept.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from netloom.drivers.netns import conntrack, kernel, links, nftables
from netloom.drivers.netns.keepers import Keepers
from netloom.drivers.netns.watch import Watch, Watched, open_watched
from netloom.model.netns import Namespace, Ruleset
from netloom.model.plan import Failure, Key, Op, Put, Remove, State, Thing

FOLDER, KEEPERS = Path("/run/netns"), Path("/run/netloom/keepers")
WORD = "netloom"
PREFIXES = ("qrouter-", "snat-", "qdhcp-", "qmeta")
"""What the names of such namespaces begin with."""
KINDS = frozenset({"netns", "ruleset", "element", "veth", "address", "alias", "proxy", "route", "rule", "keeper"})
NEEDS: Mapping[str, frozenset[str]] = {
    "ruleset": frozenset({"netns"}),
    "element": frozenset({"ruleset"}),
    "veth": frozenset({"netns"}),
    "address": frozenset({"veth"}),
    "alias": frozenset({"veth"}),
    "proxy": frozenset({"veth"}),
    "rule": frozenset({"netns"}),
    "route": frozenset({"veth", "address"}),
    "keeper": frozenset({"netns"}),
}
AFTER: Mapping[str, frozenset[str]] = {
    "veth": frozenset({"element"}),
    "address": frozenset({"rule"}),
    "keeper": frozenset({"veth", "address", "element"}),
    "switch_port": frozenset({"veth", "address", "alias", "route", "keeper"}),
}
"""What is translated and where it goes is settled before a device comes, and the door to the switch opens last."""
SETTINGS: Mapping[str, str] = {
    "net/ipv4/ip_forward": "1",
    "net/ipv6/conf/all/forwarding": "1",
    "net/ipv6/conf/default/forwarding": "1",
    "net/ipv6/conf/all/accept_ra": "0",
    "net/ipv6/conf/default/accept_ra": "0",
    "net/ipv6/conf/default/accept_dad": "0",
    "net/ipv6/conf/all/accept_dad": "0",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
    "net/ipv4/conf/all/arp_ignore": "1",
    "net/ipv4/conf/all/arp_announce": "2",
    "net/ipv4/conf/all/promote_secondaries": "1",
    "net/ipv4/conf/all/send_redirects": "0",
    "net/ipv4/conf/default/send_redirects": "0",
    "net/ipv4/fib_multipath_hash_policy": "1",
    "net/ipv6/fib_multipath_hash_policy": "1",
    "net/netfilter/nf_conntrack_tcp_be_liberal": "1",
}
"""Of a namespace that forwards. A router answers for an address only on the device that has it, and shares traffic
between several next hops by connection."""
PROTOCOLS = {"tcp": 6, "udp": 17, "dccp": 33, "sctp": 132, "udplite": 136}
MOST_PORTS = 256
"""Above so many ports of one element the connections of all ports of the address go."""

T = TypeVar("T")


class NetnsDriver:
    """`folder` has a file for each namespace, as `ip netns` looks for them; `keepers` a folder for each daemon."""

    def __init__(self, folder: Path = FOLDER, keepers: Path = KEEPERS) -> None:
        self._folder = folder
        self._worker = kernel.Worker()
        self._keepers = Keepers(keepers)
        self._watch = Watch(self._look)

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
        """All namespaces of ours with what is in them; about two milliseconds each."""
        state = await self._work(self._read_all)
        await self._follow({thing.key[1] for thing in state.values() if thing.kind == "keeper"})
        return state

    async def look(self) -> State:
        """One namespace after another: what is to be applied meanwhile waits for one of them and no more."""
        out: dict[Key, Thing] = {}
        for path in await self._work(self._list):
            out |= await self._work(partial(self._read_one, path))
        return out

    async def apply(self, ops: Sequence[Op]) -> Sequence[Failure]:
        failures = await self._work(partial(self._apply_all, ops)) if ops else []
        put = {op.thing.key[1] for op in ops if op.thing.kind == "keeper" and isinstance(op, Put)}
        gone = {op.thing.key[1] for op in ops if op.thing.kind == "keeper" and not isinstance(op, Put)}
        if put or gone:
            await self._follow((self._watch.names - gone) | put)
        return failures

    # -- copies of routers ---------------------------------------------------------------------------------------------

    @property
    def copies(self) -> Mapping[str, str]:
        """Router → "active", "standby", or "fault" where nobody keeps it, of its copy here."""
        return {name.removeprefix("qrouter-"): state for name, state in self._watch.states.items()}

    async def wait_change(self, seen: int) -> int:
        """Wait until a copy's state changed since `seen` (0 at first); what to give next time."""
        return await self._watch.wait_change(seen)

    async def _follow(self, names: set[str]) -> None:
        """Watch just these namespaces, and look at each."""
        found = await self._work(lambda: {name: self._open(name) for name in names})
        self._watch.follow(found)
        for name in names:
            await self._look(name)

    def _open(self, name: str) -> Watched:
        """What tells of changes there: addresses that come and go, processes that end."""
        with kernel.entered(self._folder / name):
            return open_watched(self._keepers.find_pids(name))

    async def _look(self, name: str) -> None:
        def work() -> str:
            with kernel.entered(self._folder / name):
                return self._keepers.read_state(name)

        try:
            self._watch.note(name, await self._work(work))
        except OSError:
            self._watch.note(name, "fault")

    async def _work(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._worker.pool, work)

    async def close(self) -> None:
        self._watch.follow({})
        self._worker.close()

    # -- in the worker's thread ----------------------------------------------------------------------------------------

    def _read_all(self) -> State:
        out: dict[Key, Thing] = {}
        for path in self._list():
            out |= self._read_one(path)
        return out

    def _list(self) -> list[Path]:
        return [path for path in sorted(self._folder.iterdir()) if is_candidate(path)] if self._folder.is_dir() else []

    def _read_one(self, path: Path) -> dict[Key, Thing]:
        """Nothing of one that went while we looked."""
        try:
            with kernel.entered(path):
                out = {thing.key: thing for thing in read_space(path.name)}
                if keeper := self._keepers.read(path.name):
                    out["keeper", path.name] = Thing(("keeper", path.name), keeper)
                return out
        except FileNotFoundError:
            return {}

    def _apply_all(self, ops: Sequence[Op]) -> list[Failure]:
        """Runs of ops of one namespace and kind, in the order given."""
        failures: list[Failure] = []
        for (netns, kind), run in groupby(ops, key=lambda op: (find_netns(op.thing), op.thing.kind)):
            path, mine = self._folder / netns, list(run)
            moved = [Remove(op.before) for op in mine if isinstance(op, Put) and op.before and is_moved(op)]
            if moved:
                self._apply_all(moved)
            if kind == "netns":
                failures += [failure for op in mine if (failure := self._apply_netns(path, op))]
            else:
                failures += self._apply_inside(path, mine)
        return failures

    def _apply_netns(self, path: Path, op: Op) -> Failure | None:
        try:
            if isinstance(op, Put):
                kernel.make_namespace(path)
                with kernel.entered(path):
                    check_ours(path.name)
                    set_up(op.thing.value)
            elif kernel.is_namespace(path):
                self._keepers.remove(path.name)
                with kernel.entered(path):
                    empty_space()
                kernel.remove_namespace(path)
            return None
        except (OSError, NetlinkError) as error:
            return Failure(op, describe(error))

    def _apply_inside(self, path: Path, ops: Sequence[Op]) -> list[Failure]:
        if not kernel.is_namespace(path):
            return [Failure(op, f"there is no namespace {path.name}") for op in ops if isinstance(op, Put)]
        try:
            with kernel.entered(path):
                failures = self._apply_here(ops)
        except OSError as error:
            return [Failure(op, describe(error)) for op in ops]
        refused = {failure.op.thing.key for failure in failures}
        for op in ops:
            if isinstance(op, Put) and op.thing.kind == "veth" and op.thing.key not in refused:
                with IPRoute() as ipr:
                    links.raise_end(ipr, op.thing.key[1], op.thing.value.mtu)
        return failures

    def _apply_here(self, ops: Sequence[Op]) -> list[Failure]:
        kind = ops[0].thing.kind
        if kind == "element":
            return apply_elements(ops)
        return [f for op in ops if (f := self._apply_keeper(op))] if kind == "keeper" else apply_each(ops)

    def _apply_keeper(self, op: Op) -> Failure | None:
        netns = op.thing.key[1]
        try:
            self._keepers.put(netns, op.thing.value) if isinstance(op, Put) else self._keepers.remove(netns)
            return None
        except OSError as error:
            return Failure(op, describe(error))


def is_candidate(path: Path) -> bool:
    return path.name.startswith(PREFIXES) and kernel.is_namespace(path)


def find_netns(thing: Thing) -> str:
    """The namespace that a thing is in: in its key, but of a pair of devices."""
    netns: str = thing.value.netns if thing.kind == "veth" else thing.key[1]
    return netns


def is_moved(op: Put) -> bool:
    """Whether a device is to be in another namespace than it is."""
    return op.before is not None and find_netns(op.before) != find_netns(op.thing)


def describe(error: Exception) -> str:
    if isinstance(error, NetlinkError) and len(error.args) > 1:
        return str(error.args[1])
    return (error.strerror if isinstance(error, OSError) and error.strerror else None) or str(error)


# -- one namespace, from inside ----------------------------------------------------------------------------------------


def read_space(netns: str) -> Iterable[Thing]:
    """What is ours in the namespace that the thread is in; nothing, where the namespace is another's."""
    with IPRoute() as ipr:
        namespace = read_namespace(ipr)
        if namespace is None:
            return
        yield Thing(("netns", netns), namespace if are_settings_right() else None)
        yield from links.read_things(ipr, netns, bool(namespace.keeper))
    for table, ruleset, elements in nftables.read_tables():
        yield Thing(("ruleset", netns, table), ruleset)
        for name, words, element in elements:
            yield Thing(("element", netns, table, name, words), element)


def read_namespace(ipr: IPRoute) -> Namespace | None:
    (lo,) = ipr.get_links(1)
    word, _, keeper = (lo.get("ifalias") or "").partition(" ")
    return Namespace(keeper) if word == WORD else None


def check_ours(name: str) -> None:
    """Raises OSError for a namespace that somebody else made. An empty one may be ours, from before it got its mark."""
    with IPRoute() as ipr:
        if read_namespace(ipr) is None and len(list(ipr.get_links())) > 1:
            raise OSError(f"namespace {name} is there already, and was not made by Netloom: remove it")


def are_settings_right() -> bool:
    return all(kernel.read_setting(name) in ("", value) for name, value in SETTINGS.items())


def set_up(want: Namespace) -> None:
    with IPRoute() as ipr:
        for name, value in SETTINGS.items():
            kernel.write_setting(name, value)
        ipr.link("set", index=1, state="up", ifalias=f"{WORD} {want.keeper}".strip())


def empty_space() -> None:
    """Devices go at once: the kernel takes its time over a namespace, and their names are wanted again."""
    with IPRoute() as ipr:
        for link in ipr.get_links():
            if (link.get("ifalias") or "").startswith(links.MARK):
                ipr.link("del", index=link["index"])


def apply_each(ops: Sequence[Op]) -> list[Failure]:
    failures = []
    with IPRoute() as ipr:
        for op in ops:
            try:
                apply_one(ipr, op)
            except (OSError, NetlinkError) as error:
                failures.append(Failure(op, describe(error)))
    return failures


def apply_one(ipr: IPRoute, op: Op) -> None:
    kind, _, *rest = op.thing.key
    put, want = isinstance(op, Put), op.thing.value
    if kind == "ruleset":
        apply_ruleset(rest[0], want if put else None)
    elif kind == "veth":
        apply_veth(ipr, op)
    elif kind in ("address", "alias"):
        (links.put_address if put else links.remove_address)(ipr, *rest)
    elif kind == "proxy":
        (links.put_proxy if put else links.remove_proxy)(ipr, *rest)
    elif kind == "route":
        table, destination = rest
        links.put_route(ipr, table, destination, want) if put else links.remove_route(ipr, table, destination)
    elif kind == "rule":
        version, mark = rest
        links.put_rule(ipr, version, mark, want) if put else links.remove_rule(ipr, version, mark)


def apply_ruleset(table: str, want: Ruleset | None) -> None:
    """nft's complaint names nothing, so the table is put before it."""
    try:
        put_ruleset(table, want) if want is not None else nftables.run_nft(nftables.render_drop(table))
    except nftables.NftError as error:
        raise nftables.NftError(f"table {table}: {error}") from error


def put_ruleset(table: str, want: Ruleset) -> None:
    """What the table's sets hold stays, in the same transaction, where the new text has such sets."""
    kept = [
        nftables.render_add(table, name, words, element.data)
        for found, _, elements in nftables.read_tables() if found == table
        for name, words, element in elements if nftables.has_set(want, name)
    ]  # fmt: skip
    nftables.run_nft(nftables.render_ruleset(table, want) + "".join(kept))


def apply_veth(ipr: IPRoute, op: Op) -> None:
    if isinstance(op, Put):
        links.put_veth(ipr, op.thing.key[1], op.thing.value, find_home())
    else:
        links.remove_device(ipr, op.thing.value.device)


def find_home() -> str:
    """The namespace of the process, whichever this thread is in."""
    return f"/proc/{os.getpid()}/ns/net"


# -- elements ----------------------------------------------------------------------------------------------------------


def apply_elements(ops: Sequence[Op]) -> list[Failure]:
    """All in one transaction; if nft refuses that, each in its own. Then connections that lost theirs are forgotten."""
    try:
        nftables.run_nft("".join(map(render_element, ops)))
        failures: list[Failure] = []
    except nftables.NftError:
        failures = [failure for op in ops if (failure := apply_element(op))]
    refused = {failure.op.thing.key for failure in failures}
    for op in ops:
        if op.thing.key not in refused and not (isinstance(op, Put) and op.before is None):
            forget(op.thing.key)
    return failures


def render_element(op: Op) -> str:
    """A changed element goes before it comes, in the same transaction."""
    _, _, table, name, words = op.thing.key
    gone = nftables.render_delete(table, name, words)
    if not isinstance(op, Put):
        return gone
    return ("" if op.before is None else gone) + nftables.render_add(table, name, words, op.thing.value.data)


def apply_element(op: Op) -> Failure | None:
    """By what there is: one that is gone need not go, one that is there in another form goes first."""
    _, _, table, name, words = op.thing.key
    key = (name, words)
    try:
        there = {
            (held, one): element for found, _, elements in nftables.read_tables() if found == table
            for held, one, element in elements
        }  # fmt: skip
        commands = nftables.render_delete(table, name, words) if key in there else ""
        if isinstance(op, Put):
            commands += nftables.render_add(table, name, words, op.thing.value.data)
        nftables.run_nft(commands)
        return None
    except OSError as error:
        return Failure(op, describe(error))


def forget(key: tuple[Any, ...]) -> None:
    """The connections that were begun under a translation that is there no more."""
    _, _, _, name, words = key
    if name == "inward":
        conntrack.forget_floating(words[0])
    elif name in ("shifted", "kept"):
        first, _, last = words[2].partition("-")
        ports = range(int(first), int(last or first) + 1)
        for port in ports if len(ports) <= MOST_PORTS else (0,):
            conntrack.forget_forwarded(words[0], PROTOCOLS[words[1]], port)


def make_driver(options: Mapping[str, str]) -> NetnsDriver:
    """The driver from options: folder (where namespaces have their names), keepers (where daemons have their files)."""
    return NetnsDriver(Path(options.get("folder", FOLDER)), Path(options.get("keepers", KEEPERS)))
