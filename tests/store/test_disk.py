"""What the spool asks of the machine's disk beyond files and folders."""

from __future__ import annotations

import errno
import fcntl
import struct
from pathlib import Path

import pytest

from restante.store.disk import Disk


def test_folders_are_spread_by_a_flag_beside_those_that_were_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FS_TOPDIR_FL is added by what reads and writes the flags of a folder; nothing else is changed."""
    done: list[int] = []

    def ioctl(_: int, request: int, argument: bytes) -> bytes:
        if request & 0xFF == 2:
            done.extend(struct.unpack("l", argument))
        return struct.pack("l", 0x80000)

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    Disk().spread(tmp_path)
    assert done == [0xA0000]


@pytest.mark.parametrize("error", [errno.ENOTTY, errno.EOPNOTSUPP, errno.EPERM, errno.EROFS])
def test_a_file_system_without_that_is_as_good(error: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a wish; what the disk says to it changes nothing."""

    def ioctl(*_: object) -> bytes:
        raise OSError(error, "as told")

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    Disk().spread(tmp_path)
