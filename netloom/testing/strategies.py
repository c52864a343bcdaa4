"""Hypothesis strategies: whole worlds of hosts, networks and ports, small enough that chance makes them collide."""

from __future__ import annotations

from hypothesis import strategies as st

from netloom.model.slices import Address, AddressPair, NetworkRow, PortRow, Segment, SubnetRow
from netloom.testing.story_world import OPEN, World

HOSTS = ("h1", "h2", "h3")
TYPES = ("vxlan", "gre", "geneve", "vlan", "flat", "local")


def make_world(choices: list[tuple[int, int, int, bool, bool, bool, int]], kinds: list[str]) -> World:
    """Ports from (network, host, address, secure, up, plugged, pair), on networks that share their addresses."""
    world = World()
    for n, kind in enumerate(kinds):
        physical = "physnet" if kind in ("vlan", "flat") else ""
        segment = Segment(kind, physical, 0 if kind in ("flat", "local") else 100 + n)
        world.networks[f"n{n}"] = NetworkRow(f"n{n}", n + 1, segments=(segment,))
        world.subnets[f"n{n}"] = [SubnetRow(f"s{n}", f"n{n}", "10.0.0.0/24", 4)]
    for n, (network, host, ip, secure, up, plugged, pair) in enumerate(choices):
        name = f"p{n}"
        pairs = (AddressPair(f"10.0.0.{pair}", f"fa:16:3e:00:00:{n:02x}"),) if pair else ()
        world.ports[name] = PortRow(
            name, f"n{network % len(kinds)}", f"fa:16:3e:00:00:{n:02x}", admin_state_up=up, port_security=secure,
            addresses=(Address(f"10.0.0.{ip}"),), pairs=pairs, groups=(OPEN,) if secure else (),
        )  # fmt: skip
        world.hosts[name] = HOSTS[host]
        if not plugged:
            world.unplugged.add(name)
    return world


ports = st.tuples(
    st.integers(0, 2), st.integers(0, 2), st.integers(5, 9), st.booleans(), st.booleans(), st.booleans(),
    st.sampled_from((0, 0, 20, 21)),
)  # fmt: skip
worlds = st.builds(make_world, st.lists(ports, min_size=1, max_size=6), st.permutations(TYPES).map(lambda p: p[:3]))
