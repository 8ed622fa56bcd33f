"""restante.net.certificates: names in certificates, patterns, and the octets of a key."""

from __future__ import annotations

import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from tests.net.authority import CLIENT, SERVER, Authority, Wish, self_made

from restante.net.certificates import covers, has_name, is_for_servers, key_octets
from restante.net.tls_layers import pin_of


@pytest.mark.parametrize(
    ("pattern", "host", "is_covered"),
    [
        ("mx1.test.example", "mx1.test.example", True),
        ("MX1.test.example.", "mx1.TEST.example", True),
        ("mx1.test.example", "mx2.test.example", False),
        ("*.test.example", "mx1.test.example", True),
        ("*.test.example", "test.example", False),
        ("*.test.example", "a.mx1.test.example", False),
        ("*.test.example", ".test.example", False),
        ("mx*.test.example", "mx1.test.example", False),
        ("mx1.*.example", "mx1.test.example", False),
        ("*", "mx1", False),
        ("", "", False),
    ],
)
def test_a_star_is_one_label_the_first(pattern: str, host: str, *, is_covered: bool) -> None:
    """And nowhere else anything but a star."""
    assert covers(pattern, host) is is_covered


@given(st.text(max_size=40), st.text(max_size=40))
def test_covers_takes_whatever_is_written(pattern: str, host: str) -> None:
    """And only a star covers another name than its own."""
    if covers(pattern, host):
        assert pattern.startswith("*.") or pattern.lower().rstrip(".") == host.lower().rstrip(".")


def named(common_name: str) -> x509.Certificate:
    """A certificate with a common name, and no other."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    old = self_made().certificate
    made = x509.CertificateBuilder(name, name, key.public_key(), 7, old.not_valid_before_utc, old.not_valid_after_utc)
    return made.sign(key, hashes.SHA256())


def test_the_common_name_counts_where_there_is_no_other() -> None:
    """RFC 7672 §3.2.3."""
    assert has_name(named("mx1.test.example"), ["mx1.test.example"])
    assert not has_name(named("mx1.test.example"), ["mx2.test.example"])
    assert not has_name(self_made(Wish(("mx1.test.example",))).certificate, ["self"])


def test_one_name_of_several_is_enough() -> None:
    """On either side; and none is none."""
    certificate = self_made(Wish(("mx1.test.example", "*.other.example"))).certificate
    assert has_name(certificate, ["test.example", "a.other.example"])
    assert not has_name(certificate, ["test.example", "other.example"])
    assert not has_name(certificate, [])


@pytest.mark.parametrize(("use", "is_for"), [(None, True), (SERVER, True), (CLIENT, False)])
def test_what_a_certificate_may_be_used_for(use: x509.ObjectIdentifier | None, *, is_for: bool) -> None:
    """A server's use, or none in particular."""
    assert is_for_servers(Authority().issue(Wish(use=use)).certificate) is is_for


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        rsa.generate_private_key(65537, 2048),
        ed25519.Ed25519PrivateKey.generate(),
    ],
    ids=["ec", "rsa", "ed25519"],
)
def test_the_octets_of_a_key(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey,
) -> None:
    """Those that the certificate has, of each kind, and of certificates of each length."""
    for count in (1, 10, 400):
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"n{number}") for number in range(count)])
        old = self_made().certificate
        built = x509.CertificateBuilder(
            name, name, key.public_key(), 1 << 100, old.not_valid_before_utc, old.not_valid_after_utc
        )
        digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        certificate = built.sign(key, digest)
        octets = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        assert key_octets(certificate) == octets
        assert hashlib.sha256(key_octets(certificate)).hexdigest() == pin_of(certificate)
