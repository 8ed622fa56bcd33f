"""Contents too large for a row: a file each, `bodies/XX/ID`, safe with its name before its row is committed.

A file is written, synced, and its folder synced; only then comes its row. So a file with a row is whole, and one
without is what a crash has left, or a peer that hung up: sweep() removes it at start. No name is ever changed: a rename
behind the sync would cost the file system a second journal commit. Everything here blocks and runs in threads;
ContentFile and Pieces are the event loop's side, with one piece in memory at a time. A content that ends before its
first piece is full goes to the writer whole, which makes its file (filing.py): so the loop has its interpreter alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec

from restante.model import IdError, MessageId, parse_id, write_message_id
from restante.spool.spool import STREAMED_BEYOND, ContentDamage
from restante.store.disk import Disk, make_folders, sync_names

PIECE = 256 * 1024
FOLDER = "bodies"

_P = ParamSpec("_P")
Guard = Callable[[OSError], Exception]
"""Turns what the disk said into the spool's own error."""


class Bodies:
    """All body files of a spool."""

    def __init__(self, disk: Disk, spool: Path) -> None:
        self._disk = disk
        self._folder = spool / FOLDER
        self._safe_folders: set[Path] = set()
        self._making = threading.Lock()
        self._room = bytearray(PIECE)

    def prepare(self) -> None:
        """Makes the folder of all bodies."""
        make_folders(self._disk, self._folder)
        self._disk.spread(self._folder)

    def path(self, message: MessageId) -> Path:
        """Where a message's content lies: in one of 256 folders, by the milliseconds of its id."""
        return self._folder / f"{message >> 12 & 0xFF:02x}" / write_message_id(message)

    def create(self, message: MessageId) -> int:
        """A new file, open for writing. Raises OSError."""
        path = self.path(message)
        with self._making:
            if path.parent not in self._safe_folders:
                make_folders(self._disk, path.parent)
                self._safe_folders.add(path.parent)
        return self._disk.create(path)

    def append(self, descriptor: int, data: bytes) -> None:
        """Writes on. Raises OSError."""
        self._disk.write(descriptor, data)

    def write(self, message: MessageId, content: bytes) -> int:
        """A new file with all of a content. Raises OSError; then no file is left."""
        descriptor = self.create(message)
        try:
            self.append(descriptor, content)
        except OSError:
            self.discard(message, descriptor)
            raise
        return descriptor

    def sync(self, message: MessageId, descriptor: int) -> None:
        """Closes a file once it is safe; its name may not be. Raises OSError; then no file is left."""
        try:
            self._disk.sync(descriptor)
        except OSError:
            self.discard(message, descriptor)
            raise
        self._disk.close(descriptor)

    def make_safe(self, message: MessageId, descriptor: int) -> None:
        """Closes a file once it is safe, its name too. Raises OSError; then no file is left."""
        self.sync(message, descriptor)
        sync_names(self._disk, self.path(message).parent)

    def discard(self, message: MessageId, descriptor: int) -> None:
        """Removes a file that is being written."""
        with contextlib.suppress(OSError):
            self._disk.close(descriptor)
        with contextlib.suppress(OSError):
            self._disk.unlink(self.path(message))

    def remove(self, message: MessageId) -> None:
        """Removes a content that no item needs; if that fails, sweep() does it at the next start."""
        with contextlib.suppress(OSError):
            self._disk.unlink(self.path(message))

    def sweep(self, is_needed: Callable[[MessageId], bool]) -> None:
        """At start: removes files of which no row tells."""
        for folder in self._disk.names(self._folder):
            for name in self._disk.names(self._folder / folder):
                if not _is_kept(name, is_needed):
                    self._disk.unlink(self._folder / folder / name)

    def read_checked(self, message: MessageId, size: int, digest: bytes) -> bytes:
        """A content that may be whole in memory, found as it was. Raises ContentDamage."""
        descriptor = self._open(message)
        try:
            content = self._read_all(descriptor, size)
        except OSError:
            raise ContentDamage(message) from None
        finally:
            self._disk.close(descriptor)
        if len(content) != size or hashlib.sha256(content).digest() != digest:
            raise ContentDamage(message)
        return content

    def _read_all(self, descriptor: int, size: int) -> bytes:
        """What is there, and no more than one octet beyond `size`."""
        content = self._disk.read(descriptor, 0, size + 1)
        while len(content) <= size and (piece := self._disk.read(descriptor, len(content), size + 1 - len(content))):
            content += piece
        return content

    def open_checked(self, message: MessageId, size: int, digest: bytes) -> int:
        """A content, open for reading, once all of it has been read and found as it was. Raises ContentDamage."""
        descriptor = self._open(message)
        if self._is_whole(descriptor, size, digest):
            return descriptor
        self._disk.close(descriptor)
        raise ContentDamage(message)

    def _open(self, message: MessageId) -> int:
        try:
            return self._disk.open(self.path(message))
        except OSError:
            raise ContentDamage(message) from None

    def _is_whole(self, descriptor: int, size: int, digest: bytes) -> bool:
        found, octets = hashlib.sha256(), 0
        try:
            while piece := self._disk.read(descriptor, octets, PIECE):
                found.update(piece)
                octets += len(piece)
        except OSError:
            return False
        return octets == size and found.digest() == digest

    def read(self, descriptor: int, offset: int) -> bytes:
        """The piece at `offset`. Raises OSError."""
        return self._disk.read(descriptor, offset, PIECE)

    def read_now(self, descriptor: int, offset: int) -> bytes | None:
        """The same, in the event loop, where that is in memory; None where it would have to wait. Raises OSError."""
        found = self._disk.read_now(descriptor, offset, self._room)
        return None if found is None else bytes(memoryview(self._room)[:found])

    def close(self, descriptor: int) -> None:
        """Lets go of an open content."""
        self._disk.close(descriptor)


