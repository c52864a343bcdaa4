"""How an instance's device comes to its host's switch: as Nova does it, for each way of switching.

    Open vSwitch            tap ─ br-int, with external_ids iface-id and attached-mac
    iptables_hybrid         tap ─ qbr ─ qvb ═ qvo ─ br-int, and the external_ids are those of qvo
    Linux bridges           tap, which the agent finds by its name

Law: what `attach` made, `detach` removes, also where half of it is gone.
"""

from __future__ import annotations

from netloom.lab.hosts import vsctl
from netloom.lab.shell import CommandFailed, run, succeeds
from netloom.lab.state import Instance, Lab, Place


def attach(lab: Lab, place: Place, instance: Instance) -> None:
    """Plug the device, which is there already and up. What a function is plugged by is the NIC's."""
    host = lab.hosts[instance.host]
    if host.bridges or instance.slot:
        return
    if instance.hybrid:
        make_hybrid(lab.host_netns(instance.host), instance)
    add_port(place, instance, hybrid_name(instance, "qvo") if instance.hybrid else instance.device)


def add_port(place: Place, instance: Instance, device: str) -> None:
    """Onto br-int, with the words by which Nova says whose it is."""
    vsctl(
        place, instance.host, "--may-exist", "add-port", "br-int", device,
        "--", "set", "Interface", device,
        f"external_ids:iface-id={instance.port_id}", f'external_ids:attached-mac="{instance.mac}"',
        f"external_ids:vm-uuid={instance.device_id}", "external_ids:iface-status=active",
    )  # fmt: skip


def hybrid_name(instance: Instance, kind: str) -> str:
    return f"{kind}{instance.port_id[:11]}"


def make_hybrid(netns: str, instance: Instance) -> None:
    """The instance's bridge, its device on it, and the pair of devices to the switch."""
    bridge, inner, outer = (hybrid_name(instance, kind) for kind in ("qbr", "qvb", "qvo"))
    run("ip", "-n", netns, "link", "add", bridge, "type", "bridge", "mcast_snooping", "0")
    run("ip", "-n", netns, "link", "add", inner, "type", "veth", "peer", "name", outer)
    for device in (inner, instance.device):
        run("ip", "-n", netns, "link", "set", device, "master", bridge, "up")
    for device in (outer, bridge):
        run("ip", "-n", netns, "link", "set", device, "up")


def find_box(instance: Instance) -> str:
    """The bridge on the underlay that the cable of an instance goes through once it has moved (lab/migrate.py)."""
    return f"b-{instance.port_id[:8]}"


def remove_box(lab: Lab, instance: Instance) -> None:
    """The box and the ends in it, if there is one."""
    box = find_box(instance)
    if succeeds("ip", "-n", lab.underlay, "link", "show", box):
        for line in run("ip", "-n", lab.underlay, "-o", "link", "show", "master", box).splitlines():
            succeeds("ip", "-n", lab.underlay, "link", "del", line.split(": ")[1].partition("@")[0])
        run("ip", "-n", lab.underlay, "link", "del", box)


def detach(lab: Lab, place: Place, instance: Instance) -> None:
    """The other way. The device itself goes with whoever made it."""
    host = lab.hosts[instance.host]
    if host.bridges:
        return
    try:
        device = hybrid_name(instance, "qvo") if instance.hybrid else instance.device
        vsctl(place, instance.host, "--if-exists", "del-port", "br-int", device)
    except CommandFailed:
        pass  # the host's switch is dead: its port goes with it
    if instance.hybrid:
        for kind in ("qvo", "qbr"):
            succeeds("ip", "-n", lab.host_netns(instance.host), "link", "del", hybrid_name(instance, kind))
