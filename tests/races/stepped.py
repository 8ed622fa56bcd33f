"""A spool without threads: what its threads would do is done in the event loop, a seeded number of turns later.

So every order in which commits, reads and their results can come is a matter of the seed alone, and comes again with
it. All else of the spool is as it is: SQLite, group commit, claims, bodies. Its disk syncs nothing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from unittest.mock import patch

from tests.store.faults import FaultyDisk

from restante.spool.spool import SpoolBroken
from restante.store import sqlite
from restante.store.opening import open_parts
from restante.store.sqlite import SqliteSpool
from restante.store.writer import Job, Results, Writer

_P = ParamSpec("_P")
_T = TypeVar("_T")
DELAYS = (0, 0, 0, 1, 1, 2, 3, 5, 8, 20)
"""Turns of the loop; to choose from."""


class Steps:
    """Chance, by a seed, and delays made of it."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def turns(self) -> int:
        """How long something takes."""
        return self.chance.choice(DELAYS)

    def happens(self, probability: float) -> bool:
        """Whether it does."""
        return self.chance.random() < probability

    async def some(self, times: int = 1) -> None:
        """Lets others go first, or not."""
        for _ in range(times * self.turns()):
            await asyncio.sleep(0)

    def later(self, do: Callable[[], None]) -> None:
        """Does it in one of the next turns, never at once."""
        _after(asyncio.get_running_loop(), self.turns(), do)


def _after(loop: asyncio.AbstractEventLoop, turns: int, do: Callable[[], None]) -> None:
    loop.call_soon(do) if turns == 0 else loop.call_soon(_after, loop, turns - 1, do)


class SteppedExecutor(Executor):
    """Does what it is given in the loop: one after the other as a thread does, or in any order as several do."""

    def __init__(self, steps: Steps, *, in_order: bool) -> None:
        self._steps = steps
        self._in_order = in_order
        self._waiting: list[Callable[[Exception | None], None]] = []

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """As an executor does."""
        future: Future[_T] = Future()

        def do(failure: Exception | None) -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                if failure is not None:
                    raise failure  # noqa: TRY301 - there is one way out
                future.set_result(fn(*args, **kwargs))
            except Exception as error:  # noqa: BLE001 - whoever waits is told
                future.set_exception(error)

        self._waiting.append(do)
        self._steps.later(self._next)
        return future

    def _next(self) -> None:
        if self._waiting:
            self._waiting.pop(0 if self._in_order else self._steps.chance.randrange(len(self._waiting)))(None)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - nothing is late
        """Does what is left."""
        while self._waiting:
            self._next()

    def die(self, failure: Exception) -> None:
        """Does nothing of what is left."""
        while self._waiting:
            self._waiting.pop(0)(failure)


class SteppedWriter(Writer):
    """The writing thread as steps: gathers, commits, tells; others run between these."""

    def __init__(self, steps: Steps, *args: Any, **kwargs: Any) -> None:
        self._steps = steps
        self._gathered: list[Job] = []
        self._told: list[Results] = []
        self._is_scheduled = False
        self._is_dead = False
        super().__init__(*args, **kwargs)
        self._thread.join()
        self.put = self._put

    def _run(self) -> None:
        """The thread that is not wanted ends at once."""

    def _put(self, job: Job) -> None:
        self._gathered.append(job)
        if not self._is_scheduled:
            self._is_scheduled = True
            self._steps.later(self._step)

    def _step(self) -> None:
        self._is_scheduled = False
        if self._is_dead or not self._gathered:
            return
        jobs, self._gathered = self._gathered, []
        results = self._perform(jobs)
        self._told.append(results)
        self._remove_bodies(results)
        self._steps.later(self._tell_next)
        if self._steps.happens(0.3):
            self._tidy()

    def _tell_next(self) -> None:
        if self._told and not self._is_dead:
            self._tell(self._told.pop(0))

    def finish(self) -> None:
        """Does what was handed in before."""
        self._step()
        while self._told:
            self._tell_next()
        self._is_dead = True

    def die(self, killed: Exception) -> None:
        """Does nothing any more; who waits hears nothing good, even of what was written."""
        self._is_dead = True
        unheard = [job for results in self._told for job, _ in (*results.done, *results.failed)]
        left = (*self._gathered, *unheard)
        self._gathered, self._told = [], []
        for job in left:
            if not job.done.done():
                job.done.set_exception(killed)
                job.done.exception()  # nobody need be there to hear it


class SteppedSpool(SqliteSpool):
    """The embedded spool, stepped."""

    def __init__(self, steps: Steps, *args: Any) -> None:
        self._executors: list[SteppedExecutor] = []

        def executor(threads: int, _: str) -> SteppedExecutor:
            self._executors.append(SteppedExecutor(steps, in_order=threads == 1))
            return self._executors[-1]

        with (
            patch.object(sqlite, "Writer", partial(SteppedWriter, steps)),
            patch.object(sqlite, "ThreadPoolExecutor", executor),
        ):
            super().__init__(*args)
        self.dead: asyncio.Future[None] = self._loop.create_future()
        """Done once it was killed: what was handed in may then never be answered."""

    async def close(self) -> None:
        """Finishes what was handed in, as at SIGTERM."""
        if self._closed is None:
            self._closed = SpoolBroken("it was closed")
            self._shut()
            await asyncio.sleep(0)

    def die(self) -> None:
        """Ends as at SIGKILL: what is not committed never was, and what is has not been heard of."""
        killed = self._closed = SpoolBroken("killed")
        assert isinstance(self._writer, SteppedWriter)
        self._writer.die(killed)
        for executor in self._executors:
            executor.die(killed)
        self._shut()
        self.dead.set_result(None)


def open_stepped(folder: Path, wall: Callable[[], float], steps: Steps, disk: FaultyDisk) -> SteppedSpool:
    """Opens the spool in a folder."""
    return SteppedSpool(steps, open_parts(folder, disk), wall, lambda _: None)
