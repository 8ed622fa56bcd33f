"""What the SQLite files beside the spool have in common: their errors, whose they are, and how one is begun anew."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import apsw

from restante.errors import RestanteError
from restante.store.disk import Disk

_SIDE_FILES = ("", "-wal", "-shm", "-journal")


@dataclass(eq=False)
class FileUnusable(RestanteError):
    """A file cannot be read or written now. May pass, if it was busy or the disk full."""

    file: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.file} cannot be used: {self.reason}"


class told:  # noqa: N801 - reads as a statement
    """Turns what SQLite and the disk have to say of a file into an error of its kind."""

    def __init__(self, kind: type[FileUnusable], file: Path) -> None:
        self._kind = kind
        self._file = file

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise self._kind(self._file, error.strerror or str(error)) from None
        if isinstance(error, apsw.BusyError):
            raise self._kind(self._file, "another process is writing to it") from None
        if isinstance(error, apsw.Error | UnicodeDecodeError):
            raise self._kind(self._file, str(error)) from None


def connect(disk: Disk, file: Path) -> apsw.Connection:
    """A connection to a file, which is made for its owner alone where it is not: SQLite would let others read it."""
    with contextlib.suppress(FileExistsError):
        disk.close(disk.create(file))
    return apsw.Connection(str(file), vfs=disk.vfs)


def what_is_lost(file: Path) -> str:
    """Why what a file had is gone, though it can be opened; empty where it is not, or there was no file."""
    return "it is empty" if file.is_file() and file.stat().st_size == 0 else ""


def remove(disk: Disk, file: Path) -> None:
    """Takes it away, and what SQLite has put beside it."""
    for suffix in _SIDE_FILES:
        disk.unlink(file.with_name(file.name + suffix))
