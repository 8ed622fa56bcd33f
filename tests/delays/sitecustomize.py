"""Makes every Python process that finds this on its path a slow one: threads begin their work late and tell of it late,
and the loop of events stops for moments. `script/soak delays` runs all tests so: what counts on promptness fails.
"""

from __future__ import annotations

import asyncio
import queue
import random
import threading
import time
from collections.abc import Callable
from typing import Any

THREAD_SECONDS = (0.02, 0.6)
"""How long a thread sleeps, before a job and before it tells of one ..."""
THREAD_CHANCE = 0.4
THREAD_REST = 2.0
"""... and then works on for that much longer without, so that no process sleeps most of the time."""
LOOP_SECONDS = (0.02, 0.2)
LOOP_REST_SECONDS = (0.1, 1.5)
"""How long a loop stands still, and how long it runs between."""

_random = random.Random()  # another one in each process: what fails is told by the test, not by a seed
_awake_until = 0.0
_slow_kinds: set[type] = set()


def _nap() -> None:
    global _awake_until  # noqa: PLW0603 - of all threads of the process
    if time.monotonic() > _awake_until and _random.random() < THREAD_CHANCE:
        seconds = _random.uniform(*THREAD_SECONDS)
        _awake_until = time.monotonic() + (1 + THREAD_REST) * seconds
        time.sleep(seconds)


class _SimpleQueue(queue.SimpleQueue):  # type: ignore[type-arg]
    """What a pool's threads and the store's writer take their jobs from."""

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        got = super().get(block, timeout)
        if block:
            _nap()
        return got


def _late(tell: Callable[..., Any]) -> Callable[..., Any]:
    def call_soon_threadsafe(self: asyncio.AbstractEventLoop, *args: Any, **more: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            _nap()
        return tell(self, *args, **more)

    return call_soon_threadsafe


def _halting(run: Callable[..., Any]) -> Callable[..., Any]:
    def run_until_complete(self: asyncio.AbstractEventLoop, future: Any) -> Any:
        timer: asyncio.TimerHandle | None = None

        def later() -> None:
            nonlocal timer
            timer = self.call_later(_random.uniform(*LOOP_REST_SECONDS), halt)

        def halt() -> None:
            time.sleep(_random.uniform(*LOOP_SECONDS))
            later()

        later()
        try:
            return run(self, future)
        finally:
            if timer is not None:
                timer.cancel()

    return run_until_complete


def _slowly(run: Callable[..., Any]) -> Callable[..., Any]:
    def slow_run(self: asyncio.Runner, *args: Any, **more: Any) -> Any:
        kind: Any = type(self.get_loop())  # asyncio's or uvloop's
        if kind not in _slow_kinds:
            _slow_kinds.add(kind)
            kind.call_soon_threadsafe = _late(kind.call_soon_threadsafe)
            kind.run_until_complete = _halting(kind.run_until_complete)
        return run(self, *args, **more)

    return slow_run


queue.SimpleQueue = _SimpleQueue  # type: ignore[misc]
asyncio.Runner.run = _slowly(asyncio.Runner.run)  # type: ignore[method-assign]
