"""Every story beside this file comes true, and one that is not so, or cannot be read, says where."""

from __future__ import annotations

from pathlib import Path

import pytest

from netloom.testing.stories import StoryError, run_story

STORIES = sorted(Path(__file__).parent.glob("*.story"))
SMALL = """A small cloud.

host h1
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create port a network_id=blue binding:host_id=h1
"""


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_story(path: Path) -> None:
    assert run_story(path.read_text(), path.name) > 0


def test_a_story_that_is_not_so_is_found() -> None:
    """A claim that does not hold fails, with its file and line and the way that the packet took."""
    told = STORIES[0].read_text()
    number = len(told.splitlines()) + 1
    with pytest.raises(StoryError, match=rf"x\.story:{number}: then arrives at nobody\n(.*\n)+.*guard") as found:
        run_story(told + "then arrives at nobody\n", "x.story")
    assert "arrived:" in str(found.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("perhaps a sends broadcast", "a line begins with one of: given, host"),
        ("create cloud c", "there is no resource cloud; there are network"),
        ("create port b network_id=[blue", "not closed"),
        ("create port b network_id", "not of the form name=value"),
        ("create port b network_id=blue fixed_ips=[{ip_address 10.1.0.5}]", "needs a colon"),
        ("create port a network_id=blue", "there is a port a already"),
        ("update nobody name=x", "nothing here is called nobody"),
        ("create port b network_id=blue fixed_ips=[{ip_address: 10.9.0.5}]", "was refused: InvalidIpForNetwork"),
        ("then refused IpAddressInUse", "nothing was refused"),
        ("when b sends broadcast", "there is no port b"),
        ("when a sends love to h1", "nobody knows how to send love to h1"),
        ("when a sends arp", "nobody knows how to send arp"),
        ("when a sends ip to blue", "there is no port blue"),
        ("then a has mtu=1", "mtu of a is nothing it has"),
        ("then a has status=ACTIVE", "status of a is DOWN"),
        ("then told ip=10.1.0.7", "ip is None"),
        ("then it works", "it works is nothing to claim"),
        ("given network red vxlan", "not both"),
        ("setting colour=red", "there is no such setting; there are base_mac"),
        ("plug a at h7", "plug PORT at HOST"),
        ("host h7 is silent", "there is no host h7"),
    ],
)
def test_a_story_that_cannot_be_read_says_where(line: str, words: str) -> None:
    """What is wrong is told with file and line, in words; the next line does not hide it."""
    with pytest.raises(StoryError, match=words) as found:
        run_story(f"{SMALL}{line}\nwhen a sends broadcast\n", "bad.story")
    assert str(found.value).startswith(f"bad.story:{len(SMALL.splitlines()) + 1}: {line}")


def test_a_refusal_that_nobody_speaks_of_is_a_failure_at_the_end_too() -> None:
    """A story does not end on a request that was refused in silence."""
    with pytest.raises(StoryError, match="NetworkInUse"):
        run_story(SMALL + "delete blue\n")
