"""Certificates for tests: an authority and what it issues, self-signed ones, each written as a pair of PEM files."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from restante.net.tls import Pair

CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def der(self) -> bytes:
        """The certificate as it goes over the wire."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def fingerprint(self) -> str:
        """As `openssl x509 -fingerprint -sha256` has it, without colons, in lower case."""
        return hashlib.sha256(self.der).hexdigest()

    def write(self, folder: Path, name: str) -> Pair:
        """Both as PEM files, NAME.pem and NAME.key."""
        pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
        pair.certificate.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        pair.key.write_bytes(
            self.key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return pair


@dataclass(frozen=True, slots=True)
class Wish:
    """What a certificate shall be. Days are counted from now; `use` None is for no use in particular."""

    names: tuple[str, ...] = ("site.example",)
    begins: float = -1
    ends: float = 30
    use: x509.ObjectIdentifier | None = None
    digest: hashes.SHA256 | hashes.SHA384 = field(default_factory=hashes.SHA256)


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey, wish: Wish) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(days=wish.begins))
        .not_valid_after(now + dt.timedelta(days=wish.ends))
    )


def self_made(wish: Wish = Wish(), key: ec.EllipticCurvePrivateKey | None = None) -> Issued:
    """A self-signed certificate."""
    key = key or _key()
    names = x509.SubjectAlternativeName([x509.DNSName(name) for name in wish.names])
    built = _builder("self", "self", key, wish).add_extension(names, critical=False)
    return Issued(built.sign(key, wish.digest), key)


class Authority:
    """An authority; what it issues is for a host."""

    def __init__(self, name: str = "authority") -> None:
        self._name = name
        key = _key()
        built = _builder(name, name, key, Wish()).add_extension(x509.BasicConstraints(True, None), critical=True)
        self.own = Issued(built.sign(key, hashes.SHA256()), key)

    def issue(self, wish: Wish = Wish(), key: ec.EllipticCurvePrivateKey | None = None) -> Issued:
        """A certificate as wished."""
        key = key or _key()
        built = _builder("host", self._name, key, wish)
        built = built.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in wish.names]), critical=False)
        if wish.use is not None:
            built = built.add_extension(x509.ExtendedKeyUsage([wish.use]), critical=False)
        return Issued(built.sign(self.own.key, wish.digest), key)
