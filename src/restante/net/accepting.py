"""Sockets that listen, and what they accept, without what the socket module does for each connection besides.

Its accept() makes members of Enums of family and type, and so does a loop that is given what it accepted: that takes
longer than the system's call.
"""

from __future__ import annotations

import socket


class Accepted(socket.socket):
    """A connection. It blocks, until a loop is given it or setblocking() is called."""

    __slots__ = ("family",)

    type = socket.SOCK_STREAM
    family: socket.AddressFamily


class Listening(socket.socket):
    """A TCP socket that listens, and does not block."""

    __slots__ = ("_family",)

    _family: socket.AddressFamily

    @staticmethod
    def at(name: tuple[object, ...], family: socket.AddressFamily, backlog: int) -> Listening:
        """Opens one. Raises OSError."""
        listening = Listening(fileno=socket.create_server(name, family=family, backlog=backlog).detach())
        listening.setblocking(False)
        listening._family = family
        return listening

    def take(self) -> tuple[Accepted, object]:
        """The next connection, and its peer as the system names it. Raises OSError."""
        descriptor, name = self._accept()  # type: ignore[attr-defined]  # accept() is this and those Enums
        connection = Accepted(self._family, socket.SOCK_STREAM, 0, descriptor)
        connection.family = self._family
        return connection, name
