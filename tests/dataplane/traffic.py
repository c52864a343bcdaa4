"""Traffic with a rate, between two namespaces: `measure` starts this file as a program at both ends.

traffic.py receive tcp|udp SECONDS          prints "ready", then Mbit/s that came after the first two seconds
traffic.py send tcp|udp SECONDS ADDRESS MBIT
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable

from tests.dataplane.rig import Instance

PORT = 5201
WARM_S = 2.0
"""What may come at once has come by then."""
SIZE = {"tcp": 65536, "udp": 1200}
HEADERS = {"tcp": 1500 / 1448, "udp": 1242 / 1200}
"""Bytes of a frame for each byte of payload: limits count frames."""


def open_socket(kind: str) -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)


def receive(kind: str, seconds: float) -> None:
    with open_socket(kind) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("0.0.0.0", PORT))
        server.settimeout(30)
        if kind == "tcp":
            server.listen()
        print("ready", flush=True)
        wire = server.accept()[0] if kind == "tcp" else server
        with wire:
            wire.settimeout(30)
            print(count(wire, seconds) * HEADERS[kind], flush=True)


def count(wire: socket.socket, seconds: float) -> float:
    """Mbit/s of payload after the first moments."""
    wire.recv(65536)
    start, total = time.monotonic(), 0
    while (now := time.monotonic() - start) < seconds:
        got = len(wire.recv(65536))
        if not got:
            break
        total += got if now > WARM_S else 0
    return total * 8 / 1e6 / (time.monotonic() - start - WARM_S)


def send(kind: str, seconds: float, address: str, mbit: float) -> None:
    data = bytes(SIZE[kind])
    with open_socket(kind) as wire:
        wire.connect((address, PORT))
        start, sent = time.monotonic(), 0
        try:
            while (now := time.monotonic() - start) < seconds + 1:
                if kind == "udp" and sent * 8 > now * mbit * 1e6:
                    time.sleep(0.001)
                    continue
                sent += wire.send(data)
        except OSError:
            pass  # the other end has seen enough


def measure(source: Instance, target: Instance, kind: str = "tcp", mbit: float = 40, seconds: float = 5) -> float:
    """Mbit/s that arrive at `target`, counted as frames; 0 where nothing comes for half a minute."""
    program = (sys.executable, "-m", "tests.dataplane.traffic")
    there = ["ip", "netns", "exec", target.netns, *program, "receive", kind, str(seconds)]
    with subprocess.Popen(there, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None and server.stdout.readline() == "ready\n"
        words = ("send", kind, str(seconds), target.address, str(mbit))
        with subprocess.Popen(["ip", "netns", "exec", source.netns, *program, *words]) as client:
            try:
                return float(server.stdout.readline() or "0")
            finally:
                client.kill()
                server.kill()


def try_rate(wanted: float, measured: Callable[[], float]) -> float:
    """What is measured; again where it is not what it should be: a machine that is busy stands still and catches up."""
    for _ in range(4):
        found = measured()
        if wanted * 0.9 < found < wanted * 1.1:
            break
    return found


if __name__ == "__main__":
    _, what, kind, seconds, *more = sys.argv
    if what == "receive":
        receive(kind, float(seconds))
    else:
        send(kind, float(seconds), more[0], float(more[1]))
