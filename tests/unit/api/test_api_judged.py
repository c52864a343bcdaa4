"""What Neutron's own tests and Nova's own code found to be different here, each told once."""

from __future__ import annotations

from netloom.intent.operation import Settings
from tests.unit.api.api_client import ADMIN, MEMBER, Client, Memory, make_client

SERVED = {**MEMBER, "X-Service-Roles": "service"}
"""A member for whom a service vouches."""


def make_subnet(client: Client, **body: object) -> dict[str, object]:
    network = client.make("network")["id"]
    return client.make("subnet", network_id=network, **{"ip_version": 4, "cidr": "10.0.0.0/24", **body})


def test_a_delete_has_no_body() -> None:
    """It is refused, and nothing is deleted."""
    client = make_client()
    path = f"/v2.0/networks/{client.make('network')['id']}"
    refused = (400, "HTTPBadRequest", "Request body is not supported in DELETE.")
    assert client.send("DELETE", path, b"{}").error == refused
    assert client.get(path).status == 200


def test_a_change_without_a_body_says_what_is_missing() -> None:
    """As an empty object does."""
    client = make_client()
    path = f"/v2.0/networks/{client.make('network')['id']}"
    for body in (b"", b"{}", b'{"port": {}}'):
        assert client.send("PUT", path, body).error == (
            400, "HTTPBadRequest", "Unable to find 'network' in request body",
        )  # fmt: skip


def test_addresses_and_prefixes_are_found_however_they_are_written() -> None:
    """Host bits, capitals and zeros make no difference to a filter; what is no address is held by nothing."""
    client = make_client()
    four = make_subnet(client, cidr="10.0.0.77/24")
    six = make_subnet(client, ip_version=6, cidr="2001:db8::/64", gateway_ip="2001:db8::1")
    found = client.get("/v2.0/subnets?cidr=10.0.0.11/24&cidr=2001:DB8:0::5/64").json["subnets"]
    assert {one["id"] for one in found} == {four["id"], six["id"]}
    found = client.get("/v2.0/subnets?gateway_ip=2001:DB8:0:0::1").json["subnets"]
    assert [one["id"] for one in found] == [six["id"]]
    assert client.get("/v2.0/subnets?cidr=nothing&gateway_ip=nothing").json == {"subnets": []}


def test_who_may_have_the_first_address_of_an_ipv6_prefix() -> None:
    """A router's ports and those of nobody (RFC 4291, 2.6.1); an instance may not."""
    admin = make_client(ADMIN)
    subnet = make_subnet(admin, ip_version=6, cidr="2001:db8::/64")
    wanted = {
        "network_id": subnet["network_id"],
        "fixed_ips": [{"subnet_id": subnet["id"], "ip_address": "2001:db8::"}],
    }
    refused = admin.post("/v2.0/ports", {"port": {**wanted, "device_owner": "compute:nova"}})
    assert refused.error[:2] == (400, "InvalidIpForSubnet")
    for owner in ("", "network:router_gateway"):
        made = admin.make("port", **wanted, device_owner=owner)
        admin.delete(f"/v2.0/ports/{made['id']}")


def test_a_prefix_that_is_to_be_delegated_has_the_anycast_gateway() -> None:
    """Until a router has got the prefix, the gateway is the first address of a placeholder."""
    memory = Memory(options=Settings(ipv6_pd_enabled=True))
    client = make_client(memory=memory, options=memory.options)
    modes = {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}
    subnet = make_subnet(client, ip_version=6, cidr=None, subnetpool_id="prefix_delegation", **modes)
    assert (subnet["cidr"], subnet["gateway_ip"]) == ("::/64", "::")


def test_an_address_that_hosts_make_themselves_cannot_be_asked_for() -> None:
    """In Neutron's words."""
    client = make_client()
    modes = {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}
    subnet = make_subnet(client, ip_version=6, cidr="2001:db8::/64", **modes)
    fixed = [{"subnet_id": subnet["id"], "ip_address": "2001:db8::5"}]
    refused = client.post("/v2.0/ports", {"port": {"network_id": subnet["network_id"], "fixed_ips": fixed}})
    assert refused.error == (
        400, "AllocationOnAutoAddressSubnet",
        f"IPv6 address 2001:db8::5 cannot be directly assigned to a port on subnet {subnet['id']} as the subnet is "
        "configured for automatic addresses",
    )  # fmt: skip


def test_an_instances_port_is_deleted_by_its_owner_only_through_nova() -> None:
    """A member may not delete it; with Nova's token beside the member's, Nova may."""
    client = make_client()
    port = client.make("port", network_id=client.make("network")["id"], device_owner="compute:nova")
    path = f"/v2.0/ports/{port['id']}"
    assert client.delete(path).status == 403
    assert client.as_user({**MEMBER, "X-Service-Roles": "reader"}).delete(path).status == 403
    assert client.as_user(SERVED).delete(path).status == 204
