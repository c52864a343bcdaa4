"""Names and domains of ports, networks and subnets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from netloom.intent.addressing.dns import find_domain
from netloom.intent.schema import Doc
from tests.unit.intent.intent_kit import SETTINGS, World, refused

LONG = "a." * 126
SITE = replace(SETTINGS, dns_domain="cloud.example")


@pytest.mark.parametrize("domain", ["", "example.org.", "EXAMPLE.org.", "<project_id>.<user_name>.example.", "a."])
def test_domains(domain: str) -> None:
    """Networks and ports have a domain, lower case; keywords are labels of it."""
    world = World()
    network = world.network(dns_domain=domain)
    assert network["dns_domain"] == domain.lower()
    port = world.port(network, dns_domain=domain)
    assert port["dns_domain"] == domain.lower()
    assert world.update("port", port, dns_domain="other.")["dns_domain"] == "other."
    assert world.update("network", network, dns_domain="")["dns_domain"] == ""


DOMAIN_FAULTS = [
    ("example.org", "'example.org' is not a FQDN"),
    ("a..b.", "Encountered an empty component"),
    ("-a.", "must not start or end with a hyphen"),
    ("<zone>.example.", "alphanumeric or a hyphen"),
    ("a.1.", "must not be all numeric"),
    (LONG + "aa.", "exceed"),
    (None, "is not a valid string"),
]


@pytest.mark.parametrize(("domain", "words"), DOMAIN_FAULTS)
def test_domains_that_are_none(domain: Any, words: str) -> None:
    """What is no full domain is refused, wherever it is given."""
    world = World()
    network = world.network()
    runs: tuple[Callable[[], Doc], ...] = (
        lambda: world.network(dns_domain=domain),
        lambda: world.port(network, dns_domain=domain),
        lambda: world.update("network", network, dns_domain=domain),
    )
    for run in runs:
        with refused(400, "HTTPBadRequest", "dns_domain", words):
            run()


def test_names_in_the_sites_domain() -> None:
    """Where the site has a domain, a port's full name is in it, and the two together are not too long."""
    world = World(SITE)
    network = world.network()
    world.subnet(network, "10.0.0.0/24")
    port = world.port(network, dns_name="Web.cloud.example.")
    assert port["dns_assignment"] == [
        {"ip_address": "10.0.0.2", "hostname": "web.cloud.example.", "fqdn": "web.cloud.example."}
    ]
    assert world.update("port", port, dns_name="db.tier1")["dns_assignment"][0] == {
        "ip_address": "10.0.0.2", "hostname": "db.tier1", "fqdn": "db.tier1.cloud.example.",
    }  # fmt: skip
    for name in ("web.example.", "cloud.example."):
        with refused(400, "HTTPBadRequest", "dns_name", "higher level labels"):
            world.port(network, dns_name=name)
        with refused(400, "HTTPBadRequest", "higher level labels"):
            world.update("port", port, dns_name=name)
    with refused(400, "HTTPBadRequest", "exceed"):
        world.port(network, dns_name=LONG[:249])
    world.update("port", port, dns_name="")


def test_names_without_a_site_domain() -> None:
    """The domain that the option has by itself is in nobody's way."""
    world = World()
    assert world.port(world.network(), dns_name="web.example.")["dns_name"] == "web.example."


def test_publishing() -> None:
    """A subnet says whether its addresses are for a DNS service outside."""
    world = World()
    subnet = world.subnet(world.network(), "10.0.0.0/24")
    assert subnet["dns_publish_fixed_ip"] is False
    assert world.update("subnet", subnet, dns_publish_fixed_ip=True)["dns_publish_fixed_ip"] is True


@pytest.mark.parametrize(
    ("domain", "wanted"),
    [("", ""), ("lan.", "lan."), ("<project_id>.lan.", "p1.lan."), ("<user_name>.<project_id>.lan.", "")],
)
def test_what_hosts_are_told(domain: str, wanted: str) -> None:
    """Hosts are told of the domain with its keywords filled in, and of the site's where one is not known."""
    network: Doc = World().network(dns_domain=domain)
    assert find_domain(network) == wanted
