"""A next hop that takes everything and writes down all that it hears, octet by octet.

It understands what RFC 5321 and 3030 allow and nothing else: a line ends in CR LF, content in CR LF . CR LF, a chunk
where it says. What it took for commands and what for content can be looked at apart.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

BINARY = "BODY=BINARYMIME"


@dataclass(slots=True)
class Taken:
    """A message: its MAIL command, and its content as it came, dots unstuffed."""

    mail: str
    content: bytes

    @property
    def is_binary(self) -> bool:
        """Whether any octets are allowed in it."""
        return BINARY in self.mail.upper()


@dataclass(slots=True)
class _Session:
    """One connection."""

    commands: list[bytes] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)
    text: bytearray = field(default_factory=bytearray)
    """All octets but the chunks of binary messages."""


class Sink:
    """Listens on a port of this machine until the end of `with`; offers `keywords`."""

    def __init__(self, port: int, keywords: Sequence[str]) -> None:
        self._socket = socket.create_server(("127.0.0.1", port))
        self._keywords = keywords
        self._sessions: list[_Session] = []
        self.errors: list[BaseException] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    @property
    def taken(self) -> list[Taken]:
        """All messages."""
        return [taken for session in self._sessions for taken in session.taken]

    @property
    def commands(self) -> list[bytes]:
        """All command lines, without their ends."""
        return [command for session in self._sessions for command in session.commands]

    @property
    def texts(self) -> list[bytes]:
        """By connection, all octets but the chunks of binary messages."""
        return [bytes(session.text) for session in self._sessions]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            session = _Session()
            self._sessions.append(session)
            threading.Thread(target=self._guarded, args=(connection, session), daemon=True).start()

    def _guarded(self, connection: socket.socket, session: _Session) -> None:
        try:
            with connection, connection.makefile("rb") as octets:
                _serve(connection, octets.read, session, self._keywords)
        except ConnectionError:
            pass
        except BaseException as error:  # noqa: BLE001 - a thread has nobody to tell
            self.errors.append(error)


class _Reader:
    """Octets, written down as they are read."""

    def __init__(self, read: object, text: bytearray) -> None:
        assert callable(read)
        self._read = read
        self._text = text

    def octets(self, count: int, *, is_text: bool = True) -> bytes:
        """So many; fewer at the end of the connection."""
        data: bytes = self._read(count)
        if is_text:
            self._text += data
        return data

    def until(self, end: bytes) -> bytes:
        """All up to `end`, with it; b"" at the end of the connection."""
        data = bytearray()
        while not data.endswith(end):
            if not (octet := self.octets(1)):
                return b""
            data += octet
        return bytes(data)


def _serve(connection: socket.socket, read: object, session: _Session, keywords: Sequence[str]) -> None:
    reader = _Reader(read, session.text)
    connection.sendall(b"220 sink.example ESMTP\r\n")
    mail, chunks = "", b""
    while line := reader.until(b"\r\n"):
        session.commands.append(line[:-2])
        verb, _, argument = line[:-2].decode().partition(" ")
        answer = b"250 OK\r\n"
        match verb:
            case "EHLO":
                answer = b"".join(b"250-%s\r\n" % word.encode() for word in ("sink.example", *keywords)) + answer
            case "MAIL":
                mail, chunks = argument, b""
            case "DATA":
                connection.sendall(b"354 go on\r\n")
                content = b"\r\n"
                while not content.endswith(b"\r\n.\r\n"):
                    if not (rest := reader.until(b"\r\n")):
                        return
                    content += rest
                session.taken.append(Taken(mail, content[2:-3].replace(b"\r\n.", b"\r\n").removeprefix(b".")))
            case "BDAT":
                count, _, last = argument.partition(" ")
                chunks += reader.octets(int(count), is_text=BINARY not in mail.upper())
                if last:
                    session.taken.append(Taken(mail, chunks))
            case "QUIT":
                connection.sendall(b"221 bye\r\n")
                return
            case "RCPT" | "RSET":
                pass
            case _:
                raise AssertionError(f"the client says {line!r}")
        connection.sendall(answer)
