"""The power is cut after every single operation on a simulated disk, and a spool is opened on whatever may be left.

What was acknowledged is there, whole and once; nothing is there that was not tried; what is one commit is there
together or not at all; counters and body files agree with the items; nothing looks damaged; and mail is taken again.
A state is a cut and a choice of what survived of the operations that were not synced. Many states look the same on
the disk: each such image is opened once, and its items are compared with what each of its states may show.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.ledger import Totals
from tests.contract.engines import NOW, A, put, whole
from tests.crash.endings import end_again
from tests.crash.life import run
from tests.crash.past import Found, History, Shown
from tests.crash.runs import Outcome
from tests.crash.simulated import Image, Platter, RecordingDisk, survivors, write_image
from tests.store.faults import FaultyDisk

from restante.model import DomainName, Item, ItemState, MessageId, Waiting
from restante.spool.spool import INLINE_LIMIT, Filter
from restante.store import reserve, schema
from restante.store.opening import Parts, open_parts
from restante.store.reader import InFile, Reader
from restante.store.sqlite import open_spool

MEMORY = Path("/dev/shm")
"""Where images are written and removed by the thousand; it need not be safe."""
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
        await end_again(spool)
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
        altered = [message for message in contents if contents[message] != self._history.contents[message]]
        assert not altered, "content is altered"
        files = [path for path in (folder / "bodies").rglob("*") if path.is_file()]
        assert len(files) == sum(len(content) > INLINE_LIMIT for content in contents.values())
        return {item.id: Shown(item.domain, item.envelope, item.state, item.attempts) for item in items}


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
    with _small_settings(), tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else folder) as left:
        disk = RecordingDisk(root)
        history = History(disk)
        await run(history, root / "data" / "spool")
        looks = Looks(history, Path(left) / "left")
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
