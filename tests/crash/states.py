"""The power is cut after every single operation on a simulated disk, and a spool is opened on whatever may be left.

What was acknowledged is there, whole and once; nothing is there that was not tried; what is one commit is there
together or not at all; counters and body files agree with the items; nothing looks damaged; and mail is taken again.
A state is a cut and a choice of what survived of the operations that were not synced. Many states look the same on
the disk: each such image is opened once, and its items are compared with what each of its states may show.
"""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.ledger import Totals
from tests.contract.engines import NOW, A, B, arrival, claimed, envelope, octets, put, whole
from tests.crash.runs import Outcome
from tests.crash.simulated import Image, Platter, RecordingDisk, survivors, write_image
from tests.store.faults import FaultyDisk

from restante.model import DomainName, Item, ItemId, ItemState, MessageId, Waiting, item_id, message_of
from restante.spool.spool import INLINE_LIMIT, Filter, Settlement, Spool
from restante.store import reserve, schema
from restante.store.opening import Parts, open_parts
from restante.store.reader import InFile, Reader
from restante.store.sqlite import open_spool

C, D = DomainName("c.example"), DomainName("d.example")
LARGE = octets(INLINE_LIMIT + 4011)
As = tuple[ItemState, int, str] | None
"""What of an item a cut may show: state, attempts, the recipient's local part; None where it is gone."""
FRESH: As = (ItemState.WAITING, 0, "bob")


@dataclass
class History:
    """What was tried and acknowledged, and after how many operations of the disk."""

    disk: RecordingDisk
    changes: list[_Change] = field(default_factory=list)
    contents: dict[MessageId, bytes] = field(default_factory=dict)

    @asynccontextmanager
    async def trying(self, **to: As) -> AsyncIterator[None]:
        """For the time of a call that changes these items, in one commit."""
        change = _Change({ItemId(int(name[1:])): what for name, what in to.items()}, len(self.disk.operations))
        self.changes.append(change)
        yield
        change.acknowledged = len(self.disk.operations)

    def states_after(self, cut: int) -> list[dict[ItemId, As]]:
        """Everything that a cut after so many operations may leave: all acknowledged, and perhaps the one under way."""
        state: dict[ItemId, As] = {}
        possible = [state]
        for change in self.changes:
            if change.tried >= cut:
                break
            following = [{**before, **change.to} for before in possible]
            is_safe = change.acknowledged is not None and change.acknowledged <= cut
            possible = following if is_safe else possible + following
        return [{item: what for item, what in each.items() if what is not None} for each in possible]


@dataclass
class _Change:
    to: dict[ItemId, As]
    tried: int
    acknowledged: int | None = None


async def accept(history: History, spool: Spool, *domains: DomainName, content: bytes) -> ItemId:
    """Spools a message, with its history."""
    made = await arrival(spool, *domains, content=content)
    history.contents[made.id] = content
    async with history.trying(**{f"i{item_id(made.id, n + 1)}": FRESH for n in range(len(domains))}):
        await spool.accept(made)
    return item_id(made.id, 1)


async def run(history: History, folder: Path) -> None:
    """A spool's life in short: first mail, small and large, all kinds of outcomes, an orderly end, another start."""
    spool: Spool = await open_spool(folder, disk=history.disk)
    first = await accept(history, spool, A, content=b"first\r\n")
    both = await accept(history, spool, A, B, content=octets(5000))
    large = await accept(history, spool, C, content=LARGE)
    dropped = await spool.writer(spool.new_id(), None)
    await dropped.write(LARGE)
    await dropped.discard()
    assert await claimed(spool, A) == [first, both]
    async with history.trying(**{f"i{first}": (ItemState.WAITING, 1, "carol"), f"i{both}": None}):
        await spool.settle([Settlement(first, envelope(A, local="carol"), "450 later", NOW), Settlement(both, None)])
    await _refused(history, spool, ItemId(both + 1))
    async with history.trying(**{f"i{large}": (ItemState.FROZEN, 0, "bob")}):
        await spool.freeze([large])
    async with history.trying(**{f"i{large}": FRESH}):
        await spool.thaw([large])
    async with history.trying(**{f"i{large}": None}):
        await spool.remove([large])
    hurt = await accept(history, spool, B, C, content=octets(3000, 3))
    aside: As = (ItemState.QUARANTINED, 0, "bob")
    async with history.trying(**{f"i{hurt}": aside, f"i{hurt + 1}": aside}):
        await spool.quarantine(message_of(hurt))
    again = await accept(history, spool, C, content=LARGE)
    await spool.close()
    spool = await open_spool(folder, disk=history.disk)
    await accept(history, spool, B, content=b"second life\r\n")
    async with history.trying(**{f"i{again}": None}):
        await claimed(spool, C)
        await spool.settle([Settlement(again, None)])
    await _batches(history, spool)
    async with history.trying(**{f"i{hurt}": None, f"i{hurt + 1}": None}):
        await spool.remove([hurt, ItemId(hurt + 1)])
    await spool.close()


async def _refused(history: History, spool: Spool, item: ItemId) -> None:
    """An item ends with a report to its sender, in one commit."""
    await claimed(spool, A, B, release=2)
    report = await arrival(spool, C, content=b"report\r\n")
    history.contents[report.id] = b"report\r\n"
    async with history.trying(**{f"i{item}": None, f"i{item_id(report.id, 1)}": FRESH}):
        await spool.settle([Settlement(item, None, dsn=report)])


