"""What a relay is told. Law: it needs none of a server's options but where it listens and where it keeps its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from netloom.main.options import checks
from netloom.main.options.checks import OptionError
from netloom.main.options.reading import Read, find_state_path, read_options
from netloom.main.watching.logs import LogOptions, make_log_options


@dataclass(frozen=True, slots=True)
class RelayOptions:
    """`listen`: where hosts, and relays below, find this one. `upstream`: whom it follows, the nearest first."""

    state_path: Path
    listen: tuple[str, ...]
    upstream: tuple[str, ...]
    nats_servers: tuple[str, ...]
    metrics_listen: str
    log: LogOptions
    notes: tuple[str, ...]


def is_relay_role(files: Sequence[Path], overrides: Mapping[str, str]) -> bool:
    """Raises OptionError."""
    return bool(read_options(files, overrides).value("netloom", "role") == "relay")


def load_relay_options(files: Sequence[Path], overrides: Mapping[str, str]) -> RelayOptions:
    """From the files in order, then `overrides`. Raises OptionError."""
    read = read_options(files, overrides)
    upstream = parse_endpoints(read, "upstream")
    if not upstream:
        raise OptionError("[netloom] upstream", "", "a relay needs at least one server or relay to follow: host:port")
    return RelayOptions(
        state_path=find_state_path(read, "relay"),
        listen=parse_endpoints(read, "feed_listen"),
        upstream=upstream,
        nats_servers=find_nats(read),
        metrics_listen=checks.find_endpoint(
            read.given("netloom", "metrics_listen"), read.value("netloom", "metrics_listen")
        ),
        log=make_log_options(read),
        notes=read.notes,
    )


def parse_endpoints(read: Read, name: str) -> tuple[str, ...]:
    given = read.given("netloom", name)
    return tuple(checks.parse_endpoint(given, value) for value in read.value("netloom", name))


def find_nats(read: Read) -> tuple[str, ...]:
    """URLs of the broker; none: there is none. Raises OptionError."""
    values = tuple(read.value("netloom", "nats_servers"))
    for value in values:
        if not value.startswith(("nats://", "tls://")):
            raise read.given("netloom", "nats_servers").refuse(value, "allowed: nats://host:port or tls://host:port")
    return values