def _is_kept(name: str, is_needed: Callable[[MessageId], bool]) -> bool:
    try:
        message = parse_id(name)
    except IdError:
        return False
    return is_needed(MessageId(message))


class _Body:
    """A file that is being written, made when there is something to write; for one thread at a time."""

    def __init__(self, bodies: Bodies, message: MessageId) -> None:
        self._bodies = bodies
        self._message = message
        self._descriptor: int | None = None

    def append(self, data: bytes) -> None:
        """Writes on. Raises OSError."""
        if self._descriptor is None:
            self._descriptor = self._bodies.create(self._message)
        self._bodies.append(self._descriptor, data)

    def finish(self, rest: bytes) -> None:
        """Makes all of it safe. Raises OSError; then no file is left."""
        try:
            if rest:
                self.append(rest)
        except OSError:
            self.discard()
            raise
        descriptor, self._descriptor = self._descriptor, None
        assert descriptor is not None, "no file for nothing"
        self._bodies.make_safe(self._message, descriptor)

    def discard(self) -> None:
        """Removes what was written."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            self._bodies.discard(self._message, descriptor)


class ContentFile:
    """A content on its way to disk (spool.ContentWriter): gathered into pieces, each written by a thread."""

    def __init__(self, bodies: Bodies, pool: ThreadPoolExecutor, message: MessageId, guard: Guard) -> None:
        self._pool = pool
        self._guard = guard
        self._body: _Body | None = _Body(bodies, message)
        self._gathered: list[bytes] = []
        self._octets = 0
        self._digest = hashlib.sha256()
        self._writing: asyncio.Future[None] | None = None

    async def write(self, data: bytes) -> None:
        """Appends. Raises SpoolFull or SpoolBroken."""
        assert self._body is not None, "it was finished or discarded"
        self._gathered.append(data)
        self._octets += len(data)
        if self._octets >= PIECE:
            piece = self._take_rest()
            self._digest.update(piece)
            await self._in_thread(self._body.append, piece)

    async def discard(self) -> None:
        """Removes what was written."""
        body, self._body = self._body, None
        self._gathered.clear()
        if body is None or self._writing is None:
            return
        await asyncio.wait([self._writing])  # its caller may have been cancelled; the thread was not
        self._writing.exception()  # nobody needs to hear of it now
        await self._in_thread(body.discard)

    def take_whole(self) -> bytes | None:
        """All of it, where none is in a file yet: then that is the writer's to make. None where some is."""
        if self._writing is not None:
            return None
        self._body = None
        return self._take_rest()

    def digest(self) -> bytes:
        """The SHA-256 of all that was written."""
        digest = self._digest.copy()
        for data in self._gathered:
            digest.update(data)
        return digest.digest()

    def finish(self) -> Callable[[], None]:
        """Ends the writing at once; what is returned makes all of it safe, in a thread. Raises OSError there."""
        body, self._body = self._body, None
        assert body is not None, "it was finished or discarded"
        return functools.partial(body.finish, self._take_rest())

    def _take_rest(self) -> bytes:
        rest = b"".join(self._gathered)
        self._gathered.clear()
        self._octets = 0
        return rest

    async def _in_thread(self, do: Callable[_P, None], *args: _P.args, **_: _P.kwargs) -> None:
        self._writing = asyncio.get_running_loop().run_in_executor(self._pool, do, *args)
        try:
            await asyncio.shield(self._writing)
        except OSError as error:
            raise self._guard(error) from error


class Pieces(AsyncIterator[bytes]):
    """A checked content, in pieces of at most PIECE octets; closed at its end, by aclose(), or when forgotten."""

    def __init__(self, bodies: Bodies, pool: ThreadPoolExecutor, message: MessageId, descriptor: int) -> None:
        self._bodies = bodies
        self._pool = pool
        self._message = message
        self._descriptor: int | None = descriptor
        self._offset = 0

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> bytes:
        if self._descriptor is None:
            raise StopAsyncIteration
        try:
            piece = await self._read(self._descriptor)
        except OSError:
            raise ContentDamage(self._message) from None
        if not piece:
            await self.aclose()
            raise StopAsyncIteration
        self._offset += len(piece)
        return piece

    async def _read(self, descriptor: int) -> bytes:
        """The next piece; it was read a moment ago to be checked, so that seldom a thread is needed."""
        if (piece := self._bodies.read_now(descriptor, self._offset)) is not None:
            return piece
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._bodies.read, descriptor, self._offset)

    async def aclose(self) -> None:
        """Lets go of the file."""
        self._let_go()

    def _let_go(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            self._bodies.close(descriptor)

    def __del__(self) -> None:
        self._let_go()


async def open_content(
    bodies: Bodies, pool: ThreadPoolExecutor, message: MessageId, size: int, digest: bytes
) -> bytes | Pieces:
    """A checked content, whole where it is not larger than STREAMED_BEYOND. Raises ContentDamage."""
    loop = asyncio.get_running_loop()
    if size <= STREAMED_BEYOND:
        return await loop.run_in_executor(pool, bodies.read_checked, message, size, digest)
    checking = loop.run_in_executor(pool, bodies.open_checked, message, size, digest)
    try:
        descriptor = await asyncio.shield(checking)
    except asyncio.CancelledError:
        checking.add_done_callback(_if_done(bodies.close))
        raise
    return Pieces(bodies, pool, message, descriptor)


def _if_done(undo: Callable[[int], None]) -> Callable[[asyncio.Future[int]], None]:
    """For a descriptor whose asker has left: undoes what has been opened, if it was."""
    return lambda done: undo(done.result()) if done.exception() is None else None
