"""Files of dnsmasq: which leases are still somebody's, and what is never written."""

from __future__ import annotations

from pathlib import Path

import pytest

from netloom.drivers.dnsmasq import find_host, find_pid, name_config, put_server, read_server, sort_leases
from netloom.model.netns import DhcpServer

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


def test_another_configuration_is_another_file() -> None:
    """So that a process says by its command line which one it has read."""
    assert name_config("a") != name_config("b")
    assert name_config("a") == name_config("a")
