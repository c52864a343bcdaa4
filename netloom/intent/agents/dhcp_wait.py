"""Ports that a DHCP server of their network has to know before they are ACTIVE (dhcp_driver = dnsmasq).

Law 8: a server knows a port when the server's host has acknowledged a revision that has the port, and carries the
server. One server is enough. Where no server is left there is nothing to wait for: hosts answer themselves.
"""

from __future__ import annotations

from collections.abc import Iterator

from netloom.intent.draft import Draft
from netloom.intent.l2.binding import is_bound
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Snapshot

OWNER = "network:dhcp"
DNSMASQ = "dnsmasq"
UNKNOWN_SINCE = "dhcp_unknown_since"
WORDS = "a DHCP server of its network to know it"
"""What such a port waits for once its own host carries it."""


def is_server(doc: Doc) -> bool:
    """Whether we made the port for a server: one that somebody else calls network:dhcp is let alone."""
    device = str(doc["device_id"])
    return doc["device_owner"] == OWNER and device.startswith("dhcp") and device.endswith(f"-{doc['network_id']}")


def find_servers(docs: Draft | Snapshot, network_id: str) -> Iterator[Doc]:
    """The ports of the servers that are to answer on the network."""
    for doc in docs.find("port", "network_owner", (network_id, OWNER)):
        if is_server(doc) and is_bound(doc) and doc["admin_state_up"]:
            yield doc


def is_served(docs: Draft | Snapshot, network_id: str, but: str = "") -> bool:
    """Whether a server is to answer there, other than that of the port `but`."""
    return any(doc["id"] != but for doc in find_servers(docs, network_id))


def find_unknown(docs: Draft | Snapshot, server: Doc) -> list[Doc]:
    """The ports that a server of this port's network has yet to know; none where the port is no server's."""
    return list(docs.find("port", UNKNOWN_SINCE, server["network_id"])) if is_server(server) else []
