"""What a host says of distributed routers: which floating IPs it translates, and whether it hides addresses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netloom.model.facts import HostFacts
from netloom.model.slices import (
    FloatingRow,
    HostRow,
    InterfaceRow,
    NetworkRow,
    RouterHost,
    RouterRow,
    Segment,
    Slice,
)
from netloom.render.status import find_central, find_floating

FACTS = HostFacts("h1", "192.0.2.1", ("vxlan",), {"physnet": "br-ex"})
ROUTER = RouterRow("r", distributed=True, ha=True, hosts=(RouterHost("h1"), RouterHost("h2")))


def make_slices(router: RouterRow = ROUTER, host: str = "h1") -> dict[str, Slice]:
    outside = NetworkRow("ext", 7, external=True, segments=(Segment("flat", "physnet"),))
    hosts = {f"host/h{n}": HostRow(f"h{n}", f"192.0.2.{n}") for n in (1, 2)}
    port = InterfaceRow("p", "red", "fa:16:3e:00:00:01", "internal")
    floating = FloatingRow("f", "ext", "203.0.113.5", "fa:16:3e:00:00:02", "10.1.0.5", host=host)
    return {
        "router/r": Slice("router/r", 1, {"router/r": router, "interface/p": port, "floating/f": floating}),
        "network/ext": Slice("network/ext", 1, {"network/ext": outside}),
        "network/red": Slice("network/red", 1, {"network/red": NetworkRow("red", 8), **hosts}),
    }


def test_a_floating_ip_waits_for_the_way_out() -> None:
    """Its host says what is missing, and nothing of those of other hosts."""
    assert find_floating(make_slices(), FACTS) == {"f": ""}
    assert find_floating(make_slices(host="h2"), FACTS) == {}
    bare = replace(FACTS, bridge_mappings={})
    assert find_floating(make_slices(), bare) == {"f": "network ext has no segment that host h1 can carry"}
    unknown = {name: part for name, part in make_slices().items() if name != "network/ext"}
    assert find_floating(unknown, FACTS) == {"f": "the host does not know network ext yet"}
    off = replace(ROUTER, admin_state_up=False)
    assert find_floating(make_slices(off), FACTS) == {"f": "router r is administratively down"}


@pytest.mark.parametrize(
    ("host", "silent", "state"),
    [
        ("h1", frozenset(), "active"),
        ("h2", frozenset(), "standby"),
        ("h2", frozenset({"192.0.2.1"}), "active"),
        ("h1", frozenset({"192.0.2.2"}), "active"),
    ],
)
def test_who_hides_addresses_is_the_active_one(host: str, silent: frozenset[str], state: str) -> None:
    """As the tunnels have it: the first host that is heard of."""
    facts = replace(FACTS, host=host, tunnel_ip=f"192.0.2.{host[1]}", silent=silent)
    assert find_central(make_slices(), facts) == {"r": state}


def test_only_redundant_distributed_routers_have_an_active_host() -> None:
    """Others have none, or copies in namespaces that speak for themselves; nor has a host that only routes."""
    for router in (
        replace(ROUTER, ha=False),
        replace(ROUTER, distributed=False),
        replace(ROUTER, admin_state_up=False),
    ):
        assert find_central(make_slices(router), FACTS) == {}
    assert find_central(make_slices(), replace(FACTS, host="h3")) == {}
