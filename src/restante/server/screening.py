"""Transactions whose content a filter sees before the spool has it.

Up to INLINE_LIMIT it waits for the verdict in memory, beyond that in a scratch file, from which it is shown and then
handed to the spool with what the filter puts on top: so what is stored is final, and a peer that is slow keeps the
filter waiting for nothing. What grows beyond the filter's limit goes to the spool at once, and is taken unseen.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import assert_never

from restante.files import FULL
from restante.filtering.filter import Accept, Refuse, Shown
from restante.filtering.scratch import Scratch
from restante.filtering.screen import Screen
from restante.model import Mailbox, MailParameters
from restante.server.intake import BEGINNING, Intake, Origin
from restante.smtp.reply import LOCAL_FAULT
from restante.spool.spool import INLINE_LIMIT, ContentWriter, Inbox, NotTaken, SpoolFull

_OpenWriter = Callable[[], Awaitable[ContentWriter]]


def opened(
    screen: Screen | None,
    spool: Inbox,
    origin: Origin,
    reverse_path: Mailbox | None,
    parameters: MailParameters,
    *,
    wall: float,
) -> Intake:
    """A transaction that begins; a filter sees it where one is asked now."""
    if screen is None or screen.rules is None:
        return Intake(spool, origin, reverse_path, parameters, wall)
    return ScreenedIntake(screen, spool, origin, reverse_path, parameters, wall=wall)


class ScreenedIntake(Intake):
    """As any other, but that accept() waits for the filter's verdict, and raises NotTaken where that is a refusal."""

    __slots__ = ("_held", "_rules", "_screen")

    def __init__(
        self,
        screen: Screen,
        spool: Inbox,
        origin: Origin,
        reverse_path: Mailbox | None,
        parameters: MailParameters,
        *,
        wall: float,
    ) -> None:
        super().__init__(spool, origin, reverse_path, parameters, wall)
        assert screen.rules is not None, "no filter is asked"
        self._screen = screen
        self._rules = screen.rules
        self._held: HeldContent | None = None

    @property
    def waits_alone(self) -> bool:
        """Also where the filter has its hands full: then this peer waits before it sends more."""
        return super().waits_alone or self._screen.is_full

    async def _open_writer(self) -> ContentWriter:
        self._held = HeldContent(self._screen.scratch(), super()._open_writer, self._rules.message_size, self._spool)
        return self._held

    def accept(self) -> Awaitable[None]:
        """Asks the filter, and hands all to the spool. The result raises NotTaken, SpoolFull, SpoolBroken."""
        return self._screen.take_in_hand(self._judged())

    async def _judged(self) -> None:
        whole = self._whole()
        if self._size > self._rules.message_size:
            self._screen.pass_over(self.id, self._size)
            await self._hand_in(whole if isinstance(whole, bytes) else self._held_content().spilled_whole())
            return
        try:
            fields = await self._verdict(self._shown(whole))
            self._size += len(fields)
            content = await self._final(fields, whole)
        finally:
            await super().drop()
        await self._hand_in(content)

    def _shown(self, whole: bytes | ContentWriter) -> Shown:
        return Shown(
            self.id,
            self._origin.principal,
            self._origin.name,
            self.reverse_path,
            tuple(recipient.mailbox for present in self.by_domain.values() for recipient in present.values()),
            self._size,
            whole if isinstance(whole, bytes) else self._held_content().scratch.pieces(),
        )

    async def _verdict(self, shown: Shown) -> bytes:
        """What the filter puts on top. Raises NotTaken."""
        verdict = await self._screen.judge(self._rules, shown)
        match verdict:
            case Accept(fields=fields):
                return fields
            case Refuse():
                raise NotTaken(verdict.reply)
        assert_never(verdict)

    async def _final(self, fields: bytes, whole: bytes | ContentWriter) -> bytes | ContentWriter:
        """What is stored. Raises SpoolFull, SpoolBroken, NotTaken."""
        if isinstance(whole, bytes) and self._size <= INLINE_LIMIT:
            return fields + whole
        writer = await super()._open_writer()
        try:
            await writer.write(fields)
            if isinstance(whole, bytes):
                self._beginning = (fields + whole)[:BEGINNING]
                await writer.write(whole)
            else:
                await self._held_content().copy_to(writer)
        except BaseException:
            await writer.discard()
            raise
        return writer

    def _held_content(self) -> HeldContent:
        assert self._held is not None, "it is in memory"
        return self._held


class HeldContent:
    """Content beyond INLINE_LIMIT on its way to a filter (a ContentWriter): in a scratch file; beyond `most` octets, in
    the spool's writer, which is then `spilled`.
    """

    def __init__(self, scratch: Scratch, open_writer: _OpenWriter, most: int, spool: Inbox) -> None:
        self.scratch = scratch
        self.spilled: ContentWriter | None = None
        self._open_writer = open_writer
        self._most = most
        self._spool = spool

    async def write(self, data: bytes) -> None:
        """Appends. Raises SpoolFull, SpoolBroken, NotTaken; then only discard() is left to do."""
        if self.spilled is None and self.scratch.size + len(data) > self._most:
            self.spilled = await self._open_writer()
            await self.copy_to(self.spilled)
            self.scratch.close()
        if self.spilled is not None:
            await self.spilled.write(data)
            return
        if not self._spool.room_for(self.scratch.size):  # it will be there twice
            raise SpoolFull(self.scratch.size, 0)
        try:
            await self.scratch.write(data)
        except OSError as error:
            raise _trouble(error) from error

    async def copy_to(self, writer: ContentWriter) -> None:
        """Writes to `writer` what is in the scratch file. Raises SpoolFull, SpoolBroken, NotTaken."""
        try:
            async for piece in self.scratch.pieces():
                await writer.write(piece)
        except OSError as error:
            raise _trouble(error) from error

    def spilled_whole(self) -> ContentWriter:
        """The spool's writer, which has all of it, for it was too long."""
        assert self.spilled is not None, "it was not"
        return self.spilled

    async def discard(self) -> None:
        """Forgets all of it. May be called twice."""
        self.scratch.close()
        if self.spilled is not None:
            await self.spilled.discard()


def _trouble(error: OSError) -> SpoolFull | NotTaken:
    """What a scratch file failed with; nothing of the message was kept, so it may come again."""
    return SpoolFull(0, 0) if error.errno in FULL else NotTaken(LOCAL_FAULT)
