"""Who is who on the feed: the server's own authority, one certificate a host, and tokens to get the first one with.

The name in a host's certificate is the host, whatever it says. A token is `host:secret:fingerprint`: the server keeps
only a hash of the secret, and the host checks the fingerprint of the server's certificate before it shows the token.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import os
import ssl
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFE = datetime.timedelta(days=3650)
HOST_LIFE = datetime.timedelta(days=90)
SERVER_LIFE = datetime.timedelta(days=397)
TOKEN_LIFE_S = 3600.0
BACKDATE = datetime.timedelta(minutes=5)
"""Certificates begin this long before they are issued, for hosts whose clock is behind."""
SERVER_NAME = "netloom-server"
"""The name every server's certificate has, so that a host can follow any of them at any address."""
RELAY = "relay/"
"""What a relay's name begins with; no host's does."""

Now = Callable[[], datetime.datetime]


class JoinError(Exception):
    """A host that may not join, and why."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A private key and its certificate, PEM."""

    key: bytes
    certificate: bytes


def make_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def encode_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("the key is not one that Netloom made")
    return key


def make_name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def make_authority(now: datetime.datetime) -> Pair:
    """A new authority, for a server's first start."""
    key, name = make_key(), make_name("Netloom authority")
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Pair(encode_key(key), certificate.public_bytes(serialization.Encoding.PEM))


def issue(
    authority: Pair,
    name: str,
    public: ec.EllipticCurvePublicKey,
    now: datetime.datetime,
    server: bool,
    life: datetime.timedelta | None = None,
) -> bytes:
    """A certificate for `name`, PEM, good for one end of the feed only; a relay's for both, and in its own name.

    `life`: else the usual one of that end.
    """
    issuer, key = x509.load_pem_x509_certificate(authority.certificate), load_key(authority.key)
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH]
    alternative = make_alternative(name)
    if name.startswith(RELAY):
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        alternative = make_alternative(SERVER_NAME)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder(issuer.subject, make_name(name), public, x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + (life or (SERVER_LIFE if server else HOST_LIFE)))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=True)
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def make_alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def make_server_pair(authority: Pair, now: datetime.datetime) -> Pair:
    key = make_key()
    return Pair(encode_key(key), issue(authority, SERVER_NAME, key.public_key(), now, server=True))


def make_request(key: ec.EllipticCurvePrivateKey, host: str) -> str:
    """A request for a certificate, PEM."""
    request = x509.CertificateSigningRequestBuilder().subject_name(make_name(host)).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def sign_request(
    authority: Pair, host: str, csr: str, now: datetime.datetime, life: datetime.timedelta = HOST_LIFE
) -> str:
    """A host's certificate, PEM. The name is the one that the token or the old certificate says, not the request's."""
    try:
        request = x509.load_pem_x509_csr(csr.encode())
        valid, public = request.is_signature_valid, request.public_key()
    except (ValueError, TypeError) as error:
        raise JoinError(f"the request for a certificate cannot be read: {error}") from None
    if not valid or not isinstance(public, ec.EllipticCurvePublicKey):
        raise JoinError("the request for a certificate is not signed by its own key")
    return issue(authority, host, public, now, server=False, life=life).decode()


def fingerprint(certificate: bytes) -> str:
    """The SHA-256 of a PEM certificate, in hex."""
    return x509.load_pem_x509_certificate(certificate).fingerprint(hashes.SHA256()).hex()


def split_trusted(authority: bytes) -> tuple[bytes, ...]:
    """The authorities of a PEM: who signs, and after it those whose certificates are good still."""
    found = x509.load_pem_x509_certificates(authority)
    return tuple(one.public_bytes(serialization.Encoding.PEM) for one in found)


def find_tag(authority: bytes) -> str:
    """Tells one PEM of authorities from another."""
    return hashlib.sha256(authority).hexdigest()[:16]


def is_by(certificate: bytes, authority: bytes) -> bool:
    """Whether the first of the authorities has signed the certificate; both PEM."""
    try:
        found, issuer = (x509.load_pem_x509_certificate(pem) for pem in (certificate, authority))
        found.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def ends_at(certificate: bytes) -> datetime.datetime:
    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc


@dataclass(frozen=True, slots=True)
class Life:
    """When a certificate was issued and when it ends, in seconds since 1970; both are whole."""

    issued_s: float
    ends_s: float


def read_life(certificate: bytes) -> Life:
    """Of a PEM certificate."""
    found = x509.load_pem_x509_certificate(certificate)
    return Life((found.not_valid_before_utc + BACKDATE).timestamp(), found.not_valid_after_utc.timestamp())


def wants_renewal(certificate: bytes, now: datetime.datetime) -> bool:
    """Whether two thirds of the certificate's life are over."""
    life = read_life(certificate)
    return now.timestamp() >= life.issued_s + (life.ends_s - life.issued_s) * 2 / 3


# -- hosts -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HostEntry:
    """What a host was given last; `revoked_s`: what was issued until then, that second included, is void."""

    issued_s: float = 0.0
    ends_s: float = 0.0
    revoked_s: float = 0.0

    @property
    def revoked(self) -> bool:
        """Whether the host has nothing that is still good."""
        return self.revoked_s >= self.issued_s


