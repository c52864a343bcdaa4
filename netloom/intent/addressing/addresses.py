"""Which addresses a port gets, keeps and gives back.

Law: an address is held by one port of its network, and lies in its subnet. The next free address is found from the
index of what is taken, at a cost that does not grow with the number of ports.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from netloom.intent.addressing import dns, routed
from netloom.intent.addressing.pools import is_host_address, pool_range
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, conflict, invalid_operation, not_found
from netloom.intent.l2.binding import HOST
from netloom.intent.operation import Settings
from netloom.intent.schema import Doc
from netloom.model.address import eui64, ip_int, ip_text

ROUTER_OWNERS = (
    "network:router_interface",
    "network:router_interface_distributed",
    "network:ha_router_replicated_interface",
    "network:router_centralized_snat",
)
ANYCAST_OWNERS = (*ROUTER_OWNERS, "network:router_gateway", "")
"""Whose ports may have IPv6's subnet-router anycast address (RFC 4291, 2.6.1); Neutron lets those of nobody, too."""
AUTO_DELETED_OWNERS = ("network:dhcp", "network:distributed", "network:floatingip_agent_gateway")
AUTO_MODES = ("slaac", "dhcpv6-stateless")

FixedIp = dict[str, str]


def is_auto(subnet: Doc) -> bool:
    """Whether hosts make their own address here (RFC 4862), so that each port has the one of its MAC."""
    return subnet["ipv6_address_mode"] in AUTO_MODES or subnet["ipv6_ra_mode"] in AUTO_MODES


def auto_address(subnet: Doc, mac: str) -> FixedIp:
    return {"subnet_id": subnet["id"], "ip_address": eui64(subnet["cidr"], mac)}


def find_subnets(draft: Draft, network: Doc) -> list[Doc]:
    return [subnet for id in network["subnets"] if (subnet := draft.get("subnet", id)) is not None]


def find_candidates(subnets: Sequence[Doc], device_owner: str) -> list[Doc]:
    """The subnets that a port of this owner may have an address in, those made for such owners first."""
    if not any(subnet["service_types"] for subnet in subnets):
        return list(subnets)
    made_for = [s for s in subnets if device_owner in s["service_types"]]
    for_all = [s for s in subnets if not s["service_types"]]
    if device_owner == "network:dhcp":
        for_all = [s for s in subnets if s["enable_dhcp"] and s not in made_for]
    return made_for + for_all


def is_taken(draft: Draft, fixed: FixedIp) -> bool:
    return draft.taken("port", "address", fixed["subnet_id"], ip_int(fixed["ip_address"]))


# -- a new port --------------------------------------------------------------------------------------------------------


def allocate(
    draft: Draft, network: Doc, wanted: Sequence[Mapping[str, str]] | None, owner: str, mac: str, host: str = ""
) -> list[FixedIp]:
    """The addresses of a new port. `wanted` None: one of IPv4 and one of IPv6, as far as there are subnets.

    On a routed network only those that its host reaches; while the host is not known, none.
    """
    subnets = find_subnets(draft, network)
    candidates = find_candidates(subnets, owner)
    if subnets and not candidates:
        raise no_matching_subnet(network, owner)
    candidates = routed.find_reachable(draft, network, candidates, host, wanted, owner)
    autos = [] if owner in ROUTER_OWNERS else [auto_address(s, mac) for s in candidates if is_auto(s)]
    taker = Taker(draft, network)
    if wanted is None:
        for version in (4, 6):
            group = [s for s in candidates if s["ip_version"] == version and not is_auto(s)]
            if group:
                taker.take_any(group)
    else:
        check_count(wanted, owner, draft.context.settings)
        taker.take_all(resolve_wanted(draft, network, candidates, wanted, owner, mac), candidates)
    for fixed in autos:
        taker.take_auto(fixed)
    return taker.found


