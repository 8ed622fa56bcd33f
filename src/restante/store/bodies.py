"""Contents too large for a row: a file each, `bodies/XX/ID`, safe with its name before its row is committed.

A file is written, synced, and its folder synced; only then comes its row. So a file with a row is whole, and one
without is what a crash has left, or a peer that hung up: sweep() removes it at start. No name is ever changed: a rename
behind the sync would cost the file system a second journal commit. Everything here blocks and runs in threads;
ContentFile and Pieces are the event loop's side, with one piece in memory at a time.
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
from restante.spool.spool import ContentDamage
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

    def prepare(self) -> None:
        """Makes the folder of all bodies."""
        make_folders(self._disk, self._folder)

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

    def make_safe(self, message: MessageId, descriptor: int) -> None:
        """Closes a file once it is safe, its name too. Raises OSError; then no file is left."""
        try:
            self._disk.sync(descriptor)
        except OSError:
            self.discard(message, descriptor)
            raise
        self._disk.close(descriptor)
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

    def open_checked(self, message: MessageId, size: int, digest: bytes) -> int:
        """A content, open for reading, once all of it has been read and found as it was. Raises ContentDamage."""
        try:
            descriptor = self._disk.open(self.path(message))
        except OSError:
            raise ContentDamage(message) from None
        if self._is_whole(descriptor, size, digest):
            return descriptor
        self._disk.close(descriptor)
        raise ContentDamage(message)

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
        self._digest.update(data)  # here, where it has just come: a moment later it is in no cache any more
        self._gathered.append(data)
        self._octets += len(data)
        if self._octets >= PIECE:
            piece = self._take_rest()
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

    def digest(self) -> bytes:
        """The SHA-256 of all that was written."""
        return self._digest.digest()

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
        loop = asyncio.get_running_loop()
        try:
            piece = await loop.run_in_executor(self._pool, self._bodies.read, self._descriptor, self._offset)
        except OSError:
            raise ContentDamage(self._message) from None
        if not piece:
            await self.aclose()
            raise StopAsyncIteration
        self._offset += len(piece)
        return piece

    async def aclose(self) -> None:
        """Lets go of the file."""
        self._let_go()

    def _let_go(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            self._bodies.close(descriptor)

    def __del__(self) -> None:
        self._let_go()
