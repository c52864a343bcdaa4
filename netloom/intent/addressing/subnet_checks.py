"""What a subnet may be: its prefix, gateway, modes and limits. Each check raises ApiError, in Neutron's order."""

from __future__ import annotations

from netloom.intent.addressing import addresses
from netloom.intent.addressing.pools import net_range
from netloom.intent.errors import ApiError, invalid_operation
from netloom.intent.operation import Settings
from netloom.intent.schema import Doc
from netloom.model.address import ip_int, ip_version, parse_net


def check_subnet(new: Doc, old: Doc | None, settings: Settings) -> None:
    """Raises InvalidInput and its kin, in the order in which Neutron looks. `new` is the subnet as it would be."""
    check_version(new, "cidr", new["cidr"])
    net = parse_net(new["cidr"])
    if net.prefixlen == 0:
        raise invalid_operation("0 is not allowed as CIDR prefix length")
    if new["ip_version"] == 6 and int(net.network_address) == 0:
        raise invalid_operation("IPv6 subnet '::' is not supported")
    if new["enable_dhcp"] and not (old and old["enable_dhcp"]):
        check_dhcp(new)
    if new.get("gateway_ip"):
        check_gateway(new)
    check_limits(new, old, settings)
    check_modes(new, old)


def check_version(subnet: Doc, name: str, value: str) -> None:
    version = subnet["ip_version"]
    if ip_version(value) != version:
        raise invalid_operation(f"{name} '{value}' does not match the ip_version '{version}'")


def check_dhcp(subnet: Doc) -> None:
    net = parse_net(subnet["cidr"])
    if net.prefixlen > net.max_prefixlen - 2:
        raise invalid_operation("Subnet has a prefix length that is incompatible with DHCP service enabled")
    for name, refused in (("Multicast", net.is_multicast), ("Loopback", net.is_loopback)):
        if refused:
            raise invalid_operation(f"{name} IP subnet is not supported if enable_dhcp is True")
    if net.version == 4 and int(net.network_address) == 0:
        raise invalid_operation("First IP '0.0.0.0' of network is not supported if enable_dhcp is True")


def check_gateway(subnet: Doc) -> None:
    """A gateway outside the subnet is allowed; inside, it is no IPv4 network or broadcast address."""
    gateway = subnet["gateway_ip"]
    check_version(subnet, "gateway_ip", gateway)
    first, last = net_range(subnet["cidr"])
    if subnet["ip_version"] == 4 and last - first > 1 and ip_int(gateway) in (first, last):
        raise invalid_operation("Gateway is not valid on subnet")


def check_limits(new: Doc, old: Doc | None, settings: Settings) -> None:
    name = old["id"] if old else "new subnet"
    for attribute, kind, text, limit in (
        ("dns_nameservers", "DNSNameServersExhausted", "DNS nameservers", settings.max_dns_nameservers),
        ("host_routes", "HostRoutesExhausted", "host routes", settings.max_subnet_host_routes),
    ):
        if len(new[attribute]) > limit:
            raise ApiError(
                400, kind, f"Unable to complete operation for {name}. The number of {text} exceeds the limit {limit}."
            )
    for host in new["dns_nameservers"]:
        check_version(new, "dns_nameserver", host)
    for route in new["host_routes"]:
        check_version(new, "destination", route["destination"])
        check_version(new, "nexthop", route["nexthop"])


def check_modes(new: Doc, old: Doc | None) -> None:
    """The IPv6 modes: both equal where both are set, only with DHCP on, and a /64 where hosts make their address."""
    modes = {name: new[name] for name in ("ipv6_ra_mode", "ipv6_address_mode") if new[name] is not None}
    if new["ip_version"] == 4:
        for name in modes:
            raise invalid_operation(f"{name} is not valid when ip_version is 4")
    if modes and not new["enable_dhcp"]:
        if old:
            raise invalid_operation("Cannot disable enable_dhcp with ipv6 attributes set")
        raise invalid_operation("ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False")
    if len(set(modes.values())) > 1:
        raise invalid_operation(
            f"ipv6_ra_mode set to '{modes['ipv6_ra_mode']}' with ipv6_address_mode set to "
            f"'{modes['ipv6_address_mode']}' is not valid. If both attributes are set, they must be the same value"
        )
    if addresses.is_auto(new) and parse_net(new["cidr"]).prefixlen != 64:
        raise invalid_operation(
            f"Invalid CIDR {new['cidr']} for IPv6 address mode. OpenStack uses the EUI-64 address format, which "
            "requires the prefix to be /64"
        )
