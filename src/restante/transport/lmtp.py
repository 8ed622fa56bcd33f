"""Hands items to a mail store by LMTP (RFC 2033): as over SMTP, but that content has a reply for each recipient."""

from __future__ import annotations

from pathlib import Path

from restante.model import HostPort, NextHopError
from restante.transport.smtp import SmtpCarrier, SmtpMeans

PREFIX = "lmtp:"
MAX_SOCKET = 107  # octets of a Unix socket's path


def parse_lmtp(text: str) -> HostPort | Path:
    """Where `lmtp:HOST:PORT` or `lmtp:/path.sock` leads. Raises NextHopError."""
    where = text.removeprefix(PREFIX)
    if where == text:
        raise NextHopError(f"{text!r} does not begin with {PREFIX}")
    if where.startswith("/"):
        if len(where.encode()) > MAX_SOCKET or "\0" in where:
            raise NextHopError(f"{where!r} cannot be a socket's path: it has more than {MAX_SOCKET} octets, or a NUL")
        return Path(where)
    host = HostPort.parse(where, default_port=0)
    if not host.port:
        raise NextHopError(f"{where!r} has no port; LMTP has none of its own (RFC 2033 §5)")
    if host.port == 25:
        raise NextHopError(f"{where!r}: LMTP must not be on port 25 (RFC 2033 §5)")
    return host


class LmtpCarrier(SmtpCarrier):
    """One way to one mail store, by its port or its socket."""

    def __init__(self, store: HostPort | Path, means: SmtpMeans) -> None:
        super().__init__(store, means, lmtp=True)

    @property
    def target(self) -> str:
        """As the configuration writes it."""
        return f"{PREFIX}{super().target}"
