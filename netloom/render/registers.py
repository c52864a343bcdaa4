"""Every register and mark that flows use, named once.

| name | field | holds |
|---|---|---|
| NETWORK | reg0 | the network's number (1 … 2^24-1), from classify on |
| OUT | reg2 | the ofport that the packet is to leave by, from switch on |
| FROM | reg3 | 0: from a port of this host; FROM_TUNNEL, FROM_PROVIDER: from outside, never to go back there |
| pkt_mark | between bridges | the network's number: all that a patch port leaves alone; must be 0 on a tunnel |
"""

from __future__ import annotations

from netloom.model.flow import SetField

NETWORK, OUT, FROM = "reg0", "reg2", "reg3"
FROM_TUNNEL, FROM_PROVIDER = 1, 2


def set_network(number: int) -> SetField:
    return SetField(NETWORK, number)


def mark_network(number: int) -> SetField:
    return SetField("pkt_mark", number)


UNMARK = SetField("pkt_mark", 0)
