"""When mail that leaves by itself is looked at again: one alarm at the most for each entry, and its failures in a row.

While an entry is down (it has failed, and its alarm has not rung) what arrives waits for the alarm with the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from restante.clock import Clock
from restante.release.retry import delay


class Alarms:
    """All alarms; `ring` is called with the entry whose time has come."""

    def __init__(self, clock: Clock, ring: Callable[[str], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._set: dict[str, asyncio.Task[None]] = {}
        self._failures: dict[str, int] = {}

    def set(self, entry: str, seconds: float) -> None:
        """Rings after so many seconds, and not when it would have rung before."""
        self.cancel(entry)
        self._set[entry] = asyncio.get_running_loop().create_task(self._wait(entry, self._clock.monotonic() + seconds))

    def cancel(self, entry: str) -> None:
        """There is nothing to ring for."""
        if (alarm := self._set.pop(entry, None)) is not None:
            alarm.cancel()

    def cancel_all(self) -> None:
        """Nothing rings any more."""
        for entry in list(self._set):
            self.cancel(entry)

    def failed(self, entry: str, *, moved: bool) -> None:
        """A release failed: rings later each time, but soon where something was `moved` before it did."""
        self._failures[entry] = 1 if moved else self._failures.get(entry, 0) + 1
        self.set(entry, delay(self._failures[entry]))

    def worked(self, entry: str) -> None:
        """A release went well."""
        self._failures.pop(entry, None)

    def is_down(self, entry: str) -> bool:
        """Whether to try now would be too soon."""
        return entry in self._failures and entry in self._set

    async def _wait(self, entry: str, until: float) -> None:
        await self._clock.sleep(until - self._clock.monotonic())
        del self._set[entry]
        self._ring(entry)
