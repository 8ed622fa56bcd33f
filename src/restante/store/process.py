"""The writer as a process of its own, so that commits run beside the event loop and not in its place.

Jobs go to it and results come back over a socket pair, as msgpack: a list to a frame, four octets of length before it.
What is handed in during one turn of the loop is one frame; what has come in during a commit is the next commit. The
process holds the spool's lock as long as it lives, so that no other server starts while it still writes. It ends at
the end of its input, that is also when the server has died; signals to the whole group are the server's business.

Should it end by itself, or tell nonsense, the store is broken, as after an error of the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import select
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from restante.spool.spool import SpoolBroken
from restante.store.commits import (
    GATHER_SECONDS,
    IDLE_SECONDS,
    MOST_JOBS,
    MOST_OCTETS,
    Commits,
    octets_of,
    open_commits,
)
from restante.store.counters import Counters, load
from restante.store.disk import Disk
from restante.store.doubt import doubt
from restante.store.frames import Incoming, write_frame
from restante.store.jobs import Job, Results
from restante.store.schema import open_database

BUFFER_OCTETS = 1 << 20
JOBS_OCTETS = 1 << 20
RESULTS_OCTETS = 1 << 16
"""Room for what is read at once, of jobs with their contents and of results."""
END_SECONDS = 60.0
OPEN = b"o"
"""Sent with the lock's descriptor once the spool was checked."""


# the server's side


class ProcessWriter:
    """The loop's side (writer.Writer). The process starts at once; it opens the spool when begin() says so."""

    def __init__(self, folder: Path) -> None:
        self._loop = asyncio.get_running_loop()
        self._folder = folder
        self._tell: Callable[[Results], None] | None = None
        self._lost: Callable[[SpoolBroken], None] | None = None
        self.broken: SpoolBroken | None = None
        """Why nothing is taken any more."""
        self.free_pages = 0
        """Pages of the database that can be written again, as of the last results."""
        self._jobs: list[Job] = []
        self._unsent: deque[memoryview] = deque()
        self._encoder = msgspec.msgpack.Encoder()
        self._incoming = Incoming(msgspec.msgpack.Decoder(Results), RESULTS_OCTETS)
        self._is_ending = False
        self._begun: asyncio.Future[None] = self._loop.create_future()
        self._sent: asyncio.Future[None] | None = None
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._socket, theirs = socket.socketpair()
        with theirs:
            for end in (self._socket, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_OCTETS)
            command = [sys.executable, "-m", __name__, str(folder)]
            self._process = subprocess.Popen(command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL)  # noqa: S603 - ourselves
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket, self._readable)

    async def begin(self, lock: int, *, tell: Callable[[Results], None], lost: Callable[[SpoolBroken], None]) -> None:
        """Lets it open the spool, of which it gets the lock, too. Raises SpoolBroken.

        From now on `tell` is called with each batch's results, and `lost` once, should the process end by itself.
        """
        self._tell, self._lost = tell, lost
        try:
            socket.send_fds(self._socket, [OPEN], [lock])
        except OSError:
            self._gone()
        await self._begun
        if self.broken is not None:
            raise self.broken

    def put(self, job: Job) -> None:
        """Hands in a job; it leaves with all others of this turn of the loop."""
        if not self._jobs:
            self._loop.call_soon(self._flush)
        self._jobs.append(job)

    def fail(self, error: BaseException) -> SpoolBroken:
        """The store is not to be trusted any more; the error for all who ask."""
        if self.broken is None:
            self.broken = SpoolBroken(f"{type(error).__name__}: {error}")
            doubt(Disk(), self._folder)
        return self.broken

    async def finish(self) -> None:
        """Does what was handed in before, and ends the process."""
        self._is_ending = True
        self._flush()
        if self._unsent:
            self._sent = self._loop.create_future()
            await self._sent
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        try:
            async with asyncio.timeout(END_SECONDS):
                await asyncio.shield(self._ended)
        except TimeoutError:
            self._process.kill()
            self._gone()
        await asyncio.to_thread(self._process.wait)

    def _flush(self) -> None:
        if self._jobs:
            jobs, self._jobs = self._jobs, []
            self._unsent.append(memoryview(write_frame(self._encoder, jobs)))
            if len(self._unsent) == 1:
                self._write()

    def _write(self) -> None:
        unsent = self._unsent
        try:
            while unsent:
                sent = self._socket.send(unsent[0])
                if sent < len(unsent[0]):
                    unsent[0] = unsent[0][sent:]
                else:
                    unsent.popleft()
        except BlockingIOError:
            self._loop.add_writer(self._socket, self._write)
            return
        except OSError:
            self._gone()
        self._loop.remove_writer(self._socket)
        if self._sent is not None and not self._sent.done():
            self._sent.set_result(None)

    def _readable(self) -> None:
        try:
            told = self._incoming.receive(self._socket)
        except BlockingIOError:
            return
        except (OSError, EOFError):
            self._gone()
            return
        except msgspec.MsgspecError:
            self._process.kill()
            self._gone()
            return
        for results in told:
            self.free_pages = results.free_pages
            if results.broken and self.broken is None:
                self.broken = SpoolBroken(results.broken)
            if not self._begun.done():
                self._begun.set_result(None)
            elif self._tell is not None:
                self._tell(results)

    def _gone(self) -> None:
        """It has ended, at our wish or not."""
        if self._ended.done():
            return
        self._ended.set_result(None)
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        self._unsent.clear()
        if not self._begun.done():
            self._begun.set_result(None)
        if not self._is_ending:
            broken = self.fail(EOFError("the process that writes has ended"))
            if self._lost is not None:
                self._lost(broken)


