"""Waiting for what must come, with a patience that no machine needs however busy it is: a test that hangs still ends,
and one on a slow machine does not fail.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

PATIENCE = 90.0
"""Seconds. What is to be seen to take too long has a short time of its own, at that step alone."""


async def until(so: Callable[[], object], every: float = 0.002) -> None:
    """Waits until it is so; looks again after so many seconds. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE):
        while not so():
            await asyncio.sleep(every)


def wait_until(
    so: Callable[[], object],
    told: Callable[[], str] = lambda: "it does not come about",
    *,
    patience: float = PATIENCE,
) -> None:
    """The same where no loop runs; `told` says what is wrong. Raises AssertionError."""
    end = time.monotonic() + patience
    while not so():
        assert time.monotonic() < end, told()
        time.sleep(0.05)
