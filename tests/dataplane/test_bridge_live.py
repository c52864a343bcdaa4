"""Security groups that change under traffic, on Linux bridges and by iptables: the same tests as on Open vSwitch."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.dataplane.bridge_rig import make_bridge_rig
from tests.dataplane.conftest import why_not
from tests.dataplane.hybrid_rig import make_hybrid_rig, why_not_hybrid
from tests.dataplane.test_groups_live import (
    Town,
    test_a_connection_is_cut_when_its_rule_is_withdrawn,
    test_members_come_and_go_while_others_speak,
    test_rules_change_without_a_window,
)

pytestmark = pytest.mark.dataplane

__all__ = [
    "test_a_connection_is_cut_when_its_rule_is_withdrawn",
    "test_members_come_and_go_while_others_speak",
    "test_rules_change_without_a_window",
]


@pytest.fixture(scope="module", params=["linuxbridge", "iptables_hybrid"])
def town(request: pytest.FixtureRequest) -> Iterator[Town]:
    hybrid = request.param == "iptables_hybrid"
    if reason := why_not_hybrid() if hybrid else why_not():
        pytest.skip(reason)
    with make_hybrid_rig() if hybrid else make_bridge_rig() as rig:
        rig.start_agent()
        yield Town(rig)
