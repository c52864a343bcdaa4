"""The messages of the feed. A new attribute needs a default; what one end does not know it passes over: N and N-1 talk.

A row travels as its key and its attributes; the key's kind names its type (`model.slices.ROW_TYPES`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zlib import crc32

import msgspec

from netloom.feed.grants import Grant
from netloom.model.delta import SliceDelta
from netloom.model.slices import ROW_TYPES, Row, Slice, row_kind

VERSION = 3
"""Grows with each message that an end of an older version could not make sense of; it is not sent that."""
REPEATS = 3
"""The version from which on who serves knows `Same`, and `same` of `Said`."""


class Message(msgspec.Struct, frozen=True, tag_field="type", tag=str.lower):
    """A tagged map; attributes that the reader does not know are passed over."""


class Hello(Message, frozen=True):
    """The host's first word. `have`: slice → (revision, digest in hex) of what it kept."""

    host: str
    version: int = VERSION
    program: str = ""
    have: dict[str, tuple[int, str]] = {}
    configurations: dict[str, Any] = {}
    availability_zone: str | None = None
    grant: Grant | None = None  # for the relay that is spoken to

    @property
    def newest(self) -> int:
        """The revision of what changed last in what it has."""
        return max((revision for revision, _ in self.have.values()), default=0)


class Welcome(Message, frozen=True):
    """`bus`: where on a broker frames are found that are due; the last two as in Ping."""

    version: int = VERSION
    server: str = ""
    revision: int = 0
    bus: str = ""
    authority: str = ""
    within_s: float = 0.0


class Whole(Message, frozen=True):
    """A slice as it is; replaces whatever the host has under that name."""

    name: str
    revision: int
    digest: str
    rows: dict[str, msgspec.Raw]


class Delta(Message, frozen=True):
    """What leads the slice from revision `start` to `revision`, and the digest it has then."""

    name: str
    start: int
    revision: int
    digest: str
    put: dict[str, msgspec.Raw] = {}
    drop: list[str] = []


class Since(Message, frozen=True):
    """As Delta, from a copy that is long behind: rows that are newer than `start`, and of all rows what names them.

    `keys`: of each row's key the CRC-32, four bytes each; the rows of the copy that are not named go. Version 2.
    """

    name: str
    start: int
    revision: int
    digest: str
    put: dict[str, msgspec.Raw] = {}
    keys: bytes = b""


class Compare(Message, frozen=True):
    """Slice → (revision, digest): a copy of that revision that differs is to be asked for. Version 2."""

    digests: dict[str, tuple[int, str]]


class Keep(Message, frozen=True):
    """The host's copy of the slice is what it should be, at this revision."""

    name: str
    revision: int


class Gone(Message, frozen=True):
    """There is no such slice any more, or the host may no longer follow it."""

    name: str


class At(Message, frozen=True):
    """All that the host follows is now as it was at this revision. `requests`: ids of some that made it so."""

    revision: int
    requests: list[str] = []


class Ack(Message, frozen=True):
    """The host holds `revision` in its devices; `wired` ports carry traffic, `pending` ones wait for what is said.

    Floating IPs are named like ports. `copies`: router → what the copy of it that is here is now.
    """

    revision: int
    wired: list[str] = []
    pending: dict[str, str] = {}
    copies: dict[str, str] = {}


class Same(Message, frozen=True):
    """As the host's last Ack on this connection, at this revision. Version 3."""

    revision: int


class Report(Message, frozen=True):
    """What the host is, as its agent's `configurations` in the API."""

    configurations: dict[str, Any] = {}
    availability_zone: str | None = None


class Ask(Message, frozen=True):
    """The host's copy of a slice is not what it should be: send it whole; or, with `since`, what is newer than that."""

    name: str
    since: int = 0


class Join(Message, frozen=True):
    """The only word of a host without a certificate: a token, and a request for a certificate (PEM)."""

    token: str
    host: str
    csr: str


class Renew(Message, frozen=True):
    """A new certificate for a host that has one that ends soon."""

    csr: str


class Joined(Message, frozen=True):
    """The certificate, and the authority's own, both PEM."""

    certificate: str
    authority: str


class Refuse(Message, frozen=True):
    """Why the server ends the connection."""

    reason: str


# -- of relays, version 2 ----------------------------------------------------------------------------------------------


class Let(Message, frozen=True):
    """The next word by which the relay goes on."""

    grant: Grant


class Attach(Message, frozen=True):
    """A host is here; `grants` lead from it to the relay that says so. Said again: with newer words. `revision`: of the
    newest that it has."""

    host: str
    grants: list[Grant] = []
    configurations: dict[str, Any] = {}
    availability_zone: str | None = None
    revision: int = 0


