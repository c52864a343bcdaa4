"""Every kind of security group rule, v4 and v6, in both directions, with frames through a Linux bridge and nft.

The same table of cases as on Open vSwitch: one meaning of a rule, whatever the switch.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.dataplane.bridge_rig import make_bridge_rig
from tests.dataplane.conftest import why_not
from tests.dataplane.rule_field import CASES, Case, Field, fill_field, try_case
from tests.dataplane.settled import wait_planned

pytestmark = pytest.mark.dataplane


@pytest.fixture(scope="module", params=[True, False], ids=["stateful", "stateless"])
def field(request: pytest.FixtureRequest) -> Iterator[Field]:
    """All ports on one Linux bridge. With an empty memory there is nothing left to do."""
    if reason := why_not():
        pytest.skip(reason)
    with make_bridge_rig() as rig:
        rig.start_agent()
        with fill_field(rig, request.param) as filled:
            wait_planned(rig)
            yield filled


@pytest.mark.parametrize("direction", ["ingress", "egress"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0].replace(" ", "_"))
def test_a_rule_means_the_same_on_a_linux_bridge(field: Field, case: Case, direction: str) -> None:
    """Of all that is tried, what the rule allows arrives as it was sent, and nothing else does."""
    try_case(field, case, direction)
