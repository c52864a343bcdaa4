"""Which leases of dnsmasq end with a change of its list of hosts: found without a look at each, where none can."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netloom.drivers.dnsmasq import find_leases, find_other_lines

WEB, DB = "fa:16:3e:00:00:05,web,10.0.0.5\n", "fa:16:3e:00:00:06,db,10.0.0.6\n"
SIX = "fa:16:3e:00:00:05,tag:dhcpv6,web,[2001:db8::5]\n"
DUID = "duid 00:01:00:01:2e\n"
WEBS, DBS = "1995000000 fa:16:3e:00:00:05 10.0.0.5 web *\n", "1995000000 fa:16:3e:00:00:06 10.0.0.6 db *\n"
SIXES = "1995000000 13371337 2001:db8::5 web 00:01:00:01\n"
HELD = WEBS + DBS + DUID + SIXES


@pytest.mark.parametrize(
    ("before", "after", "gone"),
    [
        (WEB + DB + SIX, WEB + DB + SIX, ""),
        (WEB + DB + SIX, WEB + DB + SIX + "fa:16:3e:00:00:07,new,10.0.0.7\n", ""),
        (WEB + DB + SIX, WEB + SIX, DBS),
        (WEB + DB + SIX, WEB + DB, SIXES),
        (WEB + SIX, WEB + SIX + "fa:16:3e:00:00:09,next,10.0.0.6\n", DBS),
        (WEB + DB + SIX, WEB.replace("web", "www") + DB + SIX, ""),
        (None, WEB, DBS + SIXES),
    ],
    ids=["the same", "one more", "one less", "one less of IPv6", "its next holder", "another name", "not known before"],
)
def test_a_lease_ends_with_its_host(tmp_path: Path, before: str | None, after: str, gone: str) -> None:
    """A port that comes ends none, unless it has the address of one that went; a port that goes ends its own."""
    (tmp_path / "leases").write_text(HELD)
    assert find_leases(tmp_path / "leases", before, after)[1] == gone


def test_what_stays_is_all_the_rest(tmp_path: Path) -> None:
    """Also the line that is no lease: the server's own identifier."""
    (tmp_path / "leases").write_text(HELD)
    assert find_leases(tmp_path / "leases", WEB + DB + SIX, WEB + SIX)[0] == WEBS + DUID + SIXES
    assert find_leases(tmp_path / "none", None, WEB) == ("", "")


lines = st.lists(st.sampled_from(("a", "b", "ab", "ba", "")), max_size=6).map(lambda held: [f"{one}\n" for one in held])


@given(lines, lines, lines, lines)
def test_lines_that_differ_are_found(head: list[str], gone: list[str], came: list[str], tail: list[str]) -> None:
    """None that went or came is passed over, and none is told of that is not there."""
    before, after = "".join(head + gone + tail), "".join(head + came + tail)
    was, now = find_other_lines(before, after)
    old, new = set(before.splitlines()), set(after.splitlines())
    assert old - new <= was <= old and new - old <= now <= new
