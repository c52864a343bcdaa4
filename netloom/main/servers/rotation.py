"""Another authority of hosts in the place of the one there is, with a time between in which both are trusted.

Law: who was let in stays let in. The new authority signs from the first moment on, for servers know both at once; the
server shows a certificate of the old one until no host is left that knows no other; only then the old one goes.

    begin ─▶ new signs, both are trusted ─▶ each host asks for its next certificate ─▶ end: the old one is dropped
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from netloom.feed import pki
from netloom.feed.pki import HostBook, JoinError, Pair
from netloom.main.options.server import ServerOptions
from netloom.main.servers.authority import Authority, change_authority, open_authority
from netloom.main.servers.fleet import open_share
from netloom.main.servers.shared_state import Share, fetch


def begin(options: ServerOptions, now: datetime.datetime) -> list[str]:
    """Make the next authority; where that was done, say how far hosts are. Raises JoinError, StoreError."""
    with open_share(options) as share:
        folder = options.state_path / "feed"

        def add(old: Pair) -> Pair:
            if len(pki.split_trusted(old.certificate)) > 1:
                return old
            new = pki.make_authority(now)
            return Pair(new.key, new.certificate + old.certificate)

        change_authority(folder, share, add)
        return describe(look(options, share, now), now)


def end(options: ServerOptions, now: datetime.datetime, anyway: bool = False) -> list[str]:
    """Drop the old authority. Raises JoinError where hosts are left that have nothing else, unless `anyway`."""
    with open_share(options) as share:
        folder, authority = options.state_path / "feed", look(options, share, now)
        if len(authority.trusted) == 1:
            raise JoinError("there is nothing to end: one authority is trusted")
        late = find_late(authority.load_hosts(), authority.since_s, now.timestamp())
        if late and not anyway:
            raise JoinError(f"{render_late(late)}; see that they come, or revoke them: netloom agent revoke HOST")
        change_authority(folder, share, lambda old: Pair(old.key, pki.split_trusted(old.certificate)[0]))
        open_authority(folder, now, share=share)
    lost = [f"to join again: {', '.join(late)}"] if late else []
    return ["the old authority is trusted no more; join tokens given before are to be asked for again", *lost]


def look(options: ServerOptions, share: Share | None, now: datetime.datetime) -> Authority:
    if share:
        fetch(share, options.state_path)
    return open_authority(options.state_path / "feed", now, renew=False, share=share)


def describe(authority: Authority, now: datetime.datetime) -> list[str]:
    late = find_late(authority.load_hosts(), authority.since_s, now.timestamp())
    since = datetime.datetime.fromtimestamp(authority.since_s, datetime.UTC)
    first = f"two authorities are trusted; the newer one signs, since {since:%Y-%m-%d %H:%M:%S} UTC"
    if late:
        return [first, render_late(late), "each that is connected gets its own within minutes; then: --finish"]
    return [first, "every host has a certificate by the newer one; go on with: --finish"]


def render_late(late: Sequence[str]) -> str:
    return f"{len(late)} without a certificate by the newer authority: {', '.join(late)}"


def find_late(book: HostBook, since_s: float, now_s: float) -> list[str]:
    """Hosts and relays whose last certificate is good and was given before."""
    return sorted(
        host
        for host, entry in book.hosts.items()
        if not entry.revoked and now_s < entry.ends_s and entry.issued_s <= since_s
    )
