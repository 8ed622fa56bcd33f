"""TLS contexts: ours as a server (a self-signed pair is made where none is configured), and towards a peer.

TLS 1.2 is the oldest that is spoken; of its suites only those with forward secrecy and authenticated encryption, but
that opportunistic encryption towards a peer takes older ones rather than none. No compression, no renegotiation. A
server resumes no session: each handshake judges the certificate anew. A certificate is renewed by renewal.py.
"""

from __future__ import annotations

import datetime as dt
import ssl
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto

from restante.errors import RestanteError
from restante.files import replace_safely
from restante.net.dane import TlsaRecord
from restante.net.judging_layers import DaneLayer, TestedLayer
from restante.net.openssl_layer import judge
from restante.net.stream import TlsContext
from restante.net.tls_layers import ClientLayer, ServerLayer, end_point_of

SELF_SIGNED_DAYS = 3650
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2; all of TLS 1.3's are sound."""


class TlsLevel(StrEnum):
    """How a connection that we open is encrypted."""

    OFF = "off"
    OPPORTUNISTIC = "opportunistic"
    """Where offered, with any certificate; in clear where it fails (RFC 7435)."""
    REQUIRED = "required"
    """With any certificate, or not at all."""
    VERIFY = "verify"
    """With a certificate that this system trusts for the peer's name, or not at all."""
    DANE = "dane"
    """With what the peer's TLSA records say (RFC 7672), or not at all."""

    @property
    def may_be_clear(self) -> bool:
        """Whether commands may be sent unencrypted."""
        return self in (TlsLevel.OFF, TlsLevel.OPPORTUNISTIC)


@dataclass(frozen=True, slots=True)
class TlsPolicy:
    """What a peer must be for us to talk to it. `pins` narrow what a level that is never clear asks for.

    A pin is the SHA-256 of a public key as lower-case hex, the DER SubjectPublicKeyInfo of it, and one of them must be
    shown: a pin outlives a certificate that is renewed with the same key, and of two, one may be the next key's.
    """

    level: TlsLevel = TlsLevel.OPPORTUNISTIC
    pins: tuple[str, ...] = ()
    tlsa: tuple[TlsaRecord, ...] = ()
    """What level DANE judges the peer by; usable records (net/dane.py). Without any nobody is the one that is meant."""
    names: tuple[str, ...] = ()
    """What the peer may be called with DANE: the TLSA base domain first, which it is told (RFC 7672 §3.2.2)."""
    is_tested: bool = False
    """Whether the certificate is judged as VERIFY does, but only to tell (PeerCertificate.doubt)."""

    def __post_init__(self) -> None:
        if self.pins and self.level.may_be_clear:
            raise ValueError(f"a pin and {self.level}: in clear nothing is shown")
        if (self.tlsa or self.names) and self.level is not TlsLevel.DANE:
            raise ValueError(f"TLSA records and {self.level}: they are for DANE")
        if self.is_tested and self.level not in (TlsLevel.OPPORTUNISTIC, TlsLevel.REQUIRED):
            raise ValueError(f"a test and {self.level}: that level takes no other certificate")

    @property
    def may_be_clear(self) -> bool:
        """Whether commands may be sent unencrypted."""
        return self.level.may_be_clear

    @property
    def is_authenticated(self) -> bool:
        """Whether a peer must prove by its certificate to be the one that is meant (RFC 8689 §4.2.1)."""
        return self.level in (TlsLevel.VERIFY, TlsLevel.DANE)


OPPORTUNISTIC = TlsPolicy()
IN_CLEAR = TlsPolicy(TlsLevel.OFF)


class CertificateError(RestanteError):
    """A certificate or key cannot be used. Trying again helps only after it was mended."""


class ServerContext:
    """TlsContext of a listener; server_context() makes one."""

    server_side = True

    def __init__(
        self, context: SSL.Context, end_point: bytes, *, has_authorities: bool, ends: float, asks: bool = True
    ) -> None:
        self._context = context
        self._end_point = end_point
        self.ends = ends
        """The wall time until which the certificate is good."""
        self._has_authorities = has_authorities
        self._asks = asks

    def for_browsers(self) -> ServerContext:
        """The same, but no client is asked for a certificate: browsers would ask their users for one."""
        return ServerContext(
            self._context, self._end_point, has_authorities=self._has_authorities, ends=self.ends, asks=False
        )

    def layer(self, server_name: str | None = None) -> ServerLayer:
        """See TlsContext; a listener has one certificate, whatever name it is called by."""
        assert server_name is None, "that is for a client"
        layer = ServerLayer(self._context, self._end_point, has_authorities=self._has_authorities)
        if not self._asks:
            layer.connection.set_verify(SSL.VERIFY_NONE)
        return layer


@dataclass(frozen=True, slots=True)
class ClientContext:
    """TlsContext towards a peer; client_context() makes one."""

    context: ssl.SSLContext
    pins: tuple[str, ...] = ()

    @property
    def server_side(self) -> bool:
        """See TlsContext."""
        return False

    def layer(self, server_name: str | None) -> ClientLayer:
        """See TlsContext."""
        return ClientLayer(self.context, server_name, self.pins)


