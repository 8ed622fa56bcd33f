"""Which congestion control a path gets: CUBIC where it is clean, BBR where it loses packets."""

from __future__ import annotations

import socket
import struct

from restante.net.congestion import INFO_OCTETS, Congestion, Sent


def looks(*losses: float, segments: int = 1000) -> list[str | None]:
    """What is said at each look at a path with such parts of losses since the one before."""
    congestion, sent, again, said = Congestion(), 0, 0, []
    for loss in losses:
        sent, again = sent + segments, again + int(segments * loss)
        said.append(congestion.look(Sent(sent, again)))
    return said


def test_a_clean_path_gets_cubic_after_two_looks() -> None:
    """And keeps it, also when that loses some packets as it looks for the path's limit, and a few now and then."""
    assert looks(0, 0, 0.3, *[0.01] * 20) == [None, "cubic", *[None] * 21]


def test_a_lossy_path_keeps_bbr() -> None:
    """One clean look between two others is luck."""
    assert looks(0.01, 0.01, 0, 0.01, 0) == [None] * 5


def test_a_path_that_turns_out_lossy_gets_bbr_back_for_good() -> None:
    """It is not tried twice."""
    assert looks(0, 0, *[0] * 8, 0.03, 0, 0, 0) == [None, "cubic", *[None] * 8, "bbr", None, None, None]


def test_a_look_at_nothing_tells_nothing() -> None:
    """A connection that idles is left alone."""
    assert looks(0, 0, 0, segments=10) == [None] * 3


def test_the_kernels_counts_are_read_where_they_stand() -> None:
    """A real connection: what was sent is counted, and nothing of it was sent again."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        accepted, _ = server.accept()
        with accepted:
            for _ in range(10):
                client.sendall(b"x" * 1000)
                accepted.recv(1000)
            sent = Sent.of_info(client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, INFO_OCTETS))
    assert 10 <= sent.segments < 100
    assert sent.again == 0
    try:
        Sent.of_info(b"")
    except struct.error:
        return
    raise AssertionError("nothing was read from nothing")