class Taker:
    """Takes addresses one after another, minding those that it took before and the draft does not hold yet."""

    def __init__(
        self, draft: Draft, network: Doc, kept: Iterable[FixedIp] = (), given_back: Iterable[FixedIp] = ()
    ) -> None:
        self.draft = draft
        self.network = network
        self.found: list[FixedIp] = list(kept)
        self.given_back = [(f["subnet_id"], f["ip_address"]) for f in given_back]

    def take_all(self, wanted: Sequence[FixedIp], subnets: Sequence[Doc]) -> None:
        """Named addresses first, lest one of them goes to an entry that names none."""
        by_id = {subnet["id"]: subnet for subnet in subnets}
        for one in sorted(wanted, key=lambda fixed: "ip_address" not in fixed):
            if "ip_address" in one:
                self.take_named(one)
            else:
                self.take_any([by_id[one["subnet_id"]]])

    def take_named(self, fixed: FixedIp) -> None:
        mine = fixed in self.found
        free = not is_taken(self.draft, fixed) or (fixed["subnet_id"], fixed["ip_address"]) in self.given_back
        if mine or not free:
            raise conflict(
                "IpAddressAlreadyAllocated",
                f"IP address {fixed['ip_address']} already allocated in subnet {fixed['subnet_id']}",
            )
        self.found.append(fixed)

    def take_auto(self, fixed: FixedIp) -> None:
        if fixed not in self.found:
            self.take_named(fixed)

    def take_any(self, subnets: Sequence[Doc]) -> None:
        """The next free address of the first subnet that has one."""
        for subnet in subnets:
            number = self.next_free(subnet)
            if number is not None:
                self.found.append({"subnet_id": subnet["id"], "ip_address": ip_text(number, subnet["ip_version"])})
                return
        raise conflict("IpAddressGenerationFailure", f"No more IP addresses available on network {self.network['id']}.")

    def next_free(self, subnet: Doc) -> int | None:
        mine = {ip_int(f["ip_address"]) for f in self.found if f["subnet_id"] == subnet["id"]}
        for pool in subnet["allocation_pools"]:
            first, last = pool_range(pool)
            while (number := self.draft.first_free("port", "address", subnet["id"], first, last)) is not None:
                if number not in mine:
                    return number
                first = number + 1
        return None


def resolve_wanted(
    draft: Draft, network: Doc, subnets: Sequence[Doc], wanted: Sequence[Mapping[str, str]], owner: str, mac: str
) -> list[FixedIp]:
    """The entries of fixed_ips with their subnets. One that only names an automatic subnet is left out: it is added
    to every port anyway."""
    found = []
    for one in wanted:
        subnet = find_subnet(draft, network, subnets, one, owner)
        if "ip_address" in one:
            check_automatic(subnet, one["ip_address"], owner, mac)
            found.append({"subnet_id": subnet["id"], "ip_address": one["ip_address"]})
        elif owner in ROUTER_OWNERS or not is_auto(subnet):
            found.append({"subnet_id": subnet["id"]})
    return found


def find_subnet(draft: Draft, network: Doc, subnets: Sequence[Doc], wanted: Mapping[str, str], owner: str) -> Doc:
    if not subnets:
        raise invalid_operation("IP allocation requires subnets for network")
    ip, router = wanted.get("ip_address"), owner in ANYCAST_OWNERS
    if "subnet_id" in wanted:
        id = wanted["subnet_id"]
        for subnet in subnets:
            if subnet["id"] == id:
                if ip is not None and not is_host_address(subnet["cidr"], ip, router):
                    raise ApiError(
                        400, "InvalidIpForSubnet", f"IP address {ip} is not a valid IP for the specified subnet."
                    )
                return subnet
        if draft.get("subnet", id) is None:
            raise not_found("subnet", id)
        raise invalid_operation(
            f"Failed to create port on network {network['id']}, because fixed_ips included invalid subnet {id}"
        )
    if ip is None:
        raise invalid_operation("IP allocation requires subnet_id or ip_address")
    for subnet in subnets:
        if is_host_address(subnet["cidr"], ip, router):
            return subnet
    raise ApiError(
        400, "InvalidIpForNetwork",
        f"IP address {ip} is not a valid IP for any of the subnets on the specified network.",
    )  # fmt: skip


def check_automatic(subnet: Doc, ip: str, owner: str, mac: str) -> None:
    if is_auto(subnet) and owner not in ROUTER_OWNERS and eui64(subnet["cidr"], mac) != ip:
        raise ApiError(
            400, "AllocationOnAutoAddressSubnet",
            f"IPv6 address {ip} cannot be directly assigned to a port on subnet {subnet['id']} as the subnet is "
            "configured for automatic addresses",
        )  # fmt: skip


