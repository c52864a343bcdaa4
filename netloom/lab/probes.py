"""What passes between two instances, and how much of it: a listener in one, somebody who asks in the other.

Law: what is said was measured: a listener was there before anybody asked, and it is gone afterwards.
"""

from __future__ import annotations

import json
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

from netloom.lab import processes
from netloom.lab.instances import find_inside
from netloom.lab.shell import LabError
from netloom.lab.state import Lab, Place

PROBER = (sys.executable, "-m", "netloom.lab.prober")
WHAT = re.compile(r"^(tcp|udp|icmp|ip)/([0-9]{1,5})$")
LIMITS = {"tcp": 65535, "udp": 65535, "icmp": 255, "ip": 255}
LISTEN_S = 10.0
STREAM_PORT = 5201


@dataclass(frozen=True, slots=True)
class What:
    """What is tried: a port of TCP or UDP, a type of ICMP, or a protocol by its number ("ip")."""

    kind: str
    number: int

    @property
    def answered(self) -> bool:
        """Whether somebody answers; otherwise it is only seen to arrive."""
        return self.kind in ("tcp", "udp")

    def words(self) -> tuple[str, ...]:
        return self.kind, str(self.number)


@dataclass(frozen=True, slots=True)
class Rate:
    """What arrived of a stream: bytes of payload, reads (datagrams, of UDP), seconds, the longest pause in seconds."""

    bytes: int
    reads: int
    seconds: float
    pause: float

    @property
    def mbits(self) -> float:
        """Mbit/s of payload."""
        return self.bytes * 8 / 1e6 / self.seconds if self.seconds > 0 else 0.0

    @property
    def packets(self) -> float:
        """Reads a second."""
        return self.reads / self.seconds if self.seconds > 0 else 0.0


def parse_what(text: str) -> What:
    """ "tcp/80", "udp/53", "icmp/13", "ip/112". Raises LabError."""
    found = WHAT.match(text)
    if not found or int(found[2]) > LIMITS[found[1]]:
        raise LabError(f"'{text}': what is tried is tcp/<port>, udp/<port>, icmp/<type> or ip/<protocol>")
    return What(found[1], int(found[2]))


def reach(lab: Lab, place: Place, source: str, target: str, address: str, what: What, wait_s: float = 2.0) -> bool:
    """Whether it arrives, and where it is answered whether the answer does. `target`: an instance, "" for nobody of
    ours, who then must be listening already. Raises LabError."""
    family = 6 if ":" in address else 4
    asking = make_command(lab, source, "ask", what, family, wait_s, address)
    if not target:
        if not what.answered:
            raise LabError(f"{what.kind}/{what.number} is only seen to arrive at an instance of the lab")
        return wait_status(start(asking, place), wait_s + LISTEN_S) == 0
    with serving(make_command(lab, target, "serve", what, family, wait_s + LISTEN_S), place) as listener:
        asker = start(asking, place)
        asked = wait_status(asker, wait_s + LISTEN_S)
        if what.answered:
            return asked == 0
        return wait_status(listener, 0.5) == 0


def measure(lab: Lab, place: Place, source: str, target: str, address: str, kind: str, seconds: float) -> Rate:
    """A stream of TCP or UDP for so long. Raises LabError: nothing came."""
    family = 6 if ":" in address else 4
    what = What(kind, STREAM_PORT)
    # A sink waits as long for the first byte as for a silence in between: a move of an instance is not its end.
    with serving(make_command(lab, target, "sink", what, family, 3.0), place) as listener:
        source_ = start(make_command(lab, source, "stream", what, family, seconds, address), place)
        wait_status(source_, seconds + LISTEN_S)
        shown = read_end(listener, seconds + LISTEN_S)
    rate = Rate(**json.loads(shown)) if shown else Rate(0, 0, 0.0, 0.0)
    if not rate.reads:
        raise LabError(f"nothing came: {source} → {target} ({address}), {kind} port {STREAM_PORT}")
    return rate


# -- programs in instances ---------------------------------------------------------------------------------------------


def make_command(
    lab: Lab, where: str, command: str, what: What, family: int, seconds: float, address: str = ""
) -> tuple[str, ...]:
    inside = ("ip", "netns", "exec", find_inside(lab, where))
    given = ("--family", str(family), "--seconds", str(seconds), *(("--address", address) if address else ()))
    return (*inside, *PROBER, command, *what.words(), *given)


def start(command: tuple[str, ...], place: Place) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, env=processes.marked(place.directory), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@contextmanager
def serving(command: tuple[str, ...], place: Place) -> Iterator[subprocess.Popen[str]]:
    """A listener that is ready; it is gone afterwards."""
    listener = start(command, place)
    try:
        if read_line(listener, LISTEN_S).strip() != "ready":
            listener.kill()
            raise LabError(f"nobody can listen there: {listener.communicate(timeout=LISTEN_S)[1].strip()[-300:]}")
        yield listener
    finally:
        listener.kill()
        listener.communicate(timeout=LISTEN_S)


def read_line(process: subprocess.Popen[str], deadline_s: float) -> str:
    """The next line that it prints; empty when it ends, or when the time is up."""
    assert process.stdout
    ready, _, _ = select.select([process.stdout], [], [], deadline_s)
    return process.stdout.readline() if ready else ""


def read_end(process: subprocess.Popen[str], deadline_s: float) -> str:
    """What it says before it ends."""
    end = monotonic() + deadline_s
    while (left := end - monotonic()) > 0:
        line = read_line(process, left)
        if line.strip():
            return line
        if not line:
            break
    return ""


def wait_status(process: subprocess.Popen[str], deadline_s: float) -> int:
    """Its exit status; 124 when it does not end in time, and is ended then."""
    try:
        return process.wait(deadline_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return 124
