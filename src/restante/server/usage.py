"""How much a domain has in the spool, for its quota: what waits or is on its way, and what is frozen or quarantined.

The first is in the spool's counters, to the message. The second is asked of the store when somebody needs it, at most
once a second and never for more than a hundredth of the time; what is frozen as it comes is added here at once.
"""

from __future__ import annotations

import asyncio

from restante.clock import Clock
from restante.model import DomainName, Waiting
from restante.spool.spool import Spool, SpoolBroken

LOOK_SECONDS = 1.0
MOST_PART = 100
"""So many times as long as a look took nobody looks again."""


class Usage:
    """What is used, as of a moment ago."""

    def __init__(self, spool: Spool, clock: Clock) -> None:
        self._spool = spool
        self._clock = clock
        self._stopped: dict[DomainName, Waiting] = {}
        self._look_again = float("-inf")
        self._looking: asyncio.Task[None] | None = None

    def of(self, domain: DomainName) -> Waiting:
        """Items and octets of a domain, whatever their state."""
        if self._looking is None and self._clock.monotonic() >= self._look_again:
            self._looking = asyncio.get_running_loop().create_task(self._look())
        waiting, stopped = self._spool.waiting(domain), self._stopped.get(domain)
        if stopped is None:
            return waiting
        return Waiting(waiting.items + stopped.items, waiting.octets + stopped.octets)

    def froze(self, domain: DomainName, octets: int) -> None:
        """An item was frozen as it came."""
        stopped = self._stopped.get(domain, Waiting())
        self._stopped[domain] = Waiting(stopped.items + 1, stopped.octets + octets)

    async def _look(self) -> None:
        began = self._clock.monotonic()
        try:
            self._stopped = await self._spool.stopped_domains()
        except SpoolBroken:
            pass  # nothing more is taken anyway
        finally:
            now = self._clock.monotonic()
            self._look_again = now + max(LOOK_SECONDS, MOST_PART * (now - began))
            self._looking = None
