"""What conntrackd is told of one copy of a router: connections that the active copy has, the others are told of.

Law: it is optional, and a copy works without it; what it tells goes over the network that joins the copies, and its own
words are no part of what it tells. It is keepalived that tells it which copy it is, for the agent may be away. What
is told is told again in a while (ALARM), so what was lost on the way comes all the same; the mode that acknowledges
(FTFW) counts the words of one other, and there may be several copies.
"""

from __future__ import annotations

from collections.abc import Iterator

from netloom.model.facts import ConnectionSync
from netloom.model.netns import FOLDER
from netloom.render.space_scene import Leg, SpaceScene

PROTOCOLS = ("TCP", "SCTP", "DCCP", "UDP", "ICMP", "IPv6-ICMP")
REFRESH_S = 10
"""How often a connection is told again."""
TURN = f"{FOLDER}/turn"
"""The program that makes of a copy's conntrackd what the copy is."""


def find_notices(sync: ConnectionSync | None) -> Iterator[str]:
    """Lines of keepalived's configuration: whom it tells when a copy becomes another."""
    if sync is not None:
        yield from (f'notify_master "{TURN} primary"', f'notify_backup "{TURN} backup"', f'notify_fault "{TURN} fault"')


def describe_sync(scene: SpaceScene, joint: Leg, sync: ConnectionSync | None) -> str:
    """Its configuration (conntrackd.conf(5)); empty: it is not wanted."""
    own = next((address.ip for address in joint.port.addresses), "")
    if sync is None or not own:
        return ""
    lines = (
        "General {",
        f"  HashSize {sync.hash_size}",
        f"  HashLimit {sync.hash_limit}",
        f"  LockFile {FOLDER}/sync.lock",
        "  UNIX {", f"    Path {FOLDER}/sync.ctl", f"    Backlog {sync.backlog}", "  }",
        f"  SocketBufferSize {sync.buffer}",
        f"  SocketBufferSizeMaxGrown {sync.most_buffer}",
        "  Filter From Kernelspace {",
        "    Protocol Accept {", *(f"      {name}" for name in PROTOCOLS), "    }",
        "    Address Ignore {",
        "      IPv4_address 127.0.0.1", "      IPv6_address ::1", f"      IPv4_address {own}",
        "    }",
        "  }",
        "}",
        "Sync {",
        "  Mode ALARM {", f"    RefreshTime {REFRESH_S}", "  }",
        "  Multicast Default {",
        f"    IPv4_address {sync.group}",
        f"    IPv4_interface {own}",
        f"    Group {sync.port + scene.router.vr_id}",
        f"    Interface {joint.device}",
        f"    SndSocketBuffer {sync.send_buffer}",
        f"    RcvSocketBuffer {sync.receive_buffer}",
        "    Checksum on",
        "  }",
        "}",
    )  # fmt: skip
    return "\n".join(lines) + "\n"
