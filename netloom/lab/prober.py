"""What runs inside an instance to try its network: it serves, or asks, or streams, and prints what came as JSON.

    python -m netloom.lab.prober serve tcp 80 --family 4 --seconds 10     says "ready", then what came
    python -m netloom.lab.prober ask tcp 80 --address 10.0.0.3            exit status 0: an answer came

Law: nothing here waits longer than it was told, and no module but Python's own is loaded: it starts at once.
"""

from __future__ import annotations

import argparse
import json
import socket
import struct
from contextlib import suppress
from time import monotonic

WORD = b"netloom lab was here"
UDP_BYTES = 1200
TRY_S = 0.2
ICMP, ICMPV6 = 1, 58
AWAY = (OSError, TimeoutError)


def family_of(version: int) -> socket.AddressFamily:
    return socket.AF_INET6 if version == 6 else socket.AF_INET


def make_socket(args: argparse.Namespace) -> socket.socket:
    """A socket of what is tried. `number` is a port, a protocol, or the type of an ICMP message."""
    family = family_of(args.family)
    if args.kind == "tcp":
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    elif args.kind == "udp":
        made = socket.socket(family, socket.SOCK_DGRAM)
    else:
        made = socket.socket(family, socket.SOCK_RAW, protocol_of(args))
    made.settimeout(args.seconds)
    return made


def protocol_of(args: argparse.Namespace) -> int:
    icmp = ICMPV6 if args.family == 6 else ICMP
    return icmp if args.kind == "icmp" else int(args.number)


# -- one word ----------------------------------------------------------------------------------------------------------


def serve(args: argparse.Namespace) -> int:
    """Answer the first who asks; of a protocol without ports, see the word arrive."""
    with make_socket(args) as waiting:
        if args.kind in ("tcp", "udp"):
            waiting.bind(("", args.number))
        if args.kind == "tcp":
            waiting.listen()
        print("ready", flush=True)
        with suppress(*AWAY):
            return answer(args, waiting)
    return 1


def answer(args: argparse.Namespace, waiting: socket.socket) -> int:
    if args.kind == "tcp":
        asker, _ = waiting.accept()
        with asker:
            asker.settimeout(args.seconds)
            asker.sendall(asker.recv(len(WORD)))
        return 0
    end = monotonic() + args.seconds
    while monotonic() < end:
        data, sender = waiting.recvfrom(65535)
        if args.kind == "udp":
            waiting.sendto(data, sender)
        elif WORD in data and is_asked(args, data):
            return 0
    return 1


def is_asked(args: argparse.Namespace, data: bytes) -> bool:
    """Whether a raw packet is the one: of ICMP the type as well. IPv4 comes with its header, IPv6 without."""
    if args.kind != "icmp":
        return True
    header = 0 if args.family == 6 else (data[0] & 0xF) * 4
    return bool(data[header] == args.number)


def ask(args: argparse.Namespace) -> int:
    """Exit status 0: an answer came; of a protocol without ports: the word was sent until the time was up."""
    with make_socket(args) as wire, suppress(*AWAY):
        if args.kind == "tcp":
            wire.connect((args.address, args.number))
            wire.sendall(WORD)
            return 0 if wire.recv(len(WORD)) == WORD else 1
        return repeat(args, wire)
    return 1


def repeat(args: argparse.Namespace, wire: socket.socket) -> int:
    """Send the word again and again; with UDP until an answer comes."""
    address = (args.address, args.number if args.kind == "udp" else 0)
    word = WORD if args.kind != "icmp" else make_icmp(args.family, args.number)
    wire.settimeout(TRY_S)
    end = monotonic() + args.seconds
    while monotonic() < end:
        wire.sendto(word, address)
        with suppress(*AWAY):
            if wire.recvfrom(65535)[0] == WORD and args.kind == "udp":
                return 0
    return int(args.kind == "udp")


def make_icmp(version: int, kind: int) -> bytes:
    """A message of that type, code 0. The kernel writes the checksum of ICMPv6 (RFC 3542, 3.1)."""
    blank = struct.pack("!BBHHH", kind, 0, 0, 77, 1) + WORD
    return blank if version == 6 else blank[:2] + struct.pack("!H", checksum(blank)) + blank[4:]


def checksum(data: bytes) -> int:
    """RFC 1071, of an even number of bytes."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return int(~(total + (total >> 16)) & 0xFFFF)


# -- streams -----------------------------------------------------------------------------------------------------------


def sink(args: argparse.Namespace) -> int:
    """Take what comes; print how much, in how many reads, in what time, and the longest pause between two of them."""
    with make_socket(args) as waiting:
        waiting.bind(("", args.number))
        if args.kind == "udp":
            waiting.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            print("ready", flush=True)
            return count(waiting, args.seconds)
        waiting.listen()
        print("ready", flush=True)
        with suppress(*AWAY):
            sender, _ = waiting.accept()
            with sender:
                return count(sender, args.seconds)
    print(json.dumps({"bytes": 0, "reads": 0, "seconds": 0.0, "pause": 0.0}))
    return 1


def count(wire: socket.socket, seconds: float) -> int:
    """Until the other side ends, or is silent for a while after it began."""
    size = reads = 0
    pause, begin, last = 0.0, 0.0, 0.0
    wire.settimeout(seconds)
    with suppress(*AWAY):
        while data := wire.recv(1 << 18):
            now = monotonic()
            if not reads:
                begin = last = now
            pause, last = max(pause, now - last), now
            size, reads = size + len(data), reads + 1
    print(json.dumps({"bytes": size, "reads": reads, "seconds": last - begin, "pause": pause}))
    return 0


def stream(args: argparse.Namespace) -> int:
    """Send as fast as the network takes it, or `rate` datagrams a second."""
    with make_socket(args) as wire:
        end = monotonic() + args.seconds
        with suppress(*AWAY):
            wire.connect((args.address, args.number))
            send_until(args, wire, end)
            return 0
    return 1


def send_until(args: argparse.Namespace, wire: socket.socket, end: float) -> None:
    data = bytes(UDP_BYTES if args.kind == "udp" else 1 << 16)
    while monotonic() < end:
        wire.settimeout(max(0.01, end - monotonic()))
        with suppress(ConnectionRefusedError):  # of UDP: an ICMP error about what went before
            wire.send(data)


COMMANDS = {"serve": serve, "ask": ask, "sink": sink, "stream": stream}


def parse_args(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("kind", choices=("tcp", "udp", "icmp", "ip"))
    parser.add_argument("number", type=int)
    parser.add_argument("--family", type=int, default=4)
    parser.add_argument("--address", default="")
    parser.add_argument("--seconds", type=float, default=5.0)
    return parser.parse_args(words)


def main() -> None:
    args = parse_args()
    raise SystemExit(COMMANDS[args.command](args))


if __name__ == "__main__":
    main()
