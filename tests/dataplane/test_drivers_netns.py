"""The driver of routers' namespaces on the real kernel: conformance, connections that are cut, others' namespaces."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path as Folder
from uuid import uuid4

import pytest

from netloom.drivers.netns.driver import NetnsDriver
from netloom.drivers.netns.kernel import entered, make_namespace
from netloom.model.driver import Driver
from netloom.model.netns import Element, Held, Namespace, Path, Rule, Veth
from netloom.model.plan import Put, Remove, State, Thing
from netloom.reconcile.plan import plan
from netloom.render.space_nat import RULES, RULESET, TABLE, make_ruleset
from netloom.testing.conformance import CHECKS, Check, Subject
from tests.dataplane.conftest import why_not
from tests.dataplane.ovs import run
from tests.dataplane.rig import drop_spaces

pytestmark = pytest.mark.dataplane

NETNS = "qrouter-11111111"
UNIQUE = uuid4().hex[:6]
END, OTHER = f"tapa{UNIQUE}", f"tapb{UNIQUE}"


@pytest.fixture
def folder() -> Iterator[Folder]:
    if reason := why_not():
        pytest.skip(reason)
    found = Folder(tempfile.mkdtemp(prefix="nl-n-"))
    try:
        yield found
    finally:
        drop_spaces(found / "netns")
        shutil.rmtree(found)


def element(name: str, *words: str, to: tuple[str, ...] = ()) -> Thing:
    return Thing(("element", NETNS, TABLE, name, words), Element(to))


def held(kind: str, device: str, cidr: str) -> Thing:
    return Thing((kind, NETNS, device, cidr), Held())


def route(destination: str, *hops: tuple[str, str], table: int = 254) -> Thing:
    return Thing(("route", NETNS, table, destination), Path(tuple(sorted(hops))))


def veth(end: str, device: str, number: int, mtu: int) -> Thing:
    return Thing(("veth", end), Veth(NETNS, device, f"02:00:00:00:00:{number:02x}", mtu))


THINGS = (
    Thing(("netns", NETNS), Namespace()),
    Thing(("ruleset", NETNS, TABLE), RULESET),
    element("inward", "203.0.113.5", to=("10.0.0.5",)),
    element("outward", "10.0.0.5", to=("203.0.113.5",)),
    element("outer", "qg-b"),
    element("hide", "qg-b", to=("203.0.113.2",)),
    element("kept", "203.0.113.6", "tcp", "1000-1010", to=("10.0.0.6",)),
    element("shifted", "203.0.113.6", "udp", "53", to=("10.0.0.6", "5353")),
    element("gates", "qg-b", to=("1",)),
    element("proxied", "2001:db8::77"),
    element("scopes", "ipv4", "qr-a", to=("3123456789",)),
    element("reached", "ipv6", "qg-b", "3123456789"),
    element("unhidden", "qg-b", "3123456789"),
    Thing(("rule", NETNS, 4, 1), Rule(1001)),
    Thing(("rule", NETNS, 6, 1), Rule(1001)),
    veth(END, "qr-a", 1, 1450),
    veth(OTHER, "qg-b", 2, 1500),
    held("address", "qr-a", "10.0.0.1/24"),
    held("address", "qg-b", "203.0.113.2/24"),
    held("address", "qg-b", "2001:db8::2/64"),
    held("alias", "qg-b", "203.0.113.5/32"),
    held("proxy", "qg-b", "2001:db8::77"),
    route("0.0.0.0/0", ("203.0.113.1", "qg-b")),
    route("0.0.0.0/0", ("203.0.113.1", "qg-b"), table=1001),
    route("::/0", ("2001:db8::1", "qg-b")),
    route("10.9.0.0/16", ("10.0.0.7", "qr-a"), ("10.0.0.8", "qr-a")),
    route("198.51.100.0/24", ("", "qg-b")),
)
CHANGED = (
    element("scopes", "ipv4", "qr-a", to=("1",)),
    element("inward", "203.0.113.5", to=("10.0.0.9",)),
    element("shifted", "203.0.113.6", "udp", "53", to=("10.0.0.7", "53")),
    veth(END, "qr-a", 1, 1400),
    Thing(("rule", NETNS, 4, 1), Rule(1002)),
    route("0.0.0.0/0", ("203.0.113.9", "qg-b")),
    route("::/0", ("2001:db8::1", "qg-b"), ("2001:db8::3", "qg-b")),
    route("10.9.0.0/16", ("10.0.0.7", "qr-a")),
)
IMPOSSIBLE = (
    element("nowhere", "10.0.0.1"),
    held("address", "qr-none", "10.7.0.1/24"),
    route("10.8.0.0/16", ("10.0.0.7", "qr-none")),
    Thing(("veth", f"tapc{UNIQUE}"), Veth("qrouter-none", "qr-c", "02:00:00:00:00:03", 1500)),
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_netns_driver_conforms(folder: Folder, check: Check) -> None:
    """The driver keeps every promise, beside a namespace of the same kind of name that somebody else made."""
    theirs = folder / "netns" / "qrouter-theirs"
    make_namespace(theirs)
    inside(theirs, "ip", "link", "set", "lo", "up")

    async def start() -> Driver:
        return NetnsDriver(folder / "netns", folder / "keepers")

    async def stop(driver: Driver) -> None:
        assert isinstance(driver, NetnsDriver)
        await driver.close()

    def look() -> object:
        return inside(theirs, "ip", "addr"), inside(theirs, "nft", "list", "ruleset")

    async def tried() -> None:
        await check(Subject(start, stop, THINGS, CHANGED, IMPOSSIBLE, plan, look))

    asyncio.run(tried())


def inside(path: Folder, *command: str) -> str:
    return run("nsenter", f"--net={path}", *command)


@pytest.mark.parametrize(
    ("taken", "left"),
    [
        (element("inward", "203.0.113.5", to=("10.0.0.5",)), {"6 53", "6 1000"}),
        (element("shifted", "203.0.113.6", "udp", "53", to=("10.0.0.6", "5353")), {"5 80", "6 1000"}),
        (element("kept", "203.0.113.6", "udp", "1000-1010", to=("10.0.0.6",)), {"5 80", "6 53"}),
    ],
    ids=["floating IP", "port", "range of ports"],
)  # fmt: skip
def test_what_a_translation_began_ends_with_it(folder: Folder, taken: Thing, left: set[str]) -> None:
    """Only the connections of the floating IP or port that was taken away are forgotten."""
    ranged = element("kept", "203.0.113.6", "udp", "1000-1010", to=("10.0.0.6",))
    things = [t for t in THINGS if t.kind in ("netns", "ruleset", "element")]

    async def story() -> set[str]:
        driver = NetnsDriver(folder / "netns", folder / "keepers")
        assert not await driver.apply([*map(Put, things), Put(ranged)])
        path = folder / "netns" / NETNS
        for ip, port in (("203.0.113.5", 80), ("203.0.113.6", 53), ("203.0.113.6", 1000)):
            remember(path, ip, port)
        assert len(list_connections(path)) == 3
        assert not await driver.apply([Remove(taken)])
        found = list_connections(path)
        await driver.apply([Remove(things[0])])
        await driver.close()
        return found

    assert asyncio.run(story()) == left


def test_another_release_of_the_ruleset_keeps_what_is_translated(folder: Folder) -> None:
    """Its text is replaced in one transaction with what its sets hold; what the new one does not know is gone."""
    things = [t for t in THINGS if t.kind in ("netns", "ruleset", "element")]
    text = RULES.replace("hide", "veil")
    newer = Thing(("ruleset", NETNS, TABLE), make_ruleset(text))

    async def story() -> State:
        driver = NetnsDriver(folder / "netns", folder / "keepers")
        assert not await driver.apply([*map(Put, things)])
        assert not await driver.apply([Put(newer, things[1])])
        found = await driver.read()
        await driver.close()
        return found

    found = asyncio.run(story())
    kept = {t.key: t.value for t in (things[0], newer, *things[2:]) if "hide" not in t.key}
    assert {key: thing.value for key, thing in found.items()} == kept


def test_a_namespace_of_others_is_not_taken(folder: Folder) -> None:
    """One that Neutron's agent left, with devices in it, stays as it is, and the refusal says what to do."""
    theirs = folder / "netns" / NETNS
    make_namespace(theirs)
    inside(theirs, "ip", "link", "add", "qr-theirs", "type", "veth", "peer", "name", "other")

    async def story() -> list[str]:
        driver = NetnsDriver(folder / "netns", folder / "keepers")
        found = [failure.reason for failure in await driver.apply([Put(THINGS[0])])]
        assert await driver.read() == {}
        await driver.close()
        return found

    (reason,) = asyncio.run(story())
    assert NETNS in reason and "remove it" in reason
    assert "qr-theirs" in inside(theirs, "ip", "link")


def remember(path: Folder, ip: str, port: int) -> None:
    """An entry as a connection from outside makes it."""
    with entered(path):
        subprocess.run(
            ["conntrack", "-I", "-p", "udp", "-s", "198.51.100.7", "-d", ip, "--sport", "4000", "--dport", str(port),
             "-t", "60", "-u", "ASSURED"], check=True, capture_output=True,
        )  # fmt: skip


def list_connections(path: Folder) -> set[str]:
    lines = inside(path, "conntrack", "-L").splitlines()
    words = [dict(word.split("=") for word in line.split(" src=")[1].split() if "=" in word) for line in lines]
    return {f"{found['dst'].rpartition('.')[2]} {found['dport']}" for found in words}
