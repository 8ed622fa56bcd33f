"""Mailboxes on disk, as Maildirs (cr.yp.to/proto/maildir.html): their folders, and one file on its way into one.

Promises: no user's or domain's name leaves its folder, and no two share one; a mailbox that is prepared lasts, and so
does a file that is published once new/ is synced; new/ holds whole files only. All of it blocks: call it in a thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

STALE_SECONDS = 36 * 3600  # what is older in tmp/ was left by a crash; the age that all Maildir programs agree on
_MAX_READY = 100_000  # mailboxes remembered as durable; more are only looked at again
_MAX_NAME = 200  # octets of a folder's name, below the 255 that file systems take

_UNSAFE = re.compile(rb"[^A-Za-z0-9._+=-]|^\.")
_FOLDER = re.compile(r"[A-Za-z0-9_-]+")


def folder_name(name: str) -> str:
    """A user's or domain's folder: its name, with what could mean anything to a file system percent-encoded.

    No two names share a folder; one that is too long ends in its SHA-256.
    """
    raw = name.encode("utf-8", "surrogatepass")
    safe = _UNSAFE.sub(lambda match: b"%%%02X" % match[0][0], raw).decode("ascii")
    if len(safe) > _MAX_NAME or not safe:
        return f"{safe[: _MAX_NAME // 2]}%-{hashlib.sha256(raw).hexdigest()}"  # `%-` is in no encoded name
    return safe


def folder_for(home: Path, detail: str) -> Path:
    """The folder of a Maildir (Maildir++: `.lists`) that a detail names, as it is or in lower case; else the inbox.

    No other letters than those that need no encoding in any reader, and no dots: a folder within another is not named.
    """
    if _FOLDER.fullmatch(detail):
        for name in dict.fromkeys((detail, detail.lower())):
            if _is_maildir(home / f".{name}"):
                return home / f".{name}"
    return home


def _is_maildir(folder: Path) -> bool:
    """Whether it is one itself: what is behind a link may be somebody else's."""
    try:
        return all(stat.S_ISDIR((folder / part).lstat().st_mode) for part in ("", "tmp", "new", "cur"))
    except OSError:
        return False


class Folders:
    """Which mailboxes are known to exist durably. Used from several threads."""

    def __init__(self, root: Path, wall: Callable[[], float]) -> None:
        self._root = root
        self._wall = wall
        self._ready: set[Path] = set()
        self._lock = threading.Lock()

    def prepare(self, folder: Path) -> None:
        """Makes a mailbox if need be; at its first use, syncs it up to the root: a directory that exists need not last.

        Raises OSError.
        """
        if folder in self._ready:
            return
        with self._lock:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in (folder.parent, folder, folder / "tmp", folder / "new", folder / "cur"):
                path.mkdir(mode=0o700, exist_ok=True)
            for path in (folder, folder.parent, self._root, self._root.parent):
                sync_directory(path)
            self._is_ready(folder)

    def prepare_within(self, folder: Path) -> None:
        """The same for a folder of a mailbox that is prepared; somebody else has made it. Raises OSError."""
        if folder in self._ready:
            return
        with self._lock:
            for path in (folder, folder.parent):
                sync_directory(path)
            self._is_ready(folder)

    def _is_ready(self, folder: Path) -> None:
        self._clean(folder / "tmp")
        if len(self._ready) >= _MAX_READY:
            self._ready.clear()
        self._ready.add(folder)

    def forget(self, folders: Iterable[Path]) -> None:
        """Looks at them again at their next use: something went wrong there."""
        with self._lock:
            self._ready.difference_update(folders)

    def _clean(self, tmp: Path) -> None:
        oldest = self._wall() - STALE_SECONDS
        with contextlib.suppress(OSError), os.scandir(tmp) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_mtime < oldest:
                    Path(entry.path).unlink(missing_ok=True)


_counter = itertools.count()


class Copy:
    """One user's file on its way: written in tmp, synced, moved into new. An error ends it and removes the file.

    `home` is the mailbox, `folder` where in it the file goes; `size` counts the octets that were written.
    """

    __slots__ = ("_file", "_head", "_name", "_tmp", "error", "folder", "home", "size")

    def __init__(self, home: Path, folder: Path, name: str, head: bytes) -> None:
        self.home = home
        self.folder = folder
        self.size = 0
        self._name = name
        self._head = head
        self._file: int | None = None
        self._tmp: Path | None = None
        self.error: Exception | None = None

    @property
    def path(self) -> Path:
        """Where it will be; its size is in its name, as Maildir++ has it, so that nobody need ask the disk for it."""
        return self.folder / "new" / f"{self._name},S={self.size}"

    def attempt(self, step: Callable[[Copy], None]) -> None:
        """Takes a step, unless an earlier one has failed."""
        if self.error is None:
            try:
                step(self)
            except OSError as error:
                self.fail(error)

    def begin(self) -> None:
        """Opens a file of its own in tmp, and writes the head. Raises OSError."""
        tmp = self.folder / "tmp" / f"{time.time_ns()}.P{os.getpid()}Q{next(_counter)}"
        self._file = os.open(tmp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._tmp = tmp
        self.write(self._head)

    def write(self, data: bytes) -> None:
        """Appends. Raises OSError."""
        assert self._file is not None, "begin() comes first"
        rest = memoryview(data)
        self.size += len(data)
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def write_out(self) -> None:
        """Sends it on its way to the disk, so that the syncs of a batch need few journal commits."""
        assert self._file is not None, "begin() comes first"
        with contextlib.suppress(OSError):  # advice only
            os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_DONTNEED)

    def sync(self) -> None:
        """Waits until the disk has it. Raises OSError; the octets may then be lost, whatever a second try says."""
        assert self._file is not None, "begin() comes first"
        os.fsync(self._file)
        file, self._file = self._file, None
        os.close(file)

    def publish(self) -> None:
        """Makes it visible, in place of an earlier copy of this same item. Raises OSError."""
        assert self._tmp is not None, "begin() comes first"
        self._tmp.rename(self.path)
        self._tmp = None

    def fail(self, error: Exception) -> None:
        """Ends it."""
        self.error = self.error or error
        self.discard()

    def discard(self) -> None:
        """Removes what is not yet in new/; nothing, once it is there."""
        if self._file is not None:
            file, self._file = self._file, None
            with contextlib.suppress(OSError):
                os.close(file)
        if self._tmp is not None:
            tmp, self._tmp = self._tmp, None
            with contextlib.suppress(OSError):
                tmp.unlink()


class LineEnds:
    """CRLF to LF, piece by piece; or nothing at all, for binary content."""

    __slots__ = ("_held", "_keep")

    def __init__(self, *, keep: bool) -> None:
        self._keep = keep
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What can be written now; a CR at the very end waits for what follows it."""
        if self._keep:
            return data
        data = self._held + data
        self._held = b"\r" if data.endswith(b"\r") else b""
        return data[: len(data) - len(self._held)].replace(b"\r\n", b"\n")

    def end(self) -> bytes:
        """What was held back."""
        held, self._held = self._held, b""
        return held


def sync_directory(path: Path) -> None:
    """Makes the names in a directory last. Raises OSError."""
    file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
