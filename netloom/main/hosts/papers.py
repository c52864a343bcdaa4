"""Who a host or a relay is: its key, its certificate and the authority's, as files of its own."""

from __future__ import annotations

import datetime
import logging
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

from netloom.feed.grants import Grant, make_grant
from netloom.feed.messages import Joined
from netloom.feed.pki import (
    find_tag,
    load_key,
    make_host_context,
    make_request,
    make_server_context,
    read_life,
    wants_renewal,
)

LOG = logging.getLogger("netloom.agent")


@dataclass(frozen=True, slots=True)
class Papers:
    """The files that say who this host is."""

    folder: Path

    @property
    def key(self) -> Path:
        return self.folder / "key.pem"

    @property
    def certificate(self) -> Path:
        return self.folder / "cert.pem"

    @property
    def authority(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def token(self) -> Path:
        return self.folder / "joined"

    @property
    def whole(self) -> bool:
        return all(path.exists() for path in (self.key, self.certificate, self.authority))

    def save(self, joined: Joined) -> None:
        self.write(self.authority, joined.authority.encode())
        self.write(self.certificate, joined.certificate.encode())

    def write(self, path: Path, body: bytes) -> None:
        """Whole or not at all, and for nobody else's eyes."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)
        new.touch(mode=0o600)
        new.write_bytes(body)
        new.replace(path)

    def open_context(self) -> ssl.SSLContext:
        if read_life(self.certificate.read_bytes()).ends_s < time.time():
            LOG.error("the certificate %s has ended: join again, with a token of the server", self.certificate)
        return make_host_context(self.certificate, self.key, self.authority)

    def make_renewal(self, host: str) -> str | None:
        """A request for the next certificate, when it is time for one."""
        if not wants_renewal(self.certificate.read_bytes(), datetime.datetime.now(datetime.UTC)):
            return None
        return make_request(load_key(self.key.read_bytes()), host)

    def make_anew(self, host: str, tag: str) -> str | None:
        """A request for the next certificate, when the server trusts other authorities than these papers name."""
        if not tag or tag == find_tag(self.authority.read_bytes()):
            return None
        return make_request(load_key(self.key.read_bytes()), host)

    def open_listening(self) -> ssl.SSLContext:
        """For a relay, whose certificate is a server's as well."""
        return make_server_context(self.certificate, self.key, self.authority)

    def make_grant(self, name: str, relay: str) -> Grant:
        """The word of `name`, which these papers are of, for a relay."""
        return make_grant(self.key.read_bytes(), self.certificate.read_bytes(), name, relay, time.time())
