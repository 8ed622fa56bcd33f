"""One end of a TLS session by pyOpenSSL, without I/O: what a server's end and a client's have in common."""

from __future__ import annotations

from OpenSSL import SSL
from OpenSSL.crypto import X509

from restante.net.stream import TlsBroken

PIECE = 64 * 1024


class OpenSslLayer:
    """TlsLayer but for session(). `verdicts` are OpenSSL's of the peer's certificates; 0 is for nothing wrong."""

    def __init__(self, context: SSL.Context) -> None:
        self.verdicts: list[int] = []
        self.connection = SSL.Connection(context)
        self.connection.set_app_data(self.verdicts)
        self.is_ended = False

    def handshake(self) -> bool:
        """See TlsLayer."""
        try:
            self.connection.do_handshake()
        except SSL.WantReadError:
            return False
        except SSL.Error as error:
            raise TlsBroken(f"the TLS handshake failed: {_reason(error)}") from None
        return True

    def receive(self, data: bytes) -> None:
        """See TlsLayer."""
        self.connection.bio_write(data)

    def read(self) -> bytes:
        """See TlsLayer."""
        pieces: list[bytes] = []
        try:
            while True:
                pieces.append(self.connection.recv(PIECE))
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.is_ended = True
        except SSL.Error as error:
            raise TlsBroken(f"the TLS session was broken: {_reason(error)}") from None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def write(self, data: bytes) -> None:
        """See TlsLayer."""
        try:
            self.connection.sendall(data)
        except SSL.Error as error:
            raise TlsBroken(f"the TLS session was broken: {_reason(error)}") from None

    def end(self) -> None:
        """See TlsLayer."""
        try:
            self.connection.shutdown()
        except SSL.Error:  # it is broken already
            return

    def data_to_send(self) -> bytes:
        """See TlsLayer."""
        pieces: list[bytes] = []
        try:
            while True:
                pieces.append(self.connection.bio_read(2 * PIECE))
                if len(pieces[-1]) < 2 * PIECE:
                    break
        except SSL.WantReadError:
            pass
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def judge(connection: SSL.Connection, certificate: X509, error: int, depth: int, ok: int) -> bool:
    """The verify callback of an OpenSslLayer's context: takes what comes, and notes what OpenSSL thinks of it."""
    del certificate, depth, ok
    verdicts = connection.get_app_data()
    assert isinstance(verdicts, list)
    verdicts.append(error)
    return True


def _reason(error: SSL.Error) -> str:
    """OpenSSL's words for what went wrong."""
    if error.args and isinstance(error.args[0], list) and error.args[0]:
        return str(error.args[0][0][2])
    return " ".join(map(str, error.args)) or "no reason is known"
