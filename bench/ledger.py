"""A ledger of mail: what was tried, what was acknowledged, what came out again; and Jepsen's numbers of it.

    ledger = Ledger()
    async with Load(ledger, port):          many connections put mail in, each message different
        ...                                 whatever the server must survive
    async with Sink(ledger) as sink:          where the server under test is told to send it
        await drain(port)                   everything is released, until nothing waits
    assert ledger.ok, ledger.report()

Each message carries a UUID; what comes out is compared by SHA-256 with what went in, from our own header field on
(the server puts its Received field before that). Each is tried once, under its own UUID, and never again.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from bench.machine import BenchError

DOMAIN = "test.example"
RECIPIENT = f"anna@{DOMAIN}"
SENDER = "ann@sender.example"
FIELD = b"X-Ledger: "
UUID_LENGTH = 36
LINE = 80
SIZES = ((60, 100, 2_000), (30, 2_000, 20_000), (6, 20_000, 64_000), (4, 66_000, 300_000))
"""Of a hundred messages so many have so many octets: the last ones are too large for a row of the store."""
DEPTHS = (1, 4, 1, 16)
"""How many messages a connection has under way at once: 1 by DATA, more by BDAT without waiting."""
ENVELOPE = f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<{RECIPIENT}>\r\n".encode()
LAST_WORDS_SECONDS = 3.0
REFUSED_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Totals:
    """Jepsen's numbers for a queue (its checker `total-queue`), in messages."""

    attempted: int = 0
    acknowledged: int = 0
    lost: int = 0
    """Acknowledged, and not there, or not as it was."""
    unexpected: int = 0
    """There, and never tried, or not as it was."""
    duplicated: int = 0
    """Copies beyond the first: allowed where a connection or the process died, and counted."""
    recovered: int = 0
    """There, though never acknowledged: allowed."""

    @property
    def ok(self) -> bool:
        """Nothing lost, nothing made up."""
        return self.lost == 0 and self.unexpected == 0

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            self.attempted + other.attempted,
            self.acknowledged + other.acknowledged,
            self.lost + other.lost,
            self.unexpected + other.unexpected,
            self.duplicated + other.duplicated,
            self.recovered + other.recovered,
        )

    def __str__(self) -> str:
        return (
            f"attempted {self.attempted}, acknowledged {self.acknowledged}, lost {self.lost},"
            f" unexpected {self.unexpected}, duplicated {self.duplicated}, recovered {self.recovered}"
        )


