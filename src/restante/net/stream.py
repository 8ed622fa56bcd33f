"""Stream: bytes both ways with deadlines, over asyncio or in memory; it can be given TLS and handed to another room.

Reading and writing end with StreamClosed when the peer has gone; a deadline that passes raises StreamTimeout. Both
mean that the connection is of no further use. What start_tls() finds unread raises InjectedBytes (CVE-2011-0411).
Under TLS only a close_notify is a clean end: a connection that is cut without one raises TlsBroken (RFC 8446 §6.1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from restante.errors import RestanteError
from restante.smtp.node import IPAddress


class StreamClosed(RestanteError):
    """The peer has closed or reset the connection. Another connection may work."""


class TlsBroken(StreamClosed):
    """A TLS handshake that failed, or a TLS session that was broken or cut off. Another connection may work."""


class ResultType(StrEnum):
    """What TLS towards a host can fail of, in the words of RFC 8460 §4.3."""

    NO_STARTTLS = "starttls-not-supported"
    HOST_MISMATCH = "certificate-host-mismatch"
    EXPIRED = "certificate-expired"
    NOT_TRUSTED = "certificate-not-trusted"
    VALIDATION_FAILURE = "validation-failure"
    """Any other reason."""
    TLSA_INVALID = "tlsa-invalid"
    DNSSEC_INVALID = "dnssec-invalid"
    DANE_REQUIRED = "dane-required"
    STS_FETCH_ERROR = "sts-policy-fetch-error"
    STS_INVALID = "sts-policy-invalid"
    STS_WEBPKI_INVALID = "sts-webpki-invalid"


class NotTrusted(TlsBroken):
    """The peer did not prove to be the one that was meant. Trying again helps when the one or the other was mended."""

    def __init__(self, problem: str, result: ResultType = ResultType.NOT_TRUSTED) -> None:
        super().__init__(problem)
        self.result = result


_CODES = {
    9: ResultType.EXPIRED,  # not yet valid: no word is nearer
    10: ResultType.EXPIRED,
    62: ResultType.HOST_MISMATCH,
    64: ResultType.HOST_MISMATCH,
}


def result_of_code(code: int) -> ResultType:
    """What one of OpenSSL's codes for a certificate that it does not trust (X509_V_ERR_...) is in RFC 8460."""
    return _CODES.get(code, ResultType.NOT_TRUSTED)


class StreamTimeout(RestanteError):
    """The peer was silent past the deadline. Another connection may work."""


class InjectedBytes(RestanteError):
    """Bytes were sent ahead of a TLS or role change: an attack or a broken peer; the connection must be closed."""


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """The certificate that the other end has shown, and of which it holds the key."""

    fingerprint: str
    """SHA-256 of the certificate, lower-case hex; who issued it does not matter."""
    names: tuple[str, ...] = ()
    """The DNS names in it, as A-labels in lower case; only where it is trusted."""
    trusted: bool = False
    """Whether it leads to an authority that this end trusts, is within its dates and was made for this use; or is what
    the TLSA records say."""
    doubt: ResultType | None = None
    """What is wrong with it, where that was to be found out and not to matter (MTA-STS, mode `testing`)."""


@dataclass(frozen=True, slots=True)
class TlsSession:
    """What was agreed in the handshake. `version` is `TLSv1.2` or a later one, `cipher` OpenSSL's name of the suite."""

    version: str
    cipher: str
    peer: PeerCertificate | None
    """None where the peer has shown no certificate."""
    server_end_point: bytes = b""
    """The channel binding of that name, of the SERVER's certificate (RFC 5929 §4); b"" where it is not defined."""


