"""Sockets that listen and what they accept are as the socket module's."""

from __future__ import annotations

import socket

import pytest

from restante.net.accepting import Listening


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_what_is_accepted_is_an_ordinary_connection(family: socket.AddressFamily, address: str) -> None:
    """Of the family of who listens; and nobody is waited for."""
    with Listening.at((address, 0), family, 5) as listening:
        with pytest.raises(BlockingIOError):
            listening.take()
        with socket.create_connection(listening.getsockname()[:2]) as peer:
            connection, name = listening.take()
            with connection:
                assert name == peer.getsockname()
                assert (connection.family, connection.type) == (family, socket.SOCK_STREAM)
                assert not connection.get_inheritable()
                connection.send(b"220 hello\r\n")
                assert peer.recv(100) == b"220 hello\r\n"
