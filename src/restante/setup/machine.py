"""What of the machine mail depends on: the data folder, its file system and the room in it, the store, the clock.

Each look is a plain function; they run in a thread, for a dead disk must not hold up the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import pwd
import shlex
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from restante.setup.finding import Finding, Host, ok, warning, wrong
from restante.store.disk import Disk, Room
from restante.store.doubt import is_doubtful
from restante.store.reserve import INODES, MARGIN

DATA, STORE, CLOCK = "data folder", "store", "clock"
LITTLE_OCTETS, FEW_INODES = 1 << 30, 10_000
LOST_AT_RESTART = ("tmpfs", "ramfs", "devtmpfs")
ANOTHER_HOSTS = ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "fuse.sshfs", "fuse.glusterfs")
"""File systems over a network, where SQLite's log does not work (https://sqlite.org/wal.html)."""
STA_UNSYNC = 0x0040
"""A flag of adjtimex(2): nothing keeps the clock in time."""
SAYS_SO = Path("/run/systemd/timesync/synchronized")
"""There once systemd-timesyncd has set the clock."""


async def data_folder(host: Host) -> AsyncIterator[Finding]:
    """Whether the data folder can be written, by whom, and how much of it there is left."""
    for finding in await asyncio.to_thread(lambda: list(_of_folder(host.settings.data))):
        yield finding


def _of_folder(data: Path) -> Iterator[Finding]:
    try:
        found = data.stat()
    except FileNotFoundError:
        yield from _not_there(data)
        return
    except OSError as error:
        yield wrong(DATA, f"{data}: {error.strerror}", "run doctor as the user that the server runs as")
        return
    yield from _rights(data, found)
    yield from _kind(data, file_system(data, Path("/proc/self/mountinfo").read_text()))
    yield from of_room(data, Disk().room(data))


def _not_there(data: Path) -> Iterator[Finding]:
    above = next(folder for folder in data.parents if folder.exists())
    if os.access(above, os.W_OK | os.X_OK):
        yield ok(DATA, f"{data} is made at the first start")
    else:
        yield wrong(DATA, f"{data} is not there, and {above} cannot be written", f"mkdir -m 700 {_quoted(data)}")


def _rights(data: Path, found: os.stat_result) -> Iterator[Finding]:
    if not stat.S_ISDIR(found.st_mode):
        yield wrong(DATA, f"{data} is no folder", "name another one in `data`")
        return
    owner = user_name(found.st_uid)
    if not os.access(data, os.W_OK | os.X_OK):
        yield wrong(DATA, f"{data} cannot be written by {user_name(os.geteuid())}", f"it is {owner}'s: run as {owner}")
    elif others := _of_others(data, found.st_uid):
        remedy = f"chown -R {owner} {_quoted(data)}"
        yield wrong(DATA, f"{data} is {owner}'s, and {others} in it is not: the server cannot use it", remedy)
    elif stat.S_IMODE(found.st_mode) & 0o077:
        yield warning(DATA, f"others may look into {data}", f"chmod 700 {_quoted(data)}")
    else:
        yield ok(DATA, f"{data} is {owner}'s alone")
    if os.geteuid() == 0 != found.st_uid:
        remedy = f"runuser -u {owner} -- restante doctor"
        yield warning(DATA, f"root looks at what is {owner}'s, and may do more than the server", remedy)


def _of_others(data: Path, owner: int) -> str:
    """Something in the folder, or in the spool below it, that is somebody else's."""
    for folder in (data, data / "spool"):
        if folder.is_dir() and os.access(folder, os.R_OK | os.X_OK):
            for entry in folder.iterdir():
                with contextlib.suppress(FileNotFoundError):  # the server that runs has just removed it
                    if entry.lstat().st_uid != owner:
                        return str(entry.relative_to(data))
    return ""


def may_open(data: Path) -> bool:
    """Whether a store there can be opened without harm: what root makes in it the server could not use."""
    try:
        return (data / "spool").stat().st_uid == os.geteuid()
    except OSError:
        return False


