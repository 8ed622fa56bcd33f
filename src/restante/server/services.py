"""What a session asks of the other rooms, and what it may therefore offer its peer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from restante.clock import Clock
from restante.directory.entries import Directory
from restante.facts import Announce
from restante.filtering.screen import Screen
from restante.logins.check import Logins
from restante.model import DomainName, Principal
from restante.net.stream import TlsSession
from restante.net.tls import ServerContext
from restante.release.answers import Answer
from restante.server.admission import Admission
from restante.server.turning import Turning
from restante.smtp.node import Node
from restante.smtp.services import Features, Service
from restante.spool.spool import Inbox


@dataclass(frozen=True, slots=True)
class Limits:
    """What one session may take: octets, counts, seconds."""

    message_size: int = 50 * 1024 * 1024
    recipients: int = 1000
    command_timeout: float = 300.0
    hops: int = 50
    min_rate: float = 500.0
    """Octets a second, inside a command or content."""
    header_size: int = 256 * 1024


@dataclass(frozen=True, slots=True)
class Services:
    """What a session asks of the other rooms."""

    hostname: str
    spool: Inbox
    directory: Callable[[], Directory]
    ask: Callable[[Node, Principal], Awaitable[Answer]]
    arrived: Callable[[DomainName], None]
    announce: Announce
    clock: Clock
    limits: Limits
    tls: Callable[[], ServerContext] | None
    """Gives the context for STARTTLS at each; None where the listener does not offer it."""
    service: Service = Service.MX
    logins: Logins | None = None
    """Who may log in; None where nobody may."""
    tls_first: bool = False
    """Whether TLS must come before anything that matters."""
    passwords_in_clear: bool = False
    """Whether they may be shown before TLS; on loopback they may in any case."""
    turning: Turning | None = None
    """What decides on ATRN, where the service is `odmr`."""
    screen: Screen | None = None
    """What asks a filter about each message; None where none is asked."""
    admission: Admission | None = None
    """What decides on mail for held domains beyond routing; None where none is held."""

    def features(self, principal: Principal, tls: TlsSession | None) -> Features:
        """What is offered to this peer, over TLS or not yet."""
        is_clear = tls is None
        return Features(
            self.hostname,
            self.limits.message_size,
            self.service,
            starttls=is_clear and self.tls is not None,
            tls_first=is_clear and self.tls_first,
            auth=self._mechanisms(principal, tls),
            encrypted=not is_clear,
        )

    def _mechanisms(self, principal: Principal, tls: TlsSession | None) -> tuple[str, ...]:
        if self.logins is None:
            return ()
        return self.logins.offer(
            principal,
            is_encrypted=tls is not None,
            allow_clear=self.passwords_in_clear or principal.address.is_loopback,
            is_odmr=self.service is Service.ODMR,
            can_bind=bool(end_point(tls)),
        )


def end_point(tls: TlsSession | None) -> bytes:
    """The channel binding of our TLS (RFC 5929), where there is one."""
    return tls.server_end_point if tls is not None else b""
