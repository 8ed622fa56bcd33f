"""One connection to a next hop: what a feed gives goes through a ClientEngine, and each item is reported once.

Writing and reading go on side by side, so that a far peer's replies are never waited for where they need not be, and
neither end can block the other. All that is begun in one turn of the loop leaves in one write: the end of a message
and the next one's MAIL share a flight.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import cast

from restante.net.stream import StreamClosed, StreamTimeout
from restante.smtp.client_events import ContentWanted, Ended, Finished
from restante.smtp.offer import RECIPIENTS_FOR_ALL, Outgoing, Way, unsendable
from restante.smtp.reply import MalformedReply, Reply
from restante.spool.spool import STREAMED_BEYOND
from restante.transport.greeting import Dialogue, Manners, PeerEnded, introduce
from restante.transport.outcome import MAILBOX, Feed, Hop, ItemOutcome, Parcel, Report, unheeded
from restante.transport.terms import UNPROVEN, Footing, hop_of, mail_parameters, rcpt_parameters, unsafe
from restante.transport.verdict import judge

WRITE_AT_ONCE = 128 * 1024
DRAIN_SECONDS = 600.0


class _Job:
    """An item on its way, in one transaction or, where it has very many recipients, in several."""

    __slots__ = ("left", "parcel", "refused_by_name", "replies")

    def __init__(self, parcel: Parcel) -> None:
        count = len(parcel.item.envelope.recipients)
        self.parcel = parcel
        self.left = -(-count // RECIPIENTS_FOR_ALL)
        self.replies: list[Reply | None] = [None] * count
        self.refused_by_name: set[int] = set()

    def parts(self) -> range:
        """The first recipient of each transaction."""
        return range(0, len(self.replies), RECIPIENTS_FOR_ALL)

    def answered(self, first: int, replies: Sequence[Reply], refused_by_name: frozenset[int]) -> bool:
        """Notes the replies to one transaction; whether that was the last."""
        self.replies[first : first + len(replies)] = replies
        if refused_by_name:
            self.refused_by_name.update(first + number for number in refused_by_name)
        self.left -= 1
        return self.left == 0

    def outcome(self, hop: Hop) -> ItemOutcome:
        """What became of every recipient at that hop."""
        item, by_name = self.parcel.item, self.refused_by_name
        pairs = zip(item.envelope.recipients, self.replies, strict=True)
        return ItemOutcome(
            item,
            [
                (r.mailbox, judge(reply, hop, is_by_name=number in by_name))
                for number, (r, reply) in enumerate(pairs)
                if reply is not None
            ],
        )


_Key = tuple[_Job, int]


class Conversation:
    """One connection. greet() unless that is done, then run(), or carry() and leave().

    `footing`: on what terms mail is sent to its peer. `finished` counts the answered transactions.
    """

    def __init__(self, dialogue: Dialogue, footing: Footing = UNPROVEN, wall: Callable[[], float] = time.time) -> None:
        self._dialogue = dialogue
        self._footing = footing
        self._hop = MAILBOX
        self._wall = wall
        self._stream = dialogue.stream
        self._engine = dialogue.engine
        self._loop = asyncio.get_running_loop()
        self._news = False  # since the writer last looked
        self._sleeper: asyncio.Future[None] | None = None
        self._flushing = False
        self._wrote = False  # since the reader last ran out of patience
        self._over = False  # the feed has no more
        self._parts: list[tuple[_Key, Outgoing]] = []
        self._wanted: _Key | None = None
        self._jobs: dict[_Job, None] = {}
        self.finished = 0

    @property
    def way(self) -> Way:
        """How this peer is sent to."""
        return self._engine.offer.way

    @property
    def octets_ahead(self) -> int:
        """Octets of content that are on their way and not confirmed."""
        return self._engine.octets_ahead

    def unanswered(self) -> list[Parcel]:
        """What was begun and got no final reply at all, oldest first."""
        return [job.parcel for job in self._jobs if not any(job.replies)]

    @property
    def rtt(self) -> float | None:
        """Seconds that the peer's last answer took before there was mail."""
        return self._dialogue.rtt

    async def greet(self, manners: Manners) -> None:
        """From the peer's greeting to where mail may follow. Raises what introduce() does."""
        await introduce(self._dialogue, manners)

    # mail

    async def run(self, feed: Feed, report: Report, answered: Callable[[int], None]) -> None:
        """Carries what the feed gives until it has no more, then takes leave; the connection is closed in any case.

        Raises what carry() does.
        """
        await self.carry(feed, report, answered)
        self._engine.quit()
        self._flush()
        self._stream.end()

    async def carry(self, feed: Feed, report: Report, answered: Callable[[int], None] = unheeded) -> None:
        """Carries what the feed gives until it has no more; then another feed may follow. What is raised closes it.

        `answered` is told the octets of each transaction that has its final reply; where this connection is all there
        is, however fast it goes, nobody needs to know.
        Raises PeerEnded, StreamClosed, StreamTimeout, MalformedReply, and what a content raises.
        """
        self._over = False
        if self._stream.tls is None:
            self._footing = replace(self._footing, is_proven=False)
        self._hop = hop_of(self._engine.offer, self._footing)
        writing = asyncio.ensure_future(self._write(feed, report))
        reading = asyncio.ensure_future(self._read(report, answered))
        tasks: list[asyncio.Future[None]] = [writing, reading]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=lambda task: task is writing):  # what the peer said explains the rest
                task.result()
        except BaseException:
            self._stream.abort()
            raise
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def leave(self) -> None:
        """Takes leave after carry() and waits a moment for the answer (RFC 5321 §4.1.1.10); closing is the caller's."""
        await self._dialogue.leave()

    async def _write(self, feed: Feed, report: Report) -> None:
        while True:
            while self._engine.can_begin and not self._over:
                if (begun := await self._next(feed, report)) is None:
                    break
                if self._engine.has_ended:
                    return
                self._engine.begin(*begun)
                await self._keep_small()
            if self._wanted is not None:
                await self._send_content(self._wanted)
                continue
            if self._over and self._engine.is_idle:
                return
            self._schedule_flush()
            await self._sleep()

    async def _sleep(self) -> None:
        """Until there is news; an asyncio.Event asks the kernel who is running at each wait."""
        if not self._news:
            self._sleeper = self._loop.create_future()
            await self._sleeper
        self._news = False

    def _wake(self) -> None:
        self._news = True
        if self._sleeper is not None and not self._sleeper.done():
            self._sleeper.set_result(None)

    async def _next(self, feed: Feed, report: Report) -> tuple[_Key, Outgoing] | None:
        """The next transaction; an item that this peer can never take is reported at once."""
        while not self._parts:
            self._schedule_flush()
            parcel = await feed.next()
            if parcel is None:
                self._over = True
                return None
            job = _Job(parcel)
            if (untried := unsafe(parcel.item, self._engine.offer, self._footing)) is not None:
                report(ItemOutcome(parcel.item, [(r.mailbox, untried) for r in parcel.item.envelope.recipients]))
                continue
            content = await _whole(parcel)
            parts = [((job, first), self._outgoing(parcel, first, content)) for first in job.parts()]
            if (refusal := unsendable(self._engine.offer, parts[0][1])) is not None:
                job.replies = [refusal] * len(job.replies)
                report(job.outcome(self._hop))
                continue
            self._jobs[job] = None
            self._parts = parts
        return self._parts.pop(0)

    def _outgoing(self, parcel: Parcel, first: int, content: bytes | None) -> Outgoing:
        item, offer = parcel.item, self._engine.offer
        parameters = mail_parameters(item, self._footing, self._wall())
        recipients = item.envelope.recipients[first : first + RECIPIENTS_FOR_ALL]
        return Outgoing(
            item.envelope.reverse_path,
            parameters,
            [(r.mailbox, rcpt_parameters(r, parameters, offer)) for r in recipients],
            item.size,
            content,
        )

    async def _send_content(self, key: _Key) -> None:
        """Large content, piece by piece, for as long as the peer wants it."""
        self._wanted = None
        parcel = key[0].parcel
        content = parcel.content
        assert not isinstance(content, bytes)
        held = b""
        sent = 0
        async with aclosing(content()) as pieces:  # type: ignore[type-var]  # every content is a generator
            async for piece in pieces:
                if not self._engine.wants_content(key):
                    return
                if held:
                    self._engine.content(key, held, last=False)
                    await self._keep_small()
                    sent += len(held)
                    parcel.on_its_way(sent)
                held = piece
        if self._engine.wants_content(key):
            self._engine.content(key, held, last=True)

    async def _keep_small(self) -> None:
        """Writes what has gathered, and waits while the link takes no more."""
        if self._engine.unsent >= WRITE_AT_ONCE:
            self._flush()
            await self._stream.drain(DRAIN_SECONDS)
            self._wrote = True
        else:
            self._schedule_flush()

    def _schedule_flush(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if data := self._engine.data_to_send():
            self._stream.write(data)

    async def _read(self, report: Report, answered: Callable[[int], None]) -> None:
        engine = self._engine

        def hear(data: bytes) -> float:
            engine.receive(data)
            self._heed(report, answered)
            return engine.patience

        self._heed(report, answered)
        while True:
            try:
                await self._stream.feed(hear, engine.patience)
            except StreamTimeout:
                if not self._wrote:
                    raise
                self._wrote = False  # it still takes what we send
            else:
                raise StreamClosed("hung up")

    def _heed(self, report: Report, answered: Callable[[int], None]) -> None:
        """Does what the peer's words come to, and tells the writer."""
        next_event = self._engine.next_event
        while (event := next_event()) is not None:
            if isinstance(event, Finished):
                self._finished(event, report, answered)
            elif isinstance(event, ContentWanted):
                self._wanted = cast("_Key", event.key)
            elif isinstance(event, Ended) and event.reply is not None:
                raise PeerEnded(event.reply)
            else:
                raise MalformedReply(f"unexpected: {event}")
        self._wake()

    def _finished(self, event: Finished, report: Report, answered: Callable[[int], None]) -> None:
        job, first = cast("_Key", event.key)
        self.finished += 1
        if job.answered(first, event.replies, event.refused_by_name):
            del self._jobs[job]
            report(job.outcome(self._hop))
        answered(job.parcel.item.size)


async def _whole(parcel: Parcel) -> bytes | None:
    """The content where it may be whole in memory, else None."""
    content = parcel.content
    if isinstance(content, bytes):
        return content
    if parcel.item.size > STREAMED_BEYOND:
        return None
    return b"".join([piece async for piece in content()])
