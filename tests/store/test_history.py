"""What is remembered of the past: small, whole, and nothing to lose mail by."""

from __future__ import annotations

import contextlib
import errno
import random
from pathlib import Path

import apsw
import pytest
from tests.store.faults import FaultyDisk

from restante.store.disk import Disk
from restante.store.history import DATABASE, History, HistoryUnusable, open_history

ROWS = {"clock": b"1", "mark 1.0": b"[1.0,2]", "mark 2.0": b"[2.0,3]"}


def kept(folder: Path, *, is_lost: bool = False) -> dict[str, bytes]:
    """What another process finds."""
    with contextlib.closing(open_history(folder)) as history:
        assert (history.trouble, bool(history.lost)) == ("", is_lost)
        return history.rows()


def written(folder: Path) -> History:
    """A history with some rows."""
    history = open_history(folder)
    history.change(ROWS)
    return history


def test_rows_last(tmp_path: Path) -> None:
    """They are replaced and removed by name, all or none."""
    written(tmp_path).close()
    assert kept(tmp_path) == ROWS
    with contextlib.closing(open_history(tmp_path)) as history:
        history.change({"clock": b"2"}, ["mark 1.0", "never there"])
    assert kept(tmp_path) == {"clock": b"2", "mark 2.0": b"[2.0,3]"}
    assert (tmp_path / DATABASE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"no database" * 1000, b"SQLite format 3\\0" + bytes(5000)])
def test_a_file_that_is_none_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    """All mail is young again; nothing else happens, and it says so."""
    (tmp_path / DATABASE).write_bytes(content)
    assert kept(tmp_path, is_lost=True) == {}
    written(tmp_path).close()
    assert kept(tmp_path) == ROWS


def test_another_database_is_begun_anew(tmp_path: Path) -> None:
    """Of a later version, or of somebody else."""
    for change in ("PRAGMA user_version = 99", "CREATE TABLE more (x)", "PRAGMA application_id = 7"):
        written(tmp_path).close()
        with contextlib.closing(apsw.Connection(str(tmp_path / DATABASE))) as connection:
            connection.execute(change)
        assert kept(tmp_path, is_lost=True) == {}


def test_what_the_disk_has_changed_is_not_believed(tmp_path: Path) -> None:
    """Whatever bits fall over: all rows are as they were written, or there are none, and it says so.

    Half of them would tell of a host that was there all the time, and of no contact: mail would be called late.
    """
    written(tmp_path).close()
    whole = (tmp_path / DATABASE).read_bytes()
    chance, told = random.Random(5), 0
    for _ in range(150):
        place = chance.randrange(len(whole))
        flipped = whole[place] ^ (1 << chance.randrange(8))
        (tmp_path / DATABASE).write_bytes(whole[:place] + bytes([flipped]) + whole[place + 1 :])
        with contextlib.closing(open_history(tmp_path)) as history:
            assert history.trouble == ""
            assert history.rows() == ({} if history.lost else ROWS)
            told += bool(history.lost)
    assert told > 5


def test_a_file_for_reading_alone_is_believed_and_not_kept(tmp_path: Path) -> None:
    """What is learned from then on is in memory."""
    written(tmp_path).close()
    with contextlib.closing(open_history(tmp_path, ReadDisk())) as history:
        assert history.trouble == "it is for reading alone"
        assert history.rows() == ROWS
        history.change({"clock": b"2"})
        assert history.rows()["clock"] == b"2"
    assert kept(tmp_path) == ROWS


class ReadDisk(Disk):
    """The machine's disk, mounted for reading: root, too, cannot write to it."""

    vfs = "for-reading"

    def __init__(self) -> None:
        self._vfs = _ReadVfs(self.vfs, "unix")


class _ReadVfs(apsw.VFS):
    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's word
        flags[0] &= ~(apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
        flags[0] |= apsw.SQLITE_OPEN_READONLY
        return apsw.VFSFile("unix", name, flags)


def test_where_the_disk_takes_none_it_is_in_memory(tmp_path: Path) -> None:
    """The server starts nevertheless; it says so."""
    disk = FaultyDisk()
    disk.fault = errno.ENOSPC
    (tmp_path / DATABASE).mkdir()
    history = open_history(tmp_path, disk)
    assert history.trouble
    history.change(ROWS)
    assert history.rows() == ROWS
    history.close()


def test_a_full_disk_is_told_and_passes(tmp_path: Path) -> None:
    """Nothing of that change is there; the next may go well."""
    disk = FaultyDisk()
    history = open_history(tmp_path, disk)
    history.change(ROWS)
    disk.fault = errno.ENOSPC
    with pytest.raises(HistoryUnusable, match=r"history\.db cannot be used"):
        history.change({"clock": b"x" * 100_000})
    disk.fault = 0
    assert history.rows() == ROWS
    history.change({"clock": b"2"})
    assert history.rows()["clock"] == b"2"
    history.close()
