"""What was learned of neighbours outside, on disk: read when the agent begins, written whole when it changes.

A file that cannot be read is as good as none: who is needed is asked for again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from netloom.model.address import parse_ip, parse_mac

LOG = logging.getLogger(__name__)
Learned = Mapping[tuple[str, str], str]


@dataclass(frozen=True, slots=True)
class NeighbourFile:
    path: Path

    def load(self) -> dict[tuple[str, str], str]:
        try:
            rows = json.loads(self.path.read_bytes())
            return {(str(network), str(parse_ip(ip))): parse_mac(mac) for network, ip, mac in rows}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError) as error:
            LOG.warning("%s cannot be read, and is passed over: %s", self.path, error)
            return {}

    def save(self, learned: Learned) -> None:
        """A disk that is full keeps the old one; nothing depends on it but the next start."""
        new = self.path.with_suffix(".new")
        try:
            new.write_text(json.dumps([[*key, mac] for key, mac in sorted(learned.items())]))
            new.replace(self.path)
        except OSError as error:
            LOG.warning("%s cannot be written: %s", self.path, error)
