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
from restante.store.commits import Commits
from restante.store.jobs import Job, Results
from restante.store.opening import open_parts
from restante.store.sqlite import SqliteSpool

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


class SteppedWriter:
    """The writing thread as steps: gathers, commits, tells; others run between these."""

    def __init__(
        self, steps: Steps, commits: Commits, *, loop: asyncio.AbstractEventLoop, tell: Callable[[Results], None]
    ) -> None:
        del loop
        self._steps = steps
        self._commits = commits
        self._tell = tell
        self._gathered: list[Job] = []
        self._told: list[Results] = []
        self._is_scheduled = False
        self._is_dead = False

    @property
    def broken(self) -> SpoolBroken | None:
        """As a writer has it."""
        return None if self._commits.broken is None else SpoolBroken(self._commits.broken)

    @property
    def free_pages(self) -> int:
        """As a writer has it."""
        return self._commits.free_pages

    def fail(self, error: BaseException) -> SpoolBroken:
        """As a writer does."""
        return SpoolBroken(self._commits.fail(error))

    def put(self, job: Job) -> None:
        """As a writer does."""
        self._gathered.append(job)
        if not self._is_scheduled:
            self._is_scheduled = True
            self._steps.later(self._step)

    def _step(self) -> None:
        self._is_scheduled = False
        if self._is_dead or not self._gathered:
            return
        jobs, self._gathered = self._gathered, []
        self._told.append(self._commits.perform(jobs))
        self._commits.settle_down()
        self._steps.later(self._tell_next)
        if self._steps.happens(0.3) and self._commits.is_untidy:
            self._told.append(self._commits.tidy())
            self._steps.later(self._tell_next)

    def _tell_next(self) -> None:
        if self._told and not self._is_dead:
            self._tell(self._told.pop(0))

    async def finish(self) -> None:
        """Does what was handed in before."""
        self._step()
        while self._told:
            self._tell_next()
        self.die()

    def die(self) -> None:
        """Does nothing any more."""
        self._is_dead = True
        self._gathered, self._told = [], []
        self._commits.close()


class SteppedSpool(SqliteSpool):
    """The embedded spool, stepped."""

    def __init__(self, steps: Steps, *args: Any) -> None:
        self._executors: list[SteppedExecutor] = []

        def executor(threads: int, _: str) -> SteppedExecutor:
            self._executors.append(SteppedExecutor(steps, in_order=threads == 1))
            return self._executors[-1]

        with (
            patch.object(sqlite, "ThreadWriter", partial(SteppedWriter, steps)),
            patch.object(sqlite, "ThreadPoolExecutor", executor),
        ):
            super().__init__(*args)
        self.dead: asyncio.Future[None] = self._loop.create_future()
        """Done once it was killed: what was handed in may then never be answered."""

    async def close(self) -> None:
        """Finishes what was handed in, as at SIGTERM."""
        if self._closed is None:
            self._closed = SpoolBroken("it was closed")
            self._stop_threads()
            await asyncio.sleep(0)  # what they have handed in is with the writer
            await self._writer.finish()
            self._disk.close(self._lock)

    def die(self) -> None:
        """Ends as at SIGKILL: what is not committed never was, and what is has not been heard of."""
        killed = self._closed = SpoolBroken("killed")
        assert isinstance(self._writer, SteppedWriter)
        for executor in self._executors:
            executor.die(killed)
        self._writer.die()
        unheard = [done for done, _ in self._asked.values()]
        self.lost(killed)
        for done in unheard:
            done.exception()  # nobody need be there to hear it
        self._stop_threads()
        self._disk.close(self._lock)
        self.dead.set_result(None)


def open_stepped(folder: Path, wall: Callable[[], float], steps: Steps, disk: FaultyDisk) -> SteppedSpool:
    """Opens the spool in a folder."""
    return SteppedSpool(steps, open_parts(folder, disk), wall, lambda _: None)
