"""A disk on which only what was synced survives a power cut: data, sizes and names, SQLite's and the bodies'.

RecordingDisk works on real files and writes down, in order, all that was asked of it. A Platter is fed with these
operations, one by one, and says what a cut at that moment may leave: of what was not synced any part may survive, and
of a single write any of its sectors.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
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

    def overwrite(self, descriptor: int, data: bytes) -> None:
        super().overwrite(descriptor, data)
        self.note(Wrote(self._open[descriptor][0], 0, data))

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


Image = dict[str, bytes]
"""What is on a disk: contents by paths below the root; a folder's path ends with a slash."""
SECTOR = 512


class Platter:
    """What is safe, and what is under way: fed with operations, one by one."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: dict[Path, dict[str, int]] = {}
        self._data: dict[int, bytes] = {}
        self.pending: list[Named | Wrote | Cut] = []
        """What was done and is not safe yet, in order."""

    def do(self, operation: Operation) -> None:
        """Takes an operation."""
        match operation:
            case Synced(file=number):
                self._settle(lambda each: isinstance(each, Wrote | Cut) and each.file == number)
            case FolderSynced(folder=folder):
                self._settle(lambda each: isinstance(each, Named) and each.folder == folder)
            case _:
                self.pending.append(operation)

    def _settle(self, is_safe: Callable[[Named | Wrote | Cut], bool]) -> None:
        done = [each for each in self.pending if is_safe(each)]
        self.pending = [each for each in self.pending if not is_safe(each)]
        _apply(done, self._names, self._data)

    def image(self, survivors: Iterable[Named | Wrote | Cut]) -> Image:
        """What a cut leaves now: what is safe, and these of the pending operations, whole or torn, in their order."""
        names = {folder: dict(within) for folder, within in self._names.items()}
        data = dict(self._data)
        _apply(survivors, names, data)
        image: Image = {}
        self._put(self._root, "", names, data, image)
        return image

    def _put(
        self, folder: Path, prefix: str, names: dict[Path, dict[str, int]], data: dict[int, bytes], image: Image
    ) -> None:
        for name, number in names.get(folder, {}).items():
            if number == FOLDER:
                image[f"{prefix}{name}/"] = b""
                self._put(folder / name, f"{prefix}{name}/", names, data, image)
            else:
                image[prefix + name] = data.get(number, b"")


def _apply(
    operations: Iterable[Named | Wrote | Cut], names: dict[Path, dict[str, int]], data: dict[int, bytes]
) -> None:
    changed: dict[int, bytearray] = {}
    for operation in operations:
        if isinstance(operation, Named):
            within = names.setdefault(operation.folder, {})
            for name, number in operation.names:
                if number is None:
                    within.pop(name, None)
                else:
                    within[name] = number
        else:
            if operation.file not in changed:
                changed[operation.file] = bytearray(data.get(operation.file, b""))
            _change(changed[operation.file], operation)
    data.update((number, bytes(content)) for number, content in changed.items())


def _change(content: bytearray, operation: Wrote | Cut) -> None:
    end = operation.offset + len(operation.data) if isinstance(operation, Wrote) else operation.size
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    if isinstance(operation, Wrote):
        content[operation.offset : end] = operation.data
    else:
        del content[end:]


def write_image(image: Image, folder: Path) -> None:
    """Makes real folders and files of an image."""
    folder.mkdir()
    for path, content in image.items():
        if path.endswith("/"):
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(content)


def survivors(
    pending: Sequence[Named | Wrote | Cut], most: int, chance: random.Random
) -> Iterator[list[Named | Wrote | Cut]]:
    """What may survive of pending operations: every subset, or, of more than `most`, so many, the telling ones first.

    Those are: nothing, all, all but one, one alone, all up to one. As many again have one write torn into sectors.
    """
    count = len(pending)
    if 1 << count <= most:
        choices: Iterable[int] = range(1 << count)
    else:
        every = (1 << count) - 1
        ones = [1 << bit for bit in range(count)]
        telling = [*(every ^ one for one in ones), *ones, *(one - 1 for one in ones)]
        chance.shuffle(telling)
        telling = [0, every, *telling]
        choices = [*telling[:most], *(chance.getrandbits(count) for _ in range(most - len(telling)))]
    for kept in choices:
        yield [each for bit, each in enumerate(pending) if kept >> bit & 1]
    tearable = [at for at, each in enumerate(pending) if isinstance(each, Wrote) and len(each.data) > SECTOR]
    if not tearable:
        return
    for number in range(min(most, 1 << count)):
        at = chance.choice(tearable)
        rest = pending[at + 1 :] if number % 2 else [each for each in pending[at + 1 :] if chance.random() < 0.5]
        before = [each for each in pending[:at] if chance.random() < 0.8]
        yield [*before, *_torn(pending[at], chance), *rest]


def _torn(operation: Named | Wrote | Cut, chance: random.Random) -> list[Wrote]:
    """Some of a write's sectors."""
    assert isinstance(operation, Wrote)
    first = -(operation.offset % SECTOR)
    starts = [0, *range(first + SECTOR, len(operation.data), SECTOR)]
    pieces = [(start, end) for start, end in itertools.pairwise([*starts, len(operation.data)])]
    return [
        Wrote(operation.file, operation.offset + start, operation.data[start:end])
        for start, end in pieces
        if chance.random() < 0.5
    ]
