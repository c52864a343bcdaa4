"""Files of dnsmasq: which leases are still somebody's, and what is never written."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from netloom.drivers.dnsmasq import (
    DnsmasqDriver,
    find_host,
    find_pid,
    name_config,
    put_server,
    read_server,
    sort_leases,
)
from netloom.model.netns import DhcpServer
from netloom.model.plan import Remove, Thing

HOSTS = "fa:16:3e:00:00:05,web,10.0.0.5\nfa:16:3e:00:00:05,tag:dhcpv6,web,[2001:db8::5]\n"


def test_a_lease_stays_with_its_host() -> None:
    """A lease of an address that another MAC has by now, or nobody, goes; all else stays in its order."""
    kept = [
        "1795000000 fa:16:3e:00:00:05 10.0.0.5 web 01:fa:16:3e:00:00:05",
        "duid 00:01:00:01:2e",
        "1795000000 12345 2001:db8::5 web 00:01:00:01:2e",
    ]
    gone = [
        "1795000000 fa:16:3e:00:00:07 10.0.0.5 old *",
        "1795000000 fa:16:3e:00:00:05 10.0.0.6 web *",
        "1795000000 12345 2001:db8::6 old 00:01",
    ]
    text = "".join(f"{line}\n" for pair in zip(kept, gone, strict=True) for line in pair)
    assert sort_leases(text, HOSTS) == ("".join(f"{x}\n" for x in kept), "".join(f"{x}\n" for x in gone))
    assert sort_leases("", HOSTS) == ("", "")


def test_a_host_is_its_mac_and_address() -> None:
    """Whatever stands between."""
    assert [find_host(line) for line in HOSTS.splitlines()] == [
        ("fa:16:3e:00:00:05", "10.0.0.5"), ("fa:16:3e:00:00:05", "2001:db8::5"),
    ]  # fmt: skip


def test_a_list_with_tags_is_refused(tmp_path: Path) -> None:
    """dnsmasq would die of reading it anew while somebody has a lease."""
    with pytest.raises(OSError, match="no tags"):
        put_server(tmp_path / "q", DhcpServer("", "fa:16:3e:00:00:05,set:a,10.0.0.5\n"), tmp_path)
    assert not (tmp_path / "q").exists()


def test_a_process_of_another_is_not_ours(tmp_path: Path) -> None:
    """A pid file that names a living process with another command line, or none, names no server."""
    (tmp_path / "pid").write_text("1\n")
    assert find_pid(tmp_path) == 0
    (tmp_path / "pid").write_text("x")
    assert find_pid(tmp_path) == 0
    assert read_server(tmp_path) is None


def test_an_end_that_is_told_while_others_are_changed_is_not_lost(tmp_path: Path) -> None:
    """A server that ended before its driver heard of it is told of, though another is set at that moment."""

    (tmp_path / "q").mkdir()
    words = ["-c", "import sys; sys.stdin.read()", f"--conf-file={tmp_path}/q/config-1"]
    process = subprocess.Popen([sys.executable, *words], stdin=subprocess.PIPE)

    def end() -> None:
        process.kill()
        process.communicate(timeout=10)

    async def story() -> int:
        driver = DnsmasqDriver(tmp_path, tmp_path)
        (tmp_path / "q/pid").write_text(f"{process.pid}\n")
        await driver.read()
        end()  # the loop does not run before what follows
        assert await driver.apply([Remove(Thing(("dhcp_server", "other"), DhcpServer("", "")))]) == []
        async with asyncio.timeout(10):
            ends = await driver.wait_change(0)
        await driver.close()
        return ends

    try:
        assert asyncio.run(story()) == 1
    finally:
        end()


def test_another_configuration_is_another_file() -> None:
    """So that a process says by its command line which one it has read."""
    assert name_config("a") != name_config("b")
    assert name_config("a") == name_config("a")
