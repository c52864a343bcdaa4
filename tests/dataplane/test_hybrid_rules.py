"""Every kind of security group rule, v4 and v6, in both directions, with frames through qbr, iptables and Open vSwitch.

The same table of cases as on Open vSwitch alone: one meaning of a rule, whoever keeps it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.dataplane.hybrid_rig import make_hybrid_rig, why_not_hybrid
from tests.dataplane.rule_field import CASES, Case, Field, fill_field, try_case
from tests.dataplane.settled import wait_planned

pytestmark = pytest.mark.dataplane


@pytest.fixture(scope="module", params=[True, False], ids=["stateful", "stateless"])
def field(request: pytest.FixtureRequest) -> Iterator[Field]:
    """Every port has a bridge of its own. With an empty memory there is nothing left to do."""
    if reason := why_not_hybrid():
        pytest.skip(reason)
    with make_hybrid_rig() as rig:
        rig.start_agent()
        with fill_field(rig, request.param) as filled:
            wait_planned(rig)
            assert all(port["binding:vif_details"]["ovs_hybrid_plug"] for port in rig.list_ports())
            yield filled


@pytest.mark.parametrize("direction", ["ingress", "egress"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0].replace(" ", "_"))
def test_a_rule_means_the_same_in_iptables(field: Field, case: Case, direction: str) -> None:
    """Of all that is tried, what the rule allows arrives as it was sent, and nothing else does."""
    try_case(field, case, direction)
