from __future__ import annotations

from netloom.model.device import Link
from netloom.model.plan import Thing
from netloom.reconcile.desired import Clash, merge_groups


def link(mtu: int) -> Thing:
    return Thing(("link", "a"), Link(mtu=mtu))


def test_groups_become_one_state() -> None:
    """What several slices ask of a host is one picture; asking for the same twice is no quarrel."""
    other = Thing(("link", "b"), Link())
    state, clashes = merge_groups({"host/h1": (link(1400), other), "network/n": (link(1400),)})
    assert state == {("link", "a"): link(1400), ("link", "b"): other} and clashes == ()


def test_a_quarrel_has_one_answer_and_is_told() -> None:
    """When two slices want different things under one key the answer does not depend on who came first."""
    groups = {"network/b": (link(1300),), "network/a": (link(1400),), "network/c": (link(1200),)}
    state, clashes = merge_groups(groups)
    assert merge_groups(dict(reversed(groups.items()))) == (state, clashes)
    assert state[("link", "a")].value == Link(mtu=1400)
    assert [(clash.kept, clash.lost) for clash in clashes] == [("network/a", "network/b"), ("network/a", "network/c")]
    assert str(Clash(("link", "a"), "x", "y")) == "x and y disagree about ('link', 'a'); x stands"
