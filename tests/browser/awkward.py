"""A next hop and office that takes nothing, and says so in words that a page had better not believe.

    with Awkward() as awkward:
        awkward.replies = itertools.cycle(["451 4.7.1 ..."])    # what it says to one RCPT after the other, or ETRN
        awkward.greeting = "554 5.7.1 ..."

Everything else of SMTP it does as it should, in lock-step.
"""

from __future__ import annotations

import itertools
import socketserver
from collections.abc import Iterator
from threading import Thread
from typing import Self

OFFERS = "250-awkward.example\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n250 ETRN"


class Awkward:
    """One of them, at `port` of loopback."""

    def __init__(self) -> None:
        self.greeting = "220 awkward.example"
        self.replies: Iterator[str] = itertools.repeat("451 4.7.1 not now")
        awkward = self

        class Session(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.say(awkward.greeting)
                while line := self.rfile.readline():
                    verb = line.split()[0].upper() if line.strip() else b""
                    self.say(awkward.answer_to(verb))
                    if verb == b"QUIT":
                        return

            def say(self, text: str) -> None:
                self.wfile.write(text.encode("utf-8", "surrogateescape") + b"\r\n")

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session, bind_and_activate=False)
        self._server.daemon_threads = True
        self._server.request_queue_size = 50
        self._server.server_bind()
        self._server.server_activate()
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer_to(self, verb: bytes) -> str:
        """What it says to a command; a peer that goes on after its last words hears no more than that."""
        match verb:
            case b"EHLO":
                return OFFERS
            case b"RCPT" | b"ETRN":
                return next(self.replies)
            case b"QUIT":
                return "221 2.0.0 Bye"
            case b"DATA":
                return "503 5.5.1 No recipients"
        return "250 2.0.0 OK"


def reply(code: int, status: str, *lines: str) -> str:
    """A reply of these lines, each cut where a line of SMTP ends."""
    rows = [line.replace("\r", " ").replace("\n", " ") for line in lines]
    marks = ["-"] * (len(rows) - 1) + [" "]
    return "\r\n".join(f"{code}{mark}{status} {row}" for mark, row in zip(marks, rows, strict=True))
