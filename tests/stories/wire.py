"""A person at a prompt: lines typed at a server's port, and what it says."""

from __future__ import annotations

import smtplib
import socket
from collections.abc import Sequence
from typing import Self

from tests.stories.netns import NetHost


class Prompt:
    """A connection on which lines are typed. `said` collects every reply, the greeting first."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._read = connection.makefile("rb")
        self.said: list[str] = [self._reply()]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._read.close()
        self._connection.close()

    def type(self, line: str) -> str:
        """Types a line and returns the reply to it; the lines of a longer reply are joined by LF."""
        self._connection.sendall(line.encode() + b"\r\n")
        self.said.append(self._reply())
        return self.said[-1]

    def _reply(self) -> str:
        lines = []
        while True:
            line = self._read.readline()
            assert line.endswith(b"\r\n"), f"the server hung up, or has odd line ends: {line!r}"
            lines.append(line.decode().rstrip("\r\n"))
            if lines[-1][3:4] != "-":
                return "\n".join(lines)


def typed(port: int, *lines: str, address: str = "127.0.0.1", source: str = "127.0.0.1") -> list[str]:
    """The replies to lines typed at a port of this machine, without the greeting."""
    connection = socket.create_connection((address, port), timeout=60, source_address=(source, 0))
    with Prompt(connection) as prompt:
        return [prompt.type(line) for line in lines]


def typed_from(host: NetHost, address: str, port: int, *lines: str) -> list[str]:
    """The same from a host of a Network."""
    with Prompt(host.connect(address, port)) as prompt:
        return [prompt.type(line) for line in lines]


class _SmtpFrom(smtplib.SMTP):
    """smtplib's client, on a host of a Network."""

    def __init__(self, host: NetHost, address: str, port: int) -> None:
        self._from = host
        super().__init__(address, port, local_hostname="client.example", timeout=90)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return self._from.connect(host, port, timeout=timeout)


def send(
    port: int,
    sender: str,
    recipients: str | Sequence[str],
    content: bytes,
    *,
    address: str = "127.0.0.1",
    on: NetHost | None = None,
) -> None:
    """Sends a message by plain SMTP as a user's mail program does, from this machine or from a host of a Network.

    Raises smtplib.SMTPException unless every recipient is taken.
    """
    if on is None:
        client = smtplib.SMTP(address, port, local_hostname="client.example", timeout=90)
    else:
        client = _SmtpFrom(on, address, port)
    with client:
        options = ["BODY=8BITMIME"] if not content.isascii() else []
        refused = client.sendmail(sender, recipients, content, mail_options=options)
        assert not refused, refused
