"""Every write, sync, rename and unlink of the spool, in one place, so that tests can cut the power at each of them.

Bodies go through the methods of Disk; SQLite goes through the VFS that `vfs` names. A test hands in a subclass that
records or fails. All of it blocks: callers are threads, not the event loop (only room(), lock(), read_now() are quick).
Names are made from ids alone, in folders of mode 0700; nothing that comes from mail becomes part of a path.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
from dataclasses import dataclass
from pathlib import Path

_GET_FLAGS = 0x8000_6601 | struct.calcsize("l") << 16
_SET_FLAGS = 0x4000_6602 | struct.calcsize("l") << 16
_TOP = 0x0002_0000
"""Of linux/fs.h: FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_TOPDIR_FL."""
CANNOT_TELL = (errno.EAGAIN, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)
"""What a read that must not wait says where it would have to, or where file system or kernel have no such thing."""


@dataclass(frozen=True, slots=True)
class Room:
    """What a file system still takes. `inodes` None: it does not count them."""

    octets: int
    inodes: int | None


class Disk:
    """The machine's own. Every method raises OSError."""

    vfs = "unix"
    """The name of SQLite's VFS."""

    def make_folder(self, folder: Path) -> None:
        """Makes one folder for the owner alone; one that is there stays as it is."""
        folder.mkdir(0o700, exist_ok=True)

    def spread(self, folder: Path) -> None:
        """Has the folders that will be made in it lie far apart, where the file system can (ext4; chattr +T).

        Before it makes a file ext4 looks at each inode near the folder's that was freed in the last minutes: where much
        mail has just left, that takes as long as all else that is done for a file.
        """
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with contextlib.suppress(OSError):
                (flags,) = struct.unpack("l", fcntl.ioctl(descriptor, _GET_FLAGS, bytes(struct.calcsize("l"))))
                fcntl.ioctl(descriptor, _SET_FLAGS, struct.pack("l", flags | _TOP))
        finally:
            os.close(descriptor)

    def sync_folder(self, folder: Path) -> None:
        """Returns once the names in a folder are safe."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def create(self, path: Path) -> int:
        """A new file, open for writing; what is there already, or is a link, is an error."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def write(self, descriptor: int, data: bytes) -> None:
        """Appends all of `data`."""
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]

    def overwrite(self, descriptor: int, data: bytes) -> None:
        """Writes a few octets to the start of a file."""
        os.pwrite(descriptor, data, 0)

    def allocate(self, descriptor: int, octets: int) -> None:
        """Takes so much of the file system for a file."""
        os.posix_fallocate(descriptor, 0, octets)

    def sync(self, descriptor: int) -> None:
        """Returns once what was written is safe; the file's name may not be."""
        os.fsync(descriptor)

    def close(self, descriptor: int) -> None:
        """Lets go of a file."""
        os.close(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        """Gives a file another name in its folder."""
        old.rename(new)

    def unlink(self, path: Path) -> None:
        """Removes a file; one that is not there is gone."""
        path.unlink(missing_ok=True)

    def names(self, folder: Path) -> list[str]:
        """What is in a folder; nothing where there is none."""
        try:
            return os.listdir(folder)  # noqa: PTH208 - names, not paths
        except FileNotFoundError:
            return []

    def open(self, path: Path) -> int:
        """A file, open for reading from its start; a link is an error."""
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def read(self, descriptor: int, offset: int, octets: int) -> bytes:
        """The octets from `offset`, at most so many; empty at the end."""
        return os.pread(descriptor, octets, offset)

    def read_now(self, descriptor: int, offset: int, room: bytearray) -> int | None:
        """Reads what fits where that need not wait for the disk; None where it would, or where this cannot be told."""
        try:
            return os.preadv(descriptor, [room], offset, os.RWF_NOWAIT)
        except OSError as error:
            if error.errno in CANNOT_TELL:
                return None
            raise

    def room(self, folder: Path) -> Room:
        """What the folder's file system still takes from us."""
        found = os.statvfs(folder)
        return Room(found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None)

    def lock(self, path: Path) -> int:
        """Takes the lock of a file for this process, until close(). Raises BlockingIOError when another has it."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor


def make_folders(disk: Disk, folder: Path) -> None:
    """Makes a folder and what is missing above it, each name safe before the next is made.

    A folder that is there may have been made by a process that died before its name was safe, so the last name
    is synced in any case.
    """
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    if not missing:
        missing.append(folder)
    for each in reversed(missing):
        disk.make_folder(each)
        sync_names(disk, each.parent)


def sync_names(disk: Disk, folder: Path) -> None:
    """Returns once the names in a folder are safe. Raises OSError, but never that the disk is full.

    All that lies in a folder shares its sync: after one that failed, a later one, for another name, proves nothing.
    """
    try:
        disk.sync_folder(folder)
    except OSError as error:
        raise OSError(errno.EIO, f"the names in {folder} are not safe: {error.strerror}") from error
