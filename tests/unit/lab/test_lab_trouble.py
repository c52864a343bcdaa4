"""Trouble on purpose: what is meant by a name, and what is refused before anything is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from netloom.lab.shell import LabError
from netloom.lab.state import Host, Lab, Place
from netloom.lab.trouble import choose_nics, find_host, find_space, kill_part, list_spaces

LAB = Lab(hosts={"h1": Host("h1", 1, physnet=True), "h2": Host("h2", 2)})


def make_spaces(folder: Path, **spaces: tuple[str, ...]) -> Place:
    place = Place(folder)
    for host, names in spaces.items():
        place.spaces(host).mkdir(parents=True)
        for name in names:
            (place.spaces(host) / name).touch()
    return place


def test_a_namespace_is_named_by_its_beginning(tmp_path: Path) -> None:
    """As much of it as is needed, after the host's name where several hosts have it."""
    place = make_spaces(tmp_path, h1=("qmeta", "qrouter-1a"), h2=("qmeta", "qrouter-1a", "qrouter-2b"))
    assert find_space(LAB, place, "qrouter-2") == place.spaces("h2") / "qrouter-2b"
    assert find_space(LAB, place, "h1/qrouter") == place.spaces("h1") / "qrouter-1a"
    with pytest.raises(LabError, match=r"'qrouter-1' is several: h1/qrouter-1a, h2/qrouter-1a"):
        find_space(LAB, place, "qrouter-1")
    with pytest.raises(LabError, match=r"there is no namespace 'h1/qrouter-2'"):
        find_space(LAB, place, "h1/qrouter-2")
    with pytest.raises(LabError, match=r"there is no host 'h9'; there are h1, h2"):
        find_space(LAB, place, "h9/qrouter-2")


def test_a_host_whose_agent_never_ran_has_no_namespaces(tmp_path: Path) -> None:
    """No folder, no names, no error."""
    assert list_spaces(Place(tmp_path), "h1") == ()


def test_a_nic_that_a_host_has_not_is_refused() -> None:
    """Both by default; a host without a provider NIC has one."""
    assert choose_nics(LAB.hosts["h1"], "") == ("underlay", "provider")
    assert choose_nics(LAB.hosts["h1"], "provider") == ("provider",)
    assert choose_nics(LAB.hosts["h2"], "") == ("underlay",)
    with pytest.raises(LabError, match=r"--only provider: h2 has underlay"):
        choose_nics(LAB.hosts["h2"], "provider")


def test_unknown_hosts_and_programs_are_refused(tmp_path: Path) -> None:
    """In words that name what there is."""
    with pytest.raises(LabError, match=r"there is no host 'h9'"):
        find_host(LAB, "h9")
    with pytest.raises(LabError, match=r"--only cat: there are agent, switch, database, keepalived"):
        kill_part(LAB, Place(tmp_path), "h1", "cat")