class TlsLayer(Protocol):
    """One end of a TLS session, without I/O: the connection's bytes go in and come out, and so does what they carry."""

    @property
    def is_ended(self) -> bool:
        """Whether the peer has said that it sends no more (close_notify); what comes after that is not read."""
        ...

    def handshake(self) -> bool:
        """Goes on with the handshake; whether it has succeeded. Raises TlsBroken, NotTrusted."""
        ...

    def session(self) -> TlsSession:
        """What was agreed. Only after the handshake. Raises TlsBroken where the peer's certificate cannot be read."""
        ...

    def receive(self, data: bytes) -> None:
        """Takes bytes from the connection, one at least."""
        ...

    def read(self) -> bytes:
        """What has come through TLS since; b"" where more is needed. Only after the handshake. Raises TlsBroken."""
        ...

    def write(self, data: bytes) -> None:
        """Takes what is to be sent through TLS. Only after the handshake. Raises TlsBroken."""
        ...

    def end(self) -> None:
        """Says that nothing more is sent (close_notify)."""
        ...

    def data_to_send(self) -> bytes:
        """What must go out on the connection now: handshake, alerts, what was written."""
        ...


class TlsContext(Protocol):
    """What this end brings to a handshake; net/tls.py makes them."""

    @property
    def server_side(self) -> bool:
        """Whether it is for the end that takes connections."""
        ...

    def layer(self, server_name: str | None) -> TlsLayer:
        """A new session's layer; a client tells, and checks where it checks, that it wants `server_name`."""
        ...


Take = Callable[[bytes], float | None]
"""Hears what came, at least one octet, and must not wait; gives the seconds to wait for more, or None for: enough."""
Woken = Callable[[bool, Exception | None], None]
"""Hears, once, that no more is given: whether that was enough, and what feed() would raise."""


class Stream(Protocol):
    """A connection, whoever opened it."""

    @property
    def received(self) -> int:
        """Octets that have come in all."""
        ...

    @property
    def is_clogged(self) -> bool:
        """Whether more is queued than the peer takes: who wants to say more awaits drain()."""
        ...

    @property
    def peer(self) -> tuple[IPAddress, int]:
        """Address and port of the other end."""
        ...

    @property
    def local(self) -> tuple[IPAddress, int]:
        """Address and port of this end."""
        ...

    @property
    def tls(self) -> TlsSession | None:
        """The TLS session, once there is one."""
        ...

    async def read(self, timeout: float | None = None) -> bytes:
        """The next bytes, at least one; b"" once at the peer's clean end. `timeout` is in seconds.

        Raises StreamClosed on a reset, StreamTimeout.
        """
        ...

    async def feed(self, take: Take, timeout: float) -> bool:
        """Gives `take` what comes as it comes, with no turn of the event loop in between, until that is enough.

        Whether it was; False: the peer's clean end came first. `timeout`: seconds until something has come. Raises
        StreamClosed on a reset, StreamTimeout, and what `take` raises.
        """
        ...

    def listen(self, take: Take, timeout: float, woken: Woken) -> None:
        """As feed(), but without a coroutine that waits for the end: `woken` is called, which may be at once.

        What has come already, and whether an end is clean, only the next feed() tells.
        """
        ...

    def write(self, data: bytes) -> None:
        """Queues bytes to be sent; returns at once. Nothing is raised: the next read() or drain() tells."""
        ...

    async def drain(self, timeout: float | None = None) -> None:
        """Waits until little is queued. Raises StreamClosed, StreamTimeout."""
        ...

    @property
    def unread(self) -> int:
        """Octets that have come and were not yet given by read()."""
        ...

    async def start_tls(self, context: TlsContext, *, server_side: bool, server_name: str | None = None) -> None:
        """Puts TLS on the connection, which a failure closes.

        Raises InjectedBytes, StreamClosed (TlsBroken and NotTrusted among it, with the reason), StreamTimeout.
        """
        ...

    def end(self) -> None:
        """Takes nothing more, and closes when what is queued has been sent; a read() that waits gives b""."""
        ...

    async def close(self) -> None:
        """Sends what is queued, for a short while, and closes."""
        ...

    def abort(self) -> None:
        """Closes at once; what was queued may be lost."""
        ...


TlsSeen = Callable[[Stream, ResultType | None, str], None]
"""Hears once what became of a connection's TLS: what failed and why, or None and nothing."""
