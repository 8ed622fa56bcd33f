"""The two ends of a TLS session without I/O: the server's by pyOpenSSL, the client's by Python's ssl.

Python's ssl fails a handshake in which a client shows a certificate that no known authority issued, and tells nothing
of it. pyOpenSSL lets a callback judge: it takes every certificate, for the handshake proves that the client holds its
key, and notes whether OpenSSL itself would have trusted it. Python's ssl in turn knows the system's authorities and
checks host names.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterable

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from OpenSSL import SSL

from restante.net.openssl_layer import PIECE, OpenSslLayer
from restante.net.stream import NotTrusted, PeerCertificate, TlsBroken, TlsSession, result_of_code
from restante.smtp.address import AddressError, parse_domain


class ServerLayer(OpenSslLayer):
    """TlsLayer of the end that takes connections. `end_point` is the channel binding of the context's certificate."""

    def __init__(self, context: SSL.Context, end_point: bytes, *, has_authorities: bool) -> None:
        super().__init__(context)
        self._end_point = end_point
        self._has_authorities = has_authorities
        self.connection.set_accept_state()

    def session(self) -> TlsSession:
        """See TlsLayer."""
        connection = self.connection
        try:
            certificate = connection.get_peer_certificate(as_cryptography=True)
        except (ValueError, x509.InvalidVersion) as error:
            raise TlsBroken(f"the client's certificate cannot be read: {error}") from None
        version, cipher = connection.get_protocol_version_name(), connection.get_cipher_name() or ""
        return TlsSession(version, cipher, self._peer(certificate), self._end_point)

    def _peer(self, certificate: x509.Certificate | None) -> PeerCertificate | None:
        if certificate is None:
            return None
        # Nothing is trusted that this very handshake did not judge, as a resumed session would not be.
        trusted = self._has_authorities and bool(self.verdicts) and not any(self.verdicts)
        names = dns_names(certificate) if trusted else ()
        return PeerCertificate(certificate.fingerprint(hashes.SHA256()).hex(), names, trusted)


class ClientLayer:
    """TlsLayer of the end that opens connections. `pins` are public keys (see pin_of) of which one must be shown."""

    def __init__(self, context: ssl.SSLContext, server_name: str | None, pins: Iterable[str]) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._in, self._out, server_side=False, server_hostname=server_name)
        self._is_verified = context.verify_mode is ssl.CERT_REQUIRED
        self._pins = frozenset(pins)
        self.is_ended = False

    def handshake(self) -> bool:
        """See TlsLayer."""
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLCertVerificationError as error:
            problem = f"the certificate is not trusted: {error.verify_message.rstrip('.')}"
            raise NotTrusted(problem, result_of_code(error.verify_code)) from None
        except ssl.SSLError as error:
            raise TlsBroken(f"the TLS handshake failed: {_words(error)}") from None
        if self._pins:
            check_pin(self._certificate(), self._pins)
        return True

    def _certificate(self) -> x509.Certificate:
        """The server's. Raises TlsBroken."""
        try:
            return x509.load_der_x509_certificate(self._object.getpeercert(binary_form=True) or b"")
        except (ValueError, x509.InvalidVersion) as error:
            raise TlsBroken(f"the server's certificate cannot be read: {error}") from None

    def session(self) -> TlsSession:
        """See TlsLayer."""
        certificate = self._certificate()
        names = dns_names(certificate) if self._is_verified else ()
        peer = PeerCertificate(certificate.fingerprint(hashes.SHA256()).hex(), names, self._is_verified)
        cipher = self._object.cipher()
        return TlsSession(self._object.version() or "", cipher[0] if cipher else "", peer, end_point_of(certificate))

    def receive(self, data: bytes) -> None:
        """See TlsLayer."""
        self._in.write(data)

    def read(self) -> bytes:
        """See TlsLayer."""
        pieces: list[bytes] = []
        try:
            while piece := self._object.read(PIECE):
                pieces.append(piece)
            self.is_ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.is_ended = True
        except ssl.SSLError as error:
            raise TlsBroken(f"the TLS session was broken: {_words(error)}") from None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def write(self, data: bytes) -> None:
        """See TlsLayer."""
        try:
            self._object.write(data)
        except ssl.SSLError as error:
            raise TlsBroken(f"the TLS session was broken: {_words(error)}") from None

    def end(self) -> None:
        """See TlsLayer."""
        try:
            self._object.unwrap()
        except ssl.SSLError:  # the peer has not said the same yet, or it is broken already
            return

    def data_to_send(self) -> bytes:
        """See TlsLayer."""
        return self._out.read()


def _words(error: Exception) -> str:
    """OpenSSL's words for what went wrong, as for a server."""
    reason = getattr(error, "reason", None)
    return reason.replace("_", " ").lower() if isinstance(reason, str) else str(error)


def pin_of(certificate: x509.Certificate) -> str:
    """What a certificate is pinned by: the SHA-256 of its public key, DER SubjectPublicKeyInfo, as lower-case hex.

    It stays when a certificate is renewed with the same key. Raises TlsBroken for a key of an unknown kind.
    """
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise TlsBroken(f"the public key cannot be read: {error}") from None
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_bytes(serialization.Encoding.DER, form)).hexdigest()


def check_pin(certificate: x509.Certificate, pins: Iterable[str]) -> None:
    """Returns if the certificate's key is one of the pinned ones. Raises NotTrusted, TlsBroken."""
    shown = pin_of(certificate)
    if shown not in pins:
        raise NotTrusted(f"the public key is not the pinned one: its SHA-256 is {shown}")


def end_point_of(certificate: x509.Certificate) -> bytes:
    """The channel binding tls-server-end-point (RFC 5929 §4.1); b"" where the signature has no one hash of its own."""
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return b""
    if algorithm is None:
        return b""
    return certificate.fingerprint(hashes.SHA256() if algorithm.name in ("md5", "sha1") else algorithm)


def dns_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """The DNS names among a certificate's subjectAltNames, as A-labels in lower case; what is no host's is left out."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return ()
    names = []
    for name in extension.value.get_values_for_type(x509.DNSName):
        try:
            names.append(parse_domain(name))
        except AddressError:  # a wildcard proves no name
            continue
    return tuple(name for name in names if not name.startswith("["))
