"""What the demo shows of routing: a router between two networks and the world, and a floating IP met from outside.

Law: as in the demo, what is printed was measured.
"""

from __future__ import annotations

from netloom.lab import demo
from netloom.lab.boot import Asked, boot, choose_address
from netloom.lab.demo import Trial, run_openstack
from netloom.lab.hosts import OUTSIDE_IP, OUTSIDE_NET, PHYSNET
from netloom.lab.instances import find_instance
from netloom.lab.shell import Say
from netloom.lab.state import OUTSIDE, Lab, Place

GREEN = Asked("green1", "green", "h2")
COMMANDS = (
    f"network create world --external --provider-network-type flat --provider-physical-network {PHYSNET}",
    f"subnet create world4 --network world --subnet-range {OUTSIDE_NET} --gateway {OUTSIDE_IP} --no-dhcp",
    "network create green",
    "subnet create green4 --network green --subnet-range 10.1.0.0/24",
    "router create edge",
    "router set edge --external-gateway world",
    "router add subnet edge blue4",
    "router add subnet edge green4",
)
FLOATING = "floating ip create world --port {port} -f value -c floating_ip_address"
PING_IN = "security group rule create {group} --protocol icmp"


def make_routed(place: Place, say: Say) -> str:
    """The router by the openstack command, an instance behind it, a floating IP for blue1: that address."""
    program = demo.find_openstack()

    def openstack(command: str) -> str:
        say(f"openstack {command}")
        return run_openstack(program, place, command).strip()

    for command in COMMANDS:
        openstack(command)
    say(f"instance {GREEN.name} on {GREEN.host}")
    boot(place, GREEN, demo.quiet)
    port = find_instance(place.require(), "blue1").port_id
    groups = run_openstack(program, place, f"port show {port} -f value -c security_group_ids")
    for group in filter(None, (word.strip("[]', \n") for word in groups.split(","))):
        openstack(PING_IN.format(group=group))
    return openstack(FLOATING.format(port=port))


def plan_routed(lab: Lab, floating: str) -> tuple[Trial, ...]:
    """East and west between the networks, out behind the router's address, in by the floating IP."""
    blue, green = (find_instance(lab, name) for name in ("blue1", GREEN.name))
    return (
        Trial(blue.name, choose_address(green, 4), True, "router edge"),
        Trial(green.name, choose_address(blue, 4), True, "router edge"),
        Trial(green.name, OUTSIDE_IP, True, "source NAT of router edge"),
        Trial(OUTSIDE, floating, True, f"floating IP of {blue.name}"),
    )
