"""What is too long for memory, until its verdict: all of it is given back, and nothing is left behind."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from restante.filtering.scratch import PIECE, Scratch


async def written(folder: Path, *pieces: bytes) -> Scratch:
    """A scratch file with these."""
    scratch = Scratch(folder)
    for piece in pieces:
        await scratch.write(piece)
    return scratch


async def read(scratch: Scratch) -> bytes:
    """All of it."""
    return b"".join([piece async for piece in scratch.pieces()])


@pytest.mark.parametrize("octets", [0, 1, 65_537, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7])
async def test_what_was_written_is_read_as_often_as_is_asked(tmp_path: Path, octets: int) -> None:
    """To a filter first, then to the spool; each piece is small."""
    content = os.urandom(octets)
    scratch = await written(tmp_path, *[content[at : at + 60_000] for at in range(0, octets, 60_000)])
    assert scratch.size == octets
    assert await read(scratch) == content
    assert await read(scratch) == content
    assert all([len(piece) <= PIECE async for piece in scratch.pieces()])
    scratch.close()
    scratch.close()


async def test_it_has_no_name_and_leaves_nothing(tmp_path: Path) -> None:
    """A process that dies leaves nothing either."""
    scratch = await written(tmp_path, b"x" * PIECE)
    assert list(tmp_path.iterdir()) == []
    open_files = len(list(Path("/proc/self/fd").iterdir()))
    scratch.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == open_files - 1


async def test_a_disk_that_fails_is_told(tmp_path: Path) -> None:
    """By the system's own error."""
    scratch = Scratch(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError):
        await scratch.write(b"x" * PIECE)
    scratch.close()


async def test_a_file_that_was_cut_is_told(tmp_path: Path) -> None:
    """Half a message must never look whole."""
    scratch = await written(tmp_path, b"x" * PIECE)
    assert scratch._file is not None
    os.truncate(scratch._file.fileno(), 100)
    with pytest.raises(OSError, match="missing"):
        await read(scratch)
    scratch.close()


async def test_whoever_is_cancelled_closes_no_file_under_a_thread(tmp_path: Path) -> None:
    """Its number could be another file's by then."""
    scratch = Scratch(tmp_path)
    is_written = asyncio.Event()
    loop = asyncio.get_running_loop()
    append = scratch._append

    def slowly(data: bytearray) -> None:
        append(data)
        asyncio.run_coroutine_threadsafe(is_written.wait(), loop).result(5)
        append(bytearray(b"y"))

    scratch._append = slowly  # type: ignore[method-assign]
    writing = asyncio.ensure_future(scratch.write(b"x" * PIECE))
    while scratch._file is None:
        await asyncio.sleep(0.002)
    writing.cancel()
    await asyncio.wait([writing])
    scratch.close()
    assert not scratch._file.closed
    is_written.set()
    assert scratch._thread is not None
    await asyncio.wait([scratch._thread])
    await asyncio.sleep(0)
    assert scratch._file.closed