async def _batches(history: History, spool: Spool) -> None:
    """Several messages at once, and all delivered in one commit; enough of them for checkpoints in between."""
    for size in (700, 9000, 30_000):
        made = [await arrival(spool, D, content=octets(size, number)) for number in range(4)]
        history.contents |= {each.id: octets(size, number) for number, each in enumerate(made)}
        ids = [item_id(each.id, 1) for each in made]
        async with AsyncExitStack() as tried:
            for each in ids:  # which of them share a commit is the writer's business
                await tried.enter_async_context(history.trying(**{f"i{each}": FRESH}))
            await asyncio.gather(*[spool.accept(each) for each in made])
        await claimed(spool, D, release=ids[0])
        async with history.trying(**dict.fromkeys([f"i{each}" for each in ids])):
            await spool.settle([Settlement(each, None) for each in ids])


Found = dict[ItemId, As]
WHOLE_LOOK_EVERY = 25
"""Of so many images one is opened as a server does, and takes mail; the others are read."""


class Looks:
    """What spools find on images, each looked at once."""

    def __init__(self, history: History, folder: Path) -> None:
        self._history = history
        self._folder = folder
        self._disk = FaultyDisk()
        self._known: dict[frozenset[tuple[str, int, int]], Found] = {}

    @property
    def images(self) -> int:
        """How many different ones there were."""
        return len(self._known)

    async def found(self, image: Image) -> Found:
        """The items on an image."""
        key = _key(image)
        if key not in self._known:
            write_image(image, self._folder)
            spool = self._folder / "data/spool"
            try:
                if not spool.is_dir():
                    self._known[key] = {}
                elif len(self._known) % WHOLE_LOOK_EVERY == 0:
                    self._known[key] = await self._as_a_server_does(spool)
                else:
                    self._known[key] = self._read(spool)
            finally:
                shutil.rmtree(self._folder)
        return self._known[key]

    async def _as_a_server_does(self, folder: Path) -> Found:
        spool = await open_spool(folder, disk=self._disk)
        items = await spool.listing(Filter())
        contents = {item.message: await whole(await spool.content(item)) for item in items}
        found = self._checked(folder, items, contents, spool.domains())
        new = await put(spool, A)
        assert new > max(found, default=0)
        await spool.close()
        return found

    def _read(self, folder: Path) -> Found:
        opened = open_parts(folder, self._disk)
        try:
            listed = Reader(opened.reading).listing(Filter(), [])
            assert not opened.start.is_mended, "it looks damaged"
            assert listed.damaged == []
            contents = {item.message: _content(opened, item.message) for item in listed.items}
            return self._checked(folder, listed.items, contents, opened.start.waiting)
        finally:
            opened.reading.close()
            if opened.commits is not None:
                opened.commits.close()
            opened.disk.close(opened.lock)

    def _checked(
        self, folder: Path, items: list[Item], contents: dict[MessageId, bytes], waiting: dict[DomainName, Waiting]
    ) -> Found:
        """The items in short, if everything agrees with them."""
        counters: dict[DomainName, Waiting] = {}
        for item in items:
            if item.state is ItemState.WAITING:
                now = counters.get(item.domain, Waiting())
                counters[item.domain] = Waiting(now.items + 1, now.octets + item.size, NOW)
        assert waiting == counters
        assert all(contents[message] == self._history.contents[message] for message in contents), "content is altered"
        files = [path for path in (folder / "bodies").rglob("*") if path.is_file()]
        assert len(files) == sum(len(content) > INLINE_LIMIT for content in contents.values())
        return {item.id: (item.state, item.attempts, item.envelope.recipients[0].mailbox.local) for item in items}


def _content(opened: Parts, message: MessageId) -> bytes:
    content = Reader(opened.reading).content(message)
    if not isinstance(content, InFile):
        return content
    opened.bodies.close(opened.bodies.open_checked(message, content.size, content.digest))
    return opened.bodies.path(message).read_bytes()


def _key(image: Image) -> frozenset[tuple[str, int, int]]:
    """Tells images apart; the hash of octets that many images share is computed once."""
    return frozenset((path, len(content), hash(content)) for path, content in image.items())


@contextmanager
def _small_settings() -> Iterator[None]:
    """Checkpoints after a few pages, so that there are some; a small reserve, which is written but never read."""
    before = schema.CHECKPOINT_PAGES, reserve.FILE_OCTETS
    schema.CHECKPOINT_PAGES, reserve.FILE_OCTETS = 12, 4096
    try:
        yield
    finally:
        schema.CHECKPOINT_PAGES, reserve.FILE_OCTETS = before


async def every_cut(most: int, folder: Path, *, seed: int = 8) -> Outcome:
    """A spool's life, with a cut after each operation, and `most` subsets of what was not synced, and as many torn."""
    chance = random.Random(seed)
    root = folder / "root"
    root.mkdir()
    with _small_settings():
        disk = RecordingDisk(root)
        history = History(disk)
        await run(history, root / "data" / "spool")
        looks = Looks(history, folder / "left")
        platter = Platter(root)
        states = 0
        for cut, operation in enumerate(disk.operations, 1):
            platter.do(operation)
            allowed = history.states_after(cut)
            for kept in survivors(platter.pending, most, chance):
                states += 1
                try:
                    found = await looks.found(platter.image(kept))
                    assert found in allowed, f"{found}, and not one of {allowed}"
                except BaseException as error:
                    error.add_note(f"cut after {cut} operations, the last of them {operation!r:.300}; seed {seed}")
                    raise
    done = f"{states:,} states after {len(disk.operations)} operations, {looks.images:,} images"
    return Outcome(Totals(), done)
