"""Socket options: Linux hands those of a listening socket down to its connections."""

from __future__ import annotations

import socket
import sys

import pytest

from restante.net.tuning import DEAD_SECONDS, tune


def options_of(sock: socket.socket) -> list[int | bytes]:
    """All that tune() sets, as the system has it for a connection."""
    tcp = socket.IPPROTO_TCP
    return [
        sock.getsockopt(tcp, socket.TCP_NODELAY),
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        sock.getsockopt(tcp, socket.TCP_KEEPIDLE),
        sock.getsockopt(tcp, socket.TCP_KEEPINTVL),
        sock.getsockopt(tcp, socket.TCP_NOTSENT_LOWAT),
        sock.getsockopt(tcp, socket.TCP_USER_TIMEOUT),
        sock.getsockopt(tcp, socket.TCP_CONGESTION, 16),
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other options")
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_connection_has_the_options_of_the_socket_where_it_was_accepted(address: str) -> None:
    """So nothing has to be set for each."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listening:
        tune(listening)
        with socket.create_connection(listening.getsockname()[:2]) as peer, listening.accept()[0] as accepted:
            assert options_of(accepted) == options_of(listening)
            assert options_of(accepted)[:6] == [1, 1, DEAD_SECONDS, DEAD_SECONDS // 3, 128 * 1024, DEAD_SECONDS * 1000]
            assert options_of(accepted)[:6] != options_of(peer)[:6]
