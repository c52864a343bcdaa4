"""Every register and mark that flows use, named once.

| name | field | holds |
|---|---|---|
| NETWORK | reg0 | the network's number (1 … 2^24-1), from classify on |
| OUT | reg2 | the number of the port that it is to leave by, from switch on |
| FROM | reg3 | 0: from a port of this host; FROM_TUNNEL, FROM_PROVIDER: from outside, never to go back there |
| COMBINATION | reg4 | whose groups hold: the sender's from classify on, the receiver's from ingress; and STATELESS |
| SENDER | reg5 | the number of the port that sent it, from classify on: its ofport, or a subport's own number |
| ROUTER | reg6 | the number of the router that has the packet, on this host alone |
| ORIGIN | reg7 | the number of the network that it came to the router by |
| NEXT | reg8 … reg11 | the address of its next hop, an IPv4 address in reg11 |
| PATH | reg12 | of equal routes, which one its connection takes: 0 … |
| CHOICE | reg13 | between which routes that is |
| LARGE | reg14 | 1: the packet is longer than the network takes that it goes on in |
| ct_zone | of SENDER or OUT | a port's connections are its own: its zone is its number (1 … 0xFEFF) |
| ct_mark | in a port's zone | REFUSED: the port's groups let this connection no longer pass |
| pkt_mark | between bridges | the network's number: all that a patch port leaves alone; must be 0 on a tunnel |
"""

from __future__ import annotations

from netloom.model.flow import SetField

ROUTER, ORIGIN, NEXT = "reg6", "reg7", ("reg8", "reg9", "reg10", "reg11")
PATH, CHOICE, LARGE = "reg12", "reg13", "reg14"
NETWORK, OUT, FROM, COMBINATION, SENDER = "reg0", "reg2", "reg3", "reg4", "reg5"
FROM_TUNNEL, FROM_PROVIDER = 1, 2
STATELESS = 1 << 31
REFUSED = 1


def set_network(number: int) -> SetField:
    return SetField(NETWORK, number)


def mark_network(number: int) -> SetField:
    return SetField("pkt_mark", number)


UNMARK = SetField("pkt_mark", 0)
