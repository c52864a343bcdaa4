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
from netloom.main.servers.shared_state import Share, set_aside
from netloom.main.servers.state import save_file

HOSTS, TOKENS = "hosts.json", "tokens.json"


@dataclass(frozen=True, slots=True)
class Authority:
    """`folder` holds it all. `server` is the pair that the feed listens with. `share`: with other machines' servers."""

    folder: Path
    authority: Pair
    server: Pair
    share: Share | None = None

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

    @property
    def trusted(self) -> tuple[bytes, ...]:
        """Who signs, and after it whose certificates are good until a rotation ends; PEM."""
        return pki.split_trusted(self.authority.certificate)

    @property
    def since_s(self) -> float:
        """When the authority that signs was made."""
        return pki.read_life(self.authority.certificate).issued_s

    def load_signer(self) -> Pair:
        """As it is now, whoever has changed it. Raises StoreError."""
        found = self.share.read("feed/authority") if self.share else None
        if found is not None:
            return decode_pair(found)
        with locked(self.folder):
            return load_pair(self.folder, "authority") or self.authority

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
        signer = self.load_signer()
        since_s = pki.read_life(signer.certificate).issued_s
        if len(pki.split_trusted(signer.certificate)) > 1 and now.timestamp() < since_s + 1:
            # In this very second one that the old authority gave could not be told from one of the new.
            raise JoinError("another authority signs from this moment on; try again")
        certificate = pki.sign_request(signer, host, csr, now, life)
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
        self._change(self.tokens_file, lambda old: encode_book(change(decode_book(old))))

    def _change_hosts(self, change: Callable[[HostBook], HostBook]) -> None:
        self._change(self.hosts_file, lambda old: encode_hosts(change(decode_hosts(old, self.hosts_file))))

    def _change(self, path: Path, change: Callable[[bytes | None], bytes]) -> None:
        """Of the file, or of what the store has, which the file then follows."""
        with locked(self.folder):
            own = read_bytes(path)
            found = change(own) if self.share is None else self.share.change(
                f"feed/{path.name}", lambda old: change(own if old is None else old)
            )  # fmt: skip
            save_file(path, found)


def open_authority(folder: Path, now: datetime.datetime, renew: bool = True, share: Share | None = None) -> Authority:
    """The authority kept in the folder, made at the first call.

    With `renew` (for the server itself, which then listens with it) the server's certificate is made anew in its last
    third; tokens given before name the old one, and are to be asked for again.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(folder):
        authority = agree_on_pair(folder, "authority", share, lambda old: old or pki.make_authority(now))

        def choose(old: Pair | None) -> Pair:
            if old is not None and not (renew and wants_next(old, authority, now)):
                return old
            return pki.make_server_pair(authority, now)

        server = agree_on_pair(folder, "server", share, choose)
    return Authority(folder, authority, server, share)


def wants_next(server: Pair, authority: Pair, now: datetime.datetime) -> bool:
    """Not while authorities are changed: not all hosts know yet who would sign it."""
    if len(pki.split_trusted(authority.certificate)) > 1:
        return False
    old = pki.ends_at(server.certificate) - now < pki.SERVER_LIFE / 3
    return old or not pki.is_by(server.certificate, authority.certificate)


def change_authority(folder: Path, share: Share | None, choose: Callable[[Pair], Pair]) -> Pair:
    """`choose` gives what is to sign and be trusted from now on, by what there is."""

    def change(old: Pair | None) -> Pair:
        if old is None:
            raise JoinError(f"{folder} has no authority yet: start a server first")
        return choose(old)

    with locked(folder):
        return agree_on_pair(folder, "authority", share, change)


def take_pairs(share: Share, folder: Path) -> None:
    """Bring authority and server to what the store says now. Raises StoreError."""
    with locked(folder):
        for name in ("authority", "server"):
            data, own = share.read(f"feed/{name}"), load_pair(folder, name)
            if data is not None and (found := decode_pair(data)) != own:
                keep_pair(folder, name, own, found)


def agree_on_pair(folder: Path, name: str, share: Share | None, choose: Callable[[Pair | None], Pair]) -> Pair:
    """What `choose` makes of the pair there is: the store's where there is a share, else the folder's."""
    own = load_pair(folder, name)
    if share is None:
        found = choose(own)
    else:
        found = decode_pair(
            share.change(f"feed/{name}", lambda old: encode_pair(choose(own if old is None else decode_pair(old))))
        )
    if found == own:
        return found
    return keep_pair(folder, name, own, found)


def keep_pair(folder: Path, name: str, own: Pair | None, found: Pair) -> Pair:
    if own is not None and name == "authority" and not are_kin(own, found):
        # Hosts that joined with this one's have to join again.
        set_aside(folder / "authority.pem")
        set_aside(folder / "authority.key")
    return save_pair(folder, name, found)


def are_kin(one: Pair, other: Pair) -> bool:
    """Whether one came of the other by a change of authorities."""
    return bool({*pki.split_trusted(one.certificate)} & {*pki.split_trusted(other.certificate)})


def encode_pair(pair: Pair) -> bytes:
    return json.dumps({"key": pair.key.decode(), "certificate": pair.certificate.decode()}).encode()


def decode_pair(data: bytes) -> Pair:
    found = json.loads(data)
    return Pair(found["key"].encode(), found["certificate"].encode())


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


def read_bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def load_book(path: Path) -> TokenBook:
    return decode_book(read_bytes(path))


def decode_book(data: bytes | None) -> TokenBook:
    if data is None:
        return TokenBook()
    return TokenBook({key: (host, float(end)) for key, (host, end) in json.loads(data)["tokens"].items()})


def encode_hosts(book: HostBook) -> bytes:
    return json.dumps({"hosts": {name: asdict(entry) for name, entry in book.hosts.items()}}, indent=1).encode()


def load_hosts(path: Path) -> HostBook:
    """Raises JoinError where the file cannot be read: without it nobody can say whose certificate is void."""
    return decode_hosts(read_bytes(path), path)


def decode_hosts(data: bytes | None, path: Path) -> HostBook:
    if data is None:
        return HostBook()
    try:
        found = json.loads(data)["hosts"]
        return HostBook({name: HostEntry(**entry) for name, entry in found.items()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise JoinError(f"{path} cannot be read ({error!r}): put back a copy of it") from None
