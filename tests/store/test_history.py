"""What is remembered of the past: small, whole, and nothing to lose mail by."""

from __future__ import annotations

import contextlib
import errno
import random
from pathlib import Path

import apsw
import pytest
from tests.store.faults import FaultyDisk

from restante.store.history import DATABASE, History, HistoryUnusable, open_history

ROWS = {"clock": b"1", "mark 1.0": b"[1.0,2]", "mark 2.0": b"[2.0,3]"}


def kept(folder: Path) -> dict[str, bytes]:
    """What another process finds."""
    with contextlib.closing(open_history(folder)) as history:
        assert history.trouble == ""
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
    """All mail is young again; nothing else happens."""
    (tmp_path / DATABASE).write_bytes(content)
    assert kept(tmp_path) == {}
    written(tmp_path).close()
    assert kept(tmp_path) == ROWS


def test_another_database_is_begun_anew(tmp_path: Path) -> None:
    """Of a later version, or of somebody else."""
    for change in ("PRAGMA user_version = 99", "CREATE TABLE more (x)", "PRAGMA application_id = 7"):
        written(tmp_path).close()
        with contextlib.closing(apsw.Connection(str(tmp_path / DATABASE))) as connection:
            connection.execute(change)
        assert kept(tmp_path) == {}


def test_what_the_disk_has_changed_is_not_believed(tmp_path: Path) -> None:
    """Whatever bits fall over: each row is as it was written, or none."""
    written(tmp_path).close()
    whole = (tmp_path / DATABASE).read_bytes()
    chance = random.Random(5)
    for _ in range(150):
        place = chance.randrange(len(whole))
        flipped = whole[place] ^ (1 << chance.randrange(8))
        (tmp_path / DATABASE).write_bytes(whole[:place] + bytes([flipped]) + whole[place + 1 :])
        found = kept(tmp_path)
        assert all(ROWS[name] == value for name, value in found.items())


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
