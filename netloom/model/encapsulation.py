"""What tunnels put around a frame, in bytes, and whether an underlay carries what comes of it: for both ends."""

from __future__ import annotations

from collections.abc import Mapping

from netloom.model.address import ip_version

OVERHEAD: Mapping[str, int] = {"vxlan": 30, "gre": 22, "geneve": 30}
"""By network type, what Neutron counts besides the outer IP header: the inner Ethernet header and those between."""

IP_HEADER: Mapping[int, int] = {4: 20, 6: 40}
"""RFC 791, 3.1 and RFC 8200, 3, without options."""


def outer_size(mtu: int, network_type: str, tunnel_ip: str) -> int:
    """The longest outer packet of a network, by tunnels from that address.

    >>> outer_size(1450, "vxlan", "192.0.2.1"), outer_size(1450, "vxlan", "2001:db8::1")
    (1500, 1520)
    """
    return mtu + OVERHEAD[network_type] + IP_HEADER[ip_version(tunnel_ip)]


def explain_underlay(mtu: int, network_type: str, tunnel_ip: str, host: str, carried: int) -> str:
    """Why the host's underlay, which carries `carried` bytes, does not carry the network; empty: it does, or nobody
    knows (0)."""
    if not carried or network_type not in OVERHEAD:
        return ""
    needed = outer_size(mtu, network_type, tunnel_ip)
    if needed <= carried:
        return ""
    return (
        f"frames of its network (MTU {mtu}) need {needed} bytes in {network_type} tunnels, and the underlay of host "
        f"{host} carries {carried}"
    )
