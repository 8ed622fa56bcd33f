"""What is read in certificates: names of hosts, how a pattern covers one, the exact octets of a public key."""

from __future__ import annotations

from collections.abc import Iterable

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_SEQUENCE, _VERSION = 0x30, 0xA0
_BEFORE_KEY = 5
"""Fields of a TBSCertificate between its version and its key: serial number, signature, issuer, validity, subject."""


def covers(pattern: str, host: str) -> bool:
    """Whether a name, or `*.` and a name, is meant for a host: the star is one label, the first (RFC 6125 §6.4.3)."""
    pattern, host = pattern.lower().rstrip("."), host.lower().rstrip(".")
    if not pattern.startswith("*."):
        return bool(pattern) and pattern == host
    label, _, rest = host.partition(".")
    return bool(label) and rest == pattern[2:]


def has_name(certificate: x509.Certificate, names: Iterable[str]) -> bool:
    """Whether a certificate is for one of these hosts, by its DNS names, or its common name where it has none.

    RFC 7672 §3.2.3 takes the common name too. Names are A-labels.
    """
    shown = _shown(certificate)
    return any(covers(pattern, name) for name in names for pattern in shown)


def _shown(certificate: x509.Certificate) -> list[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        if names := extension.value.get_values_for_type(x509.DNSName):
            return names
    except x509.ExtensionNotFound:
        pass
    except (x509.DuplicateExtension, ValueError):
        return []
    try:
        return [str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except ValueError:
        return []


def is_for_servers(certificate: x509.Certificate) -> bool:
    """Whether its use is that of a server, or none in particular (RFC 5280 §4.2.1.12)."""
    try:
        uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    except (x509.DuplicateExtension, ValueError):
        return False
    return ExtendedKeyUsageOID.SERVER_AUTH in uses or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in uses


def key_octets(certificate: x509.Certificate) -> bytes:
    """The DER SubjectPublicKeyInfo as it stands in the certificate; one that is written anew may differ."""
    tbs = certificate.tbs_certificate_bytes
    start, _ = _element(tbs, 0)
    if tbs[start] == _VERSION:
        start = sum(_element(tbs, start))
    for _ in range(_BEFORE_KEY):
        start = sum(_element(tbs, start))
    assert tbs[start] == _SEQUENCE, "what has been parsed as a certificate has a key there"
    return tbs[start : sum(_element(tbs, start))]


def _element(der: bytes, at: int) -> tuple[int, int]:
    """Where the content of the element at an offset begins, and its length."""
    length = der[at + 1]
    if length < 0x80:
        return at + 2, length
    octets = length & 0x7F
    return at + 2 + octets, int.from_bytes(der[at + 2 : at + 2 + octets], "big")
