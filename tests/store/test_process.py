"""The process that writes: its frames, its end, and the end of either without the other."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from unittest.mock import patch

import msgspec
import pytest
from tests.contract.engines import A, arrival, claimed, put

from restante.spool.spool import SpoolBroken, SpoolInUse, SpoolUnusable
from restante.store.disk import Disk
from restante.store.process import ProcessWriter
from restante.store.schema import DATABASE
from restante.store.sqlite import SqliteSpool, open_spool, open_spool_apart


def _writer_of(spool: SqliteSpool) -> subprocess.Popen[bytes]:
    assert isinstance(spool._writer, ProcessWriter)
    return spool._writer._process


async def test_when_the_writer_is_killed_nothing_is_taken_any_more(tmp_path: Path) -> None:
    """What was on its way to it is refused, and a new start has what was acknowledged."""
    spool = await open_spool_apart(tmp_path)
    safe = await put(spool)
    writer = _writer_of(spool)
    os.kill(writer.pid, signal.SIGSTOP)
    on_its_way = spool.accept(await arrival(spool))
    os.kill(writer.pid, signal.SIGKILL)
    with pytest.raises(SpoolBroken, match="the process that writes has ended"):
        await on_its_way
    assert not spool.room_for(1)
    with pytest.raises(SpoolBroken):
        await put(spool)
    await spool.close()
    again = await open_spool_apart(tmp_path)
    assert safe in await claimed(again)
    await again.close()


async def test_signals_to_the_whole_group_are_the_servers_business(tmp_path: Path) -> None:
    """Ctrl-C at a terminal, and a stop by systemd, reach the writer too; it ends when it is told so."""
    spool = await open_spool_apart(tmp_path)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        _writer_of(spool).send_signal(number)
    await put(spool)
    assert spool.waiting(A).items == 1
    await spool.close()
    assert _writer_of(spool).returncode == 0


async def test_a_writer_that_outlives_its_server_keeps_the_spool_while_it_lives(tmp_path: Path) -> None:
    """Two that write would be one too many; once it sees that its server is gone, it ends."""
    script = """
        import asyncio, os, pathlib, signal, sys
        from restante.store.sqlite import open_spool_apart
        async def main():
            spool = await open_spool_apart(pathlib.Path(sys.argv[1]))
            os.kill(spool._writer._process.pid, signal.SIGSTOP)
            print(spool._writer._process.pid, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        asyncio.run(main())
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        left = int(server.stdout.readline())
    assert server.returncode == -signal.SIGKILL
    try:
        with pytest.raises(SpoolInUse):
            await open_spool(tmp_path)
    finally:
        os.kill(left, signal.SIGCONT)
    await (await open_spool(tmp_path)).close()


async def test_a_server_waits_for_what_one_that_was_killed_has_left(tmp_path: Path) -> None:
    """A commit may take seconds on a slow disk; who starts meanwhile is not turned away."""
    first = await open_spool_apart(tmp_path)
    await put(first)
    left = _writer_of(first).pid
    os.kill(left, signal.SIGSTOP)
    opening = asyncio.create_task(open_spool_apart(tmp_path))
    await asyncio.sleep(1.5)
    assert not opening.done()
    os.kill(left, signal.SIGCONT)
    await first.close()
    second = await opening
    assert second.waiting(A).items == 1
    await second.close()


async def test_a_start_that_is_refused_leaves_no_process_behind(tmp_path: Path) -> None:
    """A spool that cannot be opened is no reason to keep its writer."""
    (tmp_path / DATABASE).write_bytes(b"this is no database, and it is long enough to be seen as none" * 20)
    with pytest.raises(SpoolUnusable):
        await open_spool_apart(tmp_path)
    lock = Disk().lock(tmp_path / "lock")
    os.close(lock)


async def test_more_than_the_socket_holds_gets_through(tmp_path: Path) -> None:
    """A long queue waits in the server, and loses nothing."""
    spool = await open_spool_apart(tmp_path)
    content = b"x" * 60_000
    await asyncio.gather(*[spool.accept(await arrival(spool, content=content)) for _ in range(100)])
    assert spool.waiting(A).items == 100
    await spool.close()


async def test_a_writer_that_tells_nonsense_is_not_believed_any_more(tmp_path: Path) -> None:
    """As if it had ended: nobody is told that anything is safe."""
    spool = await open_spool_apart(tmp_path)
    os.kill(_writer_of(spool).pid, signal.SIGSTOP)
    on_its_way = spool.accept(await arrival(spool))
    assert isinstance(spool._writer, ProcessWriter)
    with patch.object(spool._writer._incoming, "_decode", msgspec.msgpack.Decoder(int).decode):
        os.kill(_writer_of(spool).pid, signal.SIGCONT)
        with pytest.raises(SpoolBroken, match="the process that writes has ended"):
            await on_its_way
    await spool.close()
