"""The power is cut after every operation on what is kept beside the spool: what is found is what was written, whole.

Of users and domains in the store, and of the history, all that was acknowledged; of what was learned, and of what is
known of other domains' TLS, a beginning. And none of them looks damaged.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.crash.simulated import Platter, RecordingDisk, survivors, write_image
from tests.crash.states import MEMORY

from restante.directory.learned import Key, Verdict
from restante.model import DomainName
from restante.mx import book as tls
from restante.mx.sts import Mode, StsPolicy
from restante.store.book import open_book
from restante.store.disk import Disk
from restante.store.history import open_history
from restante.store.learned import LearnedFile

Value = dict[Any, Any]
Writes = Callable[[Path, Disk], Iterator[Value]]
"""Writes something, and gives all that should be there then; again and again."""
MOST = 5
TEST = DomainName("test.example")


@dataclass(frozen=True, slots=True)
class Kept:
    """One kind of file. `is_safe`: whether what was acknowledged is there after a cut; else a beginning of it is."""

    writes: Writes
    read: Callable[[Path], Value]
    is_safe: bool


def unlost(found: Value, lost: str) -> Value:
    """What was found, where nothing is said to be lost: only a file that is just made, and empty, may look so."""
    assert not lost or (lost, found) == ("it is empty", {})
    return found


def history_writes(data: Path, disk: Disk) -> Iterator[Value]:
    """Marks come, some go; one is larger than a page."""
    history = open_history(data, disk)
    value: Value = {}
    for number, size in enumerate((10, 10, 9000, 10, 300, 10)):
        gone = [f"mark {number - 2}"] if number >= 2 else []
        put = {f"mark {number}": b"%d" % number * size, "clock": b"%d" % number}
        history.change(put, gone)
        value = {name: each for name, each in value.items() if name not in gone} | put
        yield dict(value)
    history.close()


def history_read(data: Path) -> Value:
    """The rows."""
    with contextlib.closing(open_history(data)) as history:
        assert history.trouble == ""
        return unlost(dict(history.rows()), history.lost)


def directory_writes(data: Path, disk: Disk) -> Iterator[Value]:
    """Lists of recipients are pushed, a domain is added, one is removed."""
    book = open_book(data, disk)
    value: Value = {}
    for number, size in enumerate((3, 2000, 5, 400)):
        row = (f"d{number}.example", "x" * size)
        book.put("recipients", [row, ("same.example", str(number))])
        value |= dict([row, ("same.example", str(number))])
        yield dict(value)
    book.remove("recipients", "d1.example")
    yield {name: each for name, each in value.items() if name != "d1.example"}
    book.close()


def directory_read(data: Path) -> Value:
    """The lists."""
    with contextlib.closing(open_book(data)) as book:
        return dict(book.rows("recipients"))


def learned_writes(data: Path, disk: Disk) -> Iterator[Value]:
    """Verdicts come, change and are forgotten."""
    file = LearnedFile(data, disk)
    value: dict[Key, Verdict | None] = {}
    for number in range(6):
        many = {(TEST, f"u{number}-{each}"): Verdict(each % 2 == 0, float(number)) for each in range(60)}
        changes = many | dict.fromkeys(list(value)[:20])
        file.write(changes)
        value |= changes
        yield {key: verdict for key, verdict in value.items() if verdict is not None}
    file.close()


def learned_read(data: Path) -> Value:
    """The verdicts."""
    file = LearnedFile(data)
    try:
        return unlost(dict(itertools.chain.from_iterable(file.load())), file.lost)
    finally:
        file.close()


def tls_writes(data: Path, disk: Disk) -> Iterator[Value]:
    """Policies come, and are replaced."""
    apsw.set_default_vfs(disk.vfs)
    book = tls.open_book(data)
    value: Value = {}
    for number in range(40):
        fetched = tls.Fetched(str(number), StsPolicy(Mode.ENFORCE, (f"mx{number}.example",) * 9, 86_400), 1.0)
        book.put_policy(f"d{number % 30}.example", fetched)
        value[f"d{number % 30}.example"] = fetched
        yield dict(value)
    book.close()


def tls_read(data: Path) -> Value:
    """The policies."""
    with contextlib.closing(tls.open_book(data)) as book:
        return unlost(dict(book.policies()), book.lost)


KEPT = {
    "history.db": Kept(history_writes, history_read, is_safe=True),
    "directory.db": Kept(directory_writes, directory_read, is_safe=True),
    "learned.db": Kept(learned_writes, learned_read, is_safe=False),
    "tls.db": Kept(tls_writes, tls_read, is_safe=False),
}


@dataclass(slots=True)
class Past:
    """What there was after each change, and how many operations had been done when it was tried and acknowledged."""

    values: list[Value]
    tried: list[int]
    acknowledged: list[int]

    def allowed(self, cut: int, *, is_safe: bool) -> list[Value]:
        """What a cut may leave."""
        safe = sum(each <= cut for each in self.acknowledged)
        begun = sum(each < cut for each in self.tried)
        return self.values[safe if is_safe else 0 : begun + 1]


def played(kept: Kept, data: Path, disk: RecordingDisk) -> Past:
    """Writes all of it."""
    past = Past([{}], [0], [])
    try:
        for value in kept.writes(data, disk):
            past.values.append(value)
            past.acknowledged.append(len(disk.operations))
            past.tried.append(len(disk.operations))
    finally:
        apsw.set_default_vfs("unix")
    return past


@pytest.mark.parametrize("name", KEPT)
def test_what_was_written_is_there_whole_after_a_power_cut(name: str, tmp_path: Path) -> None:
    """At any moment, with any part of what was not synced."""
    kept, chance = KEPT[name], random.Random(7)
    root = tmp_path / "root"
    root.mkdir()
    disk = RecordingDisk(root)
    disk.make_folder(root / "data")
    disk.sync_folder(root)
    past = played(kept, root / "data", disk)
    assert (root / "data" / name).exists()
    platter, states = Platter(root), 0
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else tmp_path) as memory:
        for cut, operation in enumerate(disk.operations, 1):
            platter.do(operation)
            for left in survivors(platter.pending, MOST, chance):
                folder = Path(memory) / "left"
                write_image(platter.image(left), folder)
                states += 1
                if (folder / "data").is_dir():
                    found = kept.read(folder / "data")
                    allowed = past.allowed(cut, is_safe=kept.is_safe)
                    assert found in allowed, f"after {cut} operations: {found} is not one of {allowed}"
                shutil.rmtree(folder)
    assert states > 100
