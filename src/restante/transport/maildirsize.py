"""How much a Maildir holds, kept in its file `maildirsize` as Maildir++ has it, which Courier and Dovecot keep too.

The first line is the quota (`1000000S`), each other line octets and messages to be added up (`1234 1`, `-1234 -1`).
The file is made anew from what lies in the folders where it is missing, damaged, of another quota, or long. All folders
count, Trash too: it takes up the same disk, and Dovecot counts it. All of it blocks: call it in a thread.
"""

from __future__ import annotations

import itertools
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from restante.transport.mailbox import sync_directory

NAME = "maildirsize"
MOST_OCTETS = 5120
"""So long, or longer, the file is made anew; by the specification."""
_QUOTA = re.compile(rb"(?:[0-9]{1,18}C,)?([0-9]{1,18})S(?:,[0-9]{1,18}C)?")
_LINE = re.compile(rb" *(-?[0-9]{1,18}) +(-?[0-9]{1,18}) *")
_SIZE = re.compile(r",S=([0-9]{1,18})(?=[,:]|$)")
_counter = itertools.count()


@dataclass(frozen=True, slots=True)
class Usage:
    """What a Maildir holds: octets as they lie on disk, and messages. `lines`: how many of a file say so."""

    octets: int = 0
    messages: int = 0
    lines: int = 1


def parse(text: bytes, quota: int) -> Usage | None:
    """What a file says for this quota; None where it is for another, or says nothing that can be.

    A number of messages in the quota is somebody else's, and nothing to us.
    """
    first, *lines = text.removesuffix(b"\n").split(b"\n")
    limit = _QUOTA.fullmatch(first)
    if not text.endswith(b"\n") or limit is None or int(limit[1]) != quota or not lines:
        return None
    octets = messages = 0
    for line in lines:
        if (found := _LINE.fullmatch(line)) is None:
            return None
        octets += int(found[1])
        messages += int(found[2])
    return Usage(octets, messages, len(lines)) if octets >= 0 and messages >= 0 else None


def measure(home: Path) -> Usage:
    """What lies in a Maildir and its folders: by their names (`,S=`) where they tell it. Raises OSError."""
    octets = messages = 0
    for folder in _message_folders(home):
        with os.scandir(folder) as entries:
            for entry in entries:
                if (size := _size_of(entry)) is not None:
                    octets += size
                    messages += 1
    return Usage(octets, messages)


def _message_folders(home: Path) -> Iterator[Path]:
    with os.scandir(home) as entries:
        subfolders = [home / entry.name for entry in entries if _is_folder(entry)]
    for box in (home, *subfolders):
        for kind in ("new", "cur"):
            if (box / kind).is_dir():
                yield box / kind


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)


def _size_of(entry: os.DirEntry[str]) -> int | None:
    """None for what is no message, or gone."""
    if entry.name.startswith("."):
        return None
    if (named := _SIZE.search(entry.name)) is not None:
        return int(named[1])
    try:
        return entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return None


def identity_of(status: os.stat_result) -> tuple[int, int]:
    """What tells one file from another, whatever their names."""
    return status.st_dev, status.st_ino


class SizeFile:
    """One `maildirsize`, open to be read and added to. Raises OSError, as all of its methods do."""

    def __init__(self, home: Path) -> None:
        self._file = os.open(home / NAME, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    @property
    def identity(self) -> tuple[int, int]:
        """Of the file itself, whatever its name."""
        return identity_of(os.fstat(self._file))

    def age(self, now: float) -> float:
        """Seconds since it was last written."""
        return now - os.fstat(self._file).st_mtime

    def read(self, quota: int) -> Usage | None:
        """What it says; None where it must be made anew."""
        text = os.pread(self._file, MOST_OCTETS, 0)
        return parse(text, quota) if len(text) < MOST_OCTETS else None

    def add(self, octets: int, messages: int) -> None:
        """Adds a line, safe on disk."""
        line = b"%d %d\n" % (octets, messages)
        if os.write(self._file, line) != len(line):
            raise OSError(0, "maildirsize was written in part")
        os.fdatasync(self._file)


def make_anew(home: Path, quota: int) -> Usage:
    """Counts what is there and writes it down, safe on disk, unless more came meanwhile. Raises OSError."""
    before = _stamps(home)
    usage = measure(home)
    tmp = home / "tmp" / f"{time.time_ns()}.P{os.getpid()}Z{next(_counter)}"
    file = os.open(tmp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, b"%dS\n%d %d\n" % (quota, usage.octets, usage.messages))
        os.fsync(file)
        tmp.rename(home / NAME)
    except OSError:
        tmp.unlink(missing_ok=True)
        raise
    finally:
        os.close(file)
    if _stamps(home) != before:
        (home / NAME).unlink(missing_ok=True)
    sync_directory(home)
    return usage


def _stamps(home: Path) -> dict[Path, int]:
    return {folder: folder.stat().st_mtime_ns for folder in _message_folders(home)}