@dataclass(frozen=True, slots=True)
class JudgingContext:
    """TlsContext towards a peer that we judge ourselves, not Python's ssl; context_towards() makes one."""

    context: SSL.Context
    policy: TlsPolicy

    @property
    def server_side(self) -> bool:
        """See TlsContext."""
        return False

    def layer(self, server_name: str | None) -> DaneLayer | TestedLayer:
        """See TlsContext. With DANE the peer is told the TLSA base domain, whatever host was dialled."""
        policy = self.policy
        if policy.level is TlsLevel.DANE:
            return DaneLayer(self.context, policy.tlsa, policy.names, policy.pins)
        assert server_name is not None, "who is looked up has a name"
        return TestedLayer(self.context, server_name, policy.pins)


def server_context(certificate: Path, key: Path, *, asks: bool = False, client_ca: Path | None = None) -> ServerContext:
    """The context for a listener. `certificate` has its chain behind it, the authority itself need not be there.

    Where it `asks`, a client may show a certificate, any or none; it is trusted if it leads to an authority in the
    file `client_ca`, is within its dates, and is for clients or for no use in particular. Raises CertificateError.
    """
    chain = _certificates(certificate)
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(CIPHERS.encode())
    context.set_options(
        SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE | SSL.OP_NO_TICKET
    )
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    _use_pair(context, chain, key, f"{certificate} and {key}")
    if asks:
        store = context.get_cert_store()
        assert store is not None, "every context has one"
        for authority in _certificates(client_ca) if client_ca is not None else ():
            store.add_cert(crypto.X509.from_cryptography(authority))
        context.set_verify(SSL.VERIFY_PEER, judge)
    ends = min(each.not_valid_after_utc.timestamp() for each in chain)
    return ServerContext(context, end_point_of(chain[0]), has_authorities=client_ca is not None, ends=ends)


def _use_pair(context: SSL.Context, chain: list[x509.Certificate], key: Path, names: str) -> None:
    try:
        private = serialization.load_pem_private_key(key.read_bytes(), password=None)
        if private.public_key() != chain[0].public_key():
            raise CertificateError(f"{names}: the key is not the certificate's")
        context.use_certificate(chain[0])
        for issuer in chain[1:]:
            context.add_extra_chain_cert(issuer)
        context.use_privatekey(private)  # type: ignore[arg-type]  # a kind of key that TLS does not know is refused
    except OSError as error:
        raise CertificateError(f"{key}: {error.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm, SSL.Error) as error:
        raise CertificateError(f"{names}: {error}") from None


def _certificates(file: Path) -> list[x509.Certificate]:
    """The certificates in a PEM file, one at least. Raises CertificateError."""
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())
    except OSError as error:
        raise CertificateError(f"{file}: {error.strerror}") from None
    except (ValueError, x509.InvalidVersion) as error:
        raise CertificateError(f"{file}: {error}") from None


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate, with its chain, and its key, as PEM files; an office knows us by them."""

    certificate: Path
    key: Path


def client_context(policy: TlsPolicy = OPPORTUNISTIC, own: Pair | None = None) -> ClientContext:
    """The context towards a peer, to which we show `own` where it asks for a certificate. Raises CertificateError.

    For DANE, and for a policy that is tested, see context_towards().
    """
    assert policy.level not in (TlsLevel.OFF, TlsLevel.DANE), "that is without TLS, or judged elsewhere"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if policy.level is not TlsLevel.OPPORTUNISTIC:
        context.set_ciphers(CIPHERS)
    if policy.level is TlsLevel.VERIFY:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:  # encrypted against who only listens (RFC 7435), or against all who have not the pinned key
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if own is not None:
        try:
            context.load_cert_chain(own.certificate, own.key, password=lambda: b"")
        except OSError as error:  # ssl.SSLError is one
            raise CertificateError(f"{own.certificate} and {own.key}: {error}") from None
    return ClientContext(context, policy.pins)


def context_towards(policy: TlsPolicy, own: Pair | None = None) -> TlsContext:
    """client_context(), for every policy. Raises CertificateError."""
    if policy.level is not TlsLevel.DANE and not policy.is_tested:
        return client_context(policy, own)
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    if policy.level is not TlsLevel.OPPORTUNISTIC:
        context.set_cipher_list(CIPHERS.encode())
    if policy.is_tested:
        context.set_default_verify_paths()
    context.set_verify(SSL.VERIFY_PEER, judge)
    if own is not None:
        _use_pair(context, _certificates(own.certificate), own.key, f"{own.certificate} and {own.key}")
    return JudgingContext(context, policy)


def self_signed(folder: Path, hostname: str) -> tuple[Path, Path, bool]:
    """Certificate and key in `folder`, made there if they are not; the last tells whether they are new.

    Raises CertificateError.
    """
    certificate, key = folder / "self-signed.pem", folder / "self-signed.key"
    if certificate.exists() and key.exists():
        return certificate, key, False
    try:
        _make_pair(certificate, key, hostname)
    except OSError as error:
        raise CertificateError(f"cannot write a self-signed pair into {folder}: {error.strerror}") from None
    return certificate, key, True


def _make_pair(certificate: Path, key: Path, hostname: str) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hostname[:64])])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=SELF_SIGNED_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(hostname)]), critical=False)
        .sign(private, hashes.SHA256())
    )
    secret = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    certificate.unlink(missing_ok=True)  # where one is, its key is whole and beside it, even after a power cut
    replace_safely(key, secret)
    replace_safely(certificate, signed.public_bytes(serialization.Encoding.PEM))
