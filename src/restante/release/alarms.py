"""When mail that leaves by itself is looked at again: one alarm at the most for each destination, and its failures.

While a destination is down (it has failed, and its alarm has not rung) what arrives waits for the alarm with the rest.
A hundred thousand that are down are as many numbers here, and one task.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import random
from collections.abc import Callable, Sequence

from restante.clock import Clock
from restante.release.retry import delay
from restante.release.run import explained

SPREAD = 0.1
"""By so much of itself a wait is shortened or lengthened: what has failed together does not come again together."""
RUNG_A_TURN = 200
MOST_OVER = 100


class Alarms:
    """All alarms; `ring` is called with the destination whose time has come. `chance` gives numbers from 0 to 1."""

    def __init__(self, clock: Clock, ring: Callable[[str], None], chance: Callable[[], float] = random.random) -> None:
        self._clock = clock
        self._ring = ring
        self._chance = chance
        self._set: dict[str, float] = {}
        """By destination: when."""
        self._order: list[tuple[float, str]] = []
        """The same by time, as a heap, and some that were cancelled or set anew since."""
        self._failures: dict[str, int] = {}
        self._following: asyncio.Task[None] | None = None
        self._next = math.inf

    def set(self, destination: str, seconds: float) -> None:
        """Rings after so many seconds, and not when it would have rung before."""
        moment = self._set[destination] = self._clock.monotonic() + seconds
        heapq.heappush(self._order, (moment, destination))
        if len(self._order) > 2 * len(self._set) + MOST_OVER:
            self._order = [(moment, destination) for destination, moment in self._set.items()]
            heapq.heapify(self._order)
        if moment < self._next:
            self._stop()
            self._next = moment
            self._following = asyncio.get_running_loop().create_task(self._follow())

    def is_set(self, destination: str) -> bool:
        """Whether it will ring."""
        return destination in self._set

    def cancel(self, destination: str) -> None:
        """There is nothing to ring for."""
        self._set.pop(destination, None)

    def cancel_all(self) -> None:
        """Nothing rings any more."""
        self._set.clear()
        self._order.clear()
        self._stop()

    def failed(self, destination: str, schedule: Sequence[float], *, moved: bool) -> None:
        """A release failed: rings as the schedule has it, but soon where something was `moved` before it did."""
        self._failures[destination] = 1 if moved else self._failures.get(destination, 0) + 1
        spread = 1 - SPREAD + 2 * SPREAD * self._chance()
        self.set(destination, delay(self._failures[destination], schedule) * spread)

    def worked(self, destination: str) -> None:
        """A release went well."""
        self._failures.pop(destination, None)

    def forget(self, destination: str) -> None:
        """Nothing waits for it any more."""
        self.worked(destination)
        self.cancel(destination)

    def has_failed(self, destination: str) -> bool:
        """Whether its last release failed."""
        return destination in self._failures

    def is_down(self, destination: str) -> bool:
        """Whether to try now would be too soon."""
        return destination in self._failures and destination in self._set

    def _stop(self) -> None:
        if self._following is not None:
            self._following.cancel()
        self._following, self._next = None, math.inf

    async def _follow(self) -> None:
        while self._order:
            self._next = self._order[0][0]
            await self._clock.sleep(self._next - self._clock.monotonic())
            self._next = -math.inf  # what is set from here on is seen below
            await self._ring_all()
        self._following, self._next = None, math.inf

    async def _ring_all(self) -> None:
        rung = 0
        while self._order and self._order[0][0] <= self._clock.monotonic():
            moment, destination = heapq.heappop(self._order)
            if self._set.get(destination) != moment:
                continue
            del self._set[destination]
            try:
                self._ring(destination)
            except Exception as error:  # noqa: BLE001 - the others are to ring all the same
                explained(error)
            rung += 1
            if rung % RUNG_A_TURN == 0:
                await asyncio.sleep(0)