def check_count(wanted: Sequence[Any], owner: str, settings: Settings) -> None:
    if len(wanted) > settings.max_fixed_ips_per_port and not owner.startswith("network:"):
        raise invalid_operation("Exceeded maximum amount of fixed ips per port")


def no_matching_subnet(network: Doc, owner: str) -> ApiError:
    return conflict(
        "IpAddressGenerationFailureNoMatchingSubnet",
        f"No valid service subnet for the given device owner, network {network['id']}, service type {owner}.",
    )


# -- an update ---------------------------------------------------------------------------------------------------------


def reallocate(
    draft: Draft, network: Doc, port: Doc, wanted: Sequence[Mapping[str, str]], owner: str, mac: str, host: str = ""
) -> list[FixedIp]:
    """The addresses of a port after an update: what is still wanted stays, the rest is given back or taken anew."""
    subnets = find_candidates(find_subnets(draft, network), owner)
    subnets = routed.find_reachable(draft, network, subnets, host, wanted, owner)
    by_id = {subnet["id"]: subnet for subnet in subnets}
    kept, added = match_kept(port["fixed_ips"], wanted)
    automatic = {id for id, subnet in by_id.items() if is_auto(subnet) and owner not in ROUTER_OWNERS}
    kept = [f for f in kept if f["subnet_id"] not in automatic]
    added = [one for one in added if one.get("subnet_id") not in automatic or "ip_address" in one]
    named = [
        one for one in resolve_wanted(draft, network, subnets, added, owner, mac) if one["subnet_id"] not in automatic
    ]
    given_back = [f for f in port["fixed_ips"] if f not in kept]
    taker = Taker(draft, network, kept, given_back)
    taker.take_all(named, subnets)
    for subnet in subnets:
        if subnet["id"] in automatic:
            taker.take_auto(auto_address(subnet, mac))
    return keep_order(port["fixed_ips"], taker.found)


def resolve_host(draft: Draft, old: Doc, new: Doc) -> dict[str, list[FixedIp]]:
    """The first addresses of a port that waited for its host. Raises where those it has are of no use there."""
    if not routed.is_deferred(old, new[HOST]):
        routed.check_host(draft, old, new[HOST])
        return {}
    network = draft.get("network", old["network_id"])
    if network is None:
        raise not_found("network", old["network_id"])
    owner, mac = new["device_owner"], new["mac_address"]
    return {"fixed_ips": allocate(draft, network, None, owner, mac, new[HOST])}


def match_kept(
    old: Sequence[FixedIp], wanted: Sequence[Mapping[str, str]]
) -> tuple[list[FixedIp], list[Mapping[str, str]]]:
    """(the old entries that go on, the wanted ones that are new). An address is matched first, then a bare subnet."""
    kept, added = [], []
    by_ip = {fixed["ip_address"]: fixed for fixed in old}
    for one in wanted:
        if "ip_address" in one:
            same = by_ip.get(one["ip_address"])
            if same is not None and one.get("subnet_id", same["subnet_id"]) == same["subnet_id"]:
                kept.append(by_ip.pop(one["ip_address"]))
            else:
                added.append(one)
    left = defaultdict(list)
    for fixed in by_ip.values():
        left[fixed["subnet_id"]].append(fixed)
    for one in wanted:
        if "ip_address" not in one:
            same_subnet = left[one.get("subnet_id", "")]
            if same_subnet:
                kept.append(same_subnet.pop(0))
            else:
                added.append(one)
    return kept, added


def keep_order(old: Sequence[FixedIp], new: list[FixedIp]) -> list[FixedIp]:
    """What was there before keeps its place, so that an update that changes nothing is one."""
    before = [fixed for fixed in old if fixed in new]
    return before + [fixed for fixed in new if fixed not in before]


# -- what a port shows of its addresses --------------------------------------------------------------------------------


def show_addresses(port: Mapping[str, Any], fixed_ips: Sequence[FixedIp], settings: Settings) -> dict[str, Any]:
    """The attributes of a port that follow from its addresses."""
    return {
        "fixed_ips": list(fixed_ips),
        "dns_assignment": [dns.assign_name(port["dns_name"], fixed["ip_address"], settings) for fixed in fixed_ips],
    }
