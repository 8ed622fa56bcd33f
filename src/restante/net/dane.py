"""DANE for SMTP: which TLSA records can be used, and whether a server's chain is what they say (RFC 6698, 7671, 7672).

DANE-EE(3) is a match of the server's own certificate or key, whatever its names and dates. DANE-TA(2) wants a path from
it to the authority that a record names, within all dates, and one of the names that the server is meant by. The other
two usages mean nothing to SMTP (RFC 7672 §3.1.3). Who asks the DNS, and whether its answers are proven, is not known
here.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from OpenSSL import crypto

from restante.net.certificates import has_name, is_for_servers, key_octets
from restante.net.stream import NotTrusted, ResultType, result_of_code

DANE_TA, DANE_EE = 2, 3
CERTIFICATE, KEY = 0, 1
EXACT, SHA256, SHA512 = 0, 1, 2
_LENGTHS = {SHA256: 32, SHA512: 64}


@dataclass(frozen=True, slots=True)
class TlsaRecord:
    """RFC 6698 §2.1."""

    usage: int
    selector: int
    matching: int
    data: bytes

    def __str__(self) -> str:
        return f"{self.usage} {self.selector} {self.matching} {self.data.hex()}"


def usable(records: Iterable[TlsaRecord]) -> tuple[TlsaRecord, ...]:
    """Those that a server can be judged by; of two digests over the same thing the stronger one (RFC 7671 §9)."""
    sound = [record for record in records if _is_sound(record)]
    strongest: dict[tuple[int, int], int] = {}
    for record in sound:
        over = (record.usage, record.selector)
        strongest[over] = max(record.matching, strongest.get(over, EXACT))
    return tuple(record for record in sound if record.matching in (EXACT, strongest[record.usage, record.selector]))


def _is_sound(record: TlsaRecord) -> bool:
    if record.usage not in (DANE_TA, DANE_EE) or record.selector not in (CERTIFICATE, KEY):
        return False
    if record.matching != EXACT:
        return _LENGTHS.get(record.matching) == len(record.data)
    if record.selector == CERTIFICATE:
        return _certificate_in(record) is not None
    try:
        serialization.load_der_public_key(record.data)
    except (ValueError, UnsupportedAlgorithm):
        return False
    return True


def _certificate_in(record: TlsaRecord) -> x509.Certificate | None:
    """The whole certificate that a record holds, if it does."""
    if (record.selector, record.matching) != (CERTIFICATE, EXACT):
        return None
    try:
        return x509.load_der_x509_certificate(record.data)
    except (ValueError, x509.InvalidVersion):
        return None


def _matches(record: TlsaRecord, certificate: x509.Certificate) -> bool:
    is_whole = record.selector == CERTIFICATE
    content = certificate.public_bytes(serialization.Encoding.DER) if is_whole else key_octets(certificate)
    match record.matching:
        case 1:
            return hashlib.sha256(content).digest() == record.data
        case 2:
            return hashlib.sha512(content).digest() == record.data
        case _:
            return content == record.data


def check_chain(
    chain: Sequence[x509.Certificate],
    records: Iterable[TlsaRecord],
    names: Iterable[str],
    at: dt.datetime | None = None,
) -> None:
    """Returns if a server that has shown this chain, its own certificate first, is the one that usable records mean.

    `names` are what it may be called (RFC 7672 §3.2.2); the time is `at`, or now. Raises NotTrusted.
    """
    leaf, *others = chain
    authorities: list[x509.Certificate] = []
    for record in records:
        if record.usage == DANE_EE and _matches(record, leaf):
            return
        if record.usage == DANE_TA:
            own = _certificate_in(record)
            authorities += [each for each in others if _matches(record, each)] or ([own] if own is not None else [])
    if not authorities:
        raise NotTrusted("the certificate is not what the TLSA records say", ResultType.VALIDATION_FAILURE)
    _check_path(leaf, others, authorities, at)
    if not has_name(leaf, names):
        raise NotTrusted("the certificate is for another host", ResultType.HOST_MISMATCH)


def _check_path(
    leaf: x509.Certificate,
    others: Iterable[x509.Certificate],
    authorities: Iterable[x509.Certificate],
    at: dt.datetime | None,
) -> None:
    """By OpenSSL. An authority need not be a root (RFC 7671 §5.2)."""
    store = crypto.X509Store()
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    if at is not None:
        store.set_time(at)
    try:
        for authority in authorities:
            store.add_cert(crypto.X509.from_cryptography(authority))
        shown = [crypto.X509.from_cryptography(each) for each in others]
        crypto.X509StoreContext(store, crypto.X509.from_cryptography(leaf), shown).verify_certificate()
    except crypto.X509StoreContextError as error:
        code = error.errors[0]
        raise NotTrusted(f"the certificate is not trusted: {error}", result_of_code(code)) from None
    except crypto.Error as error:
        raise NotTrusted(f"a certificate cannot be read: {error}") from None
    if not is_for_servers(leaf):
        raise NotTrusted("the certificate is not for servers", ResultType.NOT_TRUSTED)
