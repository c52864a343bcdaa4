"""The lab's memory: what is written is read back, and nothing but that."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from netloom.lab.shell import LabError
from netloom.lab.state import (
    LINUXBRIDGE,
    Host,
    Instance,
    Lab,
    Place,
    check_name,
    choose_host,
    decode_lab,
    encode_lab,
    find_place,
    find_prefix,
    with_instance,
    without_instance,
)

WEB = Instance("web", "h2", "blue", "d-1", "0123456789abcdef", "fa:16:3e:00:00:01", ("10.0.0.5", "fd00::5"))
LAB = Lab(
    "nl-",
    {"h1": Host("h1", 1), "h2": Host("h2", 2, True, LINUXBRIDGE)},
    {"web": WEB},
    "http://127.0.0.1:9696",
    True,
    ("debug=true",),
)


def test_what_is_written_is_read() -> None:
    """A lab survives the way to its file and back."""
    assert decode_lab(encode_lab(LAB)) == LAB


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 1}', '{"format": 2, "hosts": {}}', "null"])
def test_a_file_that_is_no_lab_is_refused(tmp_path: Path, text: str) -> None:
    """A garbled state file is named in the error, not taken for an empty lab."""
    place = Place(tmp_path)
    place.state.write_text(text)
    with pytest.raises(LabError, match=r"lab\.json cannot be read"):
        place.load()


def test_no_file_is_no_lab(tmp_path: Path) -> None:
    """Commands that need a lab say how to make one."""
    assert Place(tmp_path).load() is None
    with pytest.raises(LabError, match="netloom lab up"):
        Place(tmp_path).require()


def add_instances(directory: str, first: int) -> None:
    for number in range(first, first + 10):
        instance = Instance(f"i{number}", "h1", "blue", f"d-{number}")
        Place(Path(directory)).change(lambda lab, instance=instance: with_instance(lab, instance))  # type: ignore[misc]


def test_two_commands_at_once_lose_nothing(tmp_path: Path) -> None:
    """Instances booted by several commands at a time are all written down."""
    place = Place(tmp_path)
    place.save(LAB)
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=add_instances, args=(str(tmp_path), first)) for first in (0, 100, 200)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)
    assert len(place.require().instances) == 31


def test_a_half_written_file_is_never_seen(tmp_path: Path) -> None:
    """A kill while the state is written leaves the one before."""
    place = Place(tmp_path)
    place.save(LAB)
    place.state.with_suffix(".new").write_text(encode_lab(LAB)[:20])
    assert place.load() == LAB
    assert place.state.with_suffix(".new") in place.contents()


def test_names_of_namespaces() -> None:
    """Every namespace of a lab is named from its prefix; instances go first when they are removed."""
    assert LAB.namespaces() == ("nl-i-web", "nl-h1", "nl-h2", "nl-outside", "nl-ul")
    assert len(WEB.device) == 14 and WEB.device == "tap0123456789a"


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a b", "a/b", "../x", "a" * 25, "ä"])
def test_names_that_cannot_be(name: str) -> None:
    """A name that would not do as part of a file or namespace is refused."""
    with pytest.raises(LabError, match="cannot be a name"):
        check_name(name)


def test_a_new_instance_goes_where_there_are_fewest() -> None:
    """Without --host the emptiest host is taken; with it that one, if there is one of that name."""
    assert choose_host(LAB) == "h1"
    assert choose_host(with_instance(LAB, Instance("b", "h1", "n", "d"))) == "h1"
    assert choose_host(without_instance(LAB, "web")) == "h1"
    assert choose_host(LAB, "h2") == "h2"
    with pytest.raises(LabError, match="no host 'h9'; there are h1, h2"):
        choose_host(LAB, "h9")


def test_where_the_lab_is() -> None:
    """NETLOOM_LAB_DIR wins, then XDG_STATE_HOME, then the system's folder."""
    assert find_place({}).directory == Path("/var/lib/netloom/lab")
    assert find_place({"XDG_STATE_HOME": "/s"}).directory == Path("/s/netloom/lab")
    assert find_place({"XDG_STATE_HOME": "/s", "NETLOOM_LAB_DIR": "/l"}).directory == Path("/l")


def test_prefix_of_a_second_lab() -> None:
    """Two labs on one machine differ by NETLOOM_LAB_PREFIX, which must be short and plain."""
    assert (find_prefix({}), find_prefix({"NETLOOM_LAB_PREFIX": "t1-"})) == ("nl-", "t1-")
    for bad in ("", "nl", "-", "N-", "much-too-long-"):
        with pytest.raises(LabError, match="NETLOOM_LAB_PREFIX"):
            find_prefix({"NETLOOM_LAB_PREFIX": bad})


def test_hosts_have_addresses_of_their_own() -> None:
    """Up to a hundred hosts have tunnel addresses of both families, all different."""
    made = [Host(f"h{n}", n) for n in range(1, 101)]
    assert len({host.tunnel_ip for host in made} | {host.tunnel_ip6 for host in made}) == 200
    assert (made[15].tunnel_ip, made[15].tunnel_ip6) == ("10.99.0.16", "fd00:99::10")
