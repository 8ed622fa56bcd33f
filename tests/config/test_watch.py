"""A change of the store, by whatever process, is seen without a restart; what goes wrong is tried again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.config.written import Folder
from tests.waiting import until

from restante.clock import SystemClock, TurnedClock
from restante.config.settings import Settings
from restante.config.watch import LOOK_SECONDS, StoreWatch
from restante.directory.entries import Directory
from restante.store.book import Book, BookUnusable, open_book

HOLD = json.dumps({"action": "hold", "next_hop": "192.0.2.25"})


class Host:
    """What app.py does with a watch, and no more."""

    def __init__(self, folder: Folder, settings: Settings) -> None:
        self.settings = settings
        self.watch = StoreWatch(settings.data, folder.path)
        self.directory: Directory | None = None
        self.failures = 0
        self.calls = 0

    async def changed(self) -> None:
        """Reads anew, unless the test wants it to fail."""
        self.calls += 1
        if self.failures:
            self.failures -= 1
            raise BookUnusable(self.watch.file, "busy")
        self.directory = await self.watch.build(self.settings)

    def holds(self, name: str) -> bool:
        """Whether the directory in force has a domain."""
        return self.directory is not None and self.directory.entry(name) is not None


@pytest.fixture
async def host(folder: Folder) -> AsyncIterator[Host]:
    """A host that has not begun to look."""
    made = Host(folder, folder.load('[domains."filed.example"]\naction = "reject"'))
    yield made
    await made.watch.stop()


@pytest.fixture
def book(host: Host) -> Iterator[Book]:
    """Another connection to the same store."""
    opened = open_book(host.settings.data)
    yield opened
    opened.close()


async def test_the_directory_is_of_file_and_store(host: Host, book: Book) -> None:
    """What is skipped is told."""
    book.put("domains", [("kept.example", HOLD), ("bad.example", "{}")])
    await host.changed()
    assert host.holds("kept.example")
    assert host.holds("filed.example")
    assert not host.holds("bad.example")
    assert len(host.watch.problems) == 1


async def test_a_change_is_seen_and_read_once(host: Host, book: Book) -> None:
    """With nothing to see, nothing is read."""
    clock = TurnedClock()
    host.watch.start(host.changed, clock)
    for _ in range(5):
        await asyncio.sleep(0)
        await clock.turn(LOOK_SECONDS)
    assert host.calls == 0
    book.put("domains", [("kept.example", HOLD)])
    await clock.turn(LOOK_SECONDS)
    await until(lambda: host.holds("kept.example"))
    await clock.turn(LOOK_SECONDS)
    assert host.calls == 1
    book.remove("domains", "kept.example")
    await clock.turn(LOOK_SECONDS)
    await until(lambda: not host.holds("kept.example"))


async def test_a_change_that_could_not_be_read_is_tried_again(host: Host, book: Book) -> None:
    """Though nothing has changed since."""
    clock = TurnedClock()
    host.watch.start(host.changed, clock)
    host.failures = 3
    await asyncio.sleep(0)
    book.put("domains", [("kept.example", HOLD)])
    for _ in range(4):
        await clock.turn(LOOK_SECONDS)
    await until(lambda: host.holds("kept.example"))
    assert host.calls == 4


async def test_it_looks_twice_a_second(host: Host, book: Book) -> None:
    """So that a change is in force within a second."""
    assert LOOK_SECONDS <= 0.5
    host.watch.start(host.changed, SystemClock())
    book.put("domains", [("kept.example", HOLD)])
    await until(lambda: host.holds("kept.example"))


async def test_it_can_be_stopped_while_it_reads(host: Host, book: Book) -> None:
    """The reading ends before the store is let go of."""
    book.put("domains", [(f"d{number}.example", HOLD) for number in range(2000)])
    reading = asyncio.create_task(host.changed())
    await asyncio.sleep(0)
    await host.watch.stop()
    await reading
    assert host.holds("d7.example")