class Detach(Message, frozen=True):
    host: str


class Said(Message, frozen=True):
    """What hosts said last, by host: of each the newest word alone.

    `same`: host → revision, of those that say what this connection has told of them before. Version 3.
    """

    acks: dict[str, Ack] = {}
    reports: dict[str, Report] = {}
    same: dict[str, int] = {}


class Listen(Message, frozen=True):
    """Whether the relay hears what is on the bus."""

    on: bool


class RenewFor(Message, frozen=True):
    host: str
    csr: str


class Admitted(Message, frozen=True):
    """What the host follows is all there, as of the `at` before."""

    host: str


class Dismissed(Message, frozen=True):
    """The host may not follow, or not any more."""

    host: str
    reason: str


class JoinedFor(Message, frozen=True):
    """A host's next certificate, or why there is none."""

    host: str
    certificate: str = ""
    authority: str = ""
    reason: str = ""


class Due(Message, frozen=True):
    """Slice → (revision, key): a frame of the bus that belongs before the next `at`, and the key to read it with."""

    frames: dict[str, tuple[int, bytes]]


class Ping(Message, frozen=True):
    """`authority`: the tag of those that a server trusts (`pki.find_tag`); who knows others gets its next certificate
    within so many seconds, each at another moment."""

    authority: str = ""
    within_s: float = 0.0


class Pong(Message, frozen=True):
    pass


FromHost = (
    Hello | Ack | Report | Ask | Join | Renew | Ping | Pong | Let | Attach | Detach | Said | RenewFor | Listen | Same
)  # fmt: skip
FromServer = (
    Welcome | Whole | Delta | Keep | Gone | At | Joined | Refuse | Ping | Pong | Since | Compare | Admitted
    | Dismissed | JoinedFor | Due
)  # fmt: skip

_encoder = msgspec.msgpack.Encoder()
_from_host: msgspec.msgpack.Decoder[FromHost] = msgspec.msgpack.Decoder(FromHost)
_from_server: msgspec.msgpack.Decoder[FromServer] = msgspec.msgpack.Decoder(FromServer)
_row_decoders: dict[str, msgspec.msgpack.Decoder[Any]] = {
    kind: msgspec.msgpack.Decoder(type) for kind, type in ROW_TYPES.items()
}


class MessageError(Exception):
    """What came is not a message of the protocol."""


def encode_message(message: Message) -> bytes:
    return _encoder.encode(message)


def parse_from_host(body: bytes) -> FromHost:
    """Raises MessageError."""
    try:
        return _from_host.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise MessageError(str(error)) from None


def parse_from_server(body: bytes) -> FromServer:
    """Raises MessageError."""
    try:
        return _from_server.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise MessageError(str(error)) from None


def says_the_same(one: Ack, other: Ack) -> bool:
    """Whether the two differ in their revision alone."""
    return one.wired == other.wired and one.pending == other.pending and one.copies == other.copies


def encode_rows(rows: Mapping[str, Row]) -> dict[str, msgspec.Raw]:
    return {key: msgspec.Raw(_encoder.encode(row)) for key, row in rows.items()}


def parse_rows(rows: Mapping[str, msgspec.Raw]) -> dict[str, Row]:
    """Rows by key; a kind of row that this version does not know is left out. Raises MessageError."""
    found: dict[str, Row] = {}
    for key, raw in rows.items():
        decoder = _row_decoders.get(row_kind(key))
        if decoder is None:
            continue
        try:
            found[key] = decoder.decode(raw)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise MessageError(f"row {key}: {error}") from None
    return found


def make_whole(found: Slice, digest: str) -> Whole:
    return Whole(found.name, found.revision, digest, encode_rows(found.rows))


def make_delta(delta: SliceDelta, digest: str) -> Delta:
    return Delta(delta.name, delta.start, delta.revision, digest, encode_rows(delta.put), list(delta.drop))


def make_since(found: Slice, start: int, digest: str) -> Since:
    """For a copy as it was at revision `start`. Where a row says less of its age than it should, the digest tells."""
    put = {key: row for key, row in found.rows.items() if row.revision > start}
    keys = b"".join(crc32(key.encode()).to_bytes(4, "big") for key in found.rows)
    return Since(found.name, start, found.revision, digest, encode_rows(put), keys)


def find_unnamed(rows: Mapping[str, Row], keys: bytes) -> tuple[str, ...]:
    """Those of the rows' keys that `keys` does not name. Raises MessageError."""
    if len(keys) % 4:
        raise MessageError("names of rows have four bytes each")
    named = {keys[at : at + 4] for at in range(0, len(keys), 4)}
    return tuple(key for key in rows if crc32(key.encode()).to_bytes(4, "big") not in named)
