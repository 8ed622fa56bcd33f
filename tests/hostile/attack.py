r"""What all of these tests attack with: octets sent to a real server in pieces of our choice, and all that it says.

    say(port, b"EHLO x\r\n", b"MAIL FROM:<>\r", b"\n")      # three segments, then our end; its replies, to its end
    replies(heard)                                        # whole replies: "250 2.1.0 Sender OK", lines joined by LF

Whoever does not answer within PATIENCE hangs, which fails the test. Connections come from one address of 127/8 after
the other, so that limits for each address are no part of what is tested.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import selectors
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

from tests.stories.restante_host import RestanteHost

PATIENCE = 100.0
GAP = 0.001
"""Seconds between pieces, so that the server reads each by itself."""
_addresses = (f"127.77.{n // 250 % 250}.{1 + n % 250}" for n in itertools.count())


def connect(port: int, source: str | None = None) -> socket.socket:
    """A connection from an address of its own, or from `source`."""
    connection = socket.create_connection(
        ("127.0.0.1", port), timeout=PATIENCE, source_address=(source or next(_addresses), 0)
    )
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def say(port: int, *pieces: bytes, source: str | None = None, ends: bool = True) -> bytes:
    """Sends pieces, and gives all that is answered until the server hangs up.

    With `ends` we say that we send no more; without it the server has to end by itself.
    """
    with connect(port, source) as connection:
        return converse(connection, *pieces, ends=ends)


def converse(connection: socket.socket, *pieces: bytes, ends: bool = True) -> bytes:
    """The same on a connection that stands. Reads while it writes; a server that hangs up meanwhile is no error."""
    heard = bytearray()
    end = time.monotonic() + PATIENCE
    connection.setblocking(False)
    with selectors.DefaultSelector() as selector, contextlib.suppress(ConnectionError):
        selector.register(connection, selectors.EVENT_READ)
        for number, piece in enumerate(pieces):
            if number:
                time.sleep(GAP)
            if not _sent(connection, selector, memoryview(piece), heard):
                return bytes(heard)
        if ends:
            connection.shutdown(socket.SHUT_WR)
        while selector.select(max(0.0, end - time.monotonic())):
            if not (data := connection.recv(65536)):
                return bytes(heard)
            heard += data
        raise AssertionError(f"it hangs; it has said {bytes(heard[-500:])!r}")
    return bytes(heard)


def _sent(connection: socket.socket, selector: selectors.BaseSelector, left: memoryview, heard: bytearray) -> bool:
    """Whether all of a piece was taken; False when the server has hung up."""
    selector.modify(connection, selectors.EVENT_READ | selectors.EVENT_WRITE)
    try:
        while left:
            ready = selector.select(PATIENCE)
            assert ready, "it takes nothing more"
            if ready[0][1] & selectors.EVENT_READ:
                if not (data := connection.recv(65536)):
                    return False
                heard += data
            if ready[0][1] & selectors.EVENT_WRITE:
                left = left[connection.send(left) :]
    finally:
        selector.modify(connection, selectors.EVENT_READ)
    return True


def replies(heard: bytes) -> list[str]:
    """Whole replies, each with its lines joined by LF. What is no reply, or has a bare CR or LF, fails."""
    found: list[str] = []
    lines: list[str] = []
    assert heard.endswith(b"\r\n") or not heard, heard[-500:]
    for line in heard.decode().split("\r\n")[:-1]:
        assert re.fullmatch(r"[2-5][0-9]{2}[ -][^\r\n\0]*", line), line
        lines.append(line)
        if line[3] == " ":
            found.append("\n".join(lines))
            lines = []
    assert not lines, lines
    return found


def codes(heard: bytes) -> list[int]:
    """Of all replies."""
    return [int(reply[:3]) for reply in replies(heard)]


def secured(connection: socket.socket, *, pieces: tuple[bytes, ...] = (b"EHLO client.example\r\n",)) -> ssl.SSLSocket:
    """Asks for STARTTLS, and gives the connection with TLS on it; whose certificate it is, is not looked at."""
    said = b""
    for piece in (*pieces, b"STARTTLS\r\n"):
        connection.sendall(piece)
    while not re.search(rb"^(?:220 2|[45]\d\d )[^\n]*\n\Z", said, re.MULTILINE):
        data = connection.recv(4096)
        assert data, f"it hung up: {said!r}"
        said += data
    assert b"\r\n220 2.0.0" in said, said
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection, suppress_ragged_eofs=True)


def resident(host: RestanteHost) -> int:
    """Octets of memory that it has now."""
    return _status(host, "VmRSS")


class Memory:
    """What a server has taken at the most since this was made."""

    def __init__(self, host: RestanteHost) -> None:
        self._host = host
        Path(f"/proc/{host.pid}/clear_refs").write_text("5")  # the peak begins anew
        self._before = resident(host)

    @property
    def growth(self) -> int:
        """Octets."""
        return _status(self._host, "VmHWM") - self._before


def _status(host: RestanteHost, field: str) -> int:
    status = Path(f"/proc/{host.pid}/status").read_text()
    found = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
    assert found, status
    return int(found[1]) * 1024


def cut_everywhere(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """In two pieces, at each place within."""
    for place in range(1, len(data)):
        yield data[:place], data[place:]
