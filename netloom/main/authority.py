"""The server's own authority, on disk: its key, the server's certificate, the tokens that nobody used yet, and hosts.

Law: a token is used once, whoever asks at the same time and whatever dies in between: a book is changed under a lock
and replaced whole before a certificate is given. So an administrator may give tokens out, and revoke certificates,
beside a running server.
"""

from __future__ import annotations

import datetime
import fcntl
import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from netloom.feed import pki
from netloom.feed.pki import HostBook, HostEntry, JoinError, Pair, TokenBook
from netloom.main.state import save_file

HOSTS, TOKENS = "hosts.json", "tokens.json"


@dataclass(frozen=True, slots=True)
class Authority:
    """`folder` holds it all. `server` is the pair that the feed listens with."""

    folder: Path
    authority: Pair
    server: Pair

    @property
    def tokens_file(self) -> Path:
        return self.folder / TOKENS

    @property
    def hosts_file(self) -> Path:
        return self.folder / HOSTS

    @property
    def authority_file(self) -> Path:
        return self.folder / "authority.pem"

    @property
    def server_certificate_file(self) -> Path:
        return self.folder / "server.pem"

    @property
    def server_key_file(self) -> Path:
        return self.folder / "server.key"

    def make_token(self, host: str, now: datetime.datetime) -> str:
        """A new join token for a host; what earlier ones it has stay good."""
        secret = secrets.token_urlsafe(24)
        self._change_book(lambda book: book.add(host, secret, now.timestamp()))
        return pki.make_token(host, secret, self.server.certificate)

    def use_token(self, host: str, secret: str, now: datetime.datetime) -> None:
        """Raises JoinError where the token is not good."""
        self._change_book(lambda book: book.use(host, secret, now.timestamp()))

    def issue(self, host: str, csr: str, now: datetime.datetime, life: datetime.timedelta) -> str:
        """A host's certificate, PEM. Raises JoinError."""
        certificate = pki.sign_request(self.authority, host, csr, now, life)
        self._change_hosts(lambda book: book.issue(host, pki.read_life(certificate.encode())))
        return certificate

    def revoke(self, host: str, now: datetime.datetime) -> None:
        """What the host has is void from now on: certificates and tokens."""
        self._change_book(lambda book: pki.drop_tokens(book, host))
        self._change_hosts(lambda book: book.revoke(host, now.timestamp()))

    def load_hosts(self) -> HostBook:
        return load_hosts(self.hosts_file)

    def load_tokens(self) -> TokenBook:
        return load_book(self.tokens_file)

    def _change_book(self, change: Callable[[TokenBook], TokenBook]) -> None:
        with locked(self.folder):
            save_file(self.tokens_file, encode_book(change(self.load_tokens())))

    def _change_hosts(self, change: Callable[[HostBook], HostBook]) -> None:
        with locked(self.folder):
            save_file(self.hosts_file, encode_hosts(change(self.load_hosts())))


def open_authority(folder: Path, now: datetime.datetime, renew: bool = True) -> Authority:
    """The authority kept in the folder, made at the first call.

    With `renew` (for the server itself, which then listens with it) the server's certificate is made anew in its last
    third; tokens given before name the old one, and are to be asked for again.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(folder):
        authority = load_pair(folder, "authority") or save_pair(folder, "authority", pki.make_authority(now))
        server = load_pair(folder, "server")
        if server is None or (renew and pki.ends_at(server.certificate) - now < pki.SERVER_LIFE / 3):
            server = save_pair(folder, "server", pki.make_server_pair(authority, now))
    return Authority(folder, authority, server)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def load_pair(folder: Path, name: str) -> Pair | None:
    """Both halves or None: the key is written first, so a certificate means that the key is there."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    return Pair(key.read_bytes(), certificate.read_bytes()) if certificate.exists() else None


def save_pair(folder: Path, name: str, pair: Pair) -> Pair:
    (folder / f"{name}.pem").unlink(missing_ok=True)
    save_file(folder / f"{name}.key", pair.key)
    save_file(folder / f"{name}.pem", pair.certificate, 0o644)
    return pair


def encode_book(book: TokenBook) -> bytes:
    return json.dumps({"tokens": book.tokens}, indent=1).encode()


def load_book(path: Path) -> TokenBook:
    if not path.exists():
        return TokenBook()
    return TokenBook({key: (host, float(end)) for key, (host, end) in json.loads(path.read_bytes())["tokens"].items()})


def encode_hosts(book: HostBook) -> bytes:
    return json.dumps({"hosts": {name: asdict(entry) for name, entry in book.hosts.items()}}, indent=1).encode()


def load_hosts(path: Path) -> HostBook:
    """Raises JoinError where the file cannot be read: without it nobody can say whose certificate is void."""
    if not path.exists():
        return HostBook()
    try:
        found = json.loads(path.read_bytes())["hosts"]
        return HostBook({name: HostEntry(**entry) for name, entry in found.items()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise JoinError(f"{path} cannot be read ({error!r}): put back a copy of it") from None
