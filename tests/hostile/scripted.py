"""A server that does all as usual but one thing: at one step it says something else, and goes on, ends, or is silent.

It is written on plain asyncio streams, apart from restante, and understands pipelined commands and chunks.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from restante.model import HostPort


class Step(StrEnum):
    """Where it stands."""

    GREETING = "greeting"
    EHLO = "EHLO"
    STARTTLS = "STARTTLS"
    RSET = "RSET"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    CONTENT = "content"
    ETRN = "ETRN"
    QUIT = "QUIT"


class Then(StrEnum):
    """What it does after what it says."""

    GOES_ON = "goes on"
    ENDS = "ends"
    IS_SILENT = "is silent"


USUAL = {
    Step.GREETING: b"220 mx.example\r\n",
    Step.STARTTLS: b"502 no\r\n",
    Step.RSET: b"250 OK\r\n",
    Step.MAIL: b"250 OK\r\n",
    Step.RCPT: b"250 OK\r\n",
    Step.DATA: b"354 go on\r\n",
    Step.CONTENT: b"250 OK\r\n",
    Step.ETRN: b"250 OK\r\n",
    Step.QUIT: b"221 bye\r\n",
}
STREAM, GROUP, LOCKSTEP = ("PIPELINING", "CHUNKING"), ("PIPELINING",), ()


@dataclass(slots=True)
class Scripted:
    """What it says, and what it has heard in clear. Change `step` and `answer` between connections."""

    keywords: Sequence[str] = STREAM
    step: Step | None = None
    answer: bytes = b""
    then: Then = Then.GOES_ON
    drip: float = 0.0
    """Seconds between the octets of `answer`; 0: at once."""
    at: HostPort = field(default_factory=lambda: HostPort("127.0.0.1", 0))
    heard: bytearray = field(default_factory=bytearray)
    connections: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def usual(self) -> None:
        """From now on it does nothing strange."""
        self.step = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(
                OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError
            ):
                await self._converse(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.transport.abort() if self.then is Then.IS_SILENT else writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not await self._say(Step.GREETING, reader, writer):
            return
        while line := await reader.readuntil(b"\r\n"):
            self.heard += line
            verb, _, argument = line[:-2].partition(b" ")
            if verb == b"BDAT":
                self.heard += await reader.readexactly(int(argument.split()[0]))
                step = Step.CONTENT
            else:
                step = Step.EHLO if verb == b"HELO" else Step(verb.decode())
            if not await self._say(step, reader, writer) or step is Step.QUIT:
                return
            if step is Step.DATA and (self.step is not Step.DATA or self.answer.startswith(b"3")):
                self.heard += await reader.readuntil(b"\r\n.\r\n")
                if not await self._say(Step.CONTENT, reader, writer):
                    return

    async def _say(self, step: Step, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether it goes on."""
        if step is not self.step:
            ehlo = b"".join(b"250-%s\r\n" % word.encode() for word in ("mx.example", *self.keywords)) + b"250 SIZE\r\n"
            writer.write(ehlo if step is Step.EHLO else USUAL[step])
            await writer.drain()
            return True
        if self.drip:
            for octet in self.answer:
                writer.write(bytes([octet]))
                await asyncio.sleep(self.drip)
        writer.write(b"" if self.drip else self.answer)
        await writer.drain()
        if self.then is Then.IS_SILENT:
            while await reader.read(65536):
                pass
        return self.then is Then.GOES_ON


@asynccontextmanager
async def scripted(keywords: Sequence[str] = STREAM) -> AsyncIterator[Scripted]:
    """One that listens on a port of this machine, with `keywords` in its reply to EHLO."""
    made = Scripted(keywords)
    server = await asyncio.start_server(made._serve, "127.0.0.1", 0, limit=1 << 24)
    made.at = HostPort("127.0.0.1", server.sockets[0].getsockname()[1])
    try:
        yield made
    finally:
        server.close()
        for task in list(made._tasks):
            task.cancel()
        await asyncio.gather(*made._tasks, return_exceptions=True)
        await asyncio.sleep(0.01)
