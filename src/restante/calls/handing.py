"""Hands each message of a session on before it is acknowledged: an Inbox with a carrier behind it and no store.

The 250 to a message's content is what the mailboxes, the mail store or the server behind the carrier have answered.
All that arrives while the last messages are handed on goes together, over one connection. A session has one reply for
all recipients of a message: where one cannot have it now, the sender keeps it for all of them, and those who had it
get it twice rather than never; where one is refused for good, the refusal tells who, and that the others have it.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import BinaryIO

from restante.model import IdSource, Item, Mailbox, MessageId, numbered
from restante.smtp.reply import Reply
from restante.spool.spool import Arrival, ContentWriter, NotTaken, SpoolFull
from restante.transport.outcome import Carrier, Deferred, Delivered, ItemOutcome, Outcome, Parcel, Refused

PIECE = 64 * 1024
MOST_TOLD = 400
"""Characters of somebody else's words in a reply of ours."""


class HandingOn:
    """One carrier's Inbox."""

    def __init__(self, carrier: Carrier, *, wall: Callable[[], float] = time.time) -> None:
        self._carrier = carrier
        self._ids = IdSource(wall)
        self._waiting: deque[_Message] = deque()
        self._working: asyncio.Task[None] | None = None
        self._failures = 0
        self._problem = ""

    @property
    def failure(self) -> str:
        """How many messages were not taken by all, and why the last was not; "" where each was."""
        if not self._failures:
            return ""
        return f"{self._failures} {'message' if self._failures == 1 else 'messages'} not handed on: {self._problem}"

    def new_id(self) -> MessageId:
        """See Inbox."""
        return self._ids.next()

    def room_for(self, octets: int) -> bool:  # noqa: ARG002 - it is not kept here
        """See Inbox."""
        return True

    async def writer(self, message: MessageId, expected: int | None) -> ContentWriter:  # noqa: ARG002
        """A file without a name, for a content that is too long for memory. Raises SpoolFull."""
        try:
            return _TemporaryContent(await asyncio.to_thread(tempfile.TemporaryFile))
        except OSError:
            raise SpoolFull(expected or 0, 0) from None

    def accept(self, arrival: Arrival) -> asyncio.Future[None]:
        """Hands a message on; returns once all have it. Raises NotTaken."""
        message = _Message(arrival)
        self._waiting.append(message)
        if self._working is None:
            self._working = asyncio.get_running_loop().create_task(self._work())
        return message.done

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch = list(self._waiting)
                self._waiting.clear()
                await self._carry(batch)
        finally:
            self._working = None

    async def _carry(self, batch: list[_Message]) -> None:
        messages = {item.id: message for message in batch for item in message.items}
        feed = _Batch([message.parcel(item) for message in batch for item in message.items])
        error = ""
        try:
            error = (await self._carrier.carry(feed, lambda outcome: messages[outcome.item.id].take(outcome))).error
        finally:
            for message in batch:
                self._settle(message, error or f"{self._carrier.target} did not answer")

    def _settle(self, message: _Message, error: str) -> None:
        refusal = message.refusal(error)
        if refusal is not None:
            self._failures += 1
            self._problem = refusal.text
        message.settle(refusal)


class _TemporaryContent:
    """A ContentWriter; what it took can be read more than once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    async def write(self, data: bytes) -> None:
        """Appends. Raises SpoolFull."""
        try:
            await asyncio.to_thread(self._file.write, data)
        except OSError:
            raise SpoolFull(len(data), 0) from None

    async def discard(self) -> None:
        """Removes what was written."""
        self.close()

    def close(self) -> None:
        """The same; it blocks for nothing."""
        self._file.close()

    async def read(self) -> AsyncIterator[bytes]:
        """All of it, in pieces."""
        await asyncio.to_thread(self._file.flush)
        offset = 0
        while piece := await asyncio.to_thread(os.pread, self._file.fileno(), PIECE, offset):
            yield piece
            offset += len(piece)


class _Message:
    """One message on its way: an item for each domain, and what has become of each recipient."""

    def __init__(self, arrival: Arrival) -> None:
        self._content = arrival.content
        ids = numbered(arrival.id)
        self.items = [
            Item(number, domain, envelope, arrival.size, arrival.arrived)
            for number, (domain, envelope) in zip(ids, arrival.envelopes, strict=False)
        ]
        self._open = {item.id for item in self.items}
        self._outcomes: list[tuple[Mailbox, Outcome]] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def parcel(self, item: Item) -> Parcel:
        """One of its items, as a carrier takes it."""
        content = self._content
        if isinstance(content, bytes):
            return Parcel(item, content)
        assert isinstance(content, _TemporaryContent)
        return Parcel(item, content.read)

    def take(self, outcome: ItemOutcome) -> None:
        """Notes what became of an item."""
        self._open.discard(outcome.item.id)
        self._outcomes += outcome.outcomes

    def refusal(self, error: str) -> Reply | None:
        """What its sender is told where not all have it; `error`: why what is still open has no outcome."""
        deferred = [outcome.reply for _, outcome in self._outcomes if isinstance(outcome, Deferred)]
        if self._open or deferred:
            return Reply(451, _told(f"Not now: {deferred[0] if deferred else error}"), "4.4.0")
        refused = [(mailbox, outcome) for mailbox, outcome in self._outcomes if isinstance(outcome, Refused)]
        if not refused:
            return None
        mailbox, outcome = refused[0]
        rest = "; others have it" if any(isinstance(outcome, Delivered) for _, outcome in self._outcomes) else ""
        return Reply(554, _told(f"<{mailbox}> was refused{rest}: {outcome.reply}"), outcome.status)

    def settle(self, refusal: Reply | None) -> None:
        """Has accept() return, or raise."""
        if isinstance(self._content, _TemporaryContent):
            self._content.close()
        if self.done.done():
            return
        if refusal is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(NotTaken(refusal))


class _Batch:
    """A Feed of what is there."""

    def __init__(self, parcels: list[Parcel]) -> None:
        self._parcels = deque(parcels)

    async def next(self) -> Parcel | None:
        """The next one."""
        return self._parcels.popleft() if self._parcels else None

    def put_back(self, parcel: Parcel) -> None:
        """It is the next again."""
        self._parcels.appendleft(parcel)


def _told(text: str) -> str:
    return "".join(c if " " <= c <= "~" else "?" for c in text[:MOST_TOLD])
