"""The file system that forgets does so: what its cuts leave is what POSIX, or ext4, promises, and no more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from tests.crash.mounts import Forgetful, lacking_forgetful
from tests.here import not_here


@pytest.fixture(params=["strict", "ext4"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Forgetful]:
    """One with each model of names."""
    if reason := lacking_forgetful():
        not_here(reason)
    with Forgetful(tmp_path / "disk", request.param) as mounted:
        yield mounted


def sync(path: Path) -> None:
    """Makes a file's data, or a folder's names, safe."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_data_that_was_not_synced_is_gone(disk: Forgetful) -> None:
    """The name is there, for its folder was synced; so is what was written before the sync, and nothing after it."""
    file = disk.path / "file"
    file.write_bytes(b"one")
    sync(file)
    sync(disk.path)
    with file.open("ab") as opened:
        opened.write(b"two" * 100_000)
    disk.cut()
    assert file.read_bytes() == b"one"


def test_a_synced_file_has_a_name_after_a_cut_only_where_the_model_says_so(disk: Forgetful) -> None:
    """strict: not before its folder is synced. ext4: with the file."""
    file = disk.path / "file"
    file.write_bytes(b"one")
    sync(file)
    is_strict = disk.names == "strict"
    disk.cut()
    assert names(disk.path) == ([] if is_strict else ["file"])


def test_a_rename_and_an_unlink_are_undone_unless_their_folder_was_synced(disk: Forgetful) -> None:
    """The old names come back, with their data."""
    for name in ("kept", "gone"):
        (disk.path / name).write_bytes(name.encode())
        sync(disk.path / name)
    sync(disk.path)
    (disk.path / "kept").rename(disk.path / "renamed")
    (disk.path / "gone").unlink()
    assert names(disk.path) == ["renamed"]
    disk.cut()
    assert names(disk.path) == ["gone", "kept"]
    assert (disk.path / "kept").read_bytes() == b"kept"
    (disk.path / "kept").rename(disk.path / "renamed")
    sync(disk.path)
    disk.cut()
    assert names(disk.path) == ["gone", "renamed"]


def test_a_folder_whose_name_was_not_synced_is_gone_with_all_that_is_in_it(disk: Forgetful) -> None:
    """strict: a synced folder does not help while the one above is not synced. ext4: one sync is for all names."""
    folder = disk.path / "folder"
    folder.mkdir()
    (folder / "file").write_bytes(b"x")
    sync(folder / "file")
    sync(folder)
    disk.cut()
    assert names(disk.path) == ([] if disk.names == "strict" else ["folder"])


@pytest.mark.parametrize(("synchronous", "rows"), [("FULL", 50), ("NORMAL", 0)])
def test_sqlite_in_wal_mode_keeps_every_commit_with_full_and_loses_them_with_normal(
    disk: Forgetful, synchronous: str, rows: int
) -> None:
    """Two connections share memory on it, as on any disk; and a cut tells the settings apart."""
    writing = apsw.Connection(str(disk.path / "db"))
    assert writing.pragma("journal_mode", "wal") == "wal"
    writing.execute("PRAGMA synchronous = FULL; CREATE TABLE t (n)")
    writing.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    writing.execute(f"PRAGMA synchronous = {synchronous}")
    reading = apsw.Connection(str(disk.path / "db"))
    for number in range(50):
        writing.execute("INSERT INTO t VALUES (?)", (number,))
    assert reading.execute("SELECT count(*) FROM t").get == 50
    if synchronous == "FULL":
        sync(disk.path)
    disk.cut()
    with apsw.Connection(str(disk.path / "db")) as after:
        assert after.execute("SELECT count(*) FROM t").get == rows
