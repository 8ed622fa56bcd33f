"""A disk on which only what was synced survives a power cut: data, sizes and names, SQLite's and the bodies'.

RecordingDisk works on real files and writes down, in order, all that was asked of it. survivors() says what a cut
after the first n of these operations may leave: of what was not synced nothing, all, or any part.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import apsw

from restante.store.disk import Disk

_numbers = itertools.count()
JOURNALS = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL | apsw.SQLITE_OPEN_WAL


@dataclass(frozen=True, slots=True)
class Named:
    """Names in one folder have changed, at once: to a file's number, FOLDER, or None for a name that is gone."""

    folder: Path
    names: tuple[tuple[str, int | None], ...]


@dataclass(frozen=True, slots=True)
class Wrote:
    """Octets of a file have changed."""

    file: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Cut:
    """A file has another size."""

    file: int
    size: int


@dataclass(frozen=True, slots=True)
class Synced:
    """All of a file is safe; not its name."""

    file: int


@dataclass(frozen=True, slots=True)
class FolderSynced:
    """All names in a folder are safe."""

    folder: Path


Operation = Named | Wrote | Cut | Synced | FolderSynced
FOLDER = -1


class RecordingDisk(Disk):
    """The machine's disk, under which every operation is written down, with the names of files below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.vfs = f"recording-{next(_numbers)}"
        self._vfs = _Vfs(self.vfs, self)
        self.operations: list[Operation] = []
        self._files: dict[Path, int] = {}
        self._open: dict[int, tuple[int, int]] = {}
        self._lock = threading.RLock()

    def note(self, operation: Operation) -> None:
        """Writes an operation down; it was done."""
        with self._lock:
            self.operations.append(operation)

    def made(self, path: Path) -> int:
        """A new file; its number."""
        with self._lock:
            number = self._files[path] = next(_numbers)
            self.note(Named(path.parent, ((path.name, number),)))
            return number

    def number(self, path: Path) -> int:
        """The number of a file that is there."""
        return self._files[path]

    def gone(self, path: Path) -> None:
        """A name is no more."""
        with self._lock:
            if self._files.pop(path, None) is not None:
                self.note(Named(path.parent, ((path.name, None),)))

    def make_folder(self, folder: Path) -> None:
        if not folder.exists():
            super().make_folder(folder)
            self.note(Named(folder.parent, ((folder.name, FOLDER),)))

    def sync_folder(self, folder: Path) -> None:
        assert folder.is_dir()
        self.note(FolderSynced(folder))

    def create(self, path: Path) -> int:
        descriptor = super().create(path)
        self._open[descriptor] = (self.made(path), 0)
        return descriptor

    def write(self, descriptor: int, data: bytes) -> None:
        super().write(descriptor, data)
        number, end = self._open[descriptor]
        self._open[descriptor] = (number, end + len(data))
        self.note(Wrote(number, end, data))

    def allocate(self, descriptor: int, octets: int) -> None:
        self.note(Cut(self._open[descriptor][0], octets))

    def sync(self, descriptor: int) -> None:
        self.note(Synced(self._open[descriptor][0]))

    def rename(self, old: Path, new: Path) -> None:
        with self._lock:
            super().rename(old, new)
            number = self._files[new] = self._files.pop(old)
            self.note(Named(new.parent, ((old.name, None), (new.name, number))))

    def unlink(self, path: Path) -> None:
        super().unlink(path)
        self.gone(path)


class _Vfs(apsw.VFS):
    def __init__(self, name: str, disk: RecordingDisk) -> None:
        super().__init__(name, "unix")
        self._disk = disk

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> _File:  # noqa: N802 - SQLite's word
        assert name is not None, "nothing temporary goes to a file"
        path = Path(name if isinstance(name, str) else name.filename())
        is_new = not path.exists()
        opened = _File(name, flags, self._disk, path, is_new=is_new)
        if is_new:
            self._disk.made(path)
        return opened

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - SQLite's word
        super().xDelete(filename, False)
        self._disk.gone(Path(filename))
        if syncdir:
            self._disk.note(FolderSynced(Path(filename).parent))


class _File(apsw.VFSFile):
    def __init__(
        self, name: str | apsw.URIFilename, flags: list[int], disk: RecordingDisk, path: Path, *, is_new: bool
    ) -> None:
        super().__init__("unix", name, flags)
        self._disk = disk
        self._path = path
        self._syncs_its_name = is_new and bool(flags[0] & JOURNALS)  # as SQLite's own VFS does, at the first sync

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's word
        super().xWrite(data, offset)
        self._disk.note(Wrote(self._disk.number(self._path), offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's word
        super().xTruncate(newsize)
        self._disk.note(Cut(self._disk.number(self._path), newsize))

    def xSync(self, flags: int) -> None:  # noqa: ARG002, N802 - SQLite's word
        self._disk.note(Synced(self._disk.number(self._path)))
        if self._syncs_its_name:
            self._syncs_its_name = False
            self._disk.note(FolderSynced(self._path.parent))


Keep = Callable[[], bool]
"""Whether an operation that was not synced has survived."""


@dataclass
class Platter:
    """What is safe, and what is under way: fed with operations, one by one."""

    root: Path
    _safe_names: dict[Path, dict[str, int]] = field(default_factory=dict)
    _names: dict[Path, list[Named]] = field(default_factory=dict)
    _safe_data: dict[int, bytearray] = field(default_factory=dict)
    _data: dict[int, list[Wrote | Cut]] = field(default_factory=dict)

    def do(self, operation: Operation) -> bool:
        """Takes an operation; whether it made anything safe."""
        match operation:
            case Named(folder=folder):
                self._names.setdefault(folder, []).append(operation)
            case Wrote(file=number) | Cut(file=number):
                self._data.setdefault(number, []).append(operation)
            case Synced(file=number):
                changes = self._data.pop(number, [])
                _write(self._safe_data.setdefault(number, bytearray()), changes)
                return bool(changes)
            case FolderSynced(folder=folder):
                named = self._names.pop(folder, [])
                _name(self._safe_names.setdefault(folder, {}), named)
                return bool(named)
        return False

    def leave(self, keep: Keep, target: Path) -> None:
        """Writes what a cut leaves now to a folder: what is safe, and of the rest what is kept."""
        self._leave(self.root, keep, target)

    def _leave(self, folder: Path, keep: Keep, target: Path) -> None:
        target.mkdir()
        names = dict(self._safe_names.get(folder, {}))
        _name(names, (each for each in self._names.get(folder, ()) if keep()))
        for name, number in names.items():
            if number == FOLDER:
                self._leave(folder / name, keep, target / name)
            else:
                data = bytearray(self._safe_data.get(number, b""))
                _write(data, (each for each in self._data.get(number, ()) if keep()))
                (target / name).write_bytes(data)


def _name(names: dict[str, int], changes: Iterable[Named]) -> None:
    for change in changes:
        for name, number in change.names:
            if number is None:
                names.pop(name, None)
            else:
                names[name] = number


def _write(data: bytearray, changes: Iterable[Wrote | Cut]) -> None:
    for change in changes:
        end = change.offset + len(change.data) if isinstance(change, Wrote) else change.size
        if len(data) < end:
            data.extend(bytes(end - len(data)))
        if isinstance(change, Wrote):
            data[change.offset : end] = change.data
        else:
            del data[end:]


def ways_to_survive(seed: int) -> dict[str, Keep]:
    """Nothing but what was synced; everything, as when only the process dies; and any part, by chance."""
    chance = random.Random(seed)
    return {"synced": lambda: False, "all": lambda: True, "some": lambda: chance.random() < 0.5}