def user_name(uid: int) -> str:
    """A user's name, or his number where he has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def file_system(folder: Path, mounts: str) -> str:
    """The kind of file system a folder is on, by the text of /proc/PID/mountinfo (proc(5)); "": that is unknown."""
    real, best, kind = folder.resolve(), "", ""
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        point = left.split(" ")[4].replace("\\040", " ")
        if real.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, right.split(" ")[0]
    return kind


def _kind(data: Path, kind: str) -> Iterator[Finding]:
    if kind in LOST_AT_RESTART:
        yield warning(DATA, f"{data} is in memory ({kind}): mail is lost when this host restarts", "put it on a disk")
    elif kind == "overlay":
        remedy = "mount a volume there"
        yield warning(DATA, f"{data} is in a container's own layer ({kind}): it goes when the container goes", remedy)
    elif kind in ANOTHER_HOSTS:
        yield wrong(DATA, f"{data} is on another host ({kind}), where the store is not safe", "put it on a disk here")


def of_room(data: Path, room: Room) -> Iterator[Finding]:
    """Whether there is room for mail."""
    free = f"{room.octets >> 20} MB are free for {data}"
    if room.octets <= MARGIN:
        yield wrong(DATA, f"{free}: no mail is taken", "free some space, or move it to a larger disk")
    elif room.octets < LITTLE_OCTETS:
        yield warning(DATA, free, "free some space before mail is turned away")
    else:
        yield ok(DATA, free)
    if room.inodes is not None and room.inodes < FEW_INODES:
        make = wrong if room.inodes <= INODES else warning
        yield make(DATA, f"{room.inodes} more files can be made on its file system", "remove files there")


async def store(host: Host) -> AsyncIterator[Finding]:
    """What the store says of itself."""
    folder = host.settings.data / "spool"
    if host.trouble:
        yield wrong(STORE, host.trouble, "restante fsck tells more, while no server runs")
    elif host.status is None and await asyncio.to_thread(folder.exists):
        yield warning(STORE, "it is another user's, and no server runs: not looked at", "run doctor as that user")
    elif host.status is None:
        yield ok(STORE, "no mail was ever stored here")
    elif host.status.quarantined:
        remedy = "restante queue --state quarantined; restante fsck"
        yield wrong(STORE, f"{host.status.quarantined} items are damaged, and wait for you", remedy)
    elif await asyncio.to_thread(_is_doubtful, folder):
        yield warning(STORE, "it broke while it was in use", "stop the server, and restante fsck")
    else:
        yield ok(STORE, f"in order; {sum(domain.items for domain in host.status.domains)} items wait")
    if host.status is not None and host.status.frozen:
        yield warning(
            STORE, f"{host.status.frozen} items are frozen: no release passes them", "restante thaw, or remove"
        )


def _is_doubtful(folder: Path) -> bool:
    try:
        return is_doubtful(Disk(), folder)
    except OSError:
        return False


# the clock


class _Timex(ctypes.Structure):
    """struct timex, as far as its status; the kernel writes what is behind it too, so there is room for that."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 512),
    )


def kernel_flags() -> int | None:
    """What the kernel knows of the clock, the flags of adjtimex(2); None: it does not tell."""
    asked = _Timex()
    try:
        return None if ctypes.CDLL(None).adjtimex(ctypes.byref(asked)) < 0 else int(asked.status)
    except (OSError, AttributeError):
        return None


async def clock(host: Host) -> AsyncIterator[Finding]:
    """Whether somebody keeps the clock in time."""
    newest, is_set = await asyncio.to_thread(lambda: (_newest(host.settings.data), SAYS_SO.exists()))
    for finding in of_clock(host.wall, newest, kernel_flags(), is_set=is_set):
        yield finding


def of_clock(wall: float, newest: float, flags: int | None, *, is_set: bool) -> Iterator[Finding]:
    """The clock's time, when something here was last written, and what is known of who sets it."""
    if newest > wall + 60:
        text = f"it is {int(newest - wall)} s behind what was written here already"
        yield wrong(CLOCK, text, "set it; have it kept by NTP (timedatectl set-ntp true)")
    elif is_set or (flags is not None and not flags & STA_UNSYNC):
        yield ok(CLOCK, "kept in time")
    else:
        remedy = "have it kept by NTP (timedatectl set-ntp true); in a container the host does that"
        yield warning(CLOCK, "nothing is known to keep it in time: calls and certificates go by it", remedy)


def _newest(data: Path) -> float:
    """When something in the folder, or in the spool, was last written."""
    newest = 0.0
    for folder in (data, data / "spool"):
        with contextlib.suppress(OSError):
            newest = max(newest, folder.stat().st_mtime, *(file.stat().st_mtime for file in folder.glob("*.db*")))
    return newest


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
