"""Content that waits for a verdict and is too long for memory: in a file without a name, gone with the process.

It is written and read by threads, in pieces. Nothing of it need survive: until the verdict nobody was told 250.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, BinaryIO, ParamSpec, TypeVar

PIECE = 256 * 1024
_P = ParamSpec("_P")
_T = TypeVar("_T")


class Scratch:
    """One content. `folder` is on the disk that has room for it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: BinaryIO | None = None
        self._thread: asyncio.Future[Any] | None = None
        self._gathered = bytearray()
        self.size = 0
        """Octets that were written."""

    async def write(self, data: bytes) -> None:
        """Appends. Raises OSError; then only close() is left to do."""
        self._gathered += data
        self.size += len(data)
        if len(self._gathered) >= PIECE:
            await self._put()

    async def _put(self) -> None:
        data, self._gathered = self._gathered, bytearray()
        await self._in_thread(self._append, data)

    def _append(self, data: bytearray) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - until close()
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    async def pieces(self) -> AsyncIterator[bytes]:
        """All that was written, from its start. Raises OSError."""
        if self._gathered:
            await self._put()
        offset = 0
        while offset < self.size:
            assert self._file is not None, "it was closed"
            piece = await self._in_thread(os.pread, self._file.fileno(), PIECE, offset)
            if not piece:
                raise OSError(f"{self.size - offset} octets of a scratch file are missing")
            offset += len(piece)
            yield piece

    async def _in_thread(self, do: Callable[_P, _T], *args: _P.args, **_: _P.kwargs) -> _T:
        self._thread = thread = asyncio.get_running_loop().run_in_executor(None, do, *args)
        return await asyncio.shield(thread)

    def close(self) -> None:
        """Lets go of it, once no thread uses it. May be called twice."""
        self._gathered.clear()
        if self._thread is None or self._thread.done():
            self._let_go(None)
        else:  # whoever waited was cancelled, the thread was not
            self._thread.add_done_callback(self._let_go)

    def _let_go(self, thread: asyncio.Future[Any] | None) -> None:
        if thread is not None and not thread.cancelled():
            thread.exception()  # nobody needs to hear of it now
        if self._file is not None:
            self._file.close()
