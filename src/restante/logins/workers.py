"""A few threads for work that takes a core for a while, and a queue before them that is not without end.

What should be looked at last (may this still be tried?) is looked at when a thread is free. The thread of somebody who
was cancelled is free again when its work has ended, not before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from restante.errors import RestanteError

Result = TypeVar("Result")


@dataclass(eq=False)
class WorkersBusy(RestanteError):
    """As many wait for a thread as may. Worth trying again in a while."""

    waiting: int

    def __str__(self) -> str:
        return f"{self.waiting} wait for a thread already"


class Workers:
    """`threads` that work, and at most `waiting` who wait for one."""

    def __init__(self, threads: int, waiting: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="logins")
        self._free = asyncio.Semaphore(threads)
        self._most_waiting = waiting
        self._waiting = 0

    async def run(self, may_begin: Callable[[], bool], work: Callable[[], Result]) -> Result | None:
        """What the work returns, or raises; None if, now that a thread is free, it may not begin.

        Raises WorkersBusy at once where too many wait.
        """
        if self._free.locked() and self._waiting >= self._most_waiting:
            raise WorkersBusy(self._waiting)
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        if not may_begin():
            self._free.release()
            return None
        future = asyncio.get_running_loop().run_in_executor(self._executor, work)
        future.add_done_callback(lambda _: self._free.release())
        return await asyncio.shield(future)

    def close(self) -> None:
        """Takes no more; what runs ends by itself."""
        self._executor.shutdown(wait=False, cancel_futures=True)
