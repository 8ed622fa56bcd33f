"""The client's end of TLS where Python's ssl cannot judge: by TLSA records, or only to tell what VERIFY would say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from OpenSSL import SSL

from restante.net.certificates import has_name
from restante.net.dane import TlsaRecord, check_chain
from restante.net.openssl_layer import OpenSslLayer
from restante.net.stream import PeerCertificate, ResultType, TlsBroken, TlsSession, result_of_code
from restante.net.tls_layers import check_pin, end_point_of


class _PeerLayer(OpenSslLayer):
    """What both do with whom they have dialled."""

    def __init__(self, context: SSL.Context, server_name: str, pins: Iterable[str]) -> None:
        super().__init__(context)
        self._pins = frozenset(pins)
        if server_name:
            self.connection.set_tlsext_host_name(server_name.encode("ascii"))
        self.connection.set_connect_state()

    def handshake(self) -> bool:
        """See TlsLayer."""
        if not super().handshake():
            return False
        if self._pins:
            check_pin(self.chain()[0], self._pins)
        return True

    def chain(self) -> Sequence[x509.Certificate]:
        """What the server has shown, its own certificate first. Raises TlsBroken."""
        try:
            chain = self.connection.get_peer_cert_chain(as_cryptography=True)
        except (ValueError, x509.InvalidVersion) as error:
            raise TlsBroken(f"the server's certificate cannot be read: {error}") from None
        if not chain:
            raise TlsBroken("the server has shown no certificate")
        return chain

    def _session(self, doubt: ResultType | None) -> TlsSession:
        own = self.chain()[0]
        peer = PeerCertificate(own.fingerprint(hashes.SHA256()).hex(), (), doubt is None, doubt)
        version, cipher = self.connection.get_protocol_version_name(), self.connection.get_cipher_name() or ""
        return TlsSession(version, cipher, peer, end_point_of(own))


class DaneLayer(_PeerLayer):
    """TlsLayer towards a server that must be what usable TLSA records say (RFC 7672 §3.2).

    `names` are what it may be called, the TLSA base domain first, which it is told (SNI, RFC 7672 §8.1).
    """

    def __init__(
        self, context: SSL.Context, records: Sequence[TlsaRecord], names: Sequence[str], pins: Iterable[str] = ()
    ) -> None:
        super().__init__(context, names[0] if names else "", pins)
        self._records = records
        self._names = names

    def handshake(self) -> bool:
        """See TlsLayer."""
        if not super().handshake():
            return False
        check_chain(self.chain(), self._records, self._names)
        return True

    def session(self) -> TlsSession:
        """See TlsLayer."""
        return self._session(None)


class TestedLayer(_PeerLayer):
    """TlsLayer towards a server that is taken whatever it shows, and judged nevertheless (RFC 8461 §5, `testing`)."""

    __test__ = False  # pytest takes the name for its own

    def __init__(self, context: SSL.Context, server_name: str, pins: Iterable[str] = ()) -> None:
        super().__init__(context, server_name, pins)
        self._name = server_name

    def session(self) -> TlsSession:
        """See TlsLayer."""
        return self._session(self._doubt())

    def _doubt(self) -> ResultType | None:
        for code in filter(None, self.verdicts):
            return result_of_code(code)
        return None if has_name(self.chain()[0], [self._name]) else ResultType.HOST_MISMATCH
