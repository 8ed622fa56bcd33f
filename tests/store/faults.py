"""A disk that does as it is told: full, broken, or without the waiting for syncs that a property test cannot afford."""

from __future__ import annotations

import errno
import itertools
from pathlib import Path

import apsw

from restante.store.disk import Disk, Room

_numbers = itertools.count()


class FaultyDisk(Disk):
    """The machine's disk until `fault` says otherwise; `left` octets may be written before it says so.

    It syncs nothing: these tests end processes, they do not cut the power.
    """

    def __init__(self) -> None:
        self.vfs = f"faulty-{next(_numbers)}"
        self._vfs = _Vfs(self.vfs, self)
        self.fault = 0
        """An errno, or 0."""
        self.left = 0
        self.freed = 0
        """Octets that become free when a file is removed, however full the disk was."""
        self.free_octets = 1 << 40
        self.inodes: int | None = 1 << 20
        self.looks = 0

    def check(self, octets: int = 0) -> None:
        """Raises what is wrong."""
        if self.fault and octets > self.left:
            raise OSError(self.fault, "as told")
        self.left -= octets

    def sync_folder(self, folder: Path) -> None:
        assert folder.is_dir()
        self.check()

    def write(self, descriptor: int, data: bytes) -> None:
        self.check(len(data))
        super().write(descriptor, data)

    def sync(self, descriptor: int) -> None:  # noqa: ARG002 - it syncs nothing
        if self.fault == errno.EIO:
            self.check(1)

    def allocate(self, descriptor: int, octets: int) -> None:
        pass

    def unlink(self, path: Path) -> None:
        super().unlink(path)
        self.left += self.freed

    def room(self, folder: Path) -> Room:  # noqa: ARG002 - there is one
        self.looks += 1
        return Room(self.free_octets, self.inodes)


class _Vfs(apsw.VFS):
    def __init__(self, name: str, disk: FaultyDisk) -> None:
        super().__init__(name, "unix")
        self._disk = disk

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> _File:  # noqa: N802 - SQLite's word
        return _File(name, flags, self._disk)


class _File(apsw.VFSFile):
    def __init__(self, name: str | apsw.URIFilename | None, flags: list[int], disk: FaultyDisk) -> None:
        super().__init__("unix", name, flags)
        self._disk = disk

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's word
        try:
            self._disk.check(len(data))
        except OSError as error:
            raise (apsw.FullError if error.errno == errno.ENOSPC else apsw.IOError)("as told") from None
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: ARG002, N802 - SQLite's word
        if self._disk.fault == errno.EIO:
            raise apsw.IOError("as told")
