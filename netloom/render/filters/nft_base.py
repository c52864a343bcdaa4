"""The tables of nft that every host with Linux bridges has, and the names in them. No other file names one.

The bridge family knows devices and knows no connections; the inet family knows connections and sees the bridge alone.
So the first marks a packet with the combination of groups of its sender, the second looks at the rules; and again with
those of its receiver:

    bridge prerouting ─▶ inet prerouting ─▶ bridge forward ─▶ inet forward
    mark of the sender,   zone, rules of     mark of the        rules of
    guard against forging the sender         receiver           the receiver

Law: what is not known does not pass: a tap without a mark, or without a guard, and a mark without rules.
"""

from __future__ import annotations

from collections.abc import Iterable

from netloom.model.filter import FilterTable, make_digest
from netloom.model.flow import IPV4
from netloom.render.answers.scope import SERVER_MAC
from netloom.render.flows.groups import DHCP_ANSWERS, DHCP_ASKS, RECEIVED, SENT

OPEN = 0x80000000
"""The mark of a port without port security. No combination has it."""
REFUSED = {"egress": 1, "ingress": 2}
"""Bits of a connection's mark: rules of who began it, or of whom it was begun with, let it pass no longer."""
BACK = {"egress": REFUSED["ingress"], "ingress": REFUSED["egress"]}
"""The bit that holds an answer back: one that a port sends was begun with it, one that it gets it began itself."""

NEIGHBOURS = (135, 136)
"""Neighbour discovery, which the guard of the sender has looked at."""


def find_passing(dhcp: Iterable[tuple[int, int, int]], kinds: Iterable[int]) -> str:
    """What no rule speaks of, as rules (see `flows.groups`)."""
    lines = [
        f"    meta nfproto ipv{4 if version == IPV4 else 6} udp sport {source} udp dport {target} accept"
        for version, source, target in dhcp
    ]
    return "\n".join([*lines, f"    icmpv6 type {{ {', '.join(map(str, kinds))} }} accept"])


def skip_tracking(dhcp: Iterable[tuple[int, int, int]], whose: str = "") -> str:
    """DHCP makes no connections: nothing is an answer to it, or an error about it."""
    return "\n".join(
        f"    {whose}meta nfproto ipv{4 if version == IPV4 else 6} udp sport {source} udp dport {target} notrack accept"
        for version, source, target in dhcp
    )


BRIDGE = f"""
  set ports {{ type ifname; }}
  map guards {{ type ifname : verdict; }}
  map senders {{ type ifname : mark; }}
  map receivers {{ type ifname : mark; }}
  map arrivals {{ type ifname : verdict; }}
  set asks {{ type ifname; }}
  chain base_arrive {{
    type filter hook prerouting priority -10; policy accept;
    iifname @ports meta mark set 0
    meta mark set iifname map @senders
    iifname "tap*" meta mark 0 drop
    iifname vmap @guards
    iifname "tap*" drop
  }}
  chain base_metadata {{
    type filter hook prerouting priority -9; policy accept;
    iifname @asks ip daddr 169.254.169.254 tcp dport 80 ether daddr set 02:4e:4c:00:00:02
    iifname @asks ip6 daddr fe80::a9fe:a9fe tcp dport 80 ether daddr set 02:4e:4c:00:00:02
  }}
  chain base_forward {{
    type filter hook forward priority -10; policy accept;
    ether daddr {SERVER_MAC} drop
    iifname @ports meta mark set 0
    oifname "tap*" meta mark set 0
    meta mark set oifname map @receivers
    oifname "tap*" meta mark 0 drop
    iifname "nlm*" oifname != @asks drop
    oifname "nlm*" iifname != @asks drop
    iifname @asks oifname != "nlm*" arp daddr ip 169.254.169.254 drop
    iifname @asks oifname != "nlm*" icmpv6 type 135 @th,64,128 0xfe8000000000000000000000a9fea9fe drop
    oifname vmap @arrivals
  }}
  chain base_host {{
    type filter hook input priority -10; policy accept;
    iifname @ports drop
  }}
  chain base_speak {{
    type filter hook output priority -10; policy accept;
    oifname @ports drop
  }}
"""

INET = f"""
  set bridges {{ type ifname; }}
  map zones {{ typeof iifname : ct zone; }}
  map egress {{ type mark : verdict; }}
  map ingress {{ type mark : verdict; }}
  chain base_zone {{
    type filter hook prerouting priority -300; policy accept;
    iifname != @bridges accept
{skip_tracking(DHCP_ASKS, f"meta mark != {{ 0, {OPEN} }} ")}
{skip_tracking(DHCP_ANSWERS)}
    ct zone set iifname map @zones
  }}
  chain base_egress {{
    type filter hook prerouting priority -150; policy accept;
    iifname != @bridges accept
    meta mark {{ 0, {OPEN} }} accept
{find_passing(DHCP_ASKS, (*SENT, *NEIGHBOURS))}
    meta mark vmap @egress
    drop
  }}
  chain base_ingress {{
    type filter hook forward priority 0; policy accept;
    iifname != @bridges accept
    meta mark {{ 0, {OPEN} }} accept
{find_passing(DHCP_ANSWERS, RECEIVED)}
    meta mark vmap @ingress
    drop
  }}
"""


def make_table(text: str) -> FilterTable:
    return FilterTable(make_digest((text,)), text)