@dataclass(slots=True)
class Entry:
    """One message. Times are on the monotonic clock; `size` in octets, dots not doubled."""

    digest: bytes
    size: int
    attempted: float
    acknowledged: float | None = None
    copies: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reply to a message that was not 250. `attempted` is when the message was begun."""

    attempted: float
    moment: float
    reply: str


class Ledger:
    """All messages of a run. `file`: where each line of it is written too, for whoever looks for a lost one."""

    def __init__(self, file: Path | None = None) -> None:
        self.entries: dict[str, Entry] = {}
        self.refusals: list[Refusal] = []
        self.strangers: list[str] = []
        """What came out and was not tried, or not so."""
        self._file = file.open("a", encoding="ascii") if file is not None else None

    def attempted(self, name: str, content: bytes) -> None:
        """A message is about to be sent; `content` begins with our field."""
        now = time.monotonic()
        self.entries[name] = Entry(hashlib.sha256(content).digest(), len(content), now)
        self._note("attempted", name, now)

    def acknowledged(self, name: str) -> None:
        """The server has said 250 to it."""
        now = self.entries[name].acknowledged = time.monotonic()
        self._note("acknowledged", name, now)

    def refused(self, name: str, reply: str) -> None:
        """The server has said something else."""
        self.refusals.append(Refusal(self.entries[name].attempted, time.monotonic(), reply))
        self._note(f"refused ({reply})", name, time.monotonic())

    def came_out(self, content: bytes) -> None:
        """A message as the server has sent it on, its Received field included."""
        at = content.find(FIELD)
        name = content[at + len(FIELD) : at + len(FIELD) + UUID_LENGTH].decode("ascii", "replace") if at >= 0 else ""
        entry = self.entries.get(name)
        whole = entry is not None and hashlib.sha256(content[at:]).digest() == entry.digest
        if entry is None or not whole or not content.startswith(b"Received:"):
            self.strangers.append(f"{name or content[:60]!r}, {len(content)} octets")
            self._note("came out otherwise", name, time.monotonic())
            return
        entry.copies += 1
        self._note("came out", name, time.monotonic())

    def as_of(self, moment: float) -> Ledger:
        """The same attempts, of which only those are acknowledged that were at that moment; nothing has come out."""
        past = Ledger()
        for name, entry in self.entries.items():
            known = entry.acknowledged if entry.acknowledged is not None and entry.acknowledged <= moment else None
            past.entries[name] = Entry(entry.digest, entry.size, entry.attempted, known)
        return past

    @property
    def totals(self) -> Totals:
        """The numbers, which make sense once all has been drained."""
        entries = self.entries.values()
        acknowledged = [entry for entry in entries if entry.acknowledged is not None]
        return Totals(
            attempted=len(entries),
            acknowledged=len(acknowledged),
            lost=sum(entry.copies == 0 for entry in acknowledged),
            unexpected=len(self.strangers),
            duplicated=sum(entry.copies - 1 for entry in entries if entry.copies > 1),
            recovered=sum(entry.copies > 0 for entry in entries if entry.acknowledged is None),
        )

    @property
    def ok(self) -> bool:
        """Nothing lost, nothing made up."""
        return self.totals.ok

    def report(self) -> str:
        """The six numbers in one line; and what was lost or made up, where something was."""
        lost = [name for name, each in self.entries.items() if each.acknowledged is not None and not each.copies]
        examples = [f"lost: {name}, {self.entries[name].size} octets" for name in lost[:5]]
        examples += [f"unexpected: {stranger}" for stranger in self.strangers[:5]]
        return "; ".join([str(self.totals), *examples])

    def _note(self, what: str, name: str, moment: float) -> None:
        if self._file is not None:
            self._file.write(f"{moment:.6f} {name} {what}\n")
            self._file.flush()


class Texts:
    """Messages of mixed sizes; some lines of theirs begin with dots. The same seed gives the same sizes and texts."""

    def __init__(self, seed: int, sizes: Sequence[tuple[int, int, int]] = SIZES) -> None:
        self._chance = random.Random(seed)
        self._sizes = sizes
        self._weights = [weight for weight, _, _ in sizes]
        letters = bytes(self._chance.choices(b"abcdefghijklmnopqrstuvwxyz ......", k=400 * LINE))
        self._lines = [letters[at : at + LINE - 2] + b"\r\n" for at in range(0, len(letters), LINE)]
        self._text = b"".join(self._lines) * 11

    def next(self, name: str) -> bytes:
        """The content of a message."""
        [(_, least, most)] = self._chance.choices(self._sizes, self._weights)
        head = FIELD + name.encode() + b"\r\nSubject: ledger " + name.encode() + b"\r\n\r\n"
        octets = max(0, self._chance.randint(least, most) - len(head))
        start = LINE * self._chance.randrange(400)
        whole, rest = divmod(octets, LINE)
        return head + self._text[start : start + whole * LINE] + b"." * max(0, rest - 2) + b"\r\n"


@dataclass
class Load:
    """Connections that put mail in as fast as it is taken, until the end of `async with`.

    A connection that fails is made again until then, so the server may come and go. `pause` seconds follow each flight.
    At the end what is under way may still be answered for a moment, if `is_patient`.
    """

    ledger: Ledger
    port: int
    connections: int = 8
    pause: float = 0.0
    seed: int = 0
    is_patient: bool = True
    sizes: Sequence[tuple[int, int, int]] = SIZES
    _texts: Texts = field(init=False)
    _tasks: list[asyncio.Task[None]] = field(init=False, default_factory=list)
    _is_ending: bool = field(init=False, default=False)

    async def __aenter__(self) -> Self:
        self._texts = Texts(self.seed, self.sizes)
        self._tasks = [
            asyncio.create_task(self._connection(DEPTHS[number % len(DEPTHS)])) for number in range(self.connections)
        ]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._is_ending = True
        _, late = await asyncio.wait(self._tasks, timeout=LAST_WORDS_SECONDS if self.is_patient else 0.05)
        for task in late:
            task.cancel()
        for done in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(done, Exception):
                raise done

    async def _connection(self, depth: int) -> None:
        while not self._is_ending:
            with contextlib.suppress(OSError, EOFError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                try:
                    await self._talk(reader, writer, depth)
                finally:
                    writer.close()
            await asyncio.sleep(0.01)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, depth: int) -> None:
        await reply(reader)
        writer.write(b"EHLO sender.example\r\n")
        await reply(reader)
        while not self._is_ending:
            await (self._by_data(reader, writer) if depth == 1 else self._by_bdat(reader, writer, depth))
            await asyncio.sleep(self.pause)
        writer.write(b"QUIT\r\n")

    async def _by_data(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name, content = self._message()
        writer.write(ENVELOPE + b"DATA\r\n")
        replies = [await reply(reader) for _ in range(3)]
        if replies[-1].startswith("354"):
            writer.write(content.replace(b"\r\n.", b"\r\n..") + b".\r\n")
            replies.append(await reply(reader))
        await self._answered(name, replies)

    async def _by_bdat(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, depth: int) -> None:
        flight = [self._message() for _ in range(depth)]
        for _, content in flight:
            if writer.is_closing():
                raise EOFError
            writer.write(ENVELOPE + b"BDAT %d LAST\r\n" % len(content) + content)
        for name, _ in flight:
            await self._answered(name, [await reply(reader) for _ in range(3)])

    def _message(self) -> tuple[str, bytes]:
        name = str(uuid.uuid4())
        content = self._texts.next(name)
        self.ledger.attempted(name, content)
        return name, content

    async def _answered(self, name: str, replies: list[str]) -> None:
        if replies[-1].startswith("250"):
            self.ledger.acknowledged(name)
        else:
            self.ledger.refused(name, next(reply for reply in replies if reply[0] in "45"))
            await asyncio.sleep(REFUSED_SECONDS)


async def reply(reader: asyncio.StreamReader) -> str:
    """The last line of one reply. Raises EOFError at the end; a 421 is one, too."""
    while True:
        line = await reader.readline()
        if not line.endswith(b"\n") or line.startswith(b"421"):
            raise EOFError(line)
        if line[3:4] != b"-":
            return line.decode("ascii", "replace").strip()


async def etrn(port: int, domain: str = DOMAIN, *, source: str = "127.0.0.1") -> str:
    """Tells the server, from an address of ours, to release a domain's mail; its answer. Raises OSError, EOFError."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    try:
        await reply(reader)
        for command in (b"EHLO site.example\r\n", f"ETRN {domain}\r\n".encode()):
            writer.write(command)
            answer = await reply(reader)
        return answer
    finally:
        writer.close()


async def drain(port: int, *, domain: str = DOMAIN, seconds: float = 60.0) -> None:
    """Releases a domain's mail until nothing of it waits (251). Raises BenchError when that takes too long."""
    end = time.monotonic() + seconds
    while not (answer := await etrn(port, domain)).startswith("251"):
        if time.monotonic() > end:
            raise BenchError(f"after {seconds:.0f} s the server still answers {answer!r} to ETRN")
        await asyncio.sleep(0.03)
