"""TLS contexts: ours as a server (a self-signed pair is made where none is configured), and towards a peer.

TLS 1.2 is the oldest that is spoken. A context is made again from its files when it is asked for after a reload.
"""

from __future__ import annotations

import datetime as dt
import ssl
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from restante.errors import RestanteError
from restante.files import replace_safely

SELF_SIGNED_DAYS = 3650


class TlsLevel(StrEnum):
    """How a connection that we open is encrypted."""

    OFF = "off"
    OPPORTUNISTIC = "opportunistic"
    """Where offered, with any certificate; in clear where it fails (RFC 7435)."""
    REQUIRED = "required"
    """With any certificate, or not at all."""
    VERIFY = "verify"
    """With a certificate that this system trusts for the peer's name, or not at all."""

    @property
    def may_be_clear(self) -> bool:
        """Whether commands may be sent unencrypted."""
        return self in (TlsLevel.OFF, TlsLevel.OPPORTUNISTIC)


class CertificateError(RestanteError):
    """A certificate or key cannot be used. Trying again helps only after it was mended."""


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """The context for a listener. Raises CertificateError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise CertificateError(f"{certificate} and {key}: {error}") from None
    return context


def client_context(*, verify: bool) -> ssl.SSLContext:
    """The context towards a peer: `verify` demands a certificate that the system trusts, for the name dialled."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify:  # opportunistic: encrypted against who only listens (RFC 7435)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


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
