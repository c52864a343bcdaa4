"""What tells that somebody else changed rules of iptables or sets of ipset, byte by byte and line by line."""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from netloom.drivers.bridge.watch import MAKER, NEW_GENERATION
from netloom.drivers.filter.iptables import IptablesDriver, note_lines, pick_lines
from netloom.drivers.filter.watch import FilterWatch
from netloom.model.filter import IpSet, IptablesChain, Member
from netloom.model.plan import Op, Put, Remove, Thing

OURS, THEIRS = b"neutron-openvswi-i2e8bbfcd-9\0", b"DOCKER-USER\0"
CHAIN, EXPRESSIONS = 2, 4
SET, MORE = Thing(("ipset", "NIPv4g1"), IpSet(4)), Thing(("ipset", "NIPv6g1"), IpSet(6))


def attribute(kind: int, body: bytes) -> bytes:
    value = struct.pack("=HH", 4 + len(body), kind) + body
    return value + bytes(-len(value) % 4)


def message(kind: int, *attributes: bytes) -> bytes:
    body = bytes(4) + b"".join(attributes)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def change(chain: bytes, jump: bytes = b"") -> bytes:
    """A rule that goes, and where it led."""
    return message(10 << 8 | 8, attribute(1, b"filter\0"), attribute(CHAIN, chain), attribute(EXPRESSIONS, jump))


def generation(process: int) -> bytes:
    return message(NEW_GENERATION, attribute(MAKER, process.to_bytes(4, "big")))


@pytest.mark.parametrize(
    ("told", "meddling"),
    [
        (change(OURS) + generation(7), 1),
        (change(b"FORWARD\0", OURS) + generation(7), 1),
        (change(OURS) + generation(4242), 0),
        (change(THEIRS) + generation(7), 0),
        (change(OURS) + generation(4242) + change(THEIRS) + generation(7), 0),
        (change(OURS) + change(THEIRS) + generation(7) + generation(7), 1),
    ],
    ids=["in ours", "a jump to ours", "by ourselves", "in another's", "each his own", "both"],
)
def test_who_changed_which_chain(told: bytes, meddling: int) -> None:
    """Another program in our chains, or at the jumps to them, is news; we ourselves, and others in theirs, are none."""
    driver = IptablesDriver()
    driver.writers.append(4242)
    assert FilterWatch(driver, lambda: None).count_meddling(told) == meddling


SAVED = """create NIPv4g1 hash:net family inet hashsize 1024 maxelem 1048576 bucketsize 12 initval 0x1f
add NIPv4g1 10.0.0.5
add NIPv4g1 10.0.0.64/30
create other hash:ip family inet
add other 10.0.0.9
"""


def member(name: str, address: str) -> Thing:
    return Thing(("ipset_member", name, address), Member())


@pytest.mark.parametrize(
    ("ops", "left"),
    [
        ([Put(member("NIPv4g1", "10.0.0.6"))], "create NIPv4g1,add NIPv4g1 10.0.0.{5,64/30,6}"),
        ([Remove(member("NIPv4g1", "10.0.0.5"))], "create NIPv4g1,add NIPv4g1 10.0.0.{64/30}"),
        ([Remove(member("NIPv4g1", "10.0.0.99"))], "create NIPv4g1,add NIPv4g1 10.0.0.{5,64/30}"),
        ([Put(MORE)], "create NIPv4g1,add NIPv4g1 10.0.0.{5,64/30},create NIPv6g1"),
        ([Remove(SET)], ""),
    ],
)
def test_what_a_set_will_hold_is_known_before_it_is_read(ops: Sequence[Op], left: str) -> None:
    """What is written is noted in the very words in which it would be read; with a set goes all that it held."""
    lines = pick_lines(SAVED)
    note_lines(lines, ops)
    assert lines == set(expand(left))


def expand(text: str) -> list[str]:
    """`create a,add a x.{1,2}`: each by itself."""
    head, brace, rest = text.partition("add NIPv4g1 10.0.0.{")
    inside, _, tail = rest.partition("}")
    found = [one for one in (*head.split(","), *tail.split(",")) if one]
    return [*found, *(f"add NIPv4g1 10.0.0.{one}" for one in inside.split(",") if brace)]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """ipset that shows what a file here holds, and notes each call; iptables without rules."""
    show = 'echo "$@" >> "$0.calls"\n[ "$1" != save ] && exec cat > /dev/null\nexec cat "${0%/*}/held"\n'
    restore = 'echo $$ > "$0.pid"\nexec cat > /dev/null\n'
    for name, body in (("ipset", show), ("iptables-save", ""), ("ip6tables-save", ""), ("iptables-restore", restore)):
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "held").write_text(SAVED)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def test_a_look_compares_with_what_was_written_last(programs: Path) -> None:
    """What we add ourselves is no news; one member for another is, though as many are there; no sets cost no look."""
    held = programs / "held"

    async def tell() -> list[bool]:
        driver, news = IptablesDriver(), list[bool]()
        watch = FilterWatch(driver, lambda: news.append(True))
        await watch.look()
        assert not (programs / "ipset.calls").exists()
        await driver.read()
        await watch.look()
        assert not await driver.apply([Put(member("NIPv4g1", "10.0.0.7"))])
        held.write_text(SAVED + "add NIPv4g1 10.0.0.7\n")
        await watch.look()
        assert news == []
        held.write_text(held.read_text().replace("10.0.0.5", "10.0.0.66"))
        await watch.look()
        return news

    assert asyncio.run(tell()) == [True]


def test_a_look_that_fails_is_no_news(programs: Path) -> None:
    """Where ipset does not work any more, the next look comes all the same."""

    async def tell() -> list[bool]:
        driver, news = IptablesDriver(), list[bool]()
        await driver.read()
        (programs / "held").unlink()
        assert await FilterWatch(driver, lambda: news.append(True)).look() >= 0
        return news

    assert asyncio.run(tell()) == []


def test_who_writes_for_us_is_known(programs: Path) -> None:
    """By the number of the process, which the kernel tells with each change of rules."""

    async def write() -> list[int]:
        driver = IptablesDriver()
        await driver.apply([Put(Thing(("iptables", 4, "filter", "neutron-openvswi-x"), IptablesChain(())))])
        return list(driver.writers)

    assert asyncio.run(write()) == [int((programs / "iptables-restore.pid").read_text())]
