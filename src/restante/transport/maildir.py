"""Final delivery into Maildirs: root/DOMAIN/USER/{tmp,new,cur}, one file for each user whom an item means.

Promises: what is reported delivered survives a power cut (file, new/ and every directory above are synced); new/ holds
whole messages only. A file's name is made of its item's id and arrival, so a delivery that is repeated because its
record was lost replaces the file that is still in new/; one that was read meanwhile comes twice, never not at all.
Where an alias's users fare differently, only who went without waits (expansion.py): a full mailbox gives nobody else
a second copy. Lines end in LF, as Unix mail readers expect, and CRLF is all that is changed; BINARYMIME content keeps
every octet. Small items share their syncs, BATCH at a time; what is larger is streamed. No file is touched in the
event loop.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from restante.directory.routing import Reader
from restante.errors import RestanteError
from restante.files import FULL
from restante.model import Body, Item, Mailbox, write_item_id
from restante.smtp.address import write_path
from restante.transport.expansion import Expansion, Readers
from restante.transport.mailbox import Copy, Folders, LineEnds, folder_for, folder_name, sync_directory
from restante.transport.outcome import (
    CarryEnd,
    Deferred,
    Delivered,
    Feed,
    ItemOutcome,
    Outcome,
    Parcel,
    Report,
)
from restante.transport.quotas import MailboxFull, Quotas

BATCH = 32  # small items that share their syncs; each has a file open meanwhile
WORKERS = 2  # batches under way: one is written while the other waits for the disk
_T = TypeVar("_T")


class MaildirCarrier:
    """Carries items into mailboxes under `root`, to those who read them.

    Each may hold `quota` octets. With `tag_folders` mail for `user+folder` goes into that folder, where there is one.
    """

    def __init__(
        self,
        root: Path,
        readers: Readers,
        *,
        hostname: str,
        quota: int | None = None,
        tag_folders: bool = False,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._folders = Folders(root, wall)
        self._root = root
        self._readers = readers
        self._hostname = hostname[:100].replace("/", r"\057").replace(":", r"\072")  # the Maildir way
        self._quotas = Quotas(quota, wall)
        self._tag_folders = tag_folders

    @property
    def target(self) -> str:
        """Where to, for people."""
        return "maildir"

    async def carry(self, feed: Feed, report: Report) -> CarryEnd:
        """Delivers until the feed ends or the disk is full. Cancelled, it reports what its threads still finished."""
        end = _End()
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work(feed, report, end))
        return CarryEnd(end.error)

    async def _work(self, feed: Feed, report: Report, end: _End) -> None:
        while not end.error:
            small, large = await _draw(feed)
            if small:
                await self._deliver_small(small, report, end)
            for item, pieces in large:
                await self._deliver_large(item, pieces, report, end)
            if not small and not large:
                return

    async def _deliver_small(self, parcels: Sequence[tuple[Item, bytes]], report: Report, end: _End) -> None:
        deliveries = [self._delivery(item) for item, _ in parcels]

        def deliver() -> None:
            for delivery, (_, content) in zip(deliveries, parcels, strict=True):
                self._begin(delivery)
                delivery.write(delivery.line_ends.feed(content) + delivery.line_ends.end())
            self._finish(deliveries)

        work = asyncio.ensure_future(asyncio.to_thread(deliver))
        try:
            await asyncio.shield(work)
        finally:
            await asyncio.wait([work])  # a thread cannot be stopped, and what it has done is done
            if work.exception() is None:
                _report(deliveries, report, end)

    async def _deliver_large(self, item: Item, pieces: AsyncIterator[bytes], report: Report, end: _End) -> None:
        delivery = self._delivery(item)
        least = item.size // 2  # at most every other octet was a CR
        try:
            await _in_thread(lambda: self._begin(delivery, least))
            async for piece in pieces:
                data = delivery.line_ends.feed(piece)
                await _in_thread(lambda data=data: delivery.write(data))  # type: ignore[misc]
                if not delivery.open_copies:
                    break
            await _in_thread(lambda: delivery.write(delivery.line_ends.end()))
            await _in_thread(lambda: self._finish([delivery]))
        except (RestanteError, OSError) as error:  # the content turned out to be damaged, or cannot be read
            delivery.fail(error)
        finally:
            delivery.discard()
            if (close := getattr(pieces, "aclose", None)) is not None:
                await close()
        _report([delivery], report, end)

    def _delivery(self, item: Item) -> _Delivery:
        return _Delivery(item, Expansion(item, self._readers))

    def _begin(self, delivery: _Delivery, least: int = 0) -> None:
        """Opens a copy for each mailbox, or folder of one, that is meant; it will have `least` octets, or more."""
        item = delivery.item
        name = f"{int(item.arrived)}.M{int(item.arrived % 1 * 1e6):06}R{write_item_id(item.id)}.{self._hostname}"
        for reader in delivery.expansion.readers:
            home = self._root / folder_name(item.domain) / folder_name(reader.user)
            folder = folder_for(home, reader.detail) if self._tag_folders else home
            if folder not in delivery.by_folder:
                delivery.by_folder[folder] = copy = Copy(home, folder, name, _head(item, reader.user))
                copy.attempt(self._open)
                if least:
                    copy.attempt(lambda copy: self._quotas.expect(copy, least))
            delivery.copies[reader] = delivery.by_folder[folder]

    def _open(self, copy: Copy) -> None:
        self._prepare(copy)
        try:
            copy.begin()
        except FileNotFoundError:  # somebody has removed the mailbox since: make it anew
            self._folders.forget([copy.home, copy.folder])
            self._prepare(copy)
            copy.begin()

    def _prepare(self, copy: Copy) -> None:
        self._folders.prepare(copy.home)
        if copy.folder != copy.home:
            self._folders.prepare_within(copy.folder)

    def _finish(self, deliveries: Iterable[_Delivery]) -> None:
        """Makes what was written, and fits, durable and then visible: all are synced, moved, and new/ synced."""
        copies = [copy for delivery in deliveries for copy in delivery.open_copies]
        reserved = self._quotas.reserve(copies)
        for step in (Copy.write_out, Copy.sync, Copy.publish):
            for copy in copies:
                copy.attempt(step)
        for folder in {copy.folder for copy in copies if copy.error is None}:
            try:
                sync_directory(folder / "new")
            except OSError as error:
                for copy in copies:
                    if copy.folder == folder:
                        copy.error = error  # it may be there after all: twice is better than never
        self._quotas.settle(reserved)
        broken = [copy for copy in copies if isinstance(copy.error, OSError)]
        self._folders.forget(folder for copy in broken for folder in (copy.home, copy.folder))


@dataclass(slots=True)
class _End:
    """Why a carrier takes no more; empty while it does."""

    error: str = ""


@dataclass(slots=True)
class _Delivery:
    """One item: the users who read it, and a copy for each, one even if several recipients mean them."""

    item: Item
    expansion: Expansion
    by_folder: dict[Path, Copy] = field(default_factory=dict)
    copies: dict[Reader, Copy] = field(default_factory=dict)
    line_ends: LineEnds = field(init=False)

    def __post_init__(self) -> None:
        self.line_ends = LineEnds(keep=self.item.envelope.body is Body.BINARY)

    @property
    def open_copies(self) -> list[Copy]:
        """Those that nothing has stopped so far."""
        return [copy for copy in self.by_folder.values() if copy.error is None]

    def write(self, data: bytes) -> None:
        """Appends to all copies."""
        for copy in self.open_copies:
            copy.attempt(lambda copy: copy.write(data))

    def fail(self, error: Exception) -> None:
        """Ends all copies."""
        for copy in self.by_folder.values():
            copy.fail(error)

    def discard(self) -> None:
        """Removes what is not yet in new/."""
        for copy in self.by_folder.values():
            copy.discard()

    def outcome(self) -> ItemOutcome:
        """What became of each recipient."""
        return self.expansion.outcome({reader: _outcome_of(reader, copy) for reader, copy in self.copies.items()})


def _outcome_of(reader: Reader, copy: Copy) -> Outcome:
    match copy.error:
        case None:
            return Delivered(f"250 2.0.0 delivered to {_one_line(reader.user)}")
        case MailboxFull():
            return Deferred(f"452 4.2.2 the mailbox of {_one_line(reader.user)} is full")
        case OSError() as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            return Deferred(f"452 4.3.1 {reason}" if _is_full(error) else f"451 4.3.0 {reason}")
        case error:
            return Deferred(f"451 4.3.0 {_one_line(str(error))}")


async def _draw(feed: Feed) -> tuple[list[tuple[Item, bytes]], list[tuple[Item, AsyncIterator[bytes]]]]:
    """A batch: small items, and one large one at the most, which ends it. Both empty: the feed has ended."""
    small: list[tuple[Item, bytes]] = []
    while len(small) < BATCH and (parcel := await feed.next()) is not None:
        match parcel:
            case Parcel(item, bytes() as content):
                small.append((item, content))
            case Parcel(item, opener) if not isinstance(opener, bytes):
                return small, [(item, opener())]
    return small, []


async def _in_thread(work: Callable[[], _T]) -> _T:
    """Runs it off the event loop; cancelled, waits for its end, so that nobody closes a file that a thread is using."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    finally:
        await asyncio.wait([task])


def _report(deliveries: Iterable[_Delivery], report: Report, end: _End) -> None:
    for delivery in deliveries:
        report(delivery.outcome())
        for copy in delivery.by_folder.values():
            if _is_full(copy.error):
                end.error = f"mailboxes: {copy.error}"


def _is_full(error: Exception | None) -> bool:
    return isinstance(error, OSError) and error.errno in FULL


def _head(item: Item, user: str) -> bytes:
    """What final delivery adds (RFC 5321 §4.4): the reverse-path; and whose copy this is."""
    end = "\r\n" if item.envelope.body is Body.BINARY else "\n"
    mailbox = _one_line(str(Mailbox(user, item.domain)))
    path = write_path(item.envelope.reverse_path)
    return f"Return-Path: {path}{end}Delivered-To: {mailbox}{end}".encode("utf-8", "replace")


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
