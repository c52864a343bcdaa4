"""The dnsmasq driver with real processes in a namespace of their own."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from netloom.drivers.dnsmasq import CHANGING, DnsmasqDriver, find_pid
from netloom.model.driver import Driver
from netloom.model.netns import FOLDER, DhcpServer
from netloom.model.plan import Put, Remove, Thing
from netloom.reconcile.plan import plan
from netloom.testing.conformance import CHECKS, Check, Subject
from tests.dataplane.conftest import why_not
from tests.dataplane.ovs import PATIENCE_S, run, wait_until

pytestmark = pytest.mark.dataplane

CONFIG = "".join(
    f"{line}\n"
    for line in (
        "no-hosts", "no-resolv", "bind-dynamic", "user=root", "except-interface=lo", "interface=d0",
        f"pid-file={FOLDER}/pid", f"dhcp-hostsfile={FOLDER}/hosts", f"dhcp-optsfile={FOLDER}/options",
        f"addn-hosts={FOLDER}/names", f"dhcp-leasefile={FOLDER}/leases",
        "dhcp-range=set:s,10.0.0.0,static,255.255.255.0,86400s",
    )
)  # fmt: skip
HOSTS = "fa:16:3e:00:00:05,web,10.0.0.5\n"
LEASE = "1995000000 fa:16:3e:00:00:05 10.0.0.5 web *\n"


@dataclass(frozen=True)
class Bench:
    """A namespace by several names, each for a server of its own."""

    folder: Path
    spaces: Path

    def driver(self) -> DnsmasqDriver:
        return DnsmasqDriver(self.folder, self.spaces)

    def place(self, name: str) -> Path:
        return self.folder / name


@pytest.fixture
def bench() -> Iterator[Bench]:
    if reason := why_not() or ("" if shutil.which("dnsmasq") else "needs dnsmasq"):
        pytest.skip(reason)
    top = Path(tempfile.mkdtemp(prefix="nl-d-"))
    names = [f"nld-{uuid4().hex[:6]}" for _ in range(3)]
    (top / "spaces").mkdir()
    for number, name in enumerate(names):
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "add", "d0", "type", "veth", "peer", "name", "d1")
        run("ip", "-n", name, "addr", "add", "10.0.0.2/24", "dev", "d0")
        run("ip", "-n", name, "link", "set", "d0", "up")
        (top / "spaces" / f"q{number}").symlink_to(f"/run/netns/{name}")
    made = Bench(top / "dhcp", top / "spaces")
    try:
        yield made
    finally:
        for number in range(3):
            if pid := find_pid(made.place(f"q{number}")):
                os.kill(pid, signal.SIGKILL)
        for name in names:
            run("ip", "netns", "del", name)
        shutil.rmtree(top)


def server(name: str, hosts: str = HOSTS, config: str = CONFIG) -> Thing:
    return Thing(("dhcp_server", name), DhcpServer(config, hosts, "tag:s,option:router,10.0.0.1\n", "10.0.0.5 web\n"))


async def stop(driver: Driver) -> None:
    assert isinstance(driver, DnsmasqDriver)
    await driver.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_dnsmasq_driver_conforms(bench: Bench, check: Check) -> None:
    """It keeps every promise of a driver: what runs is told from outside, also by one that has just been started."""

    async def start() -> Driver:
        return bench.driver()

    things = (server("q0"), server("q1"), server("q2", ""))
    changed = (server("q0", HOSTS + "fa:16:3e:00:00:06,db,10.0.0.6\n"), server("q1", config=CONFIG + "log-dhcp\n"))
    impossible = (server("nowhere"), server("q9", config="no-such-option\n"))

    async def go() -> None:
        await check(Subject(start, stop, things, changed, impossible, plan))

    asyncio.run(go())


def apply(bench: Bench, *things: Thing) -> None:
    async def go() -> None:
        driver = bench.driver()
        assert not await driver.apply([Put(thing) for thing in things])
        await driver.close()

    asyncio.run(go())


def test_a_list_is_read_by_the_process_that_runs(bench: Bench) -> None:
    """Another list keeps the process; another configuration is another process."""
    apply(bench, server("q0"))
    first = find_pid(bench.place("q0"))
    apply(bench, server("q0", HOSTS + "fa:16:3e:00:00:06,db,10.0.0.6\n"))
    assert find_pid(bench.place("q0")) == first
    apply(bench, server("q0", config=CONFIG + "log-dhcp\n"))
    assert find_pid(bench.place("q0")) not in (0, first)


def test_leases_outlive_a_restart_and_not_their_hosts(bench: Bench) -> None:
    """A lease whose host is there stays; one whose host is gone is forgotten, which takes a restart."""
    apply(bench, server("q0"))
    first = find_pid(bench.place("q0"))
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not find_pid(bench.place("q0")))
    leases = bench.place("q0") / "leases"
    leases.write_text(LEASE)
    apply(bench, server("q0", HOSTS + "fa:16:3e:00:00:06,db,10.0.0.6\n"))
    second = find_pid(bench.place("q0"))
    assert "10.0.0.5" in leases.read_text()
    apply(bench, server("q0", "fa:16:3e:00:00:07,other,10.0.0.5\n"))
    assert find_pid(bench.place("q0")) not in (0, second)
    assert "10.0.0.5" not in leases.read_text()


def test_a_change_that_was_cut_short_is_seen(bench: Bench) -> None:
    """The agent was killed between writing a list and saying so: the next one knows that its reader may not know."""
    apply(bench, server("q0"))
    (bench.place("q0") / CHANGING).touch()

    async def go() -> None:
        driver = bench.driver()
        state = await driver.read()
        assert state["dhcp_server", "q0"].value is None
        ops = plan({server("q0").key: server("q0")}, state, driver.needs)
        assert not await driver.apply(ops)
        assert not plan({server("q0").key: server("q0")}, await driver.read(), driver.needs)
        await driver.close()

    asyncio.run(go())


def test_the_end_of_a_server_is_noticed(bench: Bench) -> None:
    """kill -9: whoever waits is told at once, and what is read says that it does not run; one removed is no end."""

    async def go() -> None:
        driver = bench.driver()
        assert not await driver.apply([Put(server("q0")), Put(server("q1"))])
        assert not await driver.apply([Remove(server("q1"))])
        assert driver.ends == 0
        before = driver.ends
        os.kill(find_pid(bench.place("q0")), signal.SIGKILL)
        async with asyncio.timeout(PATIENCE_S):
            await driver.wait_change(before)
        assert (await driver.read())["dhcp_server", "q0"].value is None
        await driver.close()

    asyncio.run(go())
