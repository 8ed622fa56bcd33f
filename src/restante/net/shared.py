"""What the streams of one loop share: their outbox, and one timer for the deadlines of all."""

from __future__ import annotations

import asyncio
import time
from functools import lru_cache
from typing import Protocol

MOST_PART = 100
"""So many times as long as a look at all deadlines took nobody looks again."""
_LATE = 0.001
"""A timer may fire so many seconds before its time."""


class Flushed(Protocol):
    """Has something to send."""

    def flush(self) -> None:
        """Sends it."""
        ...


class Outbox:
    """Streams with something to send: all of it leaves at the end of the loop's turn.

    A write wakes whoever reads it, who then wants the processor: it is given up once a turn, not once a reply.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._streams: list[Flushed] = []

    def add(self, stream: Flushed) -> None:
        """It is flushed at the end of this turn."""
        if not self._streams:
            self._loop.call_soon(self._flush)
        self._streams.append(stream)

    def _flush(self) -> None:
        streams, self._streams = self._streams, []
        for stream in streams:
            stream.flush()


class Timed(Protocol):
    """May wait for something, until a time of the loop's clock."""

    deadline: float | None

    def expire(self) -> None:
        """The time has come."""
        ...


class Deadlines:
    """Who waits, and one timer: at the earliest deadline all are looked at, which is seldom, for most move on.

    A timer for each would take longer than its connection's greeting.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timed: set[Timed] = set()
        self._timer: asyncio.TimerHandle | None = None
        self.earliest = float("inf")
        """When is looked: whoever sets a deadline before that calls look_at()."""

    def add(self, timed: Timed) -> None:
        """It is looked after, until remove()."""
        self._timed.add(timed)

    def remove(self, timed: Timed) -> None:
        """It has no more deadlines."""
        self._timed.discard(timed)

    def look_at(self, moment: float) -> None:
        """Looks then, and no later."""
        if self._timer is not None:
            self._timer.cancel()
        self.earliest = moment
        self._timer = self._loop.call_at(moment, self._look)

    def _look(self) -> None:
        now, began = self._loop.time(), time.monotonic()  # the loop's stands still in one turn
        self._timer, self.earliest = None, float("inf")
        waiting = [(timed.deadline, timed) for timed in self._timed if timed.deadline is not None]
        later = [deadline for deadline, _ in waiting if deadline > now + _LATE]
        if later:
            self.look_at(max(min(later), now + MOST_PART * (time.monotonic() - began)))
        if len(later) < len(waiting):
            for deadline, timed in waiting:
                if deadline <= now + _LATE:
                    timed.expire()


@lru_cache(maxsize=1)  # a process runs one loop; a test another
def shared_by(loop: asyncio.AbstractEventLoop) -> tuple[Outbox, Deadlines]:
    """What the streams of this loop share."""
    return Outbox(loop), Deadlines(loop)