# the process's side


class Inbox:
    """Jobs that come in, gathered into batches."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._incoming = Incoming(msgspec.msgpack.Decoder(list[Job]), JOBS_OCTETS)
        self._jobs: deque[Job] = deque()
        self._last = 0  # jobs of the batch before
        self._has_ended = False

    def gather(self, patience: float | None) -> list[Job] | None:
        """The next batch; an empty one when nothing has come for `patience` seconds; None at the end."""
        while not (self._jobs or self._has_ended):
            if not self._comes(patience):
                return []
            self._receive(0)
        if self._last > max(1, 2 * len(self._jobs)) and not self._has_ended:
            time.sleep(GATHER_SECONDS)
            self._receive(socket.MSG_DONTWAIT)
        jobs = self._batch()
        self._last = len(jobs)
        return jobs or None

    def _comes(self, patience: float | None) -> bool:
        return patience is None or bool(select.select([self._socket], [], [], patience)[0])

    def _receive(self, flags: int) -> None:
        """Takes what is there."""
        try:
            for jobs in self._incoming.receive(self._socket, flags):
                self._jobs += jobs
        except BlockingIOError:
            pass
        except (OSError, EOFError):
            self._has_ended = True

    def _batch(self) -> list[Job]:
        jobs: list[Job] = []
        octets = 0
        while self._jobs and octets <= MOST_OCTETS and len(jobs) < MOST_JOBS:
            job = self._jobs.popleft()
            octets += octets_of(job)
            jobs.append(job)
        return jobs


def serve(connection: socket.socket, commits: Commits) -> None:
    """Commits what comes in until its end."""
    encoder = msgspec.msgpack.Encoder()
    inbox = Inbox(connection)
    connection.sendall(write_frame(encoder, Results(free_pages=commits.free_pages)))
    while (jobs := inbox.gather(IDLE_SECONDS if commits.is_untidy else None)) is not None:
        if jobs:
            connection.sendall(write_frame(encoder, commits.perform(jobs)))
            commits.settle_down()
        elif commits.is_untidy:
            connection.sendall(write_frame(encoder, commits.tidy()))


def main() -> None:
    """The process: its input is the socket, its argument the spool's folder, which has been checked."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    folder = Path(sys.argv[1])
    with socket.socket(fileno=0) as connection:
        said, _, _, _ = socket.recv_fds(connection, len(OPEN), 1)
        if said != OPEN:
            return
        disk = Disk()
        database = open_database(disk, folder)
        commits = open_commits(disk, folder, database, Counters(database, *load(database)))
        gc.collect()
        gc.freeze()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the server is gone: nobody can be told
            serve(connection, commits)
        commits.close()


if __name__ == "__main__":
    main()
