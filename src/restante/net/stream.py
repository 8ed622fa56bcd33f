"""Stream: bytes both ways with deadlines, over asyncio or in memory; it can be given TLS and handed to another room.

Reading and writing end with StreamClosed when the peer has gone; a deadline that passes raises StreamTimeout. Both
mean that the connection is of no further use. What start_tls() finds unread raises InjectedBytes (CVE-2011-0411).
"""

from __future__ import annotations

import ssl
from typing import Protocol

from restante.errors import RestanteError
from restante.smtp.node import IPAddress


class StreamClosed(RestanteError):
    """The peer has closed or reset the connection. Another connection may work."""


class StreamTimeout(RestanteError):
    """The peer was silent past the deadline. Another connection may work."""


class InjectedBytes(RestanteError):
    """Bytes were sent ahead of a TLS or role change: an attack or a broken peer; the connection must be closed."""


class Stream(Protocol):
    """A connection, whoever opened it."""

    @property
    def peer(self) -> tuple[IPAddress, int]:
        """Address and port of the other end."""
        ...

    @property
    def local(self) -> tuple[IPAddress, int]:
        """Address and port of this end."""
        ...

    @property
    def tls(self) -> ssl.SSLObject | None:
        """The TLS session, once there is one."""
        ...

    async def read(self, timeout: float | None = None) -> bytes:
        """The next bytes, at least one; b"" once at the peer's clean end. `timeout` is in seconds.

        Raises StreamClosed on a reset, StreamTimeout.
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

    async def start_tls(self, context: ssl.SSLContext, *, server_side: bool, server_name: str | None = None) -> None:
        """Puts TLS on the connection. Raises InjectedBytes, StreamClosed (a failed handshake too), StreamTimeout."""
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
