"""By whose word a relay speaks for a host: the host's own, signed, for that relay alone and for an hour.

Law 9: a relay's certificate alone leads to nothing. Each host that follows through a relay signs "this relay may follow
for me" with the key of its certificate; a relay that follows through another one signs the same for that one. Who
answers checks the whole chain, from the host to the relay that asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from netloom.feed.pki import RELAY, JoinError, Life, load_key, read_life

GRANT_LIFE_S = 3600.0
SLACK_S = 1800.0
"""How far a host's clock may be ahead of that of who checks its word."""
MAX_LINKS = 8
"""Relays between a host and its server."""


class Grant(msgspec.Struct, frozen=True):
    """`holder` lets the relay `to` follow and speak for it until the second `ends_s`. `certificate`: holder's, PEM."""

    holder: str
    to: str
    ends_s: float
    certificate: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class Link:
    """One step of a chain that was checked: who gave its word, by a certificate of what second, until when."""

    name: str
    issued_s: float
    ends_s: float


def is_relay(name: str) -> bool:
    return name.startswith(RELAY)


def make_words(holder: str, to: str, ends_s: float) -> bytes:
    """What is signed."""
    return b"netloom grant 1\0" + msgspec.msgpack.encode((holder, to, ends_s))


def make_grant(key: bytes, certificate: bytes, holder: str, to: str, now_s: float) -> Grant:
    """The holder's word, by its key and certificate (PEM)."""
    ends_s = now_s + GRANT_LIFE_S
    signature = load_key(key).sign(make_words(holder, to, ends_s), ec.ECDSA(hashes.SHA256()))
    return Grant(holder, to, ends_s, certificate.decode(), signature)


def check_chain(grants: Sequence[Grant], host: str, relay: str, authority: bytes, now_s: float) -> tuple[Link, ...]:
    """The steps by which `relay` speaks for `host`, as the authority (PEM) vouches for them. Raises JoinError."""
    if not grants:
        raise JoinError(f"{relay} has no word of {host} that it may follow for it")
    if len(grants) > MAX_LINKS:
        raise JoinError(f"more than {MAX_LINKS} relays between {host} and its server")
    givers, takers = [grant.holder for grant in grants], [grant.to for grant in grants]
    if givers != [host, *takers[:-1]] or takers[-1] != relay:
        raise JoinError(f"the word that {relay} shows is not one of {host} for it")
    issuers = x509.load_pem_x509_certificates(authority)
    return tuple(check_grant(grant, issuers, now_s) for grant in grants)


def check_grant(grant: Grant, issuers: Sequence[x509.Certificate], now_s: float) -> Link:
    """Raises JoinError unless it is signed by its holder, whose certificate is an authority's and good now."""
    if not now_s < grant.ends_s < now_s + GRANT_LIFE_S + SLACK_S:
        raise JoinError(f"the word of {grant.holder} for {grant.to} has ended, or its clock is wrong")
    try:
        found = x509.load_pem_x509_certificate(grant.certificate.encode())
        check_issued(found, issuers)
        public = found.public_key()
        if not isinstance(public, ec.EllipticCurvePublicKey):
            raise ValueError("another kind of key")
        public.verify(grant.signature, make_words(grant.holder, grant.to, grant.ends_s), ec.ECDSA(hashes.SHA256()))
        names = [name.value for name in found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except (ValueError, TypeError, InvalidSignature) as error:
        raise JoinError(f"the word of {grant.holder} for {grant.to} is not signed as it must be: {error!r}") from None
    life: Life = read_life(grant.certificate.encode())
    if names != [grant.holder] or life.ends_s < now_s:
        raise JoinError(f"the word of {grant.holder} for {grant.to} is by a certificate of another, or one that ended")
    return Link(grant.holder, life.issued_s, min(grant.ends_s, life.ends_s))


def check_issued(certificate: x509.Certificate, issuers: Sequence[x509.Certificate]) -> None:
    """Raises InvalidSignature, ValueError or TypeError unless one of them has signed it."""
    for issuer in issuers[:-1]:
        with suppress(InvalidSignature, ValueError, TypeError):
            certificate.verify_directly_issued_by(issuer)
            return
    certificate.verify_directly_issued_by(issuers[-1])
