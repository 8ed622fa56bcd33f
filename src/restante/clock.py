"""Time, handed in: what the rooms know of it, the system's, and one that tests turn.

Wall time is for what people and other hosts read (headers, expiry, schedules); monotonic time is for every
duration and deadline, so that a jump of the clock ends nothing early.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """A wall reading, a monotonic reading, and a wait."""

    def wall(self) -> float:
        """Seconds since 1970, UTC; may jump."""
        ...

    def monotonic(self) -> float:
        """Seconds since some start; never jumps, never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Returns after so many monotonic seconds."""
        ...


class SystemClock:
    """The machine's clock."""

    wall = staticmethod(time.time)
    """Seconds since 1970, UTC."""
    monotonic = staticmethod(time.monotonic)
    """Seconds since some start."""

    async def sleep(self, seconds: float) -> None:
        """Waits in the running event loop."""
        await asyncio.sleep(seconds)


class TurnedClock:
    """A clock that stands still until a test turns it; sleepers wake when it has passed their hour."""

    def __init__(self, wall: float = 1_767_225_600.0) -> None:
        self._wall = wall
        self._monotonic = 1000.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def wall(self) -> float:
        """What the test has set."""
        return self._wall

    def monotonic(self) -> float:
        """What the test has turned it to."""
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        """Waits until turn() has gone so far."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        waiter = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._monotonic + seconds, waiter))
        await waiter

    def jump(self, seconds: float) -> None:
        """Sets the wall clock forward or back, as an administrator or a time server does."""
        self._wall += seconds

    async def turn(self, seconds: float) -> None:
        """Lets so much time pass, waking each sleeper at its own moment."""
        end = self._monotonic + seconds
        while due := [pair for pair in self._sleepers if pair[0] <= end]:
            moment, waiter = min(due, key=lambda pair: pair[0])
            self._sleepers.remove((moment, waiter))
            self._wall += max(0.0, moment - self._monotonic)
            self._monotonic = max(self._monotonic, moment)
            if not waiter.done():
                waiter.set_result(None)
            for _ in range(10):  # let what was woken run, and sleep again
                await asyncio.sleep(0)
        self._wall += end - self._monotonic
        self._monotonic = end
        for _ in range(10):
            await asyncio.sleep(0)
