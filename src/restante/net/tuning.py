"""Socket options for a far and thin link; what this kernel lacks is left out. And how many sockets there may be.

BBR does not slow down for the loss of single packets; little unsent is buffered in the kernel, so that what runs
ahead is ours to bound; a link that is dead is noticed after DEAD_SECONDS, inside the window, and after twice as many
where we wait for the peer and send nothing.

Linux hands all of them down from a listening socket to each connection that is accepted there.
"""

from __future__ import annotations

import contextlib
import resource
import socket
from typing import Protocol

DEAD_SECONDS = 60
_OPTIONS: tuple[tuple[int, int, int | bytes], ...] = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPIDLE", -1), DEAD_SECONDS),
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPINTVL", -1), DEAD_SECONDS // 3),
    (socket.IPPROTO_TCP, getattr(socket, "TCP_CONGESTION", -1), b"bbr"),
    (socket.IPPROTO_TCP, getattr(socket, "TCP_NOTSENT_LOWAT", -1), 128 * 1024),
    (socket.IPPROTO_TCP, getattr(socket, "TCP_USER_TIMEOUT", -1), DEAD_SECONDS * 1000),
)


class HasOptions(Protocol):
    """A socket, or what asyncio gives for one."""

    def setsockopt(self, level: int, option: int, value: int | bytes, /) -> None:
        """See socket.socket."""
        ...


def tune(sock: HasOptions) -> None:
    """Sets them on a connection, or on a listening socket for all of its connections."""
    for level, option, value in _OPTIONS:
        if option >= 0:
            try:
                sock.setsockopt(level, option, value)
            except OSError:
                continue


def allow_many_files() -> None:
    """As many open files as this process may have: a connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
