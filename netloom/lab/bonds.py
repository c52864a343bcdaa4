"""Hosts whose NICs on the provider network are two, as one (LACP), and the switch that they are cabled to.

    namespace nl-ul                                            namespace nl-h1
      provider ──── tor-in ═══ tor-out ─ tor ─ bond h1 ┬ p1 ═════════ eth1 ┬ bond-ex ─ br-ex
                                    (Open vSwitch)     └ q1 ═════════ eth2 ┘  (made by the agent: [netloom] bonds)

Law: the partner is a switch as any in a rack: it knows of the bond and of nothing else. A cable that is pulled is seen
by both ends as a lost carrier; a NIC that left its bond is, after three seconds without a word (LACP's fast timer).
"""

from __future__ import annotations

from netloom.lab.hosts import PHYSNET_BRIDGE, guard, make_cable, start_switch, vsctl
from netloom.lab.shell import run
from netloom.lab.state import Host, Lab, Place

PARTNER, BOND = "tor", "bond-ex"
LEGS = {"p": "eth1", "q": "eth2"}
"""How the partner's end of a cable is named, and the host's NIC there."""


def make_partner(lab: Lab, place: Place) -> None:
    """The switch, one of its ports on the provider network."""
    switch = Host(PARTNER, 0)
    place.host(PARTNER).mkdir(parents=True, exist_ok=True)
    make_cable(lab.underlay, "tor-in", lab.underlay, "tor-out")
    run("ip", "-n", lab.underlay, "link", "set", "tor-in", "master", "provider")
    guard(lab.underlay, ["tor-out"], "netloom_tor")
    start_switch(place, switch, lab.underlay)
    vsctl(
        place, PARTNER, "add-br", PARTNER, "--", "set", "bridge", PARTNER, "datapath_type=netdev",
        "--", "add-port", PARTNER, "tor-out",
    )  # fmt: skip


def plug_bonded(lab: Lab, place: Place, host: Host) -> None:
    """Both cables of a host, and the partner's bond of them."""
    netns, legs = lab.host_netns(host.name), {f"{port}{host.number}": device for port, device in LEGS.items()}
    for leg, device in legs.items():
        make_cable(lab.underlay, leg, netns, device)
    guard(lab.underlay, legs, f"netloom_{host.name}")
    guard(netns, list(LEGS.values()), "netloom_bond")
    vsctl(
        place, PARTNER, "add-bond", PARTNER, host.name, *legs, "bond_mode=balance-tcp", "lacp=active",
        "other_config:lacp-time=fast",
    )  # fmt: skip


def render_option(host: Host) -> str:
    """The agent's, for [netloom]."""
    return f"bonds = {PHYSNET_BRIDGE}:{BOND}:{'+'.join(LEGS.values())}\n" if host.bonded else ""
