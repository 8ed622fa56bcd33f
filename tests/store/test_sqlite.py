"""The embedded engine beyond the contract: who may open it, what a failing disk does to it, what it finds at start."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import stat
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from tests.contract.engines import NOW, A, B, arrival, claimed, envelope, ids, octets, put, whole
from tests.store.faults import FaultyDisk
from tests.waiting import until

from restante.model import ItemState, Order, Waiting, message_of
from restante.spool.spool import (
    INLINE_LIMIT,
    STREAMED_BEYOND,
    Arrival,
    ContentDamage,
    Filter,
    Settlement,
    SpoolBroken,
    SpoolFull,
    SpoolInUse,
    SpoolUnusable,
)
from restante.store import counters, schema
from restante.store.disk import Disk
from restante.store.opening import open_parts
from restante.store.schema import assert_safe
from restante.store.sqlite import SqliteSpool, open_spool

LARGE = octets(INLINE_LIMIT * 9 + 7)
HUGE = octets(STREAMED_BEYOND + 7)


def bodies(folder: Path) -> list[Path]:
    """All body files."""
    return sorted(path for path in (folder / "bodies").rglob("*") if path.is_file())


def open_files() -> int:
    """How many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


# opening


async def test_the_spool_is_its_owners_alone(tmp_path: Path) -> None:
    """Folders 0700, body files 0600, whatever the umask."""
    spool = await open_spool(tmp_path / "data" / "spool")
    await put(spool, content=LARGE)
    for folder in (tmp_path / "data", tmp_path / "data/spool", tmp_path / "data/spool/bodies"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (body,) = bodies(tmp_path / "data/spool")
    assert stat.S_IMODE(body.stat().st_mode) == 0o600
    await spool.close()


async def test_one_process_has_it_at_a_time(tmp_path: Path) -> None:
    """The second is told so, and gets it when the first has ended."""
    spool = await open_spool(tmp_path)
    with pytest.raises(SpoolInUse, match="in use by another restante"):
        await open_spool(tmp_path)
    await spool.close()
    await spool.close()
    await (await open_spool(tmp_path)).close()


async def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """With its path and the reason."""
    (tmp_path / "data").write_text("a file")
    with pytest.raises(SpoolUnusable, match=r"data/spool cannot be used"):
        await open_spool(tmp_path / "data" / "spool")


async def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    """Somebody else's file is not mail, and not ours to overwrite; the lock is free again."""
    (tmp_path / "spool.db").write_text("precious" * 1000)
    for _ in range(2):
        with pytest.raises(SpoolUnusable, match="cannot be used"):
            await open_spool(tmp_path)
    assert (tmp_path / "spool.db").read_text() == "precious" * 1000


async def test_a_newer_spool_is_refused(tmp_path: Path) -> None:
    """An older program cannot know what it would break."""
    await (await open_spool(tmp_path)).close()
    with sqlite3.connect(tmp_path / "spool.db") as database:
        database.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    database.close()
    with pytest.raises(SpoolUnusable, match=f"newer restante .version {schema.VERSION + 1} "):
        await open_spool(tmp_path)


@pytest.mark.parametrize(("journal", "synchronous"), [("wal", 1), ("wal", 0), ("delete", 2), ("memory", 3)])
def test_settings_that_lose_mail_are_refused(journal: str, synchronous: int) -> None:
    """WAL with synchronous=FULL, or nothing."""
    with pytest.raises(SpoolUnusable, match="to keep what it has acknowledged"):
        assert_safe(journal, synchronous)
    assert_safe("WAL", 2)


async def test_a_disk_that_cannot_have_a_log_is_refused(tmp_path: Path) -> None:
    """What SQLite gives instead would lose mail, and it says so only when it is asked."""
    disk = Disk()
    disk.vfs = "memdb"
    with pytest.raises(SpoolUnusable, match=r"needs journal_mode=wal .* this system gives memory and 2"):
        await open_spool(tmp_path, disk=disk)
    await (await open_spool(tmp_path)).close()


def test_the_settings_are_the_safe_ones(tmp_path: Path) -> None:
    """Asked of the connection that writes."""
    commits = open_parts(tmp_path, Disk()).commits
    assert commits is not None
    connection = commits._connection
    assert (connection.pragma("journal_mode"), connection.pragma("synchronous")) == ("wal", 2)
    commits.close()


# what is found at start


async def test_files_without_a_row_are_removed_at_start(tmp_path: Path) -> None:
    """Drafts, contents that were not accepted, and what is no name of ours; the others stay."""
    spool = await open_spool(tmp_path)
    await put(spool, content=LARGE)
    [kept] = bodies(tmp_path)
    draft = await spool.writer(spool.new_id(), None)
    await draft.write(LARGE)
    assert len(bodies(tmp_path)) == 2
    await spool.close()
    orphan = kept.with_name("0QJ3K5W7T9A")
    orphan.write_bytes(b"not accepted")
    (kept.parent / "what is this").write_bytes(b"")
    spool = await open_spool(tmp_path)
    assert bodies(tmp_path) == [kept]
    await spool.close()


async def test_a_body_file_goes_with_its_last_item(tmp_path: Path) -> None:
    """After the commit that ends it."""
    spool = await open_spool(tmp_path)
    first = await put(spool, A, B, content=LARGE)
    await claimed(spool, A, B)
    await spool.settle([Settlement(first, None)])
    assert len(bodies(tmp_path)) == 1
    await spool.settle([Settlement(type(first)(first + 1), None)])
    await spool.close()
    assert bodies(tmp_path) == []


async def test_what_close_found_under_way_is_finished(tmp_path: Path) -> None:
    """A large one and a small one, not yet awaited; afterwards nothing is taken."""
    spool = await open_spool(tmp_path)
    under_way = [spool.accept(await arrival(spool, A, content=content)) for content in (LARGE, b"x")]
    await spool.close()
    await asyncio.gather(*under_way)
    with pytest.raises(SpoolBroken, match="closed"):
        await spool.accept(Arrival(spool.new_id(), b"x", 1, [(A, envelope(A))], NOW))
    with pytest.raises(SpoolBroken, match="closed"):
        await claimed(spool)
    assert not spool.room_for(1)
    spool = await open_spool(tmp_path)
    assert spool.waiting(A).items == 2
    await spool.close()


# damage


async def test_a_flipped_bit_is_noticed_in_a_row(tmp_path: Path) -> None:
    """The damaged one is never handed out, its neighbours are."""
    spool = await open_spool(tmp_path)
    hurt, well = await put(spool, content=b"hello\r\n"), await put(spool, content=b"world\r\n")
    await spool.close()
    with sqlite3.connect(tmp_path / "spool.db") as database:
        database.execute("UPDATE messages SET content = ? WHERE id = ?", (b"hellO\r\n", message_of(hurt)))
    database.close()
    spool = await open_spool(tmp_path)
    items = await spool.claim([A], Order.PRIORITY, 2, 1)
    assert await spool.contents(items) == [None, b"world\r\n"]
    with pytest.raises(ContentDamage):
        await spool.content(items[0])
    assert await spool.quarantine(message_of(hurt)) == [hurt]
    assert ids(await spool.listing(Filter(state=ItemState.CLAIMED))) == [well]
    await spool.close()


@pytest.mark.parametrize("content", [LARGE, HUGE], ids=["whole", "in pieces"])
@pytest.mark.parametrize("harm", ["flip", "cut", "longer", "gone", "link"])
async def test_a_damaged_file_is_noticed_before_its_first_piece(tmp_path: Path, harm: str, content: bytes) -> None:
    """Whatever happened to it."""
    spool = await open_spool(tmp_path)
    await put(spool, content=content)
    (body,) = bodies(tmp_path)
    match harm:
        case "flip":
            body.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "cut":
            body.write_bytes(content[:-1])
        case "longer":
            body.write_bytes(content + b"x")
        case "gone":
            body.unlink()
        case "link":
            body.rename(tmp_path / "elsewhere")
            body.symlink_to(tmp_path / "elsewhere")
    (item,) = await spool.claim([A], Order.PRIORITY, 1, 1)
    with pytest.raises(ContentDamage):
        await spool.content(item)
    await spool.close()


# a disk that is full, or fails


async def test_a_full_disk_turns_messages_away_and_records_deliveries(tmp_path: Path) -> None:
    """The reserve is given up for the record; with space freed, mail is taken again."""
    disk = FaultyDisk()
    spool = await open_spool(tmp_path, disk=disk)
    delivered = await put(spool)
    await claimed(spool)
    disk.fault, disk.left, disk.freed = errno.ENOSPC, 0, 200_000
    arriving = spool.accept(await arrival(spool, B))
    settling = spool.settle([Settlement(delivered, None)])
    with pytest.raises(SpoolFull):
        await arriving
    await settling
    assert spool.domains() == {}
    disk.fault = 0
    await put(spool, B)
    assert spool.domains() == {B: Waiting(1, 25, NOW)}
    assert (tmp_path / "reserve").exists()
    await spool.close()


async def test_messages_are_turned_away_before_the_margin_is_used(tmp_path: Path) -> None:
    """By MAIL's look, at most four times a second, and by the commit itself; small inode counts too."""
    disk = FaultyDisk()
    spool = await open_spool(tmp_path, disk=disk)
    disk.looks = 0
    began = time.monotonic()
    assert all(spool.room_for(1000) for _ in range(1000))
    assert disk.looks <= 2 + 4 * (time.monotonic() - began)
    await asyncio.sleep(0.3)
    disk.free_octets = 3_000_000
    assert not spool.room_for(1000)
    with pytest.raises(SpoolFull) as full:
        await put(spool)
    assert full.value.needed_octets == 25
    with pytest.raises(SpoolFull):
        await spool.writer(spool.new_id(), 100_000)
    await asyncio.sleep(0.3)
    disk.free_octets, disk.inodes = 1 << 40, 3
    assert not spool.room_for(1000)
    await spool.close()


async def test_a_disk_that_fills_under_a_large_message_costs_only_that(tmp_path: Path) -> None:
    """The writer says so, at whatever octet; nothing of it stays."""
    disk = FaultyDisk()
    spool = await open_spool(tmp_path, disk=disk)

    async def attempt() -> None:
        given = await spool.writer(spool.new_id(), None)
        try:
            for start in range(0, len(LARGE), 100_000):
                await given.write(LARGE[start : start + 100_000])
            await spool.accept(Arrival(spool.new_id(), given, len(LARGE), [(A, envelope(A))], NOW))
        finally:
            await given.discard()

    for left in (0, 300_000, len(LARGE) - 1):
        disk.fault, disk.left = errno.ENOSPC, left
        with pytest.raises(SpoolFull):
            await attempt()
        disk.fault = 0
        assert bodies(tmp_path) == []
    await put(spool, content=LARGE)
    assert spool.waiting(A).items == 1
    await spool.close()


@pytest.mark.parametrize("content", [b"small", LARGE], ids=["row", "file"])
async def test_after_a_failed_write_nothing_is_taken_until_restart(tmp_path: Path, content: bytes) -> None:
    """Not even when the disk says that all is well again: what it lost it does not tell."""
    disk = FaultyDisk()
    spool = await open_spool(tmp_path, disk=disk)
    safe = await put(spool)
    doubtful = await arrival(spool, A, content=content)
    disk.fault = errno.EIO
    with pytest.raises(SpoolBroken):
        await spool.accept(doubtful)
    disk.fault = 0
    assert not spool.room_for(1)
    with pytest.raises(SpoolBroken, match="until restart"):
        await put(spool)
    with pytest.raises(SpoolBroken):
        await spool.settle([Settlement(safe, None)])
    with pytest.raises(SpoolBroken):
        await spool.freeze([safe])
    with pytest.raises(SpoolBroken):
        await spool.writer(spool.new_id(), None)
    await spool.close()
    spool = await open_spool(tmp_path)
    assert safe in await claimed(spool)
    assert sum(waiting.items for waiting in spool.domains().values()) == len(await spool.listing(Filter()))
    await spool.close()


# large contents


async def test_a_message_of_50_mb_passes_with_flat_memory(tmp_path: Path) -> None:
    """In and out in pieces."""
    spool = await open_spool(tmp_path, disk=FaultyDisk())
    piece = octets(64 * 1024)
    total = 50 * 1024 * 1024
    tracemalloc.start()
    message = spool.new_id()
    given = await spool.writer(message, total)
    for _ in range(total // len(piece)):
        await given.write(piece)
    await spool.accept(Arrival(message, given, total, [(A, envelope(A))], NOW))
    (item,) = await spool.claim([A], Order.PRIORITY, 1, 1)
    content = await spool.content(item)
    assert not isinstance(content, bytes)
    assert sum([len(each) async for each in content]) == total
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * 1024 * 1024
    await spool.close()


async def test_a_content_that_is_not_read_to_its_end_leaves_no_file_open(tmp_path: Path) -> None:
    """Closed unread, left after a piece, or forgotten."""
    spool = await open_spool(tmp_path)
    await put(spool, content=HUGE)
    (item,) = await spool.claim([A], Order.PRIORITY, 1, 1)
    before = open_files()
    content = await spool.content(item)
    await content.aclose()  # type: ignore[union-attr] # it is in pieces
    async for piece in await spool.content(item):  # type: ignore[union-attr] # it is in pieces
        assert piece == HUGE[: len(piece)]
        break
    await spool.content(item)
    assert await whole(await spool.content(item)) == HUGE
    del content
    assert open_files() == before
    await spool.close()


@pytest.mark.parametrize("said", [None, 1000])
async def test_what_is_in_no_memory_is_read_by_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: int | None
) -> None:
    """All of it, and as much of it as there is; a read that finds less than a piece is gone on with."""
    spool = await open_spool(tmp_path)
    await put(spool, content=HUGE)
    (item,) = await spool.claim([A], Order.PRIORITY, 1, 1)

    def read_now(_: Disk, descriptor: int, offset: int, room: bytearray) -> int | None:
        return None if said is None or offset % 3 else os.preadv(descriptor, [memoryview(room)[:said]], offset)

    monkeypatch.setattr(Disk, "read_now", read_now)
    assert await whole(await spool.content(item)) == HUGE
    await spool.close()


# counters, order and ageing of much mail


async def test_the_oldest_of_a_large_domain_is_made_exact_in_a_quiet_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then it claims an older one, never a younger one."""
    monkeypatch.setattr(counters, "REFRESH_AT_ONCE", 1)
    monkeypatch.setattr("restante.store.writer.IDLE_SECONDS", 0.05)
    spool = await open_spool(tmp_path)
    one, _, three = [await put(spool, arrived=NOW + n) for n in range(3)]
    await claimed(spool)
    await spool.settle([Settlement(one, None)])
    assert spool.waiting(A) == Waiting(2, 50, NOW)
    await until(lambda: spool.waiting(A).oldest == NOW + 1)
    assert spool.waiting(A) == Waiting(2, 50, NOW + 1)
    await spool.settle([Settlement(three, None)])
    await spool.close()
    spool = await open_spool(tmp_path)
    assert spool.waiting(A) == Waiting(1, 25, NOW + 1)
    await spool.close()


async def test_the_next_items_of_a_large_domain_are_found_without_sorting_it(tmp_path: Path) -> None:
    """The index has them in order; none of the looks reads an item's row."""
    spool = await open_spool(tmp_path)
    plans: list[str] = []
    await put(spool)
    connection = spool._connection

    def note(_: object, statement: str, bindings: Any) -> bool:
        if not statement.startswith("EXPLAIN"):
            explained = connection.cursor()
            explained.exec_trace = lambda *_: True
            steps = explained.execute("EXPLAIN QUERY PLAN " + statement, bindings)
            plans.append(" ".join(str(row[3]) for row in steps))
        return True

    connection.exec_trace = note
    await claimed(spool, A, limit=1)
    await spool.due([A])
    connection.exec_trace = None
    assert "SEARCH items USING COVERING INDEX items_waiting (domain=? AND rank=? AND id>?)" in plans[0]
    assert "SEARCH items USING COVERING INDEX items_waiting (domain=? AND rank>?)" in plans[0]
    assert "B-TREE" not in plans[0]
    assert "SEARCH items USING INTEGER PRIMARY KEY" in plans[1]
    assert "COVERING INDEX items_waiting (domain=?)" in plans[2]
    await spool.close()


async def test_a_release_reads_much_mail_in_parts_and_misses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With mail that arrives before and behind the place it has reached, more of it than is noted one by one."""
    monkeypatch.setattr("restante.store.sqlite.READ_AHEAD", 20)
    monkeypatch.setattr("restante.store.sqlite.SORTED_AHEAD", 20)
    monkeypatch.setattr("restante.store.claims.MOST_LATE", 15)
    spool = await open_spool(tmp_path, disk=FaultyDisk())
    for order in (Order.PRIORITY, Order.SMALLEST):
        release = spool.new_id()
        expected = {await put(spool, content=b"x" * (n % 7 + 1), priority=n % 3) for n in range(90)}
        got: list[int] = []
        for round_ in range(40):
            part = await claimed(spool, A, B, order=order, release=release, limit=9)
            got += part
            spool.give_back(part[:3])
            await spool.settle([Settlement(each, None) for each in part[3:]])
            if round_ < 12:
                expected |= {await put(spool, (A, B)[n % 2], priority=n) for n in range(6)}
        assert len(got) == len(set(got))
        assert set(got) == expected
        await spool.remove(ids(await spool.listing(Filter())))
    await spool.close()


async def test_space_that_mail_has_left_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a quiet moment, and it counts as room before."""
    monkeypatch.setattr("restante.store.writer.IDLE_SECONDS", 0.02)
    monkeypatch.setattr("restante.store.commits.VACUUM_ABOVE_PAGES", 100)
    spool: SqliteSpool = await open_spool(tmp_path, disk=FaultyDisk())
    await asyncio.gather(*[spool.accept(await arrival(spool, content=octets(60_000, n))) for n in range(100)])
    await spool.remove(await claimed(spool))
    spool.release_ended(1)
    await spool.remove(ids(await spool.listing(Filter())))
    await until(lambda: spool._writer.free_pages <= 100)
    await spool.close()
    assert (tmp_path / "spool.db").stat().st_size < 1_000_000