@dataclass(frozen=True, slots=True)
class HostBook:
    """Which host has a certificate until when, and whose are void. A host that is not in it is neither."""

    hosts: Mapping[str, HostEntry] = field(default_factory=dict)

    def issue(self, host: str, life: Life) -> HostBook:
        """Raises JoinError in the second of a revocation, when old and new could not be told apart."""
        old = self.hosts.get(host, HostEntry())
        if life.issued_s <= old.revoked_s:
            raise JoinError(f"the certificate of {host} was revoked a moment ago; try again")
        return replace(self, hosts={**self.hosts, host: HostEntry(life.issued_s, life.ends_s, old.revoked_s)})

    def revoke(self, host: str, now_s: float) -> HostBook:
        old = self.hosts.get(host, HostEntry())
        return replace(self, hosts={**self.hosts, host: replace(old, revoked_s=float(int(now_s)))})

    def is_void(self, host: str, issued_s: float) -> bool:
        return issued_s <= self.hosts.get(host, HostEntry()).revoked_s

    def find_wait_s(self, host: str, now_s: float) -> float:
        """Until a certificate that is issued then is good; no more than a second, but for clocks that were set back."""
        return min(max(0.0, self.hosts.get(host, HostEntry()).revoked_s + 1.0 - now_s), 1.0)

    def why_void(self, host: str, issued_s: float) -> str:
        """A reason for the host, or nothing."""
        if not self.is_void(host, issued_s):
            return ""
        return f"the certificate of {host} was revoked; to join again: `netloom agent token {host}`"

    def check(self, host: str, issued_s: float) -> None:
        """Raises JoinError for a certificate that is void."""
        if reason := self.why_void(host, issued_s):
            raise JoinError(reason)


# -- tokens ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TokenBook:
    """Tokens that nobody used yet: hash of the secret → (host, second since 1970 at which it ends)."""

    tokens: Mapping[str, tuple[str, float]] = field(default_factory=dict)

    def add(self, host: str, secret: str, now_s: float) -> TokenBook:
        live = {h: t for h, t in self.tokens.items() if t[1] > now_s}
        return replace(self, tokens={**live, hash_secret(secret): (host, now_s + TOKEN_LIFE_S)})

    def use(self, host: str, secret: str, now_s: float) -> TokenBook:
        """The book without the token. Raises JoinError where it is not good for this host, or no more."""
        name = hash_secret(secret)
        for kept, (owner, end) in self.tokens.items():
            if hmac.compare_digest(kept, name) and owner == host and end > now_s:
                return replace(self, tokens={h: t for h, t in self.tokens.items() if h != kept})
        raise JoinError(f"the token is not good for host {host}: used, too old, or never given")


def drop_tokens(book: TokenBook, host: str) -> TokenBook:
    """The book without the host's tokens."""
    return replace(book, tokens={hashed: token for hashed, token in book.tokens.items() if token[0] != host})


def hash_secret(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def make_token(host: str, secret: str, server: bytes) -> str:
    """The text that an administrator carries to the host; `server` is the server's certificate, PEM."""
    return f"{host}:{secret}:{fingerprint(server)}"


@dataclass(frozen=True, slots=True)
class Token:
    host: str
    secret: str
    fingerprint: str


def parse_token(text: str) -> Token:
    """Raises JoinError."""
    parts = text.strip().rsplit(":", 2)
    if len(parts) != 3 or not all(parts):
        raise JoinError("this is no join token; ask for one with `netloom agent token HOST` on the server")
    return Token(*parts)


# -- TLS ---------------------------------------------------------------------------------------------------------------


def make_server_context(certificate: Path, key: Path, authority: Path) -> ssl.SSLContext:
    """TLS 1.3. A host's certificate is asked for and checked; who has none may only join.

    Who comes when these files have changed is met by what they hold then: a context forgets no authority by itself.
    """
    context = load_server_context(certificate, key, authority)
    context.sni_callback = Followed((certificate, key, authority), context).choose
    return context


def load_server_context(certificate: Path, key: Path, authority: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.num_tickets = 0  # a session that is taken up again would show no certificate again
    return context


class Followed:
    """The context of three files that are replaced while somebody listens."""

    def __init__(self, paths: tuple[Path, Path, Path], context: ssl.SSLContext) -> None:
        self._paths = paths
        self._context = context
        self._seen = look_at(paths)

    def choose(self, tls: ssl.SSLSocket | ssl.SSLObject, name: str | None, first: ssl.SSLContext) -> None:
        seen = look_at(self._paths)
        if seen != self._seen:
            with suppress(OSError, ssl.SSLError):  # half of them are written: the next one finds all
                self._context, self._seen = load_server_context(*self._paths), seen
        tls.context = self._context


def look_at(paths: Iterable[Path]) -> tuple[tuple[int, int] | None, ...]:
    """Tells files that were replaced from those that were not."""
    return tuple((found.st_mtime_ns, found.st_ino) if (found := stat_of(path)) else None for path in paths)


def stat_of(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def make_host_context(certificate: Path, key: Path, authority: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(authority)
    context.load_cert_chain(certificate, key)
    return context


def make_join_context() -> ssl.SSLContext:
    """For the first contact, where no authority is known yet: `check_server` must pass before a word is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def check_server(certificate: bytes, expected: str) -> None:
    """Raises JoinError unless the server's certificate (DER) is the one that the token names."""
    if not hmac.compare_digest(hashlib.sha256(certificate).hexdigest(), expected):
        raise JoinError("the server is not the one that gave the token: its certificate has another fingerprint")


def find_life(certificate: Mapping[str, object]) -> Life:
    """Of a peer's checked certificate, as the ssl module shows it."""
    begins, ends = (ssl.cert_time_to_seconds(str(certificate[name])) for name in ("notBefore", "notAfter"))
    return Life(begins + BACKDATE.total_seconds(), ends)


def find_host_name(certificate: Mapping[str, object] | None) -> str:
    """The common name of a peer's checked certificate, as the ssl module shows it; empty where there is none."""
    subject = (certificate or {}).get("subject") or ()
    assert isinstance(subject, tuple)
    return next((value for part in subject for name, value in part if name == "commonName"), "")
