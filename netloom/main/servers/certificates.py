"""The certificates of a server and its hosts as they are now, whoever else changes them: commands beside this server,
other processes of it, servers of other machines.

Law: files are what counts; they are looked at again when they were replaced.
"""

from __future__ import annotations

import logging
from datetime import datetime

from netloom.feed import pki
from netloom.feed.pki import HostBook, JoinError
from netloom.main.servers.authority import Authority, open_authority, wants_next

LOG = logging.getLogger("netloom.server")


class Certificates:
    """The files of the authority as they are now; read again when another process has changed them."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self._seen: object = None
        self._files: object = self._look()
        self._hosts = HostBook()

    def hosts(self) -> HostBook:
        """Raises JoinError where the file cannot be read."""
        seen = pki.look_at([self.authority.hosts_file])
        if seen != self._seen:
            self._hosts, self._seen = self.authority.load_hosts(), seen
        return self._hosts

    def find_void(self, host: str, issued_s: float) -> str:
        """As `HostBook.why_void`; while the file cannot be read nobody who is here is let go of, nor anybody let in."""
        try:
            return self.hosts().why_void(host, issued_s)
        except JoinError as error:
            LOG.error("%s", error)
            return ""

    def _look(self) -> object:
        return pki.look_at([self.authority.authority_file, self.authority.server_certificate_file])

    def follow(self, now: datetime) -> None:
        """Make the server's next certificate in time, and see what others have made of both. Who comes from now on is
        met by these (`pki.make_server_context`). Raises StoreError."""
        old, files = self.authority, self._look()
        if files == self._files and not wants_next(old.server, old.authority, now):
            return
        self.authority = open_authority(old.folder, now, share=old.share)
        self._files = files  # as they were before: what is changed meanwhile is seen the next time
        if self.authority.server != old.server:
            LOG.info("the server has a new certificate; join tokens given before are to be asked for again")
        if self.authority.authority != old.authority:
            LOG.info("authorities of hosts: %d, the newest of them signs", len(self.authority.trusted))
