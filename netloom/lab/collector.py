"""A collector for what switches tell of their traffic: listens for a while, then says what it heard, each flow once.

    python -m netloom.lab.collector 10.99.0.254 10

prints a JSON object a line: how (netflow, sflow or ipfix), version, host (who told), flow (null: not readable), count.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict

from netloom.lab.flow_records import Decoder, Seen

PORTS = {"netflow": 2055, "sflow": 6343, "ipfix": 4739}
"""Where collectors are expected: NetFlow by custom, the others as IANA has them."""

MOST_LATE_S = 10.0
"""Somebody may send faster than one can read."""

Heard = Counter[tuple[str, int, str, Seen | None]]
"""(how, version, who told, flow) → how often. None: what could not be read, as no template came before it."""


def open_wires(address: str) -> dict[socket.socket, str]:
    """A socket for each protocol. Raises OSError where the address is not, or somebody listens already."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    wires = {}
    for how, port in PORTS.items():
        wire = socket.socket(family, socket.SOCK_DGRAM)
        wire.bind((address, port))
        wires[wire] = how
    return wires


def listen(wires: Mapping[socket.socket, str], seconds: float) -> Heard:
    """What comes by each until the time is over, and what waits there then."""
    heard: Heard = Counter()
    decoders: dict[tuple[str, str], Decoder] = {}
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > -MOST_LATE_S:
        ready = select.select(list(wires), [], [], max(left, 0))[0]
        if not ready:
            break
        for wire in ready:
            data, (host, *_) = wire.recvfrom(65535)
            decoder = decoders.setdefault((wires[wire], host), Decoder())
            heard.update((wires[wire], decoder.version, host, one) for one in decoder.read(wires[wire], data))
    for (how, host), decoder in decoders.items():
        if decoder.unread:
            heard[how, decoder.version, host, None] = decoder.unread
    return heard


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("seconds", type=float)
    given = parser.parse_args()
    for (how, version, host, seen), count in listen(open_wires(given.address), given.seconds).most_common():
        found = {"how": how, "version": version, "host": host, "flow": asdict(seen) if seen else None, "count": count}
        print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
