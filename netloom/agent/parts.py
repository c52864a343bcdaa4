"""What the loop needs of the world, as protocols and plain functions, so that it runs the same on fakes.

Nothing here knows a device or a wire; `netloom.main.hosts.agent` joins the real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from netloom.agent.turns import Turn
from netloom.model.driver import Driver
from netloom.model.facts import HostFacts
from netloom.model.flow import Action
from netloom.model.plan import Thing
from netloom.model.slices import PortRow, Slices
from netloom.reconcile.backoff import Backoff
from netloom.render.scene import Plugged, find_plugged

Groups = Mapping[str, tuple[Thing, ...]]


def watch_nothing(slices: Slices, facts: HostFacts) -> None:
    """For a host with no service that answers from slices and facts."""


class SliceFeed(Protocol):
    """The slices that this host follows, as far as they are known; from disk before a server answers."""

    @property
    def slices(self) -> Slices: ...

    @property
    def revision(self) -> int:
        """The newest revision that `slices` holds."""
        ...

    @property
    def complete(self) -> bool:
        """Whether `slices` was all that this host follows at some moment; before that nobody may sweep by it."""
        ...

    async def wait_changed(self) -> None:
        """Return when slices or revision changed, or the connection was made anew, since the last return."""
        ...

    async def send_ack(
        self,
        revision: int,
        wired: Collection[str],
        pending: Mapping[str, str],
        copies: Mapping[str, str] | None = None,
    ) -> None:
        """Tell the server which ports are wired at `revision` and what the others wait for; router → its copy's state.

        One that is away now is told when it comes back.
        """
        ...

    async def send_report(self, configurations: Mapping[str, Any]) -> None:
        """Tell the server what this host is."""
        ...


class FactsSource(Protocol):
    """What this host is and has, and when that changes."""

    @property
    def epoch(self) -> int:
        """Grows whenever a device may have lost what it held: the switch restarted, a bridge was made anew."""
        ...

    async def read_facts(self) -> HostFacts:
        """ConnectionError while the switch does not answer."""
        ...

    async def wait_change(self, seen: int) -> int:
        """Wait until something changed since `seen` (0 at first); the number to give next time."""
        ...


@dataclass(frozen=True, slots=True)
class Routed:
    """A packet that a distributed router handed to the agent: why, and what its registers held.

    `network`, `origin` and `router` are numbers; `hop` is the address of the next hop, empty where none was chosen.
    """

    reason: int
    frame: bytes
    network: int = 0
    origin: int = 0
    router: int = 0
    hop: str = ""


class PacketIo(Protocol):
    """Packets that flows send to the agent, and packets out of one port."""

    async def follow_packets(self, on_packet: Callable[[int, bytes], None]) -> None:
        """From now on call `on_packet(ofport, frame)` for each; also after the switch restarted."""
        ...

    async def send_packet(self, ofport: int, frame: bytes) -> None:
        """Put `frame` out of one port of the integration bridge. ConnectionError when there is no switch."""
        ...

    async def follow_routed(self, on_packet: Callable[[Routed], None]) -> None:
        """From now on call `on_packet` for each that a distributed router hands over, and not as others are."""
        ...

    async def send_through(self, frame: bytes, actions: Sequence[Action], in_port: int) -> None:
        """Let `frame` go through these actions, as if it had come in by `in_port`."""
        ...

    async def inject_packet(self, ofport: int, frame: bytes) -> None:
        """Let `frame` take its way through the tables as if it had come in by that port."""
        ...


def take_none() -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class Parts:
    """All that a loop is made of. `clock` gives seconds that only go forward; `chance` a number in [0, 1).

    `find_pending`, `find_floating`, `watch`: are not asked where only sets of addresses changed, which are of no port.
    """

    feed: SliceFeed
    facts: FactsSource
    packets: PacketIo
    drivers: Mapping[str, Driver]
    render: Callable[[Slices, HostFacts], Groups]
    find_pending: Callable[[Slices, HostFacts], Mapping[str, str]]
    clock: Callable[[], float]
    chance: Callable[[], float]
    find_foreign: Callable[[], tuple[str, ...]] = tuple
    """What others made where all should be ours, as the devices were last read: in words for an operator."""
    count_meddlings: Callable[[], int] = int
    """How often a device told that somebody else changed what is ours on it."""
    describe: Callable[[], Mapping[str, Any]] = dict
    """What a device says of itself that the server should know, as last read."""
    watch: Callable[[Slices, HostFacts], None] = watch_nothing
    """Told of slices and facts as they are at the beginning of each turn: a service that answers from them."""
    neighbours: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """What was known of neighbours outside when the agent ended: (network, address) → MAC address."""
    save_neighbours: Callable[[Mapping[tuple[str, str], str]], None] = lambda learned: None
    take_requests: Callable[[], tuple[str, ...]] = take_none
    """Ids of requests that changed what is followed, since the last call."""
    turned: Callable[[Turn], None] = lambda turn: None
    """Told of every turn."""
    find_plugged: Callable[[tuple[PortRow, ...], HostFacts], tuple[Plugged, ...]] = find_plugged
    """The ports whose device is there, each with its number."""
    find_floating: Callable[[Slices, HostFacts], Mapping[str, str]] = lambda slices, facts: {}
    """Floating IPs that this host translates, with what each waits for; empty: for nothing."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """How often and how fast. Seconds, and packets a second for one port."""

    drift_s: float = 60.0
    reconnect_s: float = 0.2
    backoff: Backoff = field(default_factory=Backoff)
    packet_rate: float = 20.0
    packet_burst: float = 40.0
