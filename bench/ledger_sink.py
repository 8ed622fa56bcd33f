"""Where drained mail goes: a small SMTP server that hands each message, whole, to a ledger and then says 250.

It offers PIPELINING and CHUNKING, and understands DATA as well. What it has taken it has taken: the 250 comes after
the ledger knows of it, so mail that is sent a second time is counted as a duplicate.
"""

from __future__ import annotations

import asyncio
from typing import Self, cast

from bench.ledger import Ledger
from bench.machine import free_port

EHLO = b"250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-CHUNKING\r\n250 ENHANCEDSTATUSCODES\r\n"
END = b"\r\n.\r\n"
OK = b"250 2.0.0 OK\r\n"


class Sink:
    """Listens at 127.0.0.1:`port` within `async with`. `ledger` may be replaced at any time."""

    def __init__(self, ledger: Ledger, port: int = 0) -> None:
        self.ledger = ledger
        self.port = port or free_port()
        self.open: set[asyncio.Transport] = set()
        """Its connections."""
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Session(self), "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        await asyncio.sleep(0.01)  # who was being let in is
        for transport in list(self.open):
            transport.abort()
        while self.open:
            await asyncio.sleep(0)


class _Session(asyncio.Protocol):
    """One connection. `_chunk` octets of a BDAT are to come; `_in_data`: a line with a dot ends it."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._transport: asyncio.Transport | None = None
        self._unread = bytearray()
        self._content = bytearray()
        self._chunk: int | None = None
        self._is_last = False
        self._in_data = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._sink.open.add(self._transport)
        self._transport.write(b"220 sink.example ESMTP\r\n")

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        assert self._transport is not None
        self._sink.open.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._unread += data
        replies = []
        while (said := self._step()) is not None:
            replies.append(said)
        self._transport.write(b"".join(replies))
        if replies and replies[-1].startswith(b"221"):
            self._transport.close()

    def _step(self) -> bytes | None:
        """Takes the next thing that is there whole, and gives the reply to it."""
        if self._chunk is not None:
            return self._bdat(self._chunk)
        if self._in_data:
            return self._data()
        end = self._unread.find(b"\r\n")
        if end < 0:
            return None
        line = bytes(self._unread[:end])
        del self._unread[: end + 2]
        return self._command(line)

    def _bdat(self, octets: int) -> bytes | None:
        if len(self._unread) < octets:
            return None
        self._content += self._unread[:octets]
        del self._unread[:octets]
        self._chunk = None
        return self._take() if self._is_last else OK

    def _data(self) -> bytes | None:
        if self._unread.startswith(END[2:]):
            end = -2
        elif (end := self._unread.find(END)) < 0:
            return None
        self._content += bytes(self._unread[: end + 2]).removeprefix(b".").replace(b"\r\n.", b"\r\n")
        del self._unread[: end + len(END)]
        self._in_data = False
        return self._take()

    def _take(self) -> bytes:
        self._sink.ledger.came_out(bytes(self._content))
        self._content.clear()
        return OK

    def _command(self, line: bytes) -> bytes:
        words = line.upper().split()
        match words:
            case [b"BDAT", size, *last]:
                self._chunk, self._is_last = int(size), bool(last)
                return b""
            case [b"DATA"]:
                self._in_data = True
                return b"354 Go on\r\n"
            case [b"EHLO", *_]:
                return EHLO
            case [b"QUIT"]:
                return b"221 2.0.0 Bye\r\n"
            case [b"MAIL" | b"RSET", *_]:
                self._content.clear()
        return OK
