"""The data folder, its file system, the room in it, the clock: each finding appears, and goes when it is mended."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.here import not_here

from restante.setup.finding import Finding, Mark
from restante.setup.machine import STA_UNSYNC, _of_folder, file_system, kernel_flags, of_clock, of_room
from restante.store.disk import Room

DATA = Path("/var/lib/restante")


def marks(found: Iterator[Finding]) -> list[Mark]:
    return [finding.mark for finding in found]


def told(found: Iterator[Finding]) -> str:
    return "\n".join(f"{finding.mark} {finding.text} -> {finding.remedy}" for finding in found)


def test_a_folder_that_is_not_there_yet_is_made(tmp_path: Path) -> None:
    """No fault, where it can be made."""
    assert marks(_of_folder(tmp_path / "a/b")) == [Mark.OK]


def test_others_may_not_look_into_it(tmp_path: Path) -> None:
    """A warning, until chmod."""
    tmp_path.chmod(0o755)
    assert f"warning others may look into {tmp_path} -> chmod 700" in told(_of_folder(tmp_path))
    tmp_path.chmod(0o700)
    assert "warning others" not in told(_of_folder(tmp_path))


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone gives files away")
def test_what_root_has_left_behind_is_found(tmp_path: Path) -> None:
    """A spool of root's in the server's folder: it could not start."""
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool/spool.db").touch()
    os.chown(tmp_path, 1, 1)
    os.chown(tmp_path / "spool", 1, 1)
    assert "spool/spool.db in it is not: the server cannot use it -> chown -R daemon" in told(_of_folder(tmp_path))
    os.chown(tmp_path / "spool/spool.db", 1, 1)
    assert "in it is not" not in told(_of_folder(tmp_path))
    assert "root looks at what is daemon's" in told(_of_folder(tmp_path))


def test_a_file_system_in_memory_and_a_full_one(tmp_path: Path) -> None:
    """A real tmpfs of one megabyte is both; unmounted, neither."""
    tmp_path.chmod(0o700)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "none", tmp_path], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        not_here("tmpfs cannot be mounted")
    try:
        said = told(_of_folder(tmp_path))
    finally:
        subprocess.run(["umount", tmp_path], check=True)
    assert "warning" in said
    assert "is in memory (tmpfs): mail is lost" in said
    assert "wrong 1 MB are free" in said
    assert "no mail is taken" in said
    assert "tmpfs" not in told(_of_folder(tmp_path))


def test_the_nearest_mount_counts(tmp_path: Path) -> None:
    """Of all mounts above a folder, the one that is nearest, and of two at one point the later."""
    (tmp_path / "a b/c").mkdir(parents=True)
    mounts = f"""\
1 0 8:1 / / rw - ext4 /dev/sda1 rw
2 1 8:2 / {tmp_path} rw shared:1 - overlay overlay rw
3 2 0:5 / {tmp_path}/a\\040b rw,nosuid shared:2 master:1 - nfs4 host:/x rw
4 2 0:6 / {tmp_path}/a rw - tmpfs none rw
"""
    assert file_system(tmp_path / "a b/c", mounts) == "nfs4"
    assert file_system(tmp_path, mounts) == "overlay"
    assert file_system(Path("/"), mounts) == "ext4"


@pytest.mark.parametrize(
    ("room", "wanted"),
    [
        (Room(4 << 20, 1_000_000), [Mark.WRONG]),
        (Room(500 << 20, 1_000_000), [Mark.WARNING]),
        (Room(50 << 30, 1_000_000), [Mark.OK]),
        (Room(50 << 30, None), [Mark.OK]),
        (Room(50 << 30, 5000), [Mark.OK, Mark.WARNING]),
        (Room(50 << 30, 32), [Mark.OK, Mark.WRONG]),
    ],
)
def test_room_for_mail(room: Room, wanted: list[Mark]) -> None:
    """Octets and inodes; wrong is where the store turns mail away."""
    assert marks(of_room(DATA, room)) == wanted


@pytest.mark.parametrize(
    ("newest", "flags", "is_set", "wanted"),
    [
        (1000.0, 0, False, Mark.OK),
        (1000.0, STA_UNSYNC, False, Mark.WARNING),
        (1000.0, STA_UNSYNC, True, Mark.OK),
        (1000.0, None, False, Mark.WARNING),
        (5000.0, 0, True, Mark.WRONG),
    ],
)
def test_the_clock(newest: float, flags: int | None, is_set: bool, wanted: Mark) -> None:
    """Kept in time by the kernel's word or timesyncd's; behind what was written, it has gone back."""
    assert marks(of_clock(1000.0, newest, flags, is_set=is_set)) == [wanted]


def test_the_kernel_tells_of_its_clock() -> None:
    """adjtimex(2), which takes no privilege to ask."""
    flags = kernel_flags()
    assert flags is not None
    assert 0 <= flags < 1 << 16
