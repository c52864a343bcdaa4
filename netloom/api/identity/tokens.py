"""Tokens that carry what they say and are signed with the server's key, so they outlive a restart.

Law: a token is believed only when its signature is ours, its time has not passed and it was not revoked.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256

import msgspec

PREFIX = "nl1."
MAX_TOKEN = 2048


class Token(msgspec.Struct, frozen=True, array_like=True):
    """What a token says. project_id "": not scoped to a project; `system`: scoped to the whole system."""

    user_id: str
    project_id: str
    system: bool
    issued_s: float
    expires_s: float
    audit_id: str
    methods: tuple[str, ...]


def sign_token(token: Token, key: bytes) -> str:
    payload = msgspec.msgpack.encode(token)
    return PREFIX + urlsafe_b64encode(payload + sign(payload, key)).decode().rstrip("=")


def parse_token(text: str, key: bytes) -> Token | None:
    """None for whatever we did not sign."""
    if not text.startswith(PREFIX) or len(text) > MAX_TOKEN or not text.isascii():
        return None
    encoded = text[len(PREFIX) :]
    try:
        data = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    except ValueError:
        return None
    payload, signature = data[:-32], data[-32:]
    if not hmac.compare_digest(sign(payload, key), signature):
        return None
    try:
        return msgspec.msgpack.decode(payload, type=Token)
    except msgspec.MsgspecError:
        return None


def sign(payload: bytes, key: bytes) -> bytes:
    return hmac.digest(key, payload, sha256)
