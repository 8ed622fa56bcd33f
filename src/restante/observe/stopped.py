"""How much is frozen and quarantined, for whoever scrapes. The store reads a row for each item of it, so it is asked
for no more than a hundredth of the time; else the last answer stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from restante.clock import Clock
from restante.model import ItemState
from restante.spool.spool import Spool, SpoolBroken

MOST_PART = 100
"""So many times as long as a look took nobody looks again."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """Items by their state, and the octets of all."""

    items: Mapping[ItemState, int]
    octets: int


class StoppedLook:
    """The last answer, and when to ask again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: Stopped | None = None
        self._again = float("-inf")

    async def look(self, spool: Spool) -> Stopped | None:
        """What is stopped now, or was a moment ago; None where the spool cannot be read."""
        began = self._clock.monotonic()
        if began < self._again:
            return self._last
        try:
            items = await spool.stopped()
            domains = await spool.stopped_domains() if any(items.values()) else {}
        except SpoolBroken:
            self._last = None
        else:
            self._last = Stopped(items, sum(each.octets for each in domains.values()))
        now = self._clock.monotonic()
        self._again = now + MOST_PART * (now - began)
        return self._last
