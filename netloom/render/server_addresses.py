"""The address of the DHCP server of each subnet that hosts answer for themselves, found without a look at each port."""

from __future__ import annotations

from netloom.model.slices import SubnetRow
from netloom.render.answers.scope import server_address
from netloom.render.place_index import PlaceIndex


class ServerAddresses:
    """Remembers of each subnet without a gateway the first address that no port had.

    Law 1: what `find` gives is what a new book would give; it looks anew where that was taken, or another became free.
    """

    def __init__(self) -> None:
        self._held: tuple[tuple[SubnetRow, ...], dict[str, str]] = ((), {})

    def find(self, subnets: tuple[SubnetRow, ...], places: PlaceIndex) -> dict[str, str]:
        """By subnet, where no port has it. `places`: asked before it forgets what was touched."""
        found = {one.id: one.gateway_ip or self._find_free(one, subnets, places) for one in subnets}
        self._held = subnets, found
        return {id: ip for id, ip in found.items() if ip and ip not in places.by_ip}

    def _find_free(self, subnet: SubnetRow, subnets: tuple[SubnetRow, ...], places: PlaceIndex) -> str:
        taken, (before, found) = places.by_ip, self._held
        held = found.get(subnet.id, "") if subnets == before else ""
        if not held or held in taken or any(ip not in taken for ip in places.touched_ips):
            return server_address(subnet, taken)
        return held
