"""A file system that forgets, at a power cut, all that was not synced: data, sizes and names. Linux, root.

    python -m tests.crash.dropfs FOLDER strict|ext4      prints "mounted"; then reads commands, a line each:
    cut      the power goes: every file and folder is again as it was last synced; prints "cut"
    (end)    unmounts and ends

`strict` is what POSIX promises: fsync makes a file's data safe, and only fsync of its folder makes its name safe.
`ext4`: fsync of any file makes all names safe that were made until then, as one journal for all does.
A failed fsync (tests make it fail before it comes here) leaves everything as unsafe as it was.

It speaks the kernel's own FUSE protocol over /dev/fuse, so nothing need be installed. Pages are cached by the kernel as
on any disk (SQLite's shared memory is an ordinary mmap), and write() hands them on at once. After a cut every file has
another inode number, so that nothing of what the kernel still has cached is ever seen again.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import select
import stat
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

IN_HEADER: Final = struct.Struct("<IIQQIIIHH")
OUT_HEADER: Final = struct.Struct("<IiQ")
ATTR: Final = struct.Struct("<QQQQQQIIIIIIIIII")
ENTRY: Final = struct.Struct("<QQQQII")
ROOT = 1
MOST_WRITE = 256 * 1024
FREE_BLOCKS = 1 << 20
BIG_WRITES, MAX_PAGES = 1 << 5, 1 << 22
SET_MODE, SET_SIZE = 1, 8
MS_NOSUID, MS_NODEV, MNT_DETACH = 2, 4, 2
LOOKUP, FORGET, GETATTR, SETATTR, MKNOD, MKDIR, UNLINK, RMDIR, RENAME = 1, 2, 3, 4, 8, 9, 10, 11, 12
OPEN, READ, WRITE, STATFS, RELEASE, FSYNC, FLUSH, INIT, OPENDIR = 14, 15, 16, 17, 18, 20, 25, 26, 27
READDIR, RELEASEDIR, FSYNCDIR, ACCESS, CREATE, INTERRUPT, DESTROY = 28, 29, 30, 34, 35, 36, 38
BATCH_FORGET, FALLOCATE, RENAME2 = 42, 43, 45
UNANSWERED = frozenset({FORGET, BATCH_FORGET, INTERRUPT})

_numbers = itertools.count(ROOT)


@dataclass(eq=False)
class Folder:
    """Names, as programs see them and as a cut leaves them."""

    mode: int
    names: dict[bytes, Node] = field(default_factory=dict)
    safe: dict[bytes, Node] = field(default_factory=dict)
    number: int = field(default_factory=lambda: next(_numbers))
    changed: float = field(default_factory=time.time)


@dataclass(eq=False)
class File:
    """Data, as programs see it and as a cut leaves it; `unsafe` is what has changed since."""

    mode: int
    data: bytearray = field(default_factory=bytearray)
    safe: bytearray = field(default_factory=bytearray)
    unsafe: list[tuple[int, bytes | None]] = field(default_factory=list)
    """Offset and what was written there, or a new size and None."""
    number: int = field(default_factory=lambda: next(_numbers))
    changed: float = field(default_factory=time.time)

    def write(self, offset: int, data: bytes) -> None:
        """Writes; not yet safe."""
        self._note(offset, data)

    def resize(self, size: int) -> None:
        """Cuts off or fills with zeros; not yet safe."""
        self._note(size, None)

    def _note(self, offset: int, data: bytes | None) -> None:
        self.unsafe.append((offset, data))
        _apply(self.data, offset, data)
        self.changed = time.time()

    def sync(self) -> None:
        """Makes all of it safe."""
        for offset, data in self.unsafe:
            _apply(self.safe, offset, data)
        self.unsafe.clear()


Node = Folder | File


def _apply(to: bytearray, offset: int, data: bytes | None) -> None:
    if len(to) < offset:
        to.extend(bytes(offset - len(to)))
    if data is None:
        del to[offset:]
    else:
        to[offset : offset + len(data)] = data


class DropFs:
    """All nodes, and the answers to the kernel's questions. An OSError becomes the question's answer."""

    def __init__(self, *, like_ext4: bool) -> None:
        self._like_ext4 = like_ext4
        self._root = Folder(stat.S_IFDIR | 0o700)
        assert self._root.number == ROOT
        self._nodes: dict[int, Node] = {ROOT: self._root}
        self._answers: dict[int, Callable[[int, bytes], bytes]] = {
            INIT: self._init,
            LOOKUP: lambda at, body: self._entry(self._child(at, body[:-1])),
            GETATTR: lambda at, _: self._attr_out(self._node(at)),
            SETATTR: self._setattr,
            MKDIR: lambda at, body: self._entry(self._made(at, body[8:-1], Folder(stat.S_IFDIR | _mode(body)))),
            MKNOD: lambda at, body: self._entry(self._made(at, body[16:-1], File(*struct.unpack_from("<I", body)))),
            UNLINK: self._unlink,
            RMDIR: self._rmdir,
            RENAME: lambda at, body: self._rename(at, body, 8),
            RENAME2: lambda at, body: self._rename(at, body, 16),
            CREATE: self._create,
            OPEN: self._open,
            OPENDIR: self._open,
            READ: self._read,
            READDIR: self._readdir,
            WRITE: self._write,
            FALLOCATE: self._fallocate,
            STATFS: self._statfs,
            FSYNC: self._fsync,
            FSYNCDIR: self._fsyncdir,
            **dict.fromkeys((FLUSH, RELEASE, RELEASEDIR, ACCESS, DESTROY), lambda _at, _body: b""),
        }

    def answer(self, question: bytes) -> bytes | None:
        """One message from the kernel; what to write back."""
        _, opcode, unique, at, *_ = IN_HEADER.unpack_from(question)
        if opcode in UNANSWERED:
            return None
        try:
            if opcode not in self._answers:
                raise OSError(errno.ENOSYS, "")  # noqa: TRY301 - the kernel's question is not one of ours
            body = self._answers[opcode](at, question[IN_HEADER.size :])
        except OSError as error:
            return OUT_HEADER.pack(OUT_HEADER.size, -(error.errno or errno.EIO), unique)
        return OUT_HEADER.pack(OUT_HEADER.size + len(body), 0, unique) + body

    def cut(self) -> None:
        """Forgets what was not synced."""
        made: dict[Node, Node] = {}
        self._nodes = {}
        self._root.names = self._root.safe = {name: _as_safe(node, made) for name, node in self._root.safe.items()}
        self._root.safe = dict(self._root.names)
        self._nodes = {node.number: node for node in made.values()} | {ROOT: self._root}

    # nodes

    def _node(self, number: int) -> Node:
        try:
            return self._nodes[number]
        except KeyError:
            raise OSError(errno.ESTALE, "from before the cut") from None

    def _folder(self, number: int) -> Folder:
        node = self._node(number)
        if not isinstance(node, Folder):
            raise NotADirectoryError(errno.ENOTDIR, "")
        return node

    def _file(self, number: int) -> File:
        node = self._node(number)
        if not isinstance(node, File):
            raise IsADirectoryError(errno.EISDIR, "")
        return node

    def _child(self, at: int, name: bytes) -> Node:
        try:
            return self._folder(at).names[name]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, "") from None

    def _made(self, at: int, name: bytes, node: Node) -> Node:
        names = self._folder(at).names
        if name in names:
            raise FileExistsError(errno.EEXIST, "")
        names[name] = node
        self._nodes[node.number] = node
        return node

    # answers

    def _init(self, _: int, body: bytes) -> bytes:
        _, _, readahead, flags = struct.unpack_from("<IIII", body)
        return struct.pack(
            "<IIIIHHIIHHI28x",
            *(7, 31, readahead, flags & (BIG_WRITES | MAX_PAGES), 12, 9, MOST_WRITE, 1, MOST_WRITE // 4096, 0, 0),
        )

    def _attr(self, node: Node) -> bytes:
        size = len(node.data) if isinstance(node, File) else 0
        seconds, nanoseconds = divmod(int(node.changed * 1e9), 10**9)
        times = (seconds, seconds, seconds, nanoseconds, nanoseconds, nanoseconds)
        return ATTR.pack(
            node.number, size, (size + 511) // 512, *times, node.mode, 1, os.getuid(), os.getgid(), 0, 4096, 0
        )

    def _attr_out(self, node: Node) -> bytes:
        return struct.pack("<QII", 0, 0, 0) + self._attr(node)

    def _entry(self, node: Node) -> bytes:
        return ENTRY.pack(node.number, 0, 0, 0, 0, 0) + self._attr(node)  # not to be cached: a cut changes it

    def _setattr(self, at: int, body: bytes) -> bytes:
        valid, _, _, size = struct.unpack_from("<IIQQ", body)
        (mode,) = struct.unpack_from("<I", body, 68)
        node = self._node(at)
        if valid & SET_MODE:
            node.mode = stat.S_IFMT(node.mode) | stat.S_IMODE(mode)
        if valid & SET_SIZE:
            self._file(at).resize(size)
        return self._attr_out(node)

    def _unlink(self, at: int, body: bytes) -> bytes:
        self._child(at, body[:-1])
        del self._folder(at).names[body[:-1]]
        return b""

    def _rmdir(self, at: int, body: bytes) -> bytes:
        child = self._child(at, body[:-1])
        if isinstance(child, Folder) and child.names:
            raise OSError(errno.ENOTEMPTY, "")
        return self._unlink(at, body)

    def _rename(self, at: int, body: bytes, header: int) -> bytes:
        (to,) = struct.unpack_from("<Q", body)
        if header == 16 and struct.unpack_from("<I", body, 8) != (0,):
            raise OSError(errno.EINVAL, "neither exchange nor no-replace")
        old, new, _ = body[header:].split(b"\0")
        node = self._child(at, old)
        self._folder(to).names[new] = node
        del self._folder(at).names[old]
        return b""

    def _create(self, at: int, body: bytes) -> bytes:
        _, mode = struct.unpack_from("<II", body)
        node = self._made(at, body[16:-1], File(stat.S_IFREG | stat.S_IMODE(mode)))
        return self._entry(node) + bytes(16)

    def _open(self, at: int, _: bytes) -> bytes:
        self._node(at)
        return bytes(16)

    def _read(self, at: int, body: bytes) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", body)
        return bytes(self._file(at).data[offset : offset + size])

    def _readdir(self, at: int, body: bytes) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", body)
        out = b""
        for index, (name, node) in enumerate(self._folder(at).names.items(), 1):
            one = struct.pack("<QQII", node.number, index, len(name), stat.S_IFMT(node.mode) >> 12) + name
            one += bytes(-len(one) % 8)
            if index > offset:
                if len(out) + len(one) > size:
                    break
                out += one
        return out

    def _write(self, at: int, body: bytes) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", body)
        self._file(at).write(offset, body[40 : 40 + size])
        return struct.pack("<II", size, 0)

    def _fallocate(self, at: int, body: bytes) -> bytes:
        _, offset, length, mode = struct.unpack_from("<QQQI", body)
        if mode:
            raise OSError(errno.EOPNOTSUPP, "")
        file = self._file(at)
        file.resize(max(len(file.data), offset + length))
        return b""

    def _statfs(self, _: int, __: bytes) -> bytes:
        return struct.pack("<QQQQQIIII24x", FREE_BLOCKS, FREE_BLOCKS, FREE_BLOCKS, 1 << 20, 1 << 20, 4096, 255, 4096, 0)

    def _fsync(self, at: int, _: bytes) -> bytes:
        self._file(at).sync()
        if self._like_ext4:
            for node in self._nodes.values():
                if isinstance(node, Folder):
                    node.safe = dict(node.names)
        return b""

    def _fsyncdir(self, at: int, _: bytes) -> bytes:
        folder = self._folder(at)
        folder.safe = dict(folder.names)
        return b""


def _as_safe(node: Node, made: dict[Node, Node]) -> Node:
    """A node as a cut leaves it, with another number; the same one for each of its names."""
    if node not in made:
        if isinstance(node, File):
            made[node] = File(node.mode, bytearray(node.safe), bytearray(node.safe))
        else:
            folder = made[node] = Folder(node.mode)
            folder.names = {name: _as_safe(child, made) for name, child in node.safe.items()}
            folder.safe = dict(folder.names)
    return made[node]


def _mode(body: bytes) -> int:
    (mode,) = struct.unpack_from("<I", body)
    return stat.S_IMODE(mode)


def _mount(folder: str, descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={descriptor},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()},allow_other"
    flags = ctypes.c_ulong(MS_NOSUID | MS_NODEV)
    if libc.mount(b"dropfs", folder.encode(), b"fuse.dropfs", flags, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), folder)


def _unmount(folder: str) -> None:
    ctypes.CDLL(None).umount2(folder.encode(), MNT_DETACH)


def serve(folder: str, *, like_ext4: bool) -> None:
    """Mounts it and answers until standard input ends."""
    descriptor = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    system = DropFs(like_ext4=like_ext4)
    _mount(folder, descriptor)
    print("mounted", flush=True)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    poll.register(0, select.POLLIN | select.POLLHUP)
    commands: bool = True
    while commands:
        for ready, _ in poll.poll():
            if ready == 0:
                commands = bool(os.read(0, 4096))  # the one command there is
                if commands:
                    system.cut()
                    print("cut", flush=True)
                continue
            try:
                said = system.answer(os.read(descriptor, MOST_WRITE + 4096))
                if said is not None:
                    os.write(descriptor, said)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.EINTR, errno.EAGAIN):  # who asked has gone
                    _unmount(folder)
                    raise
    _unmount(folder)


if __name__ == "__main__":
    serve(sys.argv[1], like_ext4=sys.argv[2] == "ext4")
