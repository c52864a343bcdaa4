"""The canonical bytes of a row and the digest of a set of rows: how two ends know that they hold the same.

A digest is the sum of its rows' digests, so it does not depend on order and one changed row costs one subtraction and
one addition. A row's revision is no part of it. Attributes at their default are left out of the bytes, so an
attribute that a newer version added changes no digest until it is used.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from netloom.model.slices import Row

EMPTY = 0
"""The digest of no rows."""

_BYTES = 16
_MODULUS = 1 << (8 * _BYTES)
_ATOMS = frozenset({str, int, bool, type(None)})
_ENCODER = json.JSONEncoder(separators=(",", ":"), sort_keys=True, ensure_ascii=False)


@lru_cache(maxsize=64)
def _compared(kind: Any) -> tuple[tuple[str, Any], ...]:
    return tuple((f.name, f.default) for f in fields(kind) if f.compare)


def _plain(value: Any) -> Any:
    """A hundred thousand rows are counted when a server starts, so what is plain already is looked at once."""
    if value.__class__ in _ATOMS:
        return value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if is_dataclass(value):
        out = {}
        for name, default in _compared(value.__class__):
            held = getattr(value, name)
            if default is MISSING or held != default:
                out[name] = held if held.__class__ in _ATOMS else _plain(held)
        return out
    return value


def encode_row(row: Row) -> bytes:
    """The canonical JSON of a row: attributes sorted, those at their default and the revision left out."""
    return _ENCODER.encode(_plain(row)).encode("utf-8", "replace")


def digest_row(key: str, body: bytes) -> int:
    """The digest of one row from its key and canonical bytes."""
    name = key.encode("utf-8", "replace")
    return int.from_bytes(blake2b(len(name).to_bytes(4, "big") + name + body, digest_size=_BYTES).digest(), "big")


def add_digest(digest: int, row: int) -> int:
    return (digest + row) % _MODULUS


def drop_digest(digest: int, row: int) -> int:
    return (digest - row) % _MODULUS


def digest_bodies(bodies: Iterable[tuple[str, bytes]]) -> int:
    """The digest of rows that are encoded already."""
    return sum(digest_row(key, body) for key, body in bodies) % _MODULUS


def digest_rows(rows: Mapping[str, Row]) -> int:
    return digest_bodies((key, encode_row(row)) for key, row in rows.items())


def change_digest(digest: int, before: Mapping[str, Row], put: Mapping[str, Row], drop: Iterable[str]) -> int:
    """The digest of `before`, which is `digest`, after rows are put and dropped; costs as much as those."""
    for key in (*put, *drop):
        if key in before:
            digest = drop_digest(digest, digest_row(key, encode_row(before[key])))
    for key, row in put.items():
        digest = add_digest(digest, digest_row(key, encode_row(row)))
    return digest
