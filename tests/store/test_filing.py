"""Contents that come to the writer whole: files for a batch of them, safe together, before their rows are written."""

from __future__ import annotations

import asyncio
import errno
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.engines import A, arrival, octets, whole
from tests.crash.simulated import Platter, RecordingDisk
from tests.store.faults import FaultyDisk

from restante.model import MessageId, Order, write_message_id
from restante.spool.spool import INLINE_LIMIT, Filter, SpoolFull
from restante.store.bodies import PIECE, Bodies
from restante.store.disk import Disk
from restante.store.filing import Filing
from restante.store.sqlite import open_spool

CONTENTS = {MessageId(number << 12): octets(1000 + number, number) for number in range(1, 4)}


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[tuple[FaultyDisk, Filing]]:
    """A disk that does as it is told, and what files there."""
    disk = FaultyDisk()
    filing = filing_on(disk, tmp_path)
    yield disk, filing
    filing.close()


def filing_on(disk: Disk, folder: Path) -> Filing:
    """What files below a folder."""
    bodies = Bodies(disk, folder)
    bodies.prepare()
    return Filing(disk, bodies)


def files(folder: Path) -> dict[str, bytes]:
    """All body files, by name."""
    return {path.name: path.read_bytes() for path in (folder / "bodies").rglob("*") if path.is_file()}


def test_what_was_filed_survives_a_power_cut(tmp_path: Path) -> None:
    """Contents, names, and the folders above them: of what was not synced nothing is needed."""
    disk = RecordingDisk(tmp_path)
    filing = filing_on(disk, tmp_path)
    digests = filing.file(CONTENTS)
    filing.close()
    assert digests == {message: hashlib.sha256(content).digest() for message, content in CONTENTS.items()}
    platter = Platter(tmp_path)
    for operation in disk.operations:
        platter.do(operation)
    left = {path.rpartition("/")[2]: content for path, content in platter.image([]).items() if content}
    assert left == {write_message_id(message): content for message, content in CONTENTS.items()}


def test_a_content_for_which_there_is_no_room_fails_alone(faulty: tuple[FaultyDisk, Filing], tmp_path: Path) -> None:
    """The others are filed, and nothing is left of it."""
    disk, filing = faulty
    disk.fault, disk.left = errno.ENOSPC, 2500
    first, second, _ = CONTENTS
    assert list(filing.file(CONTENTS)) == [first, second]
    assert files(tmp_path) == {write_message_id(message): CONTENTS[message] for message in (first, second)}


@pytest.mark.parametrize("at", ["write", "sync", "sync_folder"])
def test_a_broken_disk_is_told(at: str, tmp_path: Path) -> None:
    """Wherever it breaks, and for whichever of the files: nothing of the batch can be believed then."""
    disk = FaultyDisk()
    filing = filing_on(disk, tmp_path)

    def break_down(*_: object) -> None:
        raise OSError(errno.EIO, "as told")

    setattr(disk, at, break_down)
    with pytest.raises(OSError, match="as told"):
        filing.file(CONTENTS)
    filing.close()


@pytest.mark.parametrize(
    "size", [INLINE_LIMIT, INLINE_LIMIT + 1, PIECE - 1, PIECE], ids=["row", "file", "last", "streamed"]
)
async def test_on_either_side_of_each_limit_content_comes_out_as_it_went_in(size: int, tmp_path: Path) -> None:
    """In a row, in a file that the writer makes, and in one that was begun before the content had ended."""
    spool = await open_spool(tmp_path)
    content = octets(size)
    await spool.accept(await arrival(spool, A, content=content))
    assert len(files(tmp_path)) == (size > INLINE_LIMIT)
    (item,) = await spool.claim([A], Order.PRIORITY, 1, 1)
    assert await whole(await spool.content(item)) == content
    await spool.close()


async def test_a_full_disk_is_not_a_broken_one(tmp_path: Path) -> None:
    """What was turned away leaves no file, and once there is room, mail is taken again."""
    disk = FaultyDisk()
    spool = await open_spool(tmp_path, disk=disk)
    large = octets(INLINE_LIMIT + 1)
    made = [await arrival(spool, A, content=large) for _ in range(3)]
    disk.fault, disk.left = errno.ENOSPC, 0
    results = await asyncio.gather(*[spool.accept(each) for each in made], return_exceptions=True)
    assert all(isinstance(each, SpoolFull) for each in results)
    assert files(tmp_path) == {}
    disk.fault = 0
    await spool.accept(await arrival(spool, A, content=large))
    assert len(await spool.listing(Filter())) == len(files(tmp_path)) == 1
    await spool.close()
