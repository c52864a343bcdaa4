"""Shapes in the words of tc: what is rendered is what is read back, whatever the kernel rounds."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netloom.drivers.tc.words import find_shaped, parse_filters, parse_rate, parse_shape, render_commands, render_shape
from netloom.model.device import Shape, ShapeClass, fit_burst, fit_rate
from netloom.model.plan import Put, Remove, Thing

CLASSES = """\
class htb 4e4c:1 parent 4e4c:fff0 prio 0 rate 10Mbit ceil 100Mbit burst 100123b cburst 100123b
class htb 4e4c:2 parent 4e4c:fff0 leaf 8001: prio 0 rate 90500Kbit ceil 100Mbit burst 1625b cburst 1625b
class htb 4e4c:fff0 root rate 100Mbit ceil 100Mbit burst 50000b cburst 50000b
"""
FILTERS = """\
filter protocol all pref 1 u32 chain 0
filter protocol all pref 1 u32 chain 0 fh 800: ht divisor 1
filter protocol all pref 1 u32 chain 0 fh 800::800 order 2048 key ht 800 bkt 0 *flowid 4e4c:1 not_in_hw
  match fa163e00/ffffffff at -8
  match 00010000/ffff0000 at -4
"""


def test_what_tc_shows_is_read() -> None:
    """As tc 6.1 shows a NIC that two share."""
    shared = Shape(
        (ShapeClass(10_000, 100_000, 801, mac="fa:16:3e:00:00:01"), ShapeClass(90_500, 100_000, 13)), 100_000
    )
    assert parse_shape(CLASSES, FILTERS) == shared
    assert find_shaped("qdisc htb 4e4c: dev t1 root refcnt 2 r2q 10\nqdisc htb 1: dev t2 root refcnt 2") == ["t1"]
    assert parse_shape(CLASSES.replace("4e4c:1 ", "4e4c:7 "), FILTERS) is None, "a class that somebody put there"


def test_what_is_put_is_put_in_the_place_of_what_is_there() -> None:
    """A queue that is there goes first, and that it was not there is no failure."""
    thing = Thing(("shape", "", "t1"), Shape((ShapeClass(1000, 1000, 13, source="10.0.0.1"),)))
    (gone, may_fail), (made, may_not) = render_commands("t1", Put(thing))
    assert (gone, may_fail, may_not) == ("qdisc del dev t1 root handle 4e4c:\n", True, False)
    assert made.splitlines() == [
        "qdisc add dev t1 root handle 4e4c: htb default 0",
        "class add dev t1 parent 4e4c: classid 4e4c:1 htb rate 1000kbit ceil 1000kbit burst 1625 cburst 1625",
        "qdisc add dev t1 parent 4e4c:1 pfifo limit 64",
        "filter add dev t1 parent 4e4c: protocol ip prio 2 u32 match u32 0x0a000001 0xffffffff at 12 flowid 4e4c:1",
    ]
    assert [may for _, may in render_commands("t1", Remove(thing))] == [True]


def test_who_is_promised_more_has_more_waiting() -> None:
    """Shares of a NIC wait as long as one another; limits that share nothing wait alike, and nobody has no room."""
    rates = (12_000, 6_000, 1_000)
    shared = Shape(
        tuple(ShapeClass(rate, 20_000, 13, mac=f"fa:16:3e:00:00:0{rate // 1000:x}") for rate in rates), 20_000
    )
    apart = Shape(tuple(ShapeClass(rate, rate, 13, source=f"10.0.0.{rate // 1000}") for rate in rates))
    for shape, limits in ((shared, [40, 20, 8]), (apart, [21, 21, 21])):
        *_, (made, _) = render_commands("eth1", Put(Thing(("shape", "", "eth1"), shape)))
        assert [int(found) for found in re.findall(r"pfifo limit (\d+)", made)] == limits


def test_only_what_a_switch_sends_by_waits_in_short_queues() -> None:
    """In a router's namespace the kernel sends, and a class that is full takes no room from the others."""
    thing = Thing(("shape", "qrouter-1", "qg-1"), Shape((ShapeClass(1000, 1000, 13, source="10.0.0.1"),)))
    *_, (made, _) = render_commands("qg-1", Put(thing))
    assert "pfifo" not in made


@pytest.mark.parametrize(("text", "kbit"), [("8bit", 0), ("1500Kbit", 1500), ("10Mbit", 10_000), ("3Gbit", 3_000_000)])
def test_rates_are_read(text: str, kbit: int) -> None:
    """In each unit that tc says them in."""
    assert parse_rate(text) == kbit


def say_rate(kbit: int) -> str:
    """As tc does: whole units, the larger one from a thousand thousands on, with what is left over cut off."""
    bits, units = kbit * 1000, ["bit", "Kbit", "Mbit", "Gbit", "Tbit"]
    for unit in units:
        if bits < 1000 or (bits % 1000 and bits < 1000 * 1000) or unit == "Tbit":
            return f"{bits}{unit}"
        bits //= 1000
    raise AssertionError


@given(st.integers(1, 2**31 - 1), st.integers(1, 2**20))
def test_a_fitting_rate_and_burst_come_back_as_they_were(rate: int, burst: int) -> None:
    """The kernel keeps a burst as a time in ticks of 64 ns, and tc cuts rates off; what we ask for survives both."""
    rate = fit_rate(rate)
    burst = fit_burst(burst, rate)
    one = ShapeClass(rate, rate, burst)
    lines = list(render_shape("t1", Shape((one,))))
    assert f"rate {rate}kbit" in lines[1] and "filter" not in "".join(lines)
    per_s = rate * 125
    ticks = int(burst * 125 / per_s * 1e6 * 15.625)
    shown = (
        f"class htb 4e4c:1 root rate {say_rate(rate)} ceil {say_rate(rate)} burst {int(ticks * per_s / 15.625e6)}b x"
    )
    assert parse_shape(shown, "") == Shape((one,))


def test_filters_are_told_apart() -> None:
    """By the class that each leads to."""
    assert parse_filters(FILTERS) == {1: {-8: 0xFA163E00, -4: 0x00010000}}
